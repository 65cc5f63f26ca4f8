"""When a cron expression fires, against a plain model: every minute of twenty years, asked one after the other."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from etl.cron import Cron

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo")
"""Clocks put forward at 2, put forward at 2 of another month, by half an hour, at midnight, and on again off again."""
MINUTE = timedelta(minutes=1)


def cron(text: str, zone: str = "UTC") -> Cron:
    return Cron(text, ZoneInfo(zone))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def firings(text: str, zone: str, after: datetime, upto: datetime) -> list[datetime]:
    found = []
    expression = cron(text, zone)
    while (after := expression.next_after(after)) <= upto:
        found.append(after)
    return found


@cache
def changes(zone: str, first: int = 2005, last: int = 2024) -> list[datetime]:
    """Return the minutes at which clocks are changed in a zone, found by asking every hour, then every minute."""
    tz = ZoneInfo(zone)
    found = []
    at, end = datetime(first, 1, 1, tzinfo=UTC), datetime(last + 1, 1, 1, tzinfo=UTC)
    while at < end:
        following = at + timedelta(hours=1)
        if at.astimezone(tz).utcoffset() != following.astimezone(tz).utcoffset():
            minute = at
            while minute.astimezone(tz).utcoffset() == at.astimezone(tz).utcoffset():
                minute += MINUTE
            found.append(minute)
        at = following
    return found


def wall(at: datetime, zone: str) -> datetime:
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def once_a_day(times: set[tuple[int, int]], zone: str, after: datetime, upto: datetime) -> list[datetime]:
    """Return when clocks first show, or are put beyond, each of these times of each day: minute after minute."""
    found, shown = [], wall(after, zone)
    latest, at = shown, after + MINUTE
    while at <= upto:
        shown = wall(at, zone)
        passed = latest + MINUTE
        is_due = False
        while passed <= shown:  # more than one where clocks are put forward, none where they are put back
            is_due = is_due or (passed.hour, passed.minute) in times
            latest, passed = passed, passed + MINUTE
        if is_due:
            found.append(at)
        at += MINUTE
    return found


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("30 2 * * *", {(2, 30)}),
        ("15,45 0-3 * * *", {(hour, minute) for hour in range(4) for minute in (15, 45)}),
        ("0 0 * * *", {(0, 0)}),
    ],
)
def test_times_of_the_day_fire_once_on_every_day_on_which_clocks_are_changed(
    zone: str, text: str, times: set[tuple[int, int]]
) -> None:
    days = changes(zone)
    assert len(days) >= {"America/Sao_Paulo": 28, "Africa/Cairo": 18}.get(zone, 40)
    for change in days:
        after, upto = change - timedelta(hours=5), change + timedelta(hours=5)
        assert firings(text, zone, after, upto) == once_a_day(times, zone, after, upto)


@pytest.mark.slow
@pytest.mark.parametrize("zone", ZONES)
def test_a_daily_time_fires_on_each_of_7305_days(zone: str) -> None:
    first, last = datetime(2004, 12, 31, 12, tzinfo=UTC), datetime(2024, 12, 31, 12, tzinfo=UTC)

    fired = firings("30 12 * * *", zone, first, last)

    days = [wall(at, zone).date() for at in fired]
    assert days == [days[0] + timedelta(days=number) for number in range(len(days))]
    assert len(days) in (7304, 7305, 7306)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("text", ["*/15 * * * *", "10 * * * *"])
def test_what_fires_every_hour_follows_the_time_that_passes(zone: str, text: str) -> None:
    minutes = {0, 15, 30, 45} if text.startswith("*/15") else {10}
    for change in changes(zone):
        after, upto = change - timedelta(hours=2), change + timedelta(hours=3)
        asked = [after + number * MINUTE for number in range(1, 301)]
        expected = [at for at in asked if wall(at, zone).minute in minutes]
        assert firings(text, zone, after, upto) == expected


def test_a_time_that_clocks_leave_out_fires_when_they_were_put_forward() -> None:
    found = cron("30 2 * * *", "Europe/Berlin").next_after(moment("2024-03-30 12:00"))
    assert found == moment("2024-03-31 01:00")


def test_a_time_that_clocks_repeat_fires_the_first_time_alone() -> None:
    berlin = cron("30 2 * * *", "Europe/Berlin")
    first = berlin.next_after(moment("2024-10-26 12:00"))
    assert first == moment("2024-10-27 00:30")
    assert berlin.next_after(first) == moment("2024-10-28 01:30")


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("*/20 * * * *", "2026-01-01 00:00", "2026-01-01 00:20"),
        ("0 9 * * mon-fri", "2026-01-02 09:00", "2026-01-05 09:00"),
        ("0 9 * * 7", "2026-01-01 00:00", "2026-01-04 09:00"),
        ("0 0 29 feb *", "2026-01-01 00:00", "2028-02-29 00:00"),
        ("0 0 13 * 5", "2026-01-01 00:00", "2026-01-02 00:00"),
        ("@monthly", "2026-01-01 00:00", "2026-02-01 00:00"),
        ("5/20 * * * *", "2026-01-01 00:06", "2026-01-01 00:25"),
        ("59 23 31 12 *", "2026-01-01 00:00", "2026-12-31 23:59"),
    ],
)
def test_an_expression_fires_next(text: str, after: str, expected: str) -> None:
    assert cron(text).next_after(moment(after)) == moment(expected)


def test_a_moment_at_which_it_fires_is_not_after_itself() -> None:
    assert cron("0 * * * *").next_after(moment("2026-01-01 10:00")) == moment("2026-01-01 11:00")
    just_before = moment("2026-01-01 10:00") - timedelta(microseconds=1)
    assert cron("0 * * * *").next_after(just_before) == moment("2026-01-01 10:00")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("* * * *", "a cron expression has five fields: minute, hour, day of the month, month, day of the week"),
        ("60 * * * *", "'60' is no minute: 0-59"),
        ("* * * foo *", "'foo' is no month: 1-12 or jan-dec"),
        ("5-1 * * * *", "'5-1' selects no minute"),
        ("*/0 * * * *", "'*/0' selects no minute"),
        ("a! * * * *", "'a!' is no minute; write *, 5, 1-5, */15 or a list of these"),
        ("0 0 31 2 *", "it never fires: no such day is in any of its months"),
        ("0 0 L * *", "'l' is no day of the month: 1-31"),
    ],
)
def test_what_is_no_expression_is_told(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        cron(text)
