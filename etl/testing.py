"""A kit for tests of pipelines: a source and a sink in memory, a clock that is moved by hand, failures on demand."""

from __future__ import annotations

import errno
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from etl.checkpoint.generations import newest_generation
from etl.flow import Flow
from etl.memory import MemorySink, MemorySource
from etl.model import ReadLimit
from etl.pipeline import Pipeline
from etl.project import default_project
from etl.schema_contract import EVOLVE
from etl.seam import Seam

if TYPE_CHECKING:
    from etl.sinks.contract import Sink
    from etl.sources.contract import Source
    from etl.storage import Storage

T = TypeVar("T")
Failure = Literal["kill_before", "kill_after", "error_before", "error_after", "torn", "full"]


class ManualClock(Seam):
    """A seam whose time stands still until it is moved; sleeping moves it."""

    def __init__(self, at: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._at = at
        self._elapsed_s = 0.0

    def now(self) -> datetime:
        """Return the time that was set."""
        return self._at

    def monotonic(self) -> float:
        """Return the seconds moved so far."""
        return self._elapsed_s

    def sleep(self, delay_s: float) -> None:
        """Move the clock instead of waiting."""
        self.advance(delay_s)

    def advance(self, delay_s: float) -> None:
        """Move the clock."""
        self._at += timedelta(seconds=delay_s)
        self._elapsed_s += delay_s


class FailingSeam(Seam):
    """A seam that counts effects and fails at one of them.

    ``kill_*`` ends the process as ``kill -9`` does. ``error_after`` carries the effect out and loses the answer;
    ``torn`` leaves half of it; ``full`` is a full disk. With ``at`` 0 nothing fails, and ``names`` lists the effects.
    """

    def __init__(self, at: int | str = 0, failure: Failure = "kill_before") -> None:
        self._at = at
        self._failure = failure
        self.names: list[str] = []

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        """Carry out ``act``, unless it is this one's turn to fail."""
        self.names.append(name)
        if self._at != len(self.names) and self._at != name:
            return act()
        self._at = 0
        return self._fail(name, act, torn)

    def _fail(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None) -> T:
        if self._failure == "kill_before":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._failure == "error_before":
            raise OSError(errno.EIO, f"{name} failed")
        if self._failure in ("torn", "full"):
            if torn is not None:
                torn()
            raise OSError(errno.ENOSPC, f"{name}: no space left on device")
        try:
            result = act()
        finally:
            if self._failure == "kill_after":
                os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.EIO, f"the answer to {name} was lost after {result!r}")

    def sleep(self, delay_s: float) -> None:
        """Do not wait."""


def crash_at(effect: int | str, failure: Failure = "kill_before") -> FailingSeam:
    """Return a seam that fails at an effect: the k-th (from 1), or the first of a name (``table.commit.publish``)."""
    return FailingSeam(effect, failure)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder for the length of the block; whatever lies in it goes with it."""
    with tempfile.TemporaryDirectory(prefix="etl-", ignore_cleanup_errors=True) as name:
        yield Path(name).resolve()


def memory_pipeline(source: Source, sink: Sink, checkpoint: Storage, **changes: Any) -> Pipeline:  # noqa: ANN401
    """Return a pipeline wired by hand: no transforms, one unit a batch, unless ``changes`` say otherwise.

    ``changes``: ``transforms``, ``expectations``, ``quarantine``, ``contract``, ``system``, ``limit``, ``definition``,
    ``branches`` (``etl.flow.Branch``: further sources).
    """
    flow = Flow(
        "test",
        "source",
        source,
        changes.get("transforms", ()),
        sink,
        changes.get("system", ()),
        changes.get("expectations"),
        changes.get("quarantine"),
        changes.get("contract", EVOLVE),
        branches=changes.get("branches", ()),
    )
    limit = changes.get("limit", ReadLimit(max_files=1))
    return Pipeline(
        flow,
        checkpoint,
        limit,
        changes.get("definition", "test"),
        default_project(Path(checkpoint.url)),
        generation=newest_generation(checkpoint),
    )


def multiset(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Return how often each row occurs: what tests of exactly-once compare, never a set and never only a count."""
    return Counter(repr(sorted(row.items())) for row in rows)


__all__ = [
    "FailingSeam",
    "Failure",
    "ManualClock",
    "MemorySink",
    "MemorySource",
    "crash_at",
    "memory_pipeline",
    "multiset",
    "temporary_folder",
]
