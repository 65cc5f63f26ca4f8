"""A service that runs pipelines only when it is told to: what the status page is tried with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from etl.errors import ConfigError
from etl.model import BatchPlan, BatchResult
from etl.operations.running import Running, run_pipelines
from etl.operations.workspace import Workspace
from etl.seam import Seam
from etl.service.contract import Happening, Phase, Served

Answer = TypeVar("Answer")


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
