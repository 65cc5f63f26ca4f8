"""Rows that are added to a Delta table, followed version by version; it is written by deltalake."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from etl.errors import SourceError
from etl.model import ReadLimit
from tests.following import ORIGIN, Follower


def add(root: Path, ids: list[int], **options: Any) -> None:
    write_deltalake(root / "table", pl.DataFrame({"id": ids}), mode="append", **options)


def add_files(root: Path, count: int) -> None:
    """Add a version of ``count`` files, of one row each."""
    frame = pl.DataFrame({"id": list(range(count)), "part": [str(each) for each in range(count)]})
    write_deltalake(root / "table", frame, mode="append", partition_by=["part"])


def test_a_reader_begins_with_all_that_the_table_holds_and_goes_on_by_version(tmp_path: Path) -> None:
    add(tmp_path, [1])
    add(tmp_path, [2, 3])
    follower = Follower(tmp_path)
    assert follower.rows() == [[(1,), (2,), (3,)]]
    add(tmp_path, [4])
    add(tmp_path, [5])
    assert follower.rows() == [[(4,), (5,)]]
    follower.reopen()
    assert follower.rows() == []


def test_rows_of_a_snapshot_come_in_the_order_in_which_their_files_were_written(tmp_path: Path) -> None:
    for number in range(12):
        add(tmp_path, [number])
    found = Follower(tmp_path).rows(ReadLimit(max_files=1))
    assert found == [[(number,)] for number in range(12)]


@pytest.mark.parametrize("is_snapshot", [True, False])
def test_a_large_version_is_split_and_a_restart_goes_on_inside_it(tmp_path: Path, is_snapshot: bool) -> None:
    if not is_snapshot:
        write_deltalake(
            tmp_path / "table", pl.DataFrame(schema={"id": pl.Int64, "part": pl.String}), partition_by=["part"]
        )
    follower = Follower(tmp_path, {} if is_snapshot else {"starting": {"version": 0}})
    add_files(tmp_path, 5)
    found = []
    while (frame := follower.take(ReadLimit(max_files=2))) is not None:
        found.append(frame["id"].to_list())
        follower.reopen()
    assert [len(each) for each in found] == [2, 2, 1]
    assert sorted(each for part in found for each in part) == [0, 1, 2, 3, 4]


def test_bounds_of_bytes_and_rows_hold_but_one_file_is_taken_at_least(tmp_path: Path) -> None:
    add_files(tmp_path, 4)
    assert [len(each) for each in Follower(tmp_path).rows(ReadLimit(max_rows=2))] == [2, 2]
    assert [len(each) for each in Follower(tmp_path).rows(ReadLimit(max_bytes=1))] == [1, 1, 1, 1]


def test_a_plan_is_read_again_as_it_was_whatever_the_table_has_become(tmp_path: Path) -> None:
    add(tmp_path, [1, 2])
    follower = Follower(tmp_path)
    planned = follower.plan()
    assert planned is not None
    add(tmp_path, [3])
    DeltaTable(tmp_path / "table").optimize.compact()
    first = follower.read(planned).rows()
    assert sorted(first) == [(1,), (2,)]
    assert follower.read(planned).rows() == first


def test_commits_that_only_lay_rows_out_anew_are_passed_over(tmp_path: Path) -> None:
    add(tmp_path, [1])
    follower = Follower(tmp_path)
    assert follower.rows() == [[(1,)]]
    add(tmp_path, [2])
    DeltaTable(tmp_path / "table").optimize.compact()
    DeltaTable(tmp_path / "table").optimize.z_order(["id"])
    add(tmp_path, [3])
    assert follower.rows() == [[(2,), (3,)]]
    DeltaTable(tmp_path / "table").optimize.compact()
    assert follower.rows() == []
    assert follower.source.take_notes() == []


def test_a_hundred_versions_without_rows_move_the_offset_on(tmp_path: Path) -> None:
    add(tmp_path, [1])
    follower = Follower(tmp_path)
    assert follower.rows() == [[(1,)]]
    for _ in range(100):
        write_deltalake(tmp_path / "table", pl.DataFrame(schema={"id": pl.Int64}), mode="append")
    assert follower.rows() == [[]]
    assert follower.after is not None
    assert follower.after["version"] == 101


def test_rows_know_their_file_their_number_in_it_and_when_it_was_written(tmp_path: Path) -> None:
    add(tmp_path, [7, 8])
    follower = Follower(tmp_path)
    frame = follower.take(system=ORIGIN)
    (path,) = [Path(each).name for each in DeltaTable(tmp_path / "table").file_uris()]
    assert frame is not None
    assert frame.select("id", "_source_file", "_source_offset").rows() == [(7, path, 0), (8, path, 1)]
    assert frame["_source_modified_at"].n_unique() == 1
    assert frame["_source_modified_at"][0] > datetime(2020, 1, 1, tzinfo=UTC)
    assert follower.tally.by_file() == {path: {"read": 2, "written": 2}}


def test_columns_that_this_library_keeps_in_tables_are_not_read(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": [1], "_source_file": ["x"], "_source_offset": [5], "_batch_id": [0]})
    write_deltalake(tmp_path / "table", frame)
    assert Follower(tmp_path).rows() == [[(1,)]]


PARTITIONS: dict[str, tuple[Any, Any]] = {
    "text": (pl.String, ["a b/é%=:", "__", None]),
    "day": (pl.Date, [date(2024, 2, 29), None]),
    "at": (pl.Datetime("us", "UTC"), [datetime(2024, 2, 29, 1, 2, 3, 456, tzinfo=UTC), None]),
    "naive": (pl.Datetime("us"), [datetime(2024, 2, 29, 1, 2, 3), None]),  # noqa: DTZ001  it has no zone
    "number": (pl.Int32, [-5, None]),
    "amount": (pl.Decimal(10, 2), [None]),
    "flag": (pl.Boolean, [True, False, None]),
    "double": (pl.Float64, [1.5, None]),
}


@pytest.mark.parametrize("name", PARTITIONS)
@pytest.mark.parametrize("is_snapshot", [True, False])
def test_values_of_partitions_have_their_types(tmp_path: Path, name: str, is_snapshot: bool) -> None:
    dtype, values = PARTITIONS[name]
    frame = pl.DataFrame({"id": list(range(len(values))), name: pl.Series(values, dtype=dtype)})
    write_deltalake(tmp_path / "table", frame, partition_by=[name])
    found = Follower(tmp_path, {} if is_snapshot else {"starting": {"version": 0}}).take()
    assert found is not None
    assert found.sort("id").equals(frame, null_equal=True)
    assert found.schema == frame.schema


@pytest.mark.parametrize("is_snapshot", [True, False])
def test_an_empty_text_of_a_partition_is_null_as_the_protocol_says(tmp_path: Path, is_snapshot: bool) -> None:
    write_deltalake(tmp_path / "table", pl.DataFrame({"id": [1], "part": [""]}), partition_by=["part"])
    assert Follower(tmp_path, {} if is_snapshot else {"starting": {"version": 0}}).rows() == [[(1, None)]]


@pytest.mark.parametrize("change", ["merge", "delete", "overwrite"])
def test_a_version_that_takes_rows_out_is_refused_once_all_before_it_are_read(tmp_path: Path, change: str) -> None:
    add(tmp_path, [1, 2])
    follower = Follower(tmp_path)
    assert follower.rows() == [[(1,), (2,)]]
    add(tmp_path, [3])
    rewrite(tmp_path, change)
    add(tmp_path, [5])
    assert follower.take() is not None
    with pytest.raises(SourceError, match=rf"version 2 \({OPERATION[change]}\) of .*table takes rows out") as refused:
        follower.plan()
    assert all(way in refused.value.hint for way in ("read: changes", "on_rewrite: skip", "--full-refresh"))


OPERATION = {"merge": "MERGE", "delete": "DELETE", "overwrite": "WRITE"}


def rewrite(root: Path, change: str) -> None:
    table = DeltaTable(root / "table")
    if change == "delete":
        table.delete("id = 1")
    elif change == "overwrite":
        write_deltalake(table, pl.DataFrame({"id": [4]}), mode="overwrite")
    else:
        source = pl.DataFrame({"id": [1, 4]})
        merge = table.merge(source, "t.id = s.id", "s", "t")
        merge.when_matched_update_all().when_not_matched_insert_all().execute()


@pytest.mark.parametrize("change", ["merge", "delete", "overwrite"])
def test_a_version_that_takes_rows_out_is_skipped_where_the_options_say_so_and_told(
    tmp_path: Path, change: str
) -> None:
    add(tmp_path, [1, 2])
    follower = Follower(tmp_path, {"on_rewrite": "skip"})
    assert follower.rows() == [[(1,), (2,)]]
    rewrite(tmp_path, change)
    add(tmp_path, [5])
    assert follower.rows() == [[(5,)]]
    (told,) = follower.source.take_notes()
    assert told.startswith(f"version 1 ({OPERATION[change]}) of {tmp_path / 'table'} takes rows out")
    assert "passed over" in told


def test_a_merge_that_only_adds_rows_is_read(tmp_path: Path) -> None:
    add(tmp_path, [1])
    follower = Follower(tmp_path)
    assert follower.rows() == [[(1,)]]
    merge = DeltaTable(tmp_path / "table").merge(pl.DataFrame({"id": [8]}), "t.id = s.id", "s", "t")
    merge.when_not_matched_insert_all().execute()
    assert follower.rows() == [[(8,)]]
