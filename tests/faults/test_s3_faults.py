"""Refused, lost and cut requests to S3: every row is in the table once, and what cannot be known is not guessed."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from etl.errors import StorageError, UnknownOutcomeError
from etl.storage import probe_conditional_create
from tests.faults.s3_lab import Store, Unhurried
from tests.faults.s3_proxy import Fault, Rule
from tests.leases import Free
from tests.properties.test_any_history import Crash, CrashingSeam

pytestmark = pytest.mark.s3

UPLOADS = {
    "identity": "/checkpoint/pipeline.json",
    "epoch": "/checkpoint/epochs/",
    "lease": "/checkpoint/lease.json",
    "plan": "/checkpoint/offsets/",
    "data": "/table/kind.*parquet",
    "manifest": "/checkpoint/manifests/",
    "schema": "/checkpoint/schemas/",
    "commit": "/table/_delta_log/",
    "entry": "/checkpoint/commits/",
}
COMMIT = UPLOADS["commit"]


class UnhurriedCrash(CrashingSeam):
    """A seam that ends a run at the k-th effect, and never waits."""

    def sleep(self, delay_s: float) -> None:
        pass

    @property
    def is_over(self) -> bool:
        return self._count < self._at


def crash_everywhere(store: Store, folder: Path, *, is_after: bool) -> int:
    """Crash at effect 1, 2, …, restart after each; return how many effects a whole run has."""
    at = 0
    while True:
        at += 1
        lake = store.lake()
        seam = UnhurriedCrash(at, is_after=is_after)
        try:
            lake.run(seam, Free())
        except Crash:
            lake.run(lease=Free())
        lake.check(folder / str(at), f"effect {at}")
        if seam.is_over:
            return at - 1


def test_every_row_lands_once_when_a_run_ends_after_any_effect(store: Store, tmp_path: Path) -> None:
    # probe 3, identity, epoch, six a batch: a run that ends before an effect leaves what one after the last leaves
    assert crash_everywhere(store, tmp_path, is_after=True) == 17


@pytest.mark.slow
def test_every_row_lands_once_when_a_run_ends_before_any_effect(store: Store, tmp_path: Path) -> None:
    assert crash_everywhere(store, tmp_path, is_after=False) == 17


@pytest.mark.parametrize("fault", ["503", "409", "lost"])
def test_every_row_lands_once_when_the_first_upload_of_any_kind_fails(
    store: Store, tmp_path: Path, fault: Fault
) -> None:
    for kind, path in UPLOADS.items():
        rule = Rule(fault, "PUT", path)
        lake = store.lake(rule)
        starts = lake.finish()
        assert rule.has_struck, kind
        assert starts == (2 if kind == "lease" and fault != "lost" else 1), kind
        lake.check(tmp_path / kind, kind)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["503", "409", "503 after", "lost"])
def test_every_row_lands_once_when_any_upload_fails(store: Store, tmp_path: Path, fault: Fault) -> None:
    at = 0
    while True:
        at += 1
        rule = Rule(fault, "PUT", nth=at)
        lake = store.lake(rule)
        lake.finish()
        lake.check(tmp_path / str(at), at)
        if not rule.has_struck:
            break
    assert at == 19  # probe 2, identity, lease 2, epoch, six a batch; and a run that goes untouched


def test_every_upload_that_fails_once_is_made_up_for_in_the_same_run(store: Store, tmp_path: Path) -> None:
    rules = [Rule("503", "PUT", path, nth=nth) for name, path in UPLOADS.items() if name != "lease" for nth in (1, 3)]
    lake = store.lake(*rules)
    assert lake.run() == [0, 1]
    lake.check(tmp_path, "each")


@pytest.mark.parametrize("fault", ["503 after", "503"])
def test_a_commit_that_cannot_be_read_back_is_unknown_and_the_next_start_finds_out(
    store: Store, tmp_path: Path, fault: Fault
) -> None:
    commit = Rule(fault, "PUT", COMMIT)
    lake = store.lake(commit, Rule("503", "[A-Z]+", after=commit, times=math.inf))
    with pytest.raises(UnknownOutcomeError, match="the answer was lost and it cannot be read back"):
        lake.run(lease=Free())
    asked = [method for method, path in store.proxy.requests if method in ("DELETE", "PUT") and "/probe-" not in path]
    assert asked == ["PUT"] * 7  # identity, epoch, plan, data, manifest, schema, and the commit once
    assert len([key for key in lake.keys("table/") if key.endswith(".parquet")]) == 1
    store.proxy.rules.clear()
    assert lake.run(lease=Free()) == [0, 1]
    lake.check(tmp_path, fault)


def test_a_store_that_stays_away_is_told_as_such_and_nothing_is_lost(store: Store, tmp_path: Path) -> None:
    lake = store.lake(Rule("503", times=math.inf))
    with pytest.raises(StorageError, match="mend the cause and run again"):
        lake.run()
    lake = store.lake()
    assert lake.run(lease=Free()) == [0, 1]
    store.proxy.rules.append(Rule("403", "GET", "/table", times=math.inf))
    with pytest.raises(StorageError):
        lake.run(lease=Free())
    store.proxy.rules.clear()
    assert lake.run(lease=Free()) == []
    lake.check(tmp_path, "away")


def test_a_look_for_a_higher_epoch_that_is_not_answered_is_not_taken_for_none(store: Store, tmp_path: Path) -> None:
    lake = store.lake(Rule("503", "HEAD", "/epochs/", nth=3, times=math.inf))
    with pytest.raises(StorageError):
        lake.run(lease=Free())
    assert lake.keys("table/_delta_log/") == []
    store.proxy.rules.clear()
    assert lake.run(lease=Free()) == [0, 1]
    lake.check(tmp_path, "look")


def test_a_table_whose_log_cannot_be_reached_is_not_called_torn(store: Store) -> None:
    lake = store.lake()
    assert lake.run(lease=Free()) == [0, 1]
    store.proxy.rules.append(Rule("403", "GET", "_last_checkpoint", times=math.inf))
    sink = lake.pipeline(Unhurried()).sink
    sink.bind("other/main")
    with pytest.raises(StorageError, match="the table's log cannot be reached") as caught:
        sink.last_batch_id()
    assert caught.value.exit_code == 1


def test_precondition_failed_means_exists_also_when_the_store_does_not_name_the_condition(store: Store) -> None:
    lake = store.lake(Rule("412", "PUT"))
    with pytest.raises(FileExistsError):
        lake.storage("any", Unhurried()).create("record", b"", effect="any")


def test_what_a_store_raises_of_its_own_is_an_os_error(store: Store) -> None:
    lake = store.lake()
    storage = lake.storage("any", Unhurried())
    storage.replace("record", b"0123456789", effect="any")
    store.proxy.rules.append(Rule("garbled", "GET"))
    with pytest.raises(OSError, match="FlexibleChecksumError: Expected checksum"):
        storage.read("record")


def test_a_store_that_ignores_the_condition_is_found_out_before_anything_is_made(store: Store) -> None:
    lake = store.lake(Rule("unconditional", "PUT", times=math.inf))
    assert not probe_conditional_create(lake.storage("checkpoint", Unhurried()), Unhurried())
    with pytest.raises(StorageError, match="this store creates a record twice"):
        lake.run()
    assert lake.keys() == []


def test_a_store_that_honours_the_condition_is_found_so_also_when_an_answer_is_lost(store: Store) -> None:
    for nth in (1, 2):
        lake = store.lake(Rule("lost", "PUT", nth=nth))
        assert probe_conditional_create(lake.storage("checkpoint", Unhurried()), Unhurried())
        assert lake.keys() == []
