"""Tables that change, followed as a changing result; they are written by deltalake, with and without a change feed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from etl.errors import SourceError
from etl.model import ReadLimit
from tests.following import Follower

BY_ID = {"read": "changes", "primary_key": ["id"]}


@pytest.fixture(params=["feed", "no feed"])
def feed(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return the settings of a table with a change feed, or of one without."""
    return {"delta.enableChangeDataFeed": "true"} if request.param == "feed" else {}


def frame(*rows: tuple[Any, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"id": pl.Int64, "v": pl.Float64}, orient="row")


def create(root: Path, feed: dict[str, str], *rows: tuple[Any, Any]) -> DeltaTable:
    write_deltalake(root / "table", frame(*rows), configuration=feed)
    return DeltaTable(root / "table")


def upsert(root: Path, *rows: tuple[Any, Any]) -> None:
    merge = DeltaTable(root / "table").merge(frame(*rows), "t.id = s.id", "s", "t")
    merge.when_matched_update_all().when_not_matched_insert_all().execute()


def test_what_is_there_at_first_is_inserted(tmp_path: Path, feed: dict[str, str]) -> None:
    create(tmp_path, feed, (1, 1.0), (None, 2.0))
    assert Follower(tmp_path, BY_ID).rows() == [[(1, 1.0, "insert"), (None, 2.0, "insert")]]


def test_a_merge_becomes_inserts_and_updates_of_the_rows_that_changed_alone(
    tmp_path: Path, feed: dict[str, str]
) -> None:
    create(tmp_path, feed, (1, 1.0), (2, 2.0), (3, 3.0))
    follower = Follower(tmp_path, BY_ID)
    follower.rows()
    upsert(tmp_path, (2, 20.0), (3, 3.0), (4, 4.0))
    assert follower.rows() == [[(2, 20.0, "update"), (4, 4.0, "insert")]]


def test_a_delete_has_the_last_values_of_its_row(tmp_path: Path, feed: dict[str, str]) -> None:
    create(tmp_path, feed, (1, 1.0), (2, 2.0))
    follower = Follower(tmp_path, BY_ID)
    follower.rows()
    DeltaTable(tmp_path / "table").delete("id = 2")
    assert follower.rows() == [[(2, 2.0, "delete")]]


def test_an_overwrite_deletes_what_it_does_not_bring_again(tmp_path: Path, feed: dict[str, str]) -> None:
    create(tmp_path, feed, (1, 1.0), (2, 2.0), (3, 3.0))
    follower = Follower(tmp_path, BY_ID)
    follower.rows()
    write_deltalake(tmp_path / "table", frame((2, 2.0), (3, 30.0), (4, 4.0)), mode="overwrite")
    assert follower.rows() == [[(1, 1.0, "delete"), (3, 30.0, "update"), (4, 4.0, "insert")]]


def test_several_versions_in_a_batch_give_one_row_a_key(tmp_path: Path, feed: dict[str, str]) -> None:
    create(tmp_path, feed, (1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0))
    follower = Follower(tmp_path, BY_ID)
    follower.rows()
    table = tmp_path / "table"
    upsert(tmp_path, (1, 10.0), (5, 5.0), (6, 6.0))
    DeltaTable(table).update({"v": "v + 1"}, predicate="id in (1, 5)")
    DeltaTable(table).delete("id in (2, 3, 6)")
    upsert(tmp_path, (3, 3.0), (2, 22.0))
    DeltaTable(table).optimize.compact()
    assert follower.rows() == [[(1, 11.0, "update"), (2, 22.0, "update"), (5, 6.0, "insert")]]


