"""The pipelines of a project, each started by its trigger, one run of each at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from etl.config.faults import nearest
from etl.errors import ConfigError
from etl.service.contract import Happening, Served
from etl.service.hearers import Hearers
from etl.service.judging import Told, judge, revive
from etl.service.member import Member
from etl.service.timing import Instant, chance, instant

if TYPE_CHECKING:
    from etl.seam import Seam
    from etl.service.crew import Crew
    from etl.service.member import Post

Answer = TypeVar("Answer")
LOOK_S = 1.0
"""How often clocks are compared, at least: the one on the wall may be put forward or back at any time."""
NEAR_S = 600.0
"""A lease is kept for a run that starts within this time."""


class PipelineFleet:
    """A fleet whose members are started by ``tick``, which somebody calls when the time that it returned is over.

    ``wake`` is called, from any thread, when it is worth calling earlier. ``retries`` is how often a pipeline that
    fails is tried again in a row.
    """

    def __init__(self, seam: Seam, crew: Crew, retries: int, wake: Callable[[], object] = bool) -> None:
        self.hearers = Hearers(seam)
        self.seam = seam
        self._crew = crew
        self._retries = retries
        self._wake = wake
        self.members: dict[str, Member] = {}
        self.lock = threading.RLock()
        self._is_ending = False
        self._ended = threading.Condition(self.lock)
        self.listen(self._follow)

    def served(self) -> Sequence[Served]:
        """Return every pipeline, by name."""
        with self.lock:
            now = instant(self.seam)
            return [self.members[name].served(now) for name in sorted(self.members)]

    def find(self, name: str) -> Served:
        """Return one. Raises ConfigError."""
        with self.lock:
            return self._member(name).served(instant(self.seam))

    def _member(self, name: str) -> Member:
        if name not in self.members:
            raise ConfigError(f"unknown pipeline '{name}'{nearest(name, sorted(self.members))}")
        return self.members[name]

    def listen(self, hear: Callable[[Happening], None]) -> Callable[[], None]:
        """Have everything told that happens from now on; return what ends it."""
        return self.hearers.listen(hear)

    def run_now(self, name: str) -> None:
        """Start a run as soon as none of this pipeline is under way. *Repeat*: one run. Raises ConfigError."""
        with self.lock:
            member = self._member(name)
            member.is_wanted = True
            member.retry_s = None
        self._wake()

    def pause(self, name: str, reason: str = "") -> None:
        """Start no more runs of it; one that is under way ends with its batch. Raises ConfigError."""
        with self.lock:
            member = self._member(name)
            member.is_paused = member.is_paused_by_person = True
            member.reason = reason
            self._settle(member)
        self.hearers.tell(name, "paused", reason)

    def resume(self, name: str) -> None:
        """Go on with it, and forget its failures. Raises ConfigError."""
        with self.lock:
            member = self._member(name)
            revive(member)
            self._settle(member)
        self.hearers.tell(name, "resumed")
        self._wake()

    def paused_by_people(self) -> dict[str, str]:
        """Return what people paused, with their reasons."""
        with self.lock:
            return {each.name: each.reason for each in self.members.values() if each.is_paused_by_person}

    def between_runs(self, name: str, operation: Callable[[], Answer]) -> Answer:
        """Carry out an operation that needs the lease of a pipeline, while no run of it is under way; its answer."""
        with self.lock:
            member = self._member(name)
            member.guests += 1
        try:
            with member.turn:
                if member.post is not None:
                    member.post.seat.rest()
                return operation()
        finally:
            with self.lock:
                member.guests -= 1
            self._wake()

    def tick(self) -> float:
        """Start what is due and may start; return after how many seconds another look is worth something."""
        told: list[tuple[str, str, str]] = []
        with self.lock:
            now = instant(self.seam)
            left_s = LOOK_S
            for member in list(self.members.values()):
                told += [(member.name, *each) for each in self._look(member, now)]
                left_s = min(left_s, member.left_s(now))
        for each in told:
            self.hearers.tell(*each)
        return max(left_s, 0.0)

    def _look(self, member: Member, now: Instant) -> Told:
        told: Told = []
        if member.post is not None:
            due = member.post.timer.look(now)
            missed = due.missed
            if due.is_due:
                is_queued = member.post.spec.schedule is not None and member.post.spec.schedule.overlap == "queue"
                if member.may_start(now) or (is_queued and not member.is_wanted and not member.is_paused):
                    member.is_wanted = True
                else:
                    missed += 1
            member.missed += missed
            member.untold += missed
        if member.may_tell_missed:
            told.append(("missed", f"{member.untold} ticks" if member.untold > 1 else "a tick"))
            member.untold = 0
        if member.is_leaving and not member.is_running:
            told += self._leave(member, now)
        if member.is_wanted and member.may_start(now) and not self._is_ending:
            self._start(member)
        self._settle(member, now)
        return told

    def _settle(self, member: Member, now: Instant | None = None) -> None:
        member.settle(now or instant(self.seam))

    def _start(self, member: Member) -> None:
        member.is_wanted, member.is_running = False, True
        job = partial(self._carry_out, member)
        if member.post is not None and member.post.spec.trigger == "continuous":
            self._crew.take_alone(member.name, job)
        else:
            self._crew.take(job)

    def _carry_out(self, member: Member) -> None:
        """Carry out one run, in a thread of the crew."""
        error: BaseException | None = None
        with member.turn:
            post = member.post
            if post is not None and not self._must_stop(member):
                self.hearers.tell(member.name, "started")
                error = post.seat.run(partial(self._must_stop, member))
        with self.lock:
            now = instant(self.seam)
            is_cut = self._must_stop(member)
            told = judge(member, error, now, self._retries, chance(self.seam))
            is_endless = post is not None and post.spec.trigger == "continuous"
            member.is_wanted = member.is_wanted or is_cut or is_endless
            member.is_running = False
            if post is not None and (self._is_ending or member.is_paused or member.left_s(now) > NEAR_S):
                post.seat.rest()
            self._settle(member, now)
            self._ended.notify_all()
        for each in told:
            self.hearers.tell(member.name, *each)
        self._wake()

    def _must_stop(self, member: Member) -> bool:
        return self._is_ending or member.must_stop()

    def _follow(self, happening: Happening) -> None:
        """Have those run that come after a pipeline whose table has a new version."""
        if happening.kind != "committed" or happening.result is None:
            return
        with self.lock:
            upstream = self.members.get(happening.pipeline)
            spec = None if upstream is None or upstream.post is None else upstream.post.spec
        if spec is not None and spec.sink.table in happening.result.tables:
            self.follow_up(happening.pipeline)

    def follow_up(self, upstream: str) -> None:
        """Have those run that come after ``upstream``."""
        with self.lock:
            schedules = [(each, each.post.spec.schedule) for each in self.members.values() if each.post is not None]
            after = [member for member, schedule in schedules if schedule and upstream in (schedule.after or ())]
            for member in after:
                member.is_wanted = True
        if after:
            self._wake()

    def upstreams(self) -> set[str]:
        """Return the pipelines that others come after."""
        with self.lock:
            specs = [each.post.spec for each in self.members.values() if each.post is not None]
        return {name for spec in specs if spec.schedule is not None for name in spec.schedule.after or ()}

    def add(self, name: str, post: Post | None, fault: str = "") -> None:
        """Take in a pipeline: at its first tick, or at once where its trigger has none."""
        with self.lock:
            member = Member(name, post, self.seam.now(), fault=fault)
            member.is_wanted = post is not None and not post.timer.ticks
            self.members[name] = member
            self._settle(member)
        self._wake()

    def replace(self, member: Member, successor: Post | None) -> None:
        """Give a pipeline another post at the border of its batch; None: give it up."""
        with self.lock:
            member.is_leaving, member.successor = True, successor
        self._wake()

    def _leave(self, member: Member, now: Instant) -> Told:
        if member.post is not None:
            member.post.seat.rest()
        member.post, member.successor, member.is_leaving = member.successor, None, False
        if member.post is None:
            del self.members[member.name]
            return [("removed", "")]
        has_tick = member.post.timer.left_s(now) <= 0  # which starts it: what the former run left over comes with it
        member.is_wanted = not has_tick and (member.is_wanted or not member.post.timer.ticks)
        return [("taken", f"its trigger: {member.post.spec.schedule or member.post.spec.trigger}")]

    def end(self, patience_s: float) -> bool:
        """Start nothing more and wait for runs to come to the end of their batches; tell whether all of them did."""
        with self.lock:
            self._is_ending = True
            return self._ended.wait_for(
                lambda: not any(member.is_running for member in self.members.values()), patience_s
            )

    def close(self) -> None:
        """Let go of the leases that are held between runs."""
        with self.lock:
            posts = [member.post for member in self.members.values() if member.post and not member.is_running]
        for post in posts:
            post.seat.rest()
