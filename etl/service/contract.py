"""What the service knows of the pipelines that it runs, and what it may be told to do with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar

from etl.model import BatchResult

Answer = TypeVar("Answer")


class Phase(StrEnum):
    """What a pipeline does now."""

    WAITING = "waiting"
    """For its next tick, for files, or for the table that it comes after."""
    RUNNING = "running"
    DEGRADED = "degraded"
    """Its newest run failed; it is tried again at ``next_at``."""
    PAUSED = "paused"
    """By a person, or after too many failures; only a person resumes it."""
    FAULTY = "faulty"
    """Its file cannot be taken, and there is no older definition to go on with."""


@dataclass(frozen=True, slots=True)
class Served:
    """A pipeline of a running service. What its batches did is in its checkpoint alone.

    ``trigger`` is its text for people. ``next_at`` is when it is started next, None where no moment is known. ``since``
    is when it came into its phase. ``failures`` counts those one after the other, ``reason`` is that of the newest one,
    or of a pause. ``fault`` tells why an edited file is not taken, with its line, while the older definition goes on.
    ``missed`` counts ticks that came while it could not run. ``is_isolated``: in a process of its own.
    """

    name: str
    trigger: str
    phase: Phase
    since: datetime
    next_at: datetime | None = None
    failures: int = 0
    reason: str = ""
    fault: str = ""
    missed: int = 0
    is_isolated: bool = False


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that a service did or found out.

    ``kind``: ``started``, ``planned``, ``committed`` (with its ``result``), ``noted``, ``ended``, ``failed``,
    ``recovered`` (the first run that ends well after failures), ``paused``, ``resumed``, ``missed``, ``taken`` (another
    definition), ``faulty`` (a file that is not taken), ``removed``.
    """

    at: datetime
    pipeline: str
    kind: str
    message: str = ""
    result: BatchResult | None = None


class Fleet(Protocol):
    """The pipelines of a project, run side by side. Every method may be called from any thread and returns at once.

    A ``name`` that is not served raises ConfigError.
    """

    def served(self) -> Sequence[Served]:
        """Return every pipeline, by name."""

    def find(self, name: str) -> Served:
        """Return one."""

    def run_now(self, name: str) -> None:
        """Start a run as soon as none of this pipeline is under way. *Repeat*: one run."""

    def pause(self, name: str, reason: str = "") -> None:
        """Start no more runs of it; one that is under way ends with its batch."""

    def resume(self, name: str) -> None:
        """Go on with it, and forget its failures."""

    def between_runs(self, name: str, operation: Callable[[], Answer]) -> Answer:
        """Carry out an operation that needs the lease of a pipeline, while no run of it is under way; its answer.

        Waits for a run to come to the end of its batch. Raises what the operation raises.
        """

    def listen(self, hear: Callable[[Happening], None]) -> Callable[[], None]:
        """Have everything told that happens from now on; return what ends it.

        ``hear`` is called from the thread in which it happened, must return at once, and what it raises is dropped.
        """
