"""When a pipeline is due next: on a clock that never goes back for `every`, by the clock on the wall for `cron`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etl.config.schedule import ScheduleOptions
    from etl.cron import Cron
    from etl.seam import Seam

GRACE_S = 60.0
"""How late a tick of `cron` may come and still be one; what is later was missed."""
_SET_ANEW = timedelta(hours=3)
_NOTICEABLE = timedelta(seconds=1)
_MOST_COUNTED = 1000


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment by both clocks: on the wall, and seconds on one that never goes back."""

    at: datetime
    s: float


def instant(seam: Seam) -> Instant:
    """Return now."""
    return Instant(seam.now(), seam.monotonic())


def chance(seam: Seam) -> float:
    """Return a random number from 0 to 1."""
    return int(seam.new_id()[:8], 16) / 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Due:
    """What a look at the clock finds: whether a run is to start, and how many ticks passed without one."""

    is_due: bool = False
    missed: int = 0


_NOT_DUE = Due()


class Timer:
    """The ticks of a schedule. ``draw`` gives a number from 0 to 1, for jitter.

    `every` ticks when it begins and then on a grid. `cron` ticks at its times; with ``since``, those after that moment
    were missed. Other triggers never tick.
    """

    def __init__(
        self, schedule: ScheduleOptions | None, draw: Callable[[], float], now: Instant, since: datetime | None = None
    ) -> None:
        self._schedule = schedule
        self._draw = draw
        self._last = now
        self._every_s = None if schedule is None else schedule.every
        self._cron: Cron | None = None if schedule is None else schedule.clock
        self._jitter_s = 0.0 if schedule is None else schedule.jitter
        self._tick_s = now.s
        self._tick_at = now.at if self._cron is None else self._cron.next_after(since or now.at)
        self._delay_s = self._drawn()

    def _drawn(self) -> float:
        return self._jitter_s * self._draw() if self._jitter_s else 0.0

    @property
    def ticks(self) -> bool:
        """Whether there are ticks at all."""
        return self._every_s is not None or self._cron is not None

    def left_s(self, now: Instant) -> float:
        """Return how long it is until the next tick: at most 0 where it is due, infinite where there is none."""
        if self._every_s is not None:
            return self._tick_s + self._delay_s - now.s
        if self._cron is not None:
            return (self._tick_at - now.at).total_seconds() + self._delay_s
        return math.inf

    def look(self, now: Instant) -> Due:
        """Tell whether a tick is due, and go on to the next one."""
        self._follow_the_clock(now)
        if self.left_s(now) > 0:
            return _NOT_DUE
        return self._look_at_every(now) if self._every_s is not None else self._look_at_cron(now)

    def _look_at_every(self, now: Instant) -> Due:
        every_s = self._every_s or 1.0
        passed = int((now.s - self._tick_s - self._delay_s) // every_s)
        self._tick_s += (passed + 1) * every_s
        self._delay_s = self._drawn()
        return Due(is_due=True, missed=passed)

    def _look_at_cron(self, now: Instant) -> Due:
        cron, schedule = self._cron, self._schedule
        if cron is None or schedule is None:
            return _NOT_DUE
        newest, passed = self._tick_at, 0
        while passed < _MOST_COUNTED and (following := cron.next_after(newest)) <= now.at:
            newest, passed = following, passed + 1
        grace = timedelta(seconds=GRACE_S + self._delay_s)
        if passed == _MOST_COUNTED:  # too many to go through: only the last ones matter
            is_recent = cron.next_after(now.at - grace) <= now.at
            self._tick_at = cron.next_after(now.at)
        else:
            is_recent = now.at - newest <= grace
            self._tick_at = cron.next_after(newest)
        self._delay_s = self._drawn()
        return Due(is_due=True, missed=passed) if is_recent else Due(is_due=schedule.catch_up, missed=passed + 1)

    def _follow_the_clock(self, now: Instant) -> None:
        """Take notice of a clock on the wall that was put back.

        As cron does it: what fires every hour goes on from the new time; what fires at times of the day fires no second
        time, unless the clock was put back by more than three hours, which makes it another clock.
        """
        put_back = self._last.at + timedelta(seconds=now.s - self._last.s) - now.at
        self._last = now
        cron = self._cron
        if cron is not None and put_back > (_NOTICEABLE if cron.is_hourly else _SET_ANEW):
            self._tick_at = cron.next_after(now.at)
