from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from etl.errors import TableStateError
from etl.operations.looking import Onlooker
from etl.sinks.delta_past import TablePast
from etl.sinks.past import LiveFile
from etl.storage import LocalStorage


def past_of(folder: Path) -> TablePast:
    return TablePast(LocalStorage(folder, Onlooker()), {}, Onlooker(), "app/main")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a table of three versions: two appends, of which the third takes the second out."""
    folder = tmp_path / "table"
    for day, number in (("a b", 1), ("c", 2)):
        rows = pl.DataFrame({"day": [day], "id": [number]})
        rows.write_delta(folder, mode="append", delta_write_options={"partition_by": ["day"]})
    DeltaTable(folder).delete("id = 2")
    return folder


def test_a_table_that_is_not_there_has_no_past(tmp_path: Path) -> None:
    past = past_of(tmp_path / "none")

    assert (past.head(), past.logged(), list(past.versions()), past.lying()) == (None, [], [], [])


def test_versions_are_told_with_paths_as_on_disk(table: Path) -> None:
    past = past_of(table)
    first, second, third = past.versions()

    assert [version.version for version in past.versions(0)] == past.logged()[1:] == [1, 2]
    assert [len(version.added) for version in (first, second, third)] == [1, 1, 0]
    assert set(first.added) <= set(past.lying())
    assert third.removed == frozenset(second.added)
    assert third.has_data_change
    assert third.info["operation"] == "DELETE"


def test_a_version_that_only_lays_rows_out_anew_changes_no_data(table: Path) -> None:
    pl.DataFrame({"day": ["a b"], "id": [3]}).write_delta(table, mode="append")
    DeltaTable(table).optimize.compact()

    assert [version.has_data_change for version in past_of(table).versions(2)] == [True, False]


def test_live_files_have_their_size_and_rows(table: Path) -> None:
    past = past_of(table)
    head = past.head()
    assert head is not None
    ((path, live),) = past.live(head).items()

    assert live == LiveFile((table / path).stat().st_size, 1)
    assert past.rows_in(path) == 1
    assert len(past.lying()) == 2


def test_a_version_whose_entry_is_torn_is_refused(table: Path) -> None:
    (table / "_delta_log" / f"{1:020d}.json").write_text('{"add": {"pa')

    with pytest.raises(TableStateError, match="table_torn: version 1 is torn or empty"):
        list(past_of(table).versions())
