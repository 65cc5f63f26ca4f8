"""Batches that give the table nothing make no version of it, whatever fails, and hide nothing that is wrong with it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from deltalake import DeltaTable

from etl.engine import run
from etl.errors import TableStateError
from etl.model import BatchResult, Bounds
from etl.operations.refreshing import begin_refresh
from etl.progress import Silent
from etl.seam import Seam
from tests.faults.idle_lab import idle
from tests.faults.test_crash_at_every_step import FAILURES, Lab, effects, finish, stray_files
from tests.faults.test_state_crashes import places
from tests.readers import table_rows

VERSIONS: list[Mapping[str, int]] = [{"table": 0}, {"quarantine": 0}, {}, {"quarantine": 1}, {"table": 1}, {}]
QUICK = {"kill_after"}
"""Run each time, at the first and the last effect of each name; `make slow` runs all, at every effect."""

ROWS = Counter([(1, 0), (5, 4)])
REFUSED = Counter([1, 3])


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab("tests.faults.idle_lab")
    yield made
    made.close()


def run_some(folder: Path, batches: int | None = None) -> list[BatchResult]:
    return run(idle(folder, Seam()), Seam(), Silent(), Bounds(batches))


def check(folder: Path, what: str = "") -> None:
    assert Counter((row["id"], row["_batch_id"]) for row in table_rows(folder / "table")) == ROWS, what
    assert Counter(row["_batch_id"] for row in table_rows(folder / "quarantine")) == REFUSED, what
    assert stray_files(folder) == [], what
    assert [DeltaTable(folder / name).version() for name in ("table", "quarantine")] == [1, 1], what


def test_a_batch_that_changes_no_row_of_a_table_is_no_version_of_it(tmp_path: Path) -> None:
    assert [result.tables for result in run_some(tmp_path)] == VERSIONS
    check(tmp_path)


def test_runs_of_one_batch_each_come_to_the_same(tmp_path: Path) -> None:
    assert [run_some(tmp_path, 1)[0].tables for _ in VERSIONS] == VERSIONS
    assert run_some(tmp_path) == []
    check(tmp_path)


@pytest.mark.parametrize(
    "failure",
    [pytest.param(each, marks=() if each in QUICK else pytest.mark.slow) for each in FAILURES],
)
def test_every_row_lands_once_when_a_run_fails_at_any_effect(lab: Lab, tmp_path: Path, failure: str) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    lab.run(whole, "idle")
    names = effects(whole)
    for at in places(names, is_whole=failure not in QUICK):
        folder = tmp_path / str(at)
        folder.mkdir()
        lab.run(folder, "idle", at, failure)
        finish(lab, folder, "idle")
        check(folder, f"effect {at}: {names[at - 1]}")


@pytest.mark.parametrize("batches", [4, 6])
def test_a_table_that_was_restored_is_refused_after_batches_that_gave_it_nothing(tmp_path: Path, batches: int) -> None:
    run_some(tmp_path, batches)
    table = DeltaTable(tmp_path / "table")
    if batches == 4:
        (tmp_path / "table" / "_delta_log" / f"{0:020d}.json").unlink()
    else:
        table.restore(0)
    with pytest.raises(TableStateError) as caught:
        run_some(tmp_path)
    assert caught.value.kind == ("table_missing" if batches == 4 else "table_behind")


def test_a_table_that_lost_its_newest_version_is_refused_after_a_batch_that_gave_it_nothing(tmp_path: Path) -> None:
    run_some(tmp_path)
    (tmp_path / "table" / "_delta_log" / f"{1:020d}.json").unlink()
    with pytest.raises(TableStateError) as caught:
        run_some(tmp_path)
    assert caught.value.kind == "table_behind"


def test_an_older_copy_of_the_checkpoint_is_refused_where_only_the_quarantine_tells(tmp_path: Path) -> None:
    run_some(tmp_path, 1)
    shutil.copytree(tmp_path / "checkpoint", tmp_path / "older")
    run_some(tmp_path, 1)
    shutil.rmtree(tmp_path / "checkpoint")
    (tmp_path / "older").rename(tmp_path / "checkpoint")
    with pytest.raises(TableStateError) as caught:
        run_some(tmp_path)
    assert (caught.value.kind, caught.value.where) == ("table_ahead", "quarantine")


def test_rows_of_another_writer_stand_between_batches_that_gave_the_table_nothing(tmp_path: Path) -> None:
    run_some(tmp_path, 3)
    DeltaTable(tmp_path / "table").optimize.compact()
    DeltaTable(tmp_path / "table").alter.set_table_properties({"delta.logRetentionDuration": "interval 9 days"})
    assert [result.tables for result in run_some(tmp_path)] == [{"quarantine": 1}, {"table": 2}, {}]
    assert Counter((row["id"], row["_batch_id"]) for row in table_rows(tmp_path / "table")) == ROWS


def test_a_full_refresh_whose_first_batch_has_no_rows_leaves_the_table_until_it_has_read_all(tmp_path: Path) -> None:
    run_some(tmp_path)
    begin_refresh(idle(tmp_path, Seam()), Seam())
    assert [result.tables.get("table") for result in run_some(tmp_path, 1)] == [None]
    assert Counter((row["id"], row["_batch_id"]) for row in table_rows(tmp_path / "table")) == ROWS
    assert [result.tables.get("table") for result in run_some(tmp_path)] == [None, None, None, None, None, 2]
    assert Counter((row["id"], row["_batch_id"]) for row in table_rows(tmp_path / "table")) == ROWS
