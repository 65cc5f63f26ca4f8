"""A fleet over years and with hundreds of pipelines, under a clock that is moved by hand."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest

from tests.scheduling import Yard

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo")


def pass_quickly(yard: Yard, until: datetime) -> None:
    """Go from one tick to the next; a look every second would find nothing else."""
    while yard.clock.now() < until:
        yard.fleet.tick()
        yard.crew.work()
        yard.fleet.tick()
        members = yard.fleet.served()
        following = min(each.next_at for each in members if each.next_at is not None)
        yard.clock.advance(max((min(following, until) - yard.clock.now()).total_seconds(), 0.001))


def commit_of(yard: Yard, name: str, _: object) -> None:
    yard.commit(name)


@pytest.mark.parametrize("year", [2007, 2024, pytest.param(0, marks=pytest.mark.slow)])
def test_daily_runs_of_five_zones_happen_once_on_each_day(year: int) -> None:
    first, last = (year, year) if year else (2005, 2024)
    yard = Yard()
    yard.clock.advance((datetime(first, 1, 1, 14, tzinfo=UTC) - yard.clock.now()).total_seconds())
    seats = {zone: yard.add(zone.partition("/")[2], cron="30 2 * * *", timezone=zone) for zone in ZONES}
    start = yard.clock.now() - timedelta(seconds=yard.clock.monotonic())

    pass_quickly(yard, datetime(last + 1, 1, 1, 14, tzinfo=UTC))

    for zone, seat in seats.items():
        walls = [(start + timedelta(seconds=s)).astimezone(ZoneInfo(zone)) for s in seat.started_s]
        days = Counter(each.date() for each in walls)
        begin = min(days)
        expected = (datetime(last + 1, 1, 1, 14, tzinfo=UTC) - datetime(first, 1, 1, 14, tzinfo=UTC)).days
        assert days == {begin + timedelta(days=number): 1 for number in range(expected)}
        assert yard.fleet.find(zone.partition("/")[2]).missed == 0


def test_five_hundred_pipelines_each_run_at_all_of_their_times_and_at_no_other() -> None:
    yard = Yard()
    periods = {f"p{number}": 5 + number % 60 for number in range(400)}
    seats = {name: yard.add(name, every=f"{period}s") for name, period in periods.items()}
    downstream = {f"d{number}": yard.add(f"d{number}", after=[f"p{number}"]) for number in range(100)}
    for number in range(100):
        seats[f"p{number}"].during = partial(commit_of, yard, f"p{number}")

    yard.pass_s(180)

    for name, period in periods.items():
        assert seats[name].started_s == list(range(0, 181, period))
    for number in range(100):
        assert set(downstream[f"d{number}"].started_s) == set(seats[f"p{number}"].started_s)
    assert all(each.missed == 0 for each in yard.fleet.served())
