"""Records of batches: dense, in revisions, never of the wrong batch."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from etl.checkpoint.batch_log import BatchLog
from etl.checkpoint.record import TornRecordError
from etl.errors import CheckpointError, RecordExistsError
from etl.storage import LocalStorage
from etl.testing import ManualClock, crash_at


def log_in(folder: Path, pipeline: str = "p-1") -> BatchLog:
    seam = ManualClock()
    return BatchLog(LocalStorage(folder / "offsets", seam), "plan", pipeline, seam)


def add(log: BatchLog, batch_id: int, attempt: str = "a", revision: int = 1) -> None:
    log.add(batch_id, {"n": batch_id}, epoch=1, attempt=attempt, revision=revision)


def test_log_without_records_has_no_revisions(tmp_path: Path) -> None:
    assert log_in(tmp_path).revisions() == {}


def test_revisions_are_the_newest_of_each_batch_in_ascending_order(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    for batch_id, revision in [(2, 1), (0, 1), (1, 1), (1, 3), (1, 2)]:
        add(log, batch_id, revision=revision)
    assert log.revisions() == {0: 1, 1: 3, 2: 1}
    assert list(log.revisions()) == [0, 1, 2]


def test_revisions_compare_as_numbers(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    for revision in (1, 2, 9, 10):
        add(log, 0, revision=revision)
    assert log.revisions() == {0: 10}


def test_revision_whose_first_is_gone_still_counts(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    add(log, 0)
    add(log, 1, revision=2)
    assert log.revisions() == {0: 1, 1: 2}


def test_other_files_in_the_folder_are_no_records(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    add(log, 0)
    for name in (".tmp-0000000001.json-x", "0000000001.json.corrupt", "1.json", "0000000001.json~", "00000000011.json"):
        (tmp_path / "offsets" / name).write_text("{}")
    assert log.revisions() == {0: 1}


def test_log_may_begin_after_batch_zero(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    add(log, 41)
    add(log, 42)
    assert log.revisions() == {41: 1, 42: 1}


def test_gap_is_refused_and_the_first_missing_record_named(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    for batch_id in (0, 1, 4):
        add(log, batch_id)
    with pytest.raises(CheckpointError, match="plan of batch 2 is missing, but there is one of batch 4") as caught:
        log.revisions()
    assert caught.value.hint == "restore 0000000002.json from a backup"
    assert caught.value.where == str(tmp_path / "offsets")


def test_record_is_read_by_batch_and_revision(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    add(log, 3, "a")
    add(log, 3, "b", revision=2)
    assert (log.read(3).attempt, log.read(3, 2).attempt) == ("a", "b")
    assert (log.read(3).body, log.read(3).epoch, log.read(3).kind) == ({"n": 3}, 1, "plan")


def test_record_that_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        log_in(tmp_path).read(0)


def test_record_copied_under_the_name_of_another_batch_is_refused(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    add(log, 0)
    shutil.copy(tmp_path / "offsets" / "0000000000.json", tmp_path / "offsets" / "0000000001.json")
    with pytest.raises(CheckpointError, match="says that it is of batch 0") as caught:
        log.read(1)
    assert caught.value.where.endswith("offsets/0000000001.json")


def test_adding_again_with_the_same_attempt_changes_nothing(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    add(log, 0)
    before = (tmp_path / "offsets" / "0000000000.json").read_bytes()
    add(log, 0)
    assert (tmp_path / "offsets" / "0000000000.json").read_bytes() == before


def test_adding_with_another_attempt_is_refused_and_the_first_stays(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    add(log, 0, "first")
    with pytest.raises(RecordExistsError) as caught:
        add(log, 0, "second")
    assert b'"first"' in caught.value.content
    assert log.read(0).attempt == "first"


def test_torn_record_set_aside_keeps_its_bytes_and_frees_its_name(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    add(log, 0)
    torn = tmp_path / "offsets" / "0000000000.json"
    torn.write_bytes(b'{"versi')
    assert log.is_torn(0, 1)
    with pytest.raises(TornRecordError):
        log.read(0)
    log.set_aside(0)
    assert torn.with_name("0000000000.json.corrupt").read_bytes() == b'{"versi'
    assert log.revisions() == {}
    add(log, 0, "anew")
    assert not log.is_torn(0, 1)


def test_torn_revision_set_aside_brings_back_the_one_before(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    add(log, 0)
    add(log, 0, revision=2)
    (tmp_path / "offsets" / "0000000000.2.json").write_bytes(b"")
    log.set_aside(0, 2)
    assert log.revisions() == {0: 1}


def test_setting_aside_is_finished_by_the_next_start_when_it_was_cut_off(tmp_path: Path) -> None:
    seam = crash_at("plan.set_aside.remove", "error_before")
    log = BatchLog(LocalStorage(tmp_path / "offsets", seam), "plan", "p-1", seam)
    torn = tmp_path / "offsets" / "0000000000.json"
    torn.parent.mkdir()
    torn.write_bytes(b"torn")
    with pytest.raises(OSError, match=r"plan\.set_aside\.remove failed"):
        log.set_aside(0)
    log.set_aside(0)
    assert [path.name for path in torn.parent.iterdir()] == ["0000000000.json.corrupt"]
