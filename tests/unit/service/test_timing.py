"""Ticks by two clocks: one that never goes back, and one on the wall that somebody may set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etl.config.schedule import ScheduleOptions
from etl.service.timing import Due, Instant, Timer

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Clocks:
    """Both clocks; ``set_by`` moves the one on the wall alone."""

    def __init__(self) -> None:
        self.now = Instant(NOON, 1000.0)

    def advance(self, seconds: float) -> Instant:
        self.now = Instant(self.now.at + timedelta(seconds=seconds), self.now.s + seconds)
        return self.now

    def set_by(self, seconds: float) -> Instant:
        self.now = Instant(self.now.at + timedelta(seconds=seconds), self.now.s)
        return self.now


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def timer(clocks: Clocks, chance: float = 0.0, since: datetime | None = None, **schedule: Any) -> Timer:
    return Timer(ScheduleOptions(**schedule), lambda: chance, clocks.now, since)


def ticks(timer: Timer, clocks: Clocks, seconds: int) -> list[int]:
    """Return in which of the next seconds there is a tick."""
    return [second for second in range(1, seconds + 1) if timer.look(clocks.advance(1)).is_due]


def test_every_pays_no_heed_to_the_clock_on_the_wall(clocks: Clocks) -> None:
    found = timer(clocks, every="10s")
    assert found.look(clocks.now) == Due(is_due=True)
    clocks.set_by(-86400)
    assert ticks(found, clocks, 25) == [10, 20]
    clocks.set_by(10 * 86400)
    assert ticks(found, clocks, 10) == [5]


def test_a_sleep_of_the_machine_is_one_tick_and_the_rest_is_missed(clocks: Clocks) -> None:
    found = timer(clocks, every="10s")
    found.look(clocks.now)
    assert found.look(clocks.advance(3600)) == Due(is_due=True, missed=359)
    assert found.look(clocks.advance(9)) == Due()
    assert found.look(clocks.advance(1)) == Due(is_due=True)


def test_jitter_delays_each_tick_and_moves_no_grid(clocks: Clocks) -> None:
    found = timer(clocks, 0.5, every="10s", jitter="4s")
    assert ticks(found, clocks, 30) == [2, 12, 22]


def test_cron_ticks_at_its_times(clocks: Clocks) -> None:
    found = timer(clocks, cron="*/5 * * * *")
    assert ticks(found, clocks, 900) == [300, 600, 900]


def test_jitter_delays_cron(clocks: Clocks) -> None:
    found = timer(clocks, 0.5, cron="*/5 * * * *", jitter="1m")
    assert ticks(found, clocks, 900) == [330, 630]


def test_a_tick_of_cron_that_comes_a_little_late_is_one(clocks: Clocks) -> None:
    found = timer(clocks, cron="5 12 * * *")
    assert found.look(clocks.advance(300 + 59)) == Due(is_due=True)


@pytest.mark.parametrize(("catch_up", "expected"), [(False, Due(missed=4)), (True, Due(is_due=True, missed=4))])
def test_ticks_that_a_sleep_swallows_are_missed_or_made_up_for_once(
    clocks: Clocks, catch_up: bool, expected: Due
) -> None:
    found = timer(clocks, cron="0 * * * *", catch_up=catch_up)
    assert found.look(clocks.advance(4 * 3600 + 1800)) == expected
    assert ticks(found, clocks, 3600) == [1800]


def test_ticks_while_no_service_was_there_are_made_up_for_once(clocks: Clocks) -> None:
    found = timer(clocks, since=NOON - timedelta(days=3, hours=1), cron="0 0 * * *", catch_up=True)
    assert found.look(clocks.now) == Due(is_due=True, missed=3)
    assert found.look(clocks.advance(1)) == Due()


def test_years_of_missed_ticks_are_not_gone_through_one_by_one(clocks: Clocks) -> None:
    found = timer(clocks, since=NOON - timedelta(days=3650), cron="* * * * *", catch_up=True)
    due = found.look(clocks.now)
    assert (due.is_due, due.missed) == (True, 1000)
    assert ticks(found, clocks, 120) == [60, 120]


def test_a_clock_put_forward_over_a_time_of_the_day_misses_it(clocks: Clocks) -> None:
    found = timer(clocks, cron="0 13 * * *")
    assert found.look(clocks.set_by(2 * 3600)) == Due(missed=1)
    assert found.left_s(clocks.now) == 23 * 3600


def test_a_clock_put_back_fires_a_time_of_the_day_no_second_time(clocks: Clocks) -> None:
    found = timer(clocks, cron="0 13 * * *")
    assert ticks(found, clocks, 3600) == [3600]
    clocks.set_by(-1800)
    assert ticks(found, clocks, 3600) == []


def test_a_clock_put_back_far_is_another_clock(clocks: Clocks) -> None:
    found = timer(clocks, cron="0 13 * * *")
    assert ticks(found, clocks, 3600) == [3600]
    clocks.set_by(-4 * 3600)
    assert ticks(found, clocks, 4 * 3600) == [4 * 3600]


def test_what_fires_every_hour_goes_on_after_a_clock_was_put_back(clocks: Clocks) -> None:
    found = timer(clocks, cron="*/10 * * * *")
    clocks.advance(30)
    clocks.set_by(-3600)
    assert ticks(found, clocks, 1200) == [570, 1170]


def test_without_a_schedule_it_never_ticks(clocks: Clocks) -> None:
    found = Timer(None, lambda: 0.0, clocks.now)
    assert not found.ticks
    assert found.look(clocks.advance(1e9)) == Due()
