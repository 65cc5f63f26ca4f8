"""Fleets for tests: one that runs nothing, and one that runs a pipeline only when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from etl.errors import ConfigError
from etl.model import BatchPlan, BatchResult
from etl.operations.running import Running, run_pipelines
from etl.operations.workspace import Workspace
from etl.seam import Seam
from etl.service.contract import Happening, Phase, Served
from etl.testing import ManualClock

Answer = TypeVar("Answer")


@dataclass(eq=False)
class Stage:
    """A fleet and its clock."""

    clock: ManualClock = field(default_factory=ManualClock)
    pipelines: dict[str, Served] = field(default_factory=dict)
    listeners: list[Callable[[Happening], None]] = field(default_factory=list)

    def put(self, name: str, **facts: Any) -> None:
        """Add a pipeline, or change what is true of one."""
        before = self.pipelines.get(name, Served(name, "continuous", Phase.WAITING, self.clock.now()))
        self.pipelines[name] = replace(before, **facts)

    def say(self, pipeline: str, kind: str, message: str = "", result: BatchResult | None = None) -> None:
        """Have something happen now."""
        for hear in list(self.listeners):
            hear(Happening(self.clock.now(), pipeline, kind, message, result))

    def served(self) -> Sequence[Served]:
        return [self.pipelines[name] for name in sorted(self.pipelines)]

    def find(self, name: str) -> Served:
        if name not in self.pipelines:
            raise ConfigError(f"unknown pipeline '{name}'")
        return self.pipelines[name]

    def run_now(self, name: str) -> None:
        self.find(name)

    def pause(self, name: str, reason: str = "") -> None:
        self.put(name, phase=Phase.PAUSED, reason=reason)

    def resume(self, name: str) -> None:
        self.put(name, phase=Phase.WAITING, reason="", failures=0)

    def between_runs(self, name: str, operation: Callable[[], Answer]) -> Answer:
        self.find(name)
        return operation()

    def listen(self, hear: Callable[[Happening], None]) -> Callable[[], None]:
        self.listeners.append(hear)
        return lambda: self.listeners.remove(hear)


def batch(pipeline: str = "orders", batch_id: int = 0, **facts: Any) -> BatchResult:
    """Return the result of a batch of 10 rows, 8 of which were written."""
    given: dict[str, Any] = {
        "offsets": {},
        "tables": {"silver.orders": batch_id},
        "rows": {"read": 10, "written": 8, "filtered": 1, "quarantined": 1},
        "watermark": None,
        "bytes_read": 1000,
        "seconds": {"plan": 0.01, "stage": 0.2, "commit": 0.04, "total": 0.25},
    }
    return BatchResult(pipeline=pipeline, batch_id=batch_id, **{**given, **facts})


def at(text: str) -> datetime:
    """Return a moment."""
    return datetime.fromisoformat(text)


@dataclass
class StillFleet:
    """The pipelines of a project. ``run_now`` runs one to its end before it returns; ``done`` is what it was told."""

    workspace: Workspace
    done: list[tuple[str, str]] = field(default_factory=list)
    known: dict[str, Served] = field(default_factory=dict)
    ears: list[Callable[[Happening], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        now = datetime.now(UTC)
        for spec in self.workspace.specs():
            self.known[spec.name] = Served(spec.name, "every 30s", Phase.WAITING, now, now + timedelta(seconds=30))

    def served(self) -> Sequence[Served]:
        return [self.known[name] for name in sorted(self.known)]

    def find(self, name: str) -> Served:
        if name not in self.known:
            raise ConfigError(f"unknown pipeline '{name}'")
        return self.known[name]

    def be(self, name: str, **changes: object) -> None:
        self.known[name] = replace(self.find(name), **changes)  # type: ignore[arg-type]

    def run_now(self, name: str) -> None:
        self.find(name)
        self.done.append(("run", name))
        list(run_pipelines(Workspace(self.workspace.folder), [name], Running(Seam(), self)))

    def pause(self, name: str, reason: str = "") -> None:
        self.be(name, phase=Phase.PAUSED, reason=reason)
        self.done.append(("pause", name))
        self.tell(name, "paused")

    def resume(self, name: str) -> None:
        self.be(name, phase=Phase.WAITING, reason="")
        self.done.append(("resume", name))
        self.tell(name, "resumed")

    def between_runs(self, name: str, operation: Callable[[], Answer]) -> Answer:
        self.find(name)
        self.done.append(("between_runs", name))
        return operation()

    def listen(self, hear: Callable[[Happening], None]) -> Callable[[], None]:
        self.ears.append(hear)
        return lambda: self.ears.remove(hear)

    def tell(self, name: str, kind: str, result: BatchResult | None = None) -> None:
        for hear in list(self.ears):
            hear(Happening(datetime.now(UTC), name, kind, "", result))

    def planned(self, pipeline: str, plan: BatchPlan) -> None:
        self.tell(pipeline, "planned")

    def committed(self, result: BatchResult) -> None:
        self.tell(result.pipeline, "committed", result)

    def noted(self, pipeline: str, message: str) -> None:
        self.tell(pipeline, "noted")
