from __future__ import annotations

from collections import deque
from threading import Event

import pytest

from etl.errors import ConfigError, TransientError
from etl.secrets import register_secret
from etl.service.outbox import LONGEST_RETRY_S, Outbox, Traffic
from etl.testing import ManualClock
from tests.receiving import PATIENCE_S


class Desk:
    """A receiver that fails with what it is told to, then takes everything."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = deque(failures)
        self.got: list[str] = []

    def take(self, thing: str) -> None:
        if self.failures:
            raise self.failures.popleft()
        self.got.append(thing)


def outbox_of(desk: Desk, bound: int = 100) -> tuple[Outbox[str], ManualClock, list[str]]:
    clock, told = ManualClock(), list[str]()
    return Outbox("ops", desk.take, clock, told.append, bound), clock, told


def test_things_are_delivered_in_order() -> None:
    desk = Desk()
    outbox, _, told = outbox_of(desk)
    outbox.put("a")
    outbox.put("b")

    assert [outbox.step(), outbox.step(), outbox.step()] == [0.0, 0.0, None]
    assert desk.got == ["a", "b"]
    assert outbox.traffic() == Traffic("ops", sent=2, dropped=0, waiting=0, trouble="")
    assert told == []


def test_a_failure_is_tried_again_ever_less_often_and_told_once() -> None:
    desk = Desk(*(TransientError("is down") for _ in range(12)))
    outbox, clock, told = outbox_of(desk)
    outbox.put("a")
    waits = []
    while (wait_s := outbox.step()) is not None:
        waits.append(wait_s)
        clock.advance(wait_s)

    failed = waits[:-1]
    assert len(failed) == 12
    assert all(0.5 * 2.0**n <= wait_s <= 2.0**n for n, wait_s in enumerate(failed[:9]))
    assert all(LONGEST_RETRY_S / 2 <= wait_s <= LONGEST_RETRY_S for wait_s in failed[9:])
    assert desk.got == ["a"]
    assert told == [
        "ops: cannot be delivered, is tried again: TransientError: is down",
        "ops: delivers again; 0 dropped since the start",
    ]


def test_nothing_is_tried_before_its_time() -> None:
    desk = Desk(TransientError("is down"))
    outbox, clock, _ = outbox_of(desk)
    outbox.put("a")
    wait_s = outbox.step()
    assert wait_s is not None

    clock.advance(wait_s / 2)
    assert outbox.step() == pytest.approx(wait_s / 2)
    assert desk.got == []


def test_where_it_is_full_the_oldest_goes_and_is_counted() -> None:
    desk = Desk(TransientError("is down"))
    outbox, clock, told = outbox_of(desk, bound=3)
    for thing in "abcde":
        outbox.put(thing)
        outbox.step()
    clock.advance(10)
    while outbox.step() is not None:
        pass

    assert desk.got == ["c", "d", "e"]
    assert outbox.traffic() == Traffic("ops", sent=3, dropped=2, waiting=0, trouble="")
    assert told[-1] == "ops: delivers again; 2 dropped since the start"


def test_what_can_never_be_delivered_is_dropped_and_does_not_hold_up_the_others() -> None:
    desk = Desk(ConfigError("no such service"))
    outbox, _, told = outbox_of(desk)
    outbox.put("a")
    outbox.put("b")

    assert [outbox.step(), outbox.step()] == [0.0, 0.0]
    assert desk.got == ["b"]
    assert outbox.traffic().dropped == 1
    assert told[0] == "ops: dropped, it can never be delivered: no such service"


def test_what_is_told_of_a_failure_holds_no_secret() -> None:
    register_secret("zq40secret")
    outbox, _, told = outbox_of(Desk(OSError("zq40secret\nrefused at http://me:zq41@host")))
    outbox.put("a")
    outbox.step()

    assert told == ["ops: cannot be delivered, is tried again: OSError: ***\\nrefused at http://me:***@host"]
    assert "zq4" not in outbox.traffic().trouble


def test_whoever_puts_something_in_does_not_wait_for_a_receiver_that_hangs() -> None:
    is_asked, may_go_on = Event(), Event()
    got: list[str] = []

    def deliver(thing: str) -> None:
        is_asked.set()
        assert may_go_on.wait(PATIENCE_S)
        got.append(thing)

    outbox = Outbox("ops", deliver, ManualClock(), list[str]().append, 3).start()
    outbox.put("a")
    assert is_asked.wait(PATIENCE_S)
    for thing in "bcdef":
        outbox.put(thing)
    assert (outbox.traffic().waiting, outbox.traffic().dropped) == (3, 3)

    may_go_on.set()
    outbox.close(PATIENCE_S)
    assert got == ["a", "d", "e", "f"]


def test_what_waits_at_the_end_is_tried_once_more() -> None:
    desk = Desk(TransientError("is down"))
    outbox, _, _ = outbox_of(desk)
    outbox.put("a")
    outbox.put("b")
    outbox.step()

    outbox.start().close(PATIENCE_S)

    assert desk.got == ["a", "b"]
