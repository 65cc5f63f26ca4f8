"""One pipeline of a fleet: what it does now, when it is started next, and what stands against it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from etl.service.contract import Phase, Served

if TYPE_CHECKING:
    from etl.config.specification import PipelineSpec
    from etl.service.edition import Edition
    from etl.service.seat import Seat
    from etl.service.timing import Instant, Timer

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 300.0


def delay_after(failures: int, chance: float) -> float:
    """Return how long to wait after so many failures in a row: twice as long each time, between half and whole.

    >>> delay_after(1, 1.0), delay_after(4, 0.0), delay_after(50, 1.0)
    (1.0, 4.0, 300.0)
    """
    longest_s = min(FIRST_DELAY_S * 2.0 ** min(failures - 1, 30), LONGEST_DELAY_S)
    return longest_s * (0.5 + chance / 2)


@dataclass(slots=True)
class Post:
    """What runs a pipeline by one definition of its kind: another trigger or isolation makes another post."""

    spec: PipelineSpec
    edition: Edition
    seat: Seat
    timer: Timer


@dataclass(slots=True)
class Member:
    """A pipeline and its standing; the fleet's lock guards all of it but ``turn``, which a run or an operation holds.

    ``is_wanted``: a run is to start as soon as it may. ``is_running``: one was handed to a thread. ``guests`` counts
    operations that wait for the border of the batch. ``retry_s`` is when it may be tried again.
    ``is_leaving``: its post is given up at the border of the batch, for ``successor`` or for good.
    """

    name: str
    post: Post | None
    since: datetime
    is_wanted: bool = False
    is_running: bool = False
    is_paused: bool = False
    is_paused_by_person: bool = False
    is_leaving: bool = False
    successor: Post | None = None
    guests: int = 0
    failures: int = 0
    reason: str = ""
    fault: str = ""
    missed: int = 0
    untold: int = 0
    retry_s: float | None = None
    turn: threading.Lock = field(default_factory=threading.Lock)
    shown: Phase = Phase.WAITING

    @property
    def phase(self) -> Phase:
        """What it does now."""
        if self.post is None:
            return Phase.FAULTY
        if self.is_paused:
            return Phase.PAUSED
        if self.is_running:
            return Phase.RUNNING
        return Phase.DEGRADED if self.failures else Phase.WAITING

    def settle(self, now: Instant) -> None:
        """Take note of when it came into its phase."""
        if self.phase is not self.shown:
            self.shown, self.since = self.phase, now.at

    def must_stop(self) -> bool:
        """Tell whether a run under way is to end with its batch."""
        return self.is_paused or self.is_leaving or self.guests > 0

    @property
    def may_tell_missed(self) -> bool:
        """Whether there are missed ticks to tell of; while it cannot run, they are counted, for one line."""
        return bool(self.untold) and not self.is_running and self.retry_s is None and not self.must_stop()

    def may_start(self, now: Instant) -> bool:
        """Tell whether a run may start."""
        if self.post is None or self.is_running or self.must_stop():
            return False
        return self.retry_s is None or now.s >= self.retry_s

    def left_s(self, now: Instant) -> float:
        """Return how long it is until a look at it is worth something."""
        tick_s = float("inf") if self.post is None else self.post.timer.left_s(now)
        if self.is_wanted and self.retry_s is not None and not (self.is_running or self.must_stop()):
            return min(self.retry_s - now.s, tick_s)
        return tick_s

    def next_at(self, now: Instant) -> datetime | None:
        """Return when it is started next, as far as a moment is known."""
        if self.post is None or self.is_paused:
            return None
        if self.is_wanted and not self.is_running:
            return now.at + timedelta(seconds=max((self.retry_s or now.s) - now.s, 0.0))
        left_s = self.post.timer.left_s(now)
        return now.at + timedelta(seconds=max(left_s, 0.0)) if self.post.timer.ticks else None

    def served(self, now: Instant) -> Served:
        """Return it as the service tells it."""
        spec = None if self.post is None else self.post.spec
        return Served(
            name=self.name,
            trigger="" if spec is None else str(spec.schedule or spec.trigger),
            phase=self.phase,
            since=self.since,
            next_at=self.next_at(now),
            failures=self.failures,
            reason=self.reason,
            fault=self.fault,
            missed=self.missed,
            is_isolated=spec is not None and spec.is_isolated,
        )
