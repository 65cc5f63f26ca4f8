"""Seconds per step, and a listener that says nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from etl.model import BatchPlan, BatchResult
from etl.progress import Silent, Stopwatch
from etl.testing import ManualClock


def test_stopwatch_gives_each_step_its_time_and_the_total() -> None:
    clock = ManualClock()
    watch = Stopwatch(clock)
    for step, took_s in [("plan", 0.5), ("stage", 2.00004), ("commit", 0.25)]:
        clock.advance(took_s)
        watch.lap(step)
    clock.advance(1.0)
    assert watch.seconds() == {"plan": 0.5, "stage": 2.0, "commit": 0.25, "total": 3.75}


def test_stopwatch_knows_every_step_from_the_start() -> None:
    assert Stopwatch(ManualClock()).seconds() == {"plan": 0.0, "stage": 0.0, "commit": 0.0, "total": 0.0}


def test_silent_listener_takes_everything() -> None:
    listener = Silent()
    listener.planned("p", BatchPlan(0, datetime(2026, 1, 1, tzinfo=UTC), {}, {}, "d"))
    listener.committed(BatchResult("p", 0, {}, {}, {}, None, 0, {}))
    listener.noted("p", "recovered")
