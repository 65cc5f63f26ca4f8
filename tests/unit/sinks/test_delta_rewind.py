"""A table brought back by one version: planned first, carried out perhaps later."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from etl.errors import SinkError, TableStateError
from etl.seam import Seam
from etl.sinks.delta_past import TablePast
from etl.sinks.delta_rewind import TableMove, TableRewind
from etl.storage import LocalStorage


def add(folder: Path, number: int, app_id: str = "old/main") -> None:
    """Append one row, as a batch of a checkpoint."""
    properties = CommitProperties(app_transactions=[Transaction(app_id, number)])
    write_deltalake(folder, pl.DataFrame({"id": [number]}).to_arrow(), mode="append", commit_properties=properties)


def ids(folder: Path) -> list[int]:
    return sorted(pl.read_delta(str(folder))["id"].to_list())


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a table with three batches."""
    for number in range(3):
        add(tmp_path / "t", number)
    return tmp_path / "t"


def rewind_of(folder: Path) -> TableRewind:
    past = TablePast(LocalStorage(folder, Seam()), {}, Seam(), "new/main")
    return TableRewind("t", past, ("old/main",))


def planned(folder: Path, version: int, batch_id: int | None) -> TableMove:
    move = rewind_of(folder).plan(version, batch_id, dict)
    assert move is not None
    return move


def carried_out(folder: Path, move: TableMove) -> int:
    return rewind_of(folder).carried_out(move, {"etl.rewind": "0"}, lambda: 1)


def test_a_table_goes_back_once_however_often_it_is_said(table: Path) -> None:
    move = planned(table, 0, 0)

    assert (move.version, move.head, len(move.removes), move.adds, move.metadata) == (0, 2, 2, (), {})
    assert [carried_out(table, move), carried_out(table, move)] == [3, 3]
    assert ids(table) == [0]
    assert DeltaTable(table).transaction_version("new/main") == 0
    assert DeltaTable(table).transaction_version("old/main") == 2**53


def test_a_table_goes_back_to_nothing(table: Path) -> None:
    carried_out(table, planned(table, -1, None))

    assert pl.read_delta(str(table)).height == 0
    assert DeltaTable(table).transaction_version("new/main") is None


def test_what_a_late_runner_of_ours_added_goes_too_and_that_of_others_stays(table: Path) -> None:
    move = planned(table, 0, 0)
    add(table, 3)
    add(table, 99, "theirs")
    carried_out(table, move)

    assert ids(table) == [0, 99]


def test_a_file_that_somebody_took_out_meanwhile_ends_it(table: Path) -> None:
    move = planned(table, 0, 0)
    DeltaTable(table).delete("id = 2")

    with pytest.raises(TableStateError, match="another writer took files out in version 3") as raised:
        carried_out(table, move)
    assert "--full-refresh" in raised.value.hint


def test_a_move_is_the_same_read_back_from_a_record(table: Path) -> None:
    DeltaTable(table).delete("id = 0")
    write_deltalake(table, pl.DataFrame({"id": [9]}).to_arrow(), mode="overwrite")
    DeltaTable(table).restore(1)
    move = planned(table, 1, 1)
    again = TableMove(**json.loads(json.dumps({name: getattr(move, name) for name in move.__slots__})))
    carried_out(table, again)

    assert ids(table) == [0, 1]


def test_a_version_nobody_can_tell_the_maker_of_is_not_undone(table: Path) -> None:
    DeltaTable(table).create_checkpoint()
    (table / "_delta_log" / f"{2:020d}.json").unlink()

    with pytest.raises(TableStateError, match="nobody can tell who made version 2"):
        planned(table, 1, 1)


def test_a_version_that_can_no_longer_be_read_is_refused(table: Path) -> None:
    DeltaTable(table).create_checkpoint()
    (table / "_delta_log" / f"{0:020d}.json").unlink()

    with pytest.raises(TableStateError, match="version 0 can no longer be read"):
        planned(table, 0, 0)


def test_an_append_only_table_is_refused(table: Path) -> None:
    DeltaTable(table).alter.set_table_properties({"delta.appendOnly": "true"})

    with pytest.raises(SinkError, match="append-only"):
        planned(table, 1, 1)


def test_no_table_needs_no_move(tmp_path: Path) -> None:
    assert rewind_of(tmp_path / "none").plan(-1, None, dict) is None


def test_the_version_before_ours_is_found(table: Path) -> None:
    add(table, 0, "new/main")

    assert rewind_of(table).before("new/main") == 2
    assert rewind_of(table).before("nobody") is None
