"""A full refresh from every state that a run refuses, and the lost checkpoint that is refused first."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from etl.engine import run
from etl.errors import EtlError, TableStateError
from etl.operations.refreshing import begin_refresh
from etl.progress import Silent
from etl.seam import Seam
from tests.faults.crash_lab import refreshed_files
from tests.faults.refresh_lab import (
    NEW_ROWS,
    OLD_ROWS,
    found,
    is_begun,
    refresh,
    run_all,
)
from tests.faults.s3_lab import EXPECTED, Store, Unhurried


def refused(folder: Path) -> EtlError:
    with pytest.raises(EtlError) as caught:
        run_all(folder)
    assert caught.value.exit_code == 4
    return caught.value


def test_a_lost_checkpoint_is_refused_again_and_again_and_a_full_refresh_starts_from_there(home: Path) -> None:
    shutil.rmtree(home / "checkpoint")
    for _ in range(2):
        error = refused(home)
        assert isinstance(error, TableStateError)
        assert error.kind == "table_ahead"
        assert "batches of this pipeline up to 1" in error.message
        assert error.hint.endswith("etl run test --full-refresh")
    assert found(home) == OLD_ROWS
    refresh(home)
    assert found(home) == NEW_ROWS


def test_a_lost_checkpoint_is_refused_when_the_log_was_cleaned_up_long_ago(home: Path) -> None:
    DeltaTable(home / "table").create_checkpoint()
    for commit in (home / "table" / "_delta_log").glob("*.json"):
        if commit.name[:20] != f"{1:020d}":
            commit.unlink()
    shutil.rmtree(home / "checkpoint")
    assert "table_ahead" in refused(home).message


def test_a_full_refresh_can_begin_without_any_trace_of_the_checkpoint(home: Path) -> None:
    shutil.rmtree(home / "checkpoint")
    refresh(home)
    assert found(home) == NEW_ROWS
    body = json.loads((home / "checkpoint" / "pipeline.2.json").read_text())["body"]
    assert (body["replaces"], body["refresh"]) == ([], True)


def roll_back(folder: Path) -> None:
    DeltaTable(folder / "table").restore(0)


def lose_table(folder: Path) -> None:
    shutil.rmtree(folder / "table")


def put_another_table(folder: Path) -> None:
    shutil.rmtree(folder / "table")
    write_deltalake(folder / "table", pl.DataFrame({"other": [7]}))


def tear_plans(folder: Path) -> None:
    for plan in (folder / "checkpoint" / "offsets").iterdir():
        plan.write_bytes(b"{")


def tear_identity(folder: Path) -> None:
    (folder / "checkpoint" / "pipeline.json").write_bytes(b"{")


def lose_identity(folder: Path) -> None:
    (folder / "checkpoint" / "pipeline.json").unlink()


@pytest.mark.parametrize(
    "harm",
    [roll_back, lose_table, put_another_table, tear_plans, tear_identity, lose_identity],
    ids=lambda f: f.__name__,
)
def test_a_full_refresh_mends_what_a_run_refuses(home: Path, harm: Any) -> None:
    harm(home)
    refused(home)
    refresh(home)
    assert found(home) == NEW_ROWS
    assert run_all(home) == []


def test_a_full_refresh_is_refused_before_it_begins_when_the_log_of_the_table_is_torn(home: Path) -> None:
    (home / "table" / "_delta_log" / f"{1:020d}.json").write_bytes(b"")
    with pytest.raises(TableStateError, match="table_torn") as caught:
        refresh(home)
    assert "restore the file from a copy, or remove it if no later version exists" in caught.value.hint
    assert not is_begun(home)


def test_an_older_copy_of_the_checkpoint_is_refused_after_a_full_refresh(home: Path) -> None:
    refresh(home)
    (home / "checkpoint" / "pipeline.2.json").unlink()
    shutil.rmtree(home / "checkpoint" / "generation-0002")
    assert "a full refresh took the place of every batch that this checkpoint knows" in refused(home).message
    assert found(home) == NEW_ROWS


def test_a_generation_without_its_identity_is_refused(home: Path) -> None:
    refresh(home)
    (home / "checkpoint" / "pipeline.2.json").unlink()
    assert "pipeline.2.json is missing" in refused(home).message
    assert found(home) == NEW_ROWS


def test_rows_of_another_writer_that_lands_between_look_and_commit_are_replaced_too(home: Path) -> None:
    def foreign() -> None:
        rows = pl.DataFrame({"id": [50], "kind": ["f"]})
        write_deltalake(home / "table", rows, mode="append", schema_mode="merge")

    class Raced(Seam):
        has_struck = False

        def effect(self, name: str, act: Any, torn: Any = None) -> Any:
            if name == "table.commit.publish" and not self.has_struck:
                self.has_struck = True
                foreign()
            return super().effect(name, act, torn)

    begin_refresh(refreshed_files(home, Seam()), Seam())
    results = run(refreshed_files(home, Raced()), Raced(), Silent())
    assert results[-1].tables == {"table": 3}
    assert found(home) == NEW_ROWS


def test_a_full_refresh_without_input_leaves_the_table_and_says_so(home: Path) -> None:
    shutil.rmtree(home / "new")
    (home / "new").mkdir()

    class Notes(Silent):
        told: list[str] = []  # noqa: RUF012

        def noted(self, pipeline: str, message: str) -> None:
            self.told.append(f"{pipeline}: {message}")

    begin_refresh(refreshed_files(home, Seam()), Seam())
    assert run(refreshed_files(home, Seam()), Seam(), Notes()) == []
    assert Notes.told == ["test: full refresh: nothing to read yet; until then the table stays as it is"]
    assert found(home) == OLD_ROWS


@pytest.mark.s3
def test_a_full_refresh_on_s3_takes_the_place_of_everything_and_a_lost_checkpoint_is_refused(
    store: Store, tmp_path: Path
) -> None:
    lake = store.lake()
    assert lake.run() == [0, 1]
    begin_refresh(lake.pipeline(Unhurried()), Unhurried())
    assert lake.run() == [0, 1, 2]
    assert lake.rows(tmp_path) == EXPECTED
    for key in lake.keys("checkpoint/"):
        lake.client.delete_object(Bucket=lake.bucket, Key=f"{lake.prefix}/{key}")
    with pytest.raises(TableStateError, match="table_ahead"):
        lake.run()
    begin_refresh(lake.pipeline(Unhurried()), Unhurried())
    assert lake.run(Unhurried(late_s=60)) == [0, 1, 2]
    assert lake.rows(tmp_path) == EXPECTED
