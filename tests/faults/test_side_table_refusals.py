"""A quarantine that is not as the checkpoint left it, beside a table that is: refused, and nothing is changed."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from etl.engine import run
from etl.errors import TableStateError
from etl.model import PROVENANCE_COLUMNS, BatchResult, Bounds
from etl.progress import Silent
from etl.seam import Seam
from etl.testing import MemorySource, memory_pipeline
from tests.faults.crash_lab import memory_rows, table_sink, watched_pipeline
from tests.faults.test_crash_at_every_step import expected, found, stray_files
from tests.readers import table_rows


def run_all(folder: Path, max_batches: int | None = None) -> list[BatchResult]:
    return run(memory_rows(folder, Seam()), Seam(), Silent(), Bounds(max_batches))


def refused(folder: Path) -> TableStateError:
    with pytest.raises(TableStateError) as caught:
        run_all(folder)
    assert caught.value.exit_code == 4
    assert "--full-refresh" in caught.value.hint
    return caught.value


def test_run_refuses_when_the_quarantine_is_gone(tmp_path: Path) -> None:
    run_all(tmp_path)
    before = table_rows(tmp_path / "table")
    shutil.rmtree(tmp_path / "quarantine")
    error = refused(tmp_path)
    assert (error.kind, error.where) == ("table_missing", "quarantine")
    assert "holds batch 2, it holds none" in error.message
    assert table_rows(tmp_path / "table") == before


def test_run_refuses_when_another_table_lies_in_the_place_of_the_quarantine(tmp_path: Path) -> None:
    run_all(tmp_path)
    shutil.rmtree(tmp_path / "quarantine")
    write_deltalake(tmp_path / "quarantine", pl.DataFrame({"id": [7]}))
    assert refused(tmp_path).kind == "table_replaced"


def test_run_refuses_when_the_quarantine_lost_its_newest_versions(tmp_path: Path) -> None:
    run_all(tmp_path)
    (tmp_path / "quarantine" / "_delta_log" / f"{2:020d}.json").unlink()
    error = refused(tmp_path)
    assert error.kind == "table_behind"
    assert "holds batch 2, it holds 1" in error.message


def test_run_refuses_when_the_quarantine_was_restored_to_an_older_version(tmp_path: Path) -> None:
    run_all(tmp_path)
    DeltaTable(tmp_path / "quarantine").restore(1)
    assert refused(tmp_path).kind == "table_behind"


@pytest.mark.parametrize("content", [b"", b'{"commitInfo":{"timestamp":1', b"\0" * 100], ids=["empty", "torn", "zeros"])
def test_run_refuses_when_the_last_commit_of_the_quarantine_is_torn(tmp_path: Path, content: bytes) -> None:
    run_all(tmp_path)
    (tmp_path / "quarantine" / "_delta_log" / f"{2:020d}.json").write_bytes(content)
    assert refused_kind(tmp_path) == "table_torn"


def refused_kind(folder: Path) -> str:
    with pytest.raises(TableStateError) as caught:
        run_all(folder)
    assert caught.value.exit_code == 4
    return caught.value.kind


def test_rows_that_another_writer_adds_to_the_quarantine_are_kept(tmp_path: Path) -> None:
    run_all(tmp_path, 1)
    write_deltalake(tmp_path / "quarantine", pl.DataFrame({"row_id": ["own"], "rule": ["mine"]}), mode="append",
                    schema_mode="merge")  # fmt: skip
    run_all(tmp_path)
    rules = Counter(row["rule"] for row in table_rows(tmp_path / "quarantine"))
    assert rules == {"known_kind": 3, "syntax": 1, "encoding": 2, "mine": 1}


def test_a_quarantine_that_is_ahead_by_the_batch_under_way_is_no_trouble(tmp_path: Path) -> None:
    run_all(tmp_path)
    for path in (
        tmp_path / "checkpoint" / "commits" / "0000000002.json",
        tmp_path / "table" / "_delta_log" / f"{2:020d}.json",
    ):
        path.unlink()
    assert [result.batch_id for result in run_all(tmp_path)] == [2]
    assert found(tmp_path) == expected()
    assert stray_files(tmp_path) == []


def test_a_quarantine_that_older_batches_were_the_last_to_change_is_no_trouble(tmp_path: Path) -> None:
    source = MemorySource()
    for number, kind in enumerate("zaa"):
        source.add([{"id": number, "kind": kind, "amount": None}])
    for _ in range(3):
        checkpoint = memory_rows(tmp_path, Seam()).checkpoint
        run(watched_pipeline(tmp_path, Seam(), source, checkpoint), Seam(), Silent(), Bounds(1))
    sides = [
        json.loads(path.read_text())["body"]["sides"]["quarantine"]
        for path in sorted((tmp_path / "checkpoint" / "commits").glob("*.json"))
    ]
    assert [(side["batch_id"], side["version"]) for side in sides] == [(0, 0)] * 3
    assert DeltaTable(tmp_path / "quarantine").version() == 0


def test_a_pipeline_without_rejected_rows_makes_no_quarantine(tmp_path: Path) -> None:
    source = MemorySource()
    source.add([{"id": 1, "kind": "a", "amount": None}])
    checkpoint = memory_rows(tmp_path, Seam()).checkpoint
    (result,) = run(watched_pipeline(tmp_path, Seam(), source, checkpoint), Seam(), Silent())
    assert result.tables == {"table": 0}
    assert not (tmp_path / "quarantine" / "_delta_log").exists()


def test_a_quarantine_that_the_pipeline_no_longer_has_is_not_looked_at(tmp_path: Path) -> None:
    run_all(tmp_path)
    shutil.rmtree(tmp_path / "quarantine")
    source = MemorySource()
    for number in range(4):
        source.add([{"id": number, "kind": "a", "amount": None}])
    checkpoint = memory_rows(tmp_path, Seam()).checkpoint
    bare = memory_pipeline(source, table_sink(tmp_path, Seam()), checkpoint, system=PROVENANCE_COLUMNS)
    (result,) = run(bare, Seam(), Silent())
    assert result.tables == {"table": 3}
