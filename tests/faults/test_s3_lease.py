"""Two runners on one pipeline on S3: who holds it is told, an abandoned lease expires, the one that slept stops."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from etl.checkpoint.lease import HeartbeatLease
from etl.engine import open_runner
from etl.errors import FencedError, LeaseHeldError
from etl.progress import Silent
from etl.testing import ManualClock
from tests.faults.s3_lab import Lake, Store
from tests.faults.s3_proxy import Rule
from tests.faults.test_two_runners import InterruptedSeam
from tests.leases import Free

pytestmark = pytest.mark.s3


def run_free(lake: Lake) -> None:
    lake.run(lease=Free())


def test_a_second_runner_is_told_who_holds_the_pipeline_while_the_lease_is_fresh(store: Store, tmp_path: Path) -> None:
    lake, clock = store.lake(), ManualClock()
    with open_runner(lake.pipeline(clock), clock, Silent()) as runner:
        runner.recover()
        clock.advance(29.9)
        with pytest.raises(
            LeaseHeldError, match=f"another runner holds this pipeline: process {os.getpid()} on "
        ) as caught:
            lake.run(clock)
        assert caught.value.exit_code == 3
        assert lake.keys("checkpoint/epochs/") == ["checkpoint/epochs/0000000001.json"]
        assert runner.run_batch() is not None
    assert lake.run(clock) == [1]
    lake.check(tmp_path, "given back")


def test_a_runner_whose_lease_expired_is_fenced_and_changes_nothing(store: Store, tmp_path: Path) -> None:
    lake, clock = store.lake(), ManualClock()
    with open_runner(lake.pipeline(clock), clock, Silent()) as runner:
        runner.recover()
        assert runner.run_batch() is not None
        clock.advance(30.0)
        assert lake.run(clock) == [1]
        before = lake.keys()
        with pytest.raises(FencedError, match=f"taken over by process {os.getpid()} on ") as caught:
            runner.run_batch()
    assert caught.value.exit_code == 3
    assert lake.keys() == before
    lake.check(tmp_path, "fenced")


def test_a_runner_that_was_overtaken_does_not_touch_the_lease_of_the_other(store: Store) -> None:
    lake, clock = store.lake(), ManualClock()
    storage = lake.storage("checkpoint", clock)
    slept, awake, third = (HeartbeatLease(storage, clock) for _ in range(3))
    assert slept.acquire()
    clock.advance(30.0)
    assert awake.acquire()
    slept.release()
    assert not third.acquire()
    awake.release()
    assert third.acquire()
    third.release()


def test_a_holder_that_finds_another_in_its_place_stops_renewing(store: Store) -> None:
    lake, clock = store.lake(), ManualClock()
    storage = lake.storage("checkpoint", clock)
    slept, awake = HeartbeatLease(storage, clock, expires_s=0.15), HeartbeatLease(storage, clock)
    assert slept.acquire()
    beating = slept._thread
    assert beating is not None
    clock.advance(30.0)
    storage.replace("lease.json", lake.read("checkpoint/lease.json").replace(slept._nonce.encode(), b"x"), effect="any")
    beating.join(20)
    assert not beating.is_alive()
    assert b'"nonce": "x"' in lake.read("checkpoint/lease.json")
    slept.release()
    assert awake.acquire()
    awake.release()


def test_a_lease_that_could_not_be_given_back_is_free_when_it_expires(store: Store) -> None:
    lake, clock = store.lake(), ManualClock()
    storage = lake.storage("checkpoint", clock)
    first, second = HeartbeatLease(storage, clock), HeartbeatLease(storage, clock)
    assert first.acquire()
    store.proxy.rules.append(Rule("503", "PUT", times=100))
    first.release()
    store.proxy.rules.clear()
    assert not second.acquire()
    clock.advance(30.0)
    assert second.acquire()
    second.release()


@pytest.mark.slow
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_runner_that_slept_through_a_takeover_changes_nothing_at_any_effect(
    store: Store, tmp_path: Path, is_after: bool
) -> None:
    fenced = at = 0
    while True:
        at += 1
        lake = store.lake()
        seam = InterruptedSeam(at, partial(run_free, lake), is_after=is_after)
        try:
            lake.run(seam, Free())
        except (FencedError, LeaseHeldError):
            fenced += 1
        lake.check_rows(tmp_path / str(at), at)
        assert lake.run(lease=Free()) == []
        if seam.count < at:
            break
    assert fenced > 8
