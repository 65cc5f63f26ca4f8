"""A checkpoint and a table that disagree, or are torn: each ends as the recovery table says, with its exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from etl.engine import run
from etl.errors import CheckpointError, EtlError, TableStateError
from etl.model import BatchResult
from etl.progress import Silent
from etl.seam import Seam
from tests.faults.crash_lab import KNOWN_ROWS, memory_rows
from tests.faults.test_crash_at_every_step import expected, found, stray_files
from tests.readers import table_rows

ALL_IDS = [1, 2, 3, 3, 4]


def run_all(folder: Path) -> list[BatchResult]:
    seam = Seam()
    return run(memory_rows(folder, seam), seam, Silent())


def ids(folder: Path) -> list[int]:
    return sorted(row["id"] for row in table_rows(folder / "table"))


def newest(folder: Path, kind: str) -> Path:
    return max(path for path in (folder / "checkpoint" / kind).glob("*.json"))


def refused(folder: Path) -> EtlError:
    with pytest.raises(EtlError) as caught:
        run_all(folder)
    assert caught.value.exit_code == 4
    assert caught.value.hint
    return caught.value


def test_run_refuses_when_table_was_restored_to_an_older_version_of_before_the_pipeline(tmp_path: Path) -> None:
    run_all(tmp_path)
    for version in (2, 1):
        (tmp_path / "table" / "_delta_log" / f"{version:020d}.json").unlink()
    error = refused(tmp_path)
    assert isinstance(error, TableStateError)
    assert error.kind == "table_behind"
    assert "batch 2 is committed" in error.message


def test_run_refuses_when_restore_rolled_rows_back_but_kept_the_transaction(tmp_path: Path) -> None:
    run_all(tmp_path)
    DeltaTable(tmp_path / "table").restore(0)
    error = refused(tmp_path)
    assert isinstance(error, TableStateError)
    assert error.kind == "table_behind"


def test_run_refuses_when_checkpoint_was_deleted(tmp_path: Path) -> None:
    run_all(tmp_path)
    identity = (tmp_path / "checkpoint" / "pipeline.json").read_bytes()
    shutil.rmtree(tmp_path / "checkpoint")
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "pipeline.json").write_bytes(identity)
    error = refused(tmp_path)
    assert isinstance(error, TableStateError)
    assert error.kind == "table_ahead"


def test_run_refuses_when_checkpoint_is_an_older_copy(tmp_path: Path) -> None:
    run_all(tmp_path)
    for kind in ("offsets", "manifests", "commits"):
        newest(tmp_path, kind).unlink()
    error = refused(tmp_path)
    assert isinstance(error, TableStateError)
    assert error.kind == "table_ahead"
    assert "the table holds batch 1, it holds 2" in error.message
    assert "restore the newer checkpoint folder" in error.hint


def test_run_refuses_when_another_table_lies_in_the_place(tmp_path: Path) -> None:
    run_all(tmp_path)
    shutil.rmtree(tmp_path / "table")
    write_deltalake(tmp_path / "table", pl.DataFrame({"id": [7]}))
    error = refused(tmp_path)
    assert isinstance(error, TableStateError)
    assert error.kind == "table_replaced"


def test_run_refuses_when_the_table_is_gone(tmp_path: Path) -> None:
    run_all(tmp_path)
    shutil.rmtree(tmp_path / "table")
    error = refused(tmp_path)
    assert isinstance(error, TableStateError)
    assert error.kind == "table_missing"


@pytest.mark.parametrize("content", [b"", b'{"commitInfo":{"timestamp":1', b"\0" * 100], ids=["empty", "torn", "zeros"])
def test_run_refuses_when_the_last_delta_commit_is_torn(tmp_path: Path, content: bytes) -> None:
    run_all(tmp_path)
    (tmp_path / "table" / "_delta_log" / f"{2:020d}.json").write_bytes(content)
    error = refused(tmp_path)
    assert isinstance(error, TableStateError)
    assert error.kind == "table_torn"


def test_run_refuses_when_the_delta_log_has_a_gap(tmp_path: Path) -> None:
    run_all(tmp_path)
    write_deltalake(tmp_path / "table", pl.DataFrame({"id": [8], "kind": ["z"]}), mode="append", schema_mode="merge")
    (tmp_path / "table" / "_delta_log" / f"{1:020d}.json").unlink()
    error = refused(tmp_path)
    assert isinstance(error, TableStateError)
    assert error.kind == "table_torn"


@pytest.mark.parametrize("kind", ["offsets", "manifests", "commits"])
def test_run_refuses_when_a_record_is_missing_between_others(tmp_path: Path, kind: str) -> None:
    run_all(tmp_path)
    (tmp_path / "checkpoint" / kind / "0000000001.json").unlink()
    error = refused(tmp_path)
    assert isinstance(error, CheckpointError)
    assert "batch 1 is missing" in error.message


@pytest.mark.parametrize("kind", ["offsets", "manifests"])
@pytest.mark.parametrize("content", [b"", b'{"version": 1', b"\0" * 50], ids=["empty", "torn", "zeros"])
def test_run_refuses_when_a_record_is_torn_that_others_refer_to(tmp_path: Path, kind: str, content: bytes) -> None:
    run_all(tmp_path)
    newest(tmp_path, kind).write_bytes(content)
    error = refused(tmp_path)
    assert isinstance(error, CheckpointError)
    assert "torn or altered" in error.message
    assert kind in error.where


@pytest.mark.parametrize("content", [b"", b'{"version": 1', b"\0" * 50], ids=["empty", "torn", "zeros"])
def test_run_sets_a_torn_plan_aside_when_nothing_refers_to_it(tmp_path: Path, content: bytes) -> None:
    run_all(tmp_path)
    torn = tmp_path / "checkpoint" / "offsets" / "0000000003.json"
    torn.write_bytes(content)
    assert run_all(tmp_path) == []
    assert not torn.exists()
    assert torn.with_name("0000000003.json.corrupt").read_bytes() == content
    assert ids(tmp_path) == ALL_IDS


def test_run_sets_a_torn_commit_entry_aside_and_records_it_again_from_the_table(tmp_path: Path) -> None:
    run_all(tmp_path)
    entry = newest(tmp_path, "commits")
    before = json.loads(entry.read_text())
    entry.write_bytes(b"{")
    results = run_all(tmp_path)
    assert [result.batch_id for result in results] == [2]
    after = json.loads(entry.read_text())
    assert after["body"]["result"]["tables"] == before["body"]["result"]["tables"]
    assert after["body"]["result"]["tables"] == {"table": 2, "quarantine": 2}
    assert ids(tmp_path) == ALL_IDS


def test_run_refuses_a_record_of_another_pipeline(tmp_path: Path) -> None:
    run_all(tmp_path / "one")
    run_all(tmp_path / "two")
    shutil.copy(newest(tmp_path / "one", "commits"), newest(tmp_path / "two", "commits"))
    error = refused(tmp_path / "two")
    assert "belongs to another pipeline" in error.message


def test_run_refuses_a_record_of_an_unknown_format_version(tmp_path: Path) -> None:
    from etl.checkpoint.record import _digest

    run_all(tmp_path)
    entry = newest(tmp_path, "commits")
    body = entry.read_text().rpartition(',\n "checksum"')[0].replace('"version": 4', '"version": 6')
    entry.write_text(f'{body},\n "checksum": "{_digest(body)}"}}\n')
    error = refused(tmp_path)
    assert "format version 6" in error.message


def test_run_makes_a_new_manifest_when_a_staged_file_vanished_before_the_commit(tmp_path: Path) -> None:
    run_all(tmp_path)
    for path in (newest(tmp_path, "commits"), tmp_path / "table" / "_delta_log" / f"{2:020d}.json"):
        path.unlink()
    first = json.loads(newest(tmp_path, "manifests").read_text())["body"]
    lost = first["tables"]["main"][0]["path"]
    (tmp_path / "table" / lost).unlink()
    results = run_all(tmp_path)
    assert [result.batch_id for result in results] == [2]
    again = json.loads((tmp_path / "checkpoint" / "manifests" / "0000000002.2.json").read_text())["body"]
    assert again["reason"] == f"staged files are missing: {lost}"
    assert again["tables"]["quarantine"] == first["tables"]["quarantine"]
    assert again["tables"]["main"] != first["tables"]["main"]
    assert found(tmp_path) == expected()
    assert stray_files(tmp_path) == []


def test_foreign_commits_between_ours_are_kept_and_ours_lands_once(tmp_path: Path) -> None:
    seam = Seam()
    pipeline = memory_rows(tmp_path, seam)
    from etl.model import Bounds

    run(pipeline, seam, Silent(), Bounds(max_batches=1))
    write_deltalake(tmp_path / "table", pl.DataFrame({"id": [50], "kind": ["f"]}), mode="append", schema_mode="merge")
    run_all(tmp_path)
    assert ids(tmp_path) == [*ALL_IDS, 50]
    assert DeltaTable(tmp_path / "table").version() == 3


def test_compaction_by_another_writer_leaves_rows_and_pipeline_as_they_are(tmp_path: Path) -> None:
    run_all(tmp_path)
    table = DeltaTable(tmp_path / "table")
    table.optimize.compact()
    table.create_checkpoint()
    assert run_all(tmp_path) == []
    assert sorted(pl.read_delta(str(tmp_path / "table"))["id"]) == ALL_IDS


def test_known_rows_are_what_the_tests_above_expect() -> None:
    assert sorted(row["id"] for rows in KNOWN_ROWS for row in rows) == ALL_IDS
