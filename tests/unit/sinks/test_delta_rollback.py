"""A table that was restored behind our newest rows is refused: RESTORE keeps transactions."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from etl.errors import TableStateError
from tests.unit.sinks.tables import add_version, append, log_file, log_of, make_sink, our_table

ROWS = pl.DataFrame({"id": [1]})


def restored(root: Path, to: int, batches: int = 3) -> None:
    our_table(root, batches)
    DeltaTable(root).restore(to)


def test_restore_behind_our_newest_rows_is_refused(tmp_path: Path) -> None:
    restored(tmp_path, 1)
    with pytest.raises(TableStateError, match="restored to version 1, our newest rows are in 2") as caught:
        log_of(tmp_path).refuse_rollback_since(2)
    assert caught.value.kind == "table_behind"


def test_restore_that_keeps_our_newest_rows_is_none_of_our_business(tmp_path: Path) -> None:
    our_table(tmp_path, 2)
    write_deltalake(tmp_path, ROWS, mode="append")
    DeltaTable(tmp_path).restore(1)
    log_of(tmp_path).refuse_rollback_since(1)


def test_restore_is_refused_when_it_happens_while_we_look_on(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, ROWS)
    append(sink, 1, ROWS)
    DeltaTable(tmp_path).restore(0)
    with pytest.raises(TableStateError, match="restored to version 0, our newest rows are in 1"):
        sink.last_batch_id()


def test_restore_to_a_moment_is_refused(tmp_path: Path) -> None:
    our_table(tmp_path, 2)
    add_version(tmp_path, 2, {"commitInfo": {"operation": "RESTORE", "operationParameters": {"datetime": 5}}})
    with pytest.raises(TableStateError, match="restored to version at an earlier time"):
        log_of(tmp_path).refuse_rollback_since(1)


def test_looking_for_a_restore_passes_over_versions_that_were_cleaned_away(tmp_path: Path) -> None:
    our_table(tmp_path, 4)
    DeltaTable(tmp_path).create_checkpoint()
    for version in range(3):
        log_file(tmp_path, version).unlink()
    log_of(tmp_path).refuse_rollback_since(0)
    log_of(tmp_path / "no table").refuse_rollback_since(0)


def test_batch_that_was_rolled_back_before_it_was_recorded_is_refused(tmp_path: Path) -> None:
    restored(tmp_path, 1)
    with pytest.raises(TableStateError, match="restored to version 1, our newest rows are in 2"):
        append(make_sink(tmp_path), 2, ROWS, "b")
