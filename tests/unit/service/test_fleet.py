"""Pipelines started by their triggers, under a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from etl.errors import CheckpointError, ConfigError, LeaseHeldError, SinkError
from etl.service.contract import Happening, Phase
from tests.scheduling import NotedSeat, Yard


@pytest.fixture
def yard() -> Yard:
    return Yard()


def test_every_starts_at_once_and_then_on_its_grid(yard: Yard) -> None:
    seat = yard.add("a", every="10s")
    yard.pass_s(35)
    assert seat.started_s == [0, 10, 20, 30]


def test_a_long_run_does_not_shift_the_grid_and_its_ticks_are_missed(yard: Yard) -> None:
    seat = yard.add("a", every="10s")
    seat.during = lambda _: yard.clock.advance(25) if len(seat.started_s) == 1 else None
    yard.pass_s(45)
    assert seat.started_s == [0, 25, 30, 40]
    assert yard.fleet.find("a").missed == 1
    assert ("a", "missed", "a tick") in yard.told


def test_a_tick_during_a_run_is_skipped_and_counted(yard: Yard) -> None:
    seat = yard.add("a", every="10s")
    yard.fleet.tick()
    yard.clock.advance(10)
    yard.fleet.tick()  # its run is still in the hands of the crew
    yard.crew.work()
    yard.fleet.tick()
    assert len(seat.started_s) == 1
    assert yard.crew.jobs == []
    assert yard.fleet.find("a").missed == 1


def test_with_queue_a_tick_during_a_run_gives_one_run_behind_it(yard: Yard) -> None:
    seat = yard.add("a", every="10s", overlap="queue")
    yard.fleet.tick()
    yard.clock.advance(10)
    yard.fleet.tick()
    yard.clock.advance(10)
    yard.fleet.tick()  # the second one meets a run that waits already
    yard.crew.work()
    yard.fleet.tick()
    yard.crew.work()
    assert seat.started_s == [20, 20]
    assert yard.fleet.find("a").missed == 1


def test_one_run_at_a_time_whatever_is_asked_for(yard: Yard) -> None:
    yard.add("a", every="1s")
    yard.fleet.tick()
    for _ in range(5):
        yard.fleet.run_now("a")
        yard.commit("a")
        yard.clock.advance(1)
        yard.fleet.tick()
    assert len(yard.crew.jobs) == 1


def test_run_now_starts_at_once_and_many_calls_are_one_run(yard: Yard) -> None:
    seat = yard.add("a", every="1h")
    yard.pass_s(5)
    yard.fleet.run_now("a")
    yard.fleet.run_now("a")
    yard.pass_s(1)
    assert seat.started_s == [0, 5]


def test_a_pipeline_without_ticks_starts_once_and_when_it_is_told(yard: Yard) -> None:
    seat = yard.add("a")
    yard.pass_s(100)
    yard.fleet.run_now("a")
    yard.pass_s(100)
    assert seat.started_s == [0, 100]


def test_after_starts_when_the_table_has_a_new_version(yard: Yard) -> None:
    yard.add("up", every="1h")
    down = yard.add("down", after=["up"])
    yard.pass_s(10)
    yard.commit("up")
    yard.pass_s(10)
    yard.commit("down")  # its own commit is nobody's business
    yard.pass_s(10)
    assert down.started_s == [0, 10]


def test_commits_during_a_run_give_one_run_behind_it(yard: Yard) -> None:
    yard.add("up", every="1h")
    down = yard.add("down", after=["up"])

    def during(_: object) -> None:
        if len(down.started_s) == 1:
            yard.commit("up", 0)
            yard.commit("up", 1)

    down.during = during
    yard.pass_s(10)
    assert down.started_s == [0, 0]


def test_continuous_begins_anew_whenever_its_run_ends(yard: Yard) -> None:
    seat = yard.add("a", trigger="continuous")
    yard.fleet.tick()
    yard.crew.jobs.pop(0)()
    yard.fleet.tick()
    yard.crew.jobs.pop(0)()
    assert len(seat.started_s) == 2


def test_failures_back_off_to_a_cap_and_stop_nobody_else() -> None:
    yard = Yard(retries=100)
    bad = yard.add("bad", *[SinkError("no")] * 14, every="1s")
    good = yard.add("good", every="1s")
    yard.pass_s(3000)
    waits = [later - earlier for earlier, later in zip(bad.started_s, bad.started_s[1:], strict=False)]
    for number, wait_s in enumerate(waits[:13]):
        whole_s = min(2.0**number, 300.0)
        assert whole_s / 2 - 0.01 <= wait_s <= whole_s + 0.01
    assert len(good.started_s) == 3001


def test_a_failed_pipeline_is_degraded_and_then_recovered(yard: Yard) -> None:
    yard.add("a", SinkError("disk is full"), every="1m")
    yard.pass_s(0)
    shown = yard.fleet.find("a")
    assert (shown.phase, shown.failures, shown.reason) == (Phase.DEGRADED, 1, "disk is full")
    assert shown.next_at is not None
    yard.pass_s(2)
    shown = yard.fleet.find("a")
    assert (shown.phase, shown.failures, shown.reason) == (Phase.WAITING, 0, "")
    assert yard.kinds("a") == ["started", "failed", "started", "recovered", "ended"]


def test_it_pauses_after_so_many_failures_and_says_so() -> None:
    yard = Yard(retries=2)
    seat = yard.add("a", *[SinkError("no")] * 9, every="1m")
    yard.pass_s(600)
    assert len(seat.started_s) == 3
    assert yard.fleet.find("a").phase is Phase.PAUSED
    assert yard.told[-1] == ("a", "paused", "it failed 3 times in a row")


@pytest.mark.parametrize("error", [ConfigError("wrong"), CheckpointError("torn")])
def test_what_only_a_person_cures_pauses_at_once(yard: Yard, error: Exception) -> None:
    seat = yard.add("a", error, every="1m")
    yard.pass_s(600)
    assert len(seat.started_s) == 1
    assert yard.fleet.find("a").phase is Phase.PAUSED


def test_a_lease_in_other_hands_is_no_failure(yard: Yard) -> None:
    seat = yard.add("a", *[LeaseHeldError("held")] * 20, every="1m")
    yard.pass_s(100)
    assert seat.started_s[:3] == [0, 5, 10]
    shown = yard.fleet.find("a")
    assert (shown.phase, shown.failures) == (Phase.WAITING, 0)
    assert yard.kinds("a").count("noted") == 1


def test_pause_lets_a_run_end_with_its_batch_and_starts_no_other(yard: Yard) -> None:
    seat = yard.add("a", every="1s")
    stops: list[bool] = []

    def during(should_stop: Callable[[], bool]) -> None:
        stops.append(should_stop())
        yard.fleet.pause("a", "the shop moves")
        stops.append(should_stop())

    seat.during = during
    yard.pass_s(60)
    assert (stops, seat.started_s) == ([False, True], [0])
    shown = yard.fleet.find("a")
    assert (shown.phase, shown.reason, shown.next_at) == (Phase.PAUSED, "the shop moves", None)
    seat.during = bool
    yard.fleet.resume("a")
    yard.pass_s(0)
    assert seat.started_s == [0, 60]


def test_what_is_paused_before_it_is_tried_again_needs_no_looks(yard: Yard) -> None:
    yard.add("a", SinkError("no"), every="1h")
    yard.pass_s(0)
    yard.fleet.pause("a")
    yard.pass_s(20)
    assert yard.fleet.tick() == 1.0


def test_resume_forgets_failures() -> None:
    yard = Yard(retries=0)
    seat = yard.add("a", SinkError("no"), every="1h")
    yard.pass_s(10)
    yard.fleet.resume("a")
    yard.pass_s(1)
    assert seat.started_s == [0, 10]
    assert yard.fleet.find("a").phase is Phase.WAITING


def test_an_operation_between_runs_has_the_pipeline_for_itself(yard: Yard) -> None:
    seat = yard.add("a", every="1s")
    yard.pass_s(0)

    def operation() -> str:
        yard.clock.advance(5)
        yard.fleet.tick()
        assert yard.crew.jobs == []
        return "done"

    assert yard.fleet.between_runs("a", operation) == "done"
    assert seat.rests == 1
    yard.pass_s(3)
    assert len(seat.started_s) == 4


def test_an_unknown_name_is_refused_with_the_nearest(yard: Yard) -> None:
    yard.add("orders", every="1s")
    for act in (yard.fleet.find, yard.fleet.run_now, yard.fleet.pause, yard.fleet.resume):
        with pytest.raises(ConfigError, match="unknown pipeline 'order'; did you mean 'orders'"):
            act("order")


def test_what_a_listener_raises_is_dropped(yard: Yard) -> None:
    def hear(_: Happening) -> None:
        raise RuntimeError

    yard.fleet.listen(hear)
    seat = yard.add("a", every="1s")
    yard.pass_s(2)
    assert len(seat.started_s) == 3


def test_a_post_is_replaced_at_the_border_of_the_batch(yard: Yard) -> None:
    old = yard.add("a", every="1s")
    new = NotedSeat(yard.clock)
    stops: list[bool] = []

    def during(should_stop: Callable[[], bool]) -> None:
        yard.fleet.replace(yard.fleet.members["a"], yard.post("a", new, every="5s"))
        stops.append(should_stop())

    old.during = during
    yard.pass_s(12)
    assert (old.started_s, old.rests, stops) == ([0], 1, [True])
    assert new.started_s == [0, 5, 10]
    assert yard.fleet.find("a").missed == 0
    assert ("a", "taken", "its trigger: every 5s") in yard.told


def test_a_pipeline_that_is_given_up_is_gone_after_its_run(yard: Yard) -> None:
    seat = yard.add("a", every="1s")
    seat.during = lambda _: yard.fleet.replace(yard.fleet.members["a"], None)
    yard.pass_s(5)
    assert seat.started_s == [0]
    assert list(yard.fleet.served()) == []
    assert yard.kinds("a")[-1] == "removed"


def test_nothing_starts_while_it_ends(yard: Yard) -> None:
    seat = yard.add("a", every="1s")
    assert yard.fleet.end(0.0)
    yard.pass_s(5)
    assert seat.started_s == []
