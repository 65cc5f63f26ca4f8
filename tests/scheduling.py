"""A fleet under a clock that is moved by hand: its runs are noted, and last as long as a test wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from etl.config.schedule import ScheduleOptions
from etl.model import BatchResult
from etl.service.contract import Happening
from etl.service.fleet import PipelineFleet
from etl.service.member import Post
from etl.service.timing import Timer, instant
from etl.testing import ManualClock

Outcome = BaseException | None


@dataclass
class NotedSeat:
    """Notes its runs; each has the next of ``outcomes``, and does what ``during`` does."""

    clock: ManualClock
    outcomes: list[Outcome] = field(default_factory=list)
    during: Callable[[Callable[[], bool]], object] = bool
    started_s: list[float] = field(default_factory=list)
    rests: int = 0

    def run(self, should_stop: Callable[[], bool]) -> Outcome:
        self.started_s.append(round(self.clock.monotonic(), 3))
        self.during(should_stop)
        return self.outcomes.pop(0) if self.outcomes else None

    def rest(self) -> None:
        self.rests += 1


@dataclass
class HandCrew:
    """Carries out jobs when it is told to."""

    jobs: list[Callable[[], None]] = field(default_factory=list)

    def take(self, job: Callable[[], None]) -> None:
        self.jobs.append(job)

    def take_alone(self, name: str, job: Callable[[], None]) -> None:
        del name
        self.jobs.append(job)

    def work(self) -> None:
        while self.jobs:
            self.jobs.pop(0)()


class Yard:
    """A fleet, its clock and what it told. ``chance`` is what is drawn for back-off."""

    def __init__(self, retries: int = 8, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.crew = HandCrew()
        self.is_woken = False
        self.fleet = PipelineFleet(self.clock, self.crew, retries, self._wake)
        self.told: list[tuple[str, str, str]] = []
        self.fleet.listen(self._hear)

    def _wake(self) -> None:
        self.is_woken = True

    def _hear(self, happening: Happening) -> None:
        self.told.append((happening.pipeline, happening.kind, happening.message))

    def kinds(self, name: str) -> list[str]:
        return [kind for pipeline, kind, _ in self.told if pipeline == name]

    def add(self, name: str, *outcomes: Outcome, trigger: str = "available_now", **schedule: Any) -> NotedSeat:
        """Have a pipeline with a schedule, or with a trigger that has none."""
        seat = NotedSeat(self.clock, list(outcomes))
        self.fleet.add(name, self.post(name, seat, trigger, **schedule))
        return seat

    def post(self, name: str, seat: NotedSeat, trigger: str = "available_now", **schedule: Any) -> Post:
        options = ScheduleOptions(**schedule) if schedule else None
        spec = SimpleNamespace(
            name=name,
            trigger=trigger,
            schedule=options,
            is_isolated=False,
            sink=SimpleNamespace(table=f"silver.{name}"),
        )
        timer = Timer(options, partial(float, 0), instant(self.clock))
        return Post(cast("Any", spec), cast("Any", None), seat, timer)

    def pass_s(self, seconds: float) -> None:
        """Let time pass; whatever is started ends at once."""
        until_s = self.clock.monotonic() + seconds
        while True:
            self.is_woken = False
            left_s = self.fleet.tick()
            self.crew.work()
            if self.is_woken:
                continue
            rest_s = until_s - self.clock.monotonic()
            if rest_s <= 0:
                return
            self.clock.advance(min(left_s, rest_s))

    def commit(self, name: str, batch_id: int = 0) -> None:
        """Have a pipeline tell of a batch that gave its table a new version."""
        self.fleet.hearers.committed(
            BatchResult(name, batch_id, {}, {f"silver.{name}": batch_id}, {"written": 1}, None, 0, {})
        )


def folder_with(folder: Path, **pipelines: str) -> Path:
    """Write a project with these pipelines."""
    (folder / "pipelines").mkdir(parents=True, exist_ok=True)
    for name, text in pipelines.items():
        (folder / "pipelines" / f"{name}.yml").write_text(text)
    return folder