@pytest.mark.parametrize("most", [1, 2, 100])
def test_a_version_that_takes_rows_out_is_read_as_a_whole(tmp_path: Path, feed: dict[str, str], most: int) -> None:
    create(tmp_path, feed, (1, 1.0), (2, 2.0))
    write_deltalake(tmp_path / "table", frame((3, 3.0)), mode="append")
    follower = Follower(tmp_path, BY_ID)
    follower.rows()
    upsert(tmp_path, (1, 10.0), (3, 30.0), (4, 4.0))
    whole = [(1, 10.0, "update"), (3, 30.0, "update"), (4, 4.0, "insert")]
    assert follower.rows(ReadLimit(max_files=most)) == [whole]


def test_rows_with_nothing_to_tell_are_counted_as_deduplicated_by_file(tmp_path: Path) -> None:
    create(tmp_path, {}, (1, 1.0), (2, 2.0))
    follower = Follower(tmp_path, BY_ID)
    follower.rows()
    upsert(tmp_path, (2, 20.0))
    follower.take(system=("_source_file",))
    counts = follower.tally.counts()
    assert (counts["read"], counts["deduplicated"], counts["written"]) == (4, 3, 1)
    before, after = sorted(follower.tally.by_file().values(), key=len)
    assert (before, after) == ({"read": 2, "deduplicated": 2}, {"read": 2, "deduplicated": 1, "written": 1})


def test_of_rows_of_one_key_in_one_version_the_last_counts(tmp_path: Path) -> None:
    create(tmp_path, {}, (1, 1.0), (1, 2.0), (2, 3.0))
    follower = Follower(tmp_path, BY_ID)
    assert follower.rows() == [[(1, 2.0, "insert"), (2, 3.0, "insert")]]
    assert follower.tally.counts()["deduplicated"] == 1


def test_nan_and_null_are_values_like_any_other(tmp_path: Path, feed: dict[str, str]) -> None:
    create(tmp_path, feed, (1, float("nan")), (2, None))
    follower = Follower(tmp_path, BY_ID)
    follower.rows()
    write_deltalake(tmp_path / "table", frame((1, float("nan")), (2, None)), mode="overwrite")
    assert follower.rows() == [[]]


def test_lists_and_structs_are_compared_by_value(tmp_path: Path) -> None:
    before = pl.DataFrame({"id": [1, 2, 3], "l": [[1], None, []], "s": [{"a": 1}, {"a": None}, None]})
    write_deltalake(tmp_path / "table", before)
    follower = Follower(tmp_path, BY_ID)
    follower.rows()
    after = pl.DataFrame({"id": [1, 2, 3], "l": [[1, 2], None, []], "s": [{"a": 1}, {"a": 5}, None]})
    write_deltalake(tmp_path / "table", after, mode="overwrite")
    found = follower.take()
    assert found is not None
    assert found.select("id", "_change").sort("id").rows() == [(1, "update"), (2, "update")]


def test_a_partitioned_table_whose_log_does_not_tell_the_partitions_of_what_it_takes_out(tmp_path: Path) -> None:
    rows = pl.DataFrame({"id": [1, 2], "day": ["x y", None]})
    write_deltalake(tmp_path / "table", rows, partition_by=["day"])
    follower = Follower(tmp_path, BY_ID)
    follower.rows()
    DeltaTable(tmp_path / "table").delete()
    commit = tmp_path / "table" / "_delta_log" / f"{1:020d}.json"
    told = commit.read_text()
    assert '"partitionValues"' in told
    commit.write_text(told.replace('"partitionValues"', '"tags"').replace('"extendedFileMetadata":true,', ""))
    assert follower.rows() == [[(1, "x y", "delete"), (2, None, "delete")]]


def test_a_change_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    create(tmp_path, {"delta.enableChangeDataFeed": "true"}, (1, 1.0))
    follower = Follower(tmp_path, BY_ID)
    follower.rows()
    upsert(tmp_path, (1, 2.0))
    (path,) = (tmp_path / "table" / "_change_data").glob("*.parquet")
    pl.read_parquet(path).with_columns(_change_type=pl.lit("truncate")).write_parquet(path)
    with pytest.raises(SourceError, match="a change of kind 'truncate'"):
        follower.rows()
