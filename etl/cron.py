"""When a cron expression fires, in the time of a zone: days on which clocks are put forward or back included."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?")
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five: its name, the values it may have, and the words for them, the first for ``least``."""

    name: str
    least: int
    most: int
    words: tuple[str, ...] = ()

    def values(self, text: str) -> set[int]:
        """Return what ``text`` selects. Raises ValueError."""
        found: set[int] = set()
        for part in text.split(","):
            match = _PART.fullmatch(part)
            if match is None:
                raise ValueError(f"{part!r} is no {self.name}; write *, 5, 1-5, */15 or a list of these")
            star, first, last, step = match.groups()
            low = self.least if star else self._value(first)
            high = self.most if star or (step and last is None) else self._value(last or first)
            if low > high or step == "0":
                raise ValueError(f"{part!r} selects no {self.name}")
            found.update(range(low, high + 1, int(step or 1)))
        return found

    def _value(self, text: str) -> int:
        value = self.words.index(text) + self.least if text in self.words else int(text) if text.isdecimal() else -1
        if not self.least <= value <= self.most:
            named = f" or {self.words[0]}-{self.words[-1]}" if self.words else ""
            raise ValueError(f"{text!r} is no {self.name}: {self.least}-{self.most}{named}")
        return value


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 7, _WEEKDAYS),
)


@dataclass(frozen=True)
class Cron:
    """A cron expression of five fields, minute first; Sunday is 0 or 7.

    As in every cron, where both days are restricted one of them suffices. Raises ValueError where it is none, or where
    it never fires.
    """

    text: str
    zone: ZoneInfo
    _fields: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Read it."""
        text = _ALIASES.get(self.text.strip().lower(), self.text).lower()
        parts = tuple(text.split())
        if len(parts) != len(_FIELDS):
            raise ValueError(
                "a cron expression has five fields: minute, hour, day of the month, month, day of the week"
            )
        object.__setattr__(self, "_fields", parts)
        if self._next_wall(datetime(2000, 1, 1, tzinfo=UTC)) is None:
            raise ValueError("it never fires: no such day is in any of its months")

    @property
    def is_hourly(self) -> bool:
        """Whether every hour fires alike: then the hour that clocks repeat fires twice, and none is made up for."""
        return self._fields[1] in ("*", "*/1")

    def next_after(self, moment: datetime) -> datetime:
        """Return the first moment (UTC) after ``moment`` at which it fires.

        A time of the day that clocks leave out fires when they have been put forward; one that they repeat, the first
        time alone. Expressions for every hour follow the time that really passes.
        """
        return self._next_instant(moment) if self.is_hourly else self._next_of_day(moment)

    def _next_of_day(self, moment: datetime) -> datetime:
        wall = _naive(moment.astimezone(self.zone))
        while True:
            wall = self._following(wall)
            found = self._instant(wall)
            if found > moment:
                return found

    def _next_instant(self, moment: datetime) -> datetime:
        offset = self._offset(moment)
        wall = _naive(moment.astimezone(UTC)) + offset
        while True:
            wall = self._following(wall)
            found = (wall - offset).replace(tzinfo=UTC)
            if self._offset(found) == offset:
                return found
            moment = self._change_between(moment, found)
            offset = self._offset(moment)
            wall = _naive(moment.astimezone(UTC)) + offset - _SECOND

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self.zone).utcoffset() or timedelta()

    def _instant(self, wall: datetime) -> datetime:
        """Return when clocks first show ``wall``, or are put beyond it."""
        found = wall.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
        if _naive(found.astimezone(self.zone)) == wall:
            return found
        return self._change_between(wall.replace(tzinfo=self.zone, fold=1).astimezone(UTC), found)

    def _change_between(self, before: datetime, after: datetime) -> datetime:
        """Return the second at which the offset changes, of which there is one between the two moments."""
        first = self._offset(before)
        low, high = 0, int((after - before).total_seconds()) + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._offset(before + middle * _SECOND) == first else (low, middle)
        return (before + high * _SECOND).replace(microsecond=0)

    def _following(self, wall: datetime) -> datetime:
        found = self._next_wall((wall + _SECOND).replace(microsecond=0, tzinfo=UTC))
        if found is None:
            raise ValueError(f"{self.text} never fires again")
        return _naive(found)

    def _next_wall(self, wall: datetime) -> datetime | None:
        """Return the first time at or after ``wall`` that it names; the zone of both means nothing."""
        found = [trigger.get_next_fire_time(None, wall) for trigger in self._triggers]
        return min((each for each in found if each is not None), default=None)

    @cached_property
    def _triggers(self) -> tuple[Any, ...]:
        from apscheduler.triggers.cron import CronTrigger

        minute, hour, day, month, weekday = (
            kind.values(text) for kind, text in zip(_FIELDS, self._fields, strict=True)
        )
        fixed = {"minute": _listed(minute), "hour": _listed(hour), "month": _listed(month), "timezone": UTC}
        by_day = {"day": _listed(day)}
        by_weekday = {"day_of_week": ",".join(sorted({_WEEKDAYS[each % 7] for each in weekday}))}
        if self._fields[2].startswith("*") or self._fields[4].startswith("*"):
            return (CronTrigger(**fixed, **by_day, **by_weekday),)
        return (CronTrigger(**fixed, **by_day), CronTrigger(**fixed, **by_weekday))


def _listed(values: set[int]) -> str:
    return ",".join(map(str, sorted(values)))


def _naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)
