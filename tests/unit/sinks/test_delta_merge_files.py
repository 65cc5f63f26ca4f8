"""``write_mode: merge``: which files are written anew, and what other writers do meanwhile."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from etl.balance import Tally
from etl.errors import SinkError, TableMovedError
from etl.model import Manifest, Revision
from etl.sinks.contract import Edit
from tests.readers import table_files
from tests.unit.sinks.merging import bring, held, merging_sink, stage
from tests.unit.sinks.tables import actions


def test_only_files_that_hold_a_key_are_written_anew(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path)
    for batch_id, start in enumerate([0, 100, 200]):
        bring(sink, batch_id, {"id": list(range(start, start + 100, 2)), "v": ["old"] * 50})
    first, second, third = table_files(tmp_path)
    staged = stage(sink, 3, {"id": [102, 103, 201], "v": ["new"] * 3})
    assert staged.revision == Revision((Path(second).name,), 2, is_data_change=True)
    assert [(file.rows, file.is_rewrite) for file in staged.files] == [(3, False), (49, True)]
    staged.commit()
    assert {first, third} < set(table_files(tmp_path))
    assert second not in table_files(tmp_path)


def test_a_row_moves_to_another_partition_where_its_key_does_not_name_it(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path, partition_by=["kind"])
    bring(sink, 0, {"id": [1, 2, 3], "kind": ["x", "x", None], "v": [1, 2, 3]})
    bring(sink, 1, {"id": [2, 3], "kind": ["y", "x"], "v": [20, 30]})
    assert pl.read_delta(str(tmp_path)).sort("id").rows() == [(1, "x", 1), (2, "y", 20), (3, "x", 30)]


@pytest.mark.parametrize(
    ("column", "values"),
    [("day", [date(2026, 1, 1), date(2026, 1, 2), None]), ("flag", [True, False, None]), ("number", [7, -8, None])],
)
def test_partitions_that_the_key_names_are_left_alone_where_no_key_is_in_them(
    tmp_path: Path, column: str, values: list[Any]
) -> None:
    sink = merging_sink(tmp_path, ["id", column], partition_by=[column])
    bring(sink, 0, {"id": [1, 1, 1], column: values, "v": ["a", "b", "c"]})
    for number, value in enumerate(values, 1):
        rows = pl.DataFrame({"id": [1], column: pl.Series([value], dtype=pl.Series(values).dtype), "v": ["new"]})
        staged = stage(sink, number, rows)
        assert staged.revision is not None
        assert len(staged.revision.removes) == 1
        staged.commit()
        assert Counter(pl.read_delta(str(tmp_path))["v"])["new"] == number
    assert pl.read_delta(str(tmp_path)).height == 3


def test_a_column_that_becomes_wider_meanwhile_rewrites_every_file_without_the_keys(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path)
    bring(sink, 0, {"id": [1, 2], "v": [1, 2]})
    bring(sink, 1, {"id": [3], "v": [3]})
    assert bring(sink, 2, {"id": [2.0, 4.5], "v": [2.5, 4.0]}, may_widen=True) == {"written": 2}
    assert held(tmp_path, "id", "v") == {(1.0, 1.0): 1, (2.0, 2.5): 1, (3.0, 3.0): 1, (4.5, 4.0): 1}


def test_files_of_other_writers_are_found_whatever_their_statistics_say(tmp_path: Path) -> None:
    moment, text = datetime(2026, 1, 1, 1, 2, 3, 4567, tzinfo=UTC), "é" * 50
    frame = pl.DataFrame({"id": [text], "at": [moment], "v": ["old"]})
    bring(merging_sink(tmp_path, ["id", "at"]), 0, frame.clear())
    write_deltalake(tmp_path, frame, mode="append")
    write_deltalake(tmp_path, frame.with_columns(id=pl.lit("b")), mode="append")
    sink = merging_sink(tmp_path, ["id", "at"])
    staged = stage(sink, 1, frame.with_columns(v=pl.lit("new")))
    assert staged.revision is not None
    assert len(staged.revision.removes) == 1
    staged.commit()
    assert held(tmp_path, "v") == {("old",): 1, ("new",): 1}


def test_a_file_that_loses_every_row_is_taken_out_and_a_batch_of_deletes_writes_none(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path)
    bring(sink, 0, {"id": [1, 2], "v": ["a", "b"]})
    bring(sink, 1, {"id": [1, 2], "v": [None, None], "_change": ["delete"] * 2})
    assert table_files(tmp_path) == []
    bring(sink, 2, {"id": [1], "v": ["again"]})
    assert held(tmp_path, "id", "v") == {(1, "again"): 1}


def test_rows_that_another_writer_adds_after_the_look_are_not_overlooked(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path)
    bring(sink, 0, {"id": [1], "v": ["a"]})
    staged = stage(sink, 1, {"id": [2], "v": ["ours"]})
    write_deltalake(tmp_path, pl.DataFrame({"id": [2], "v": ["theirs"]}), mode="append")
    with pytest.raises(TableMovedError, match="version 1 of another writer"):
        staged.commit()
    stage(sink, 1, {"id": [2], "v": ["ours"]}, "b").commit()
    assert held(tmp_path, "id", "v") == {(1, "a"): 1, (2, "ours"): 1}


def test_a_table_that_another_writer_makes_after_the_look_is_not_doubled(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path)
    staged = stage(sink, 0, {"id": [1], "v": ["ours"]})
    assert staged.revision == Revision((), -1, is_data_change=True)
    write_deltalake(tmp_path, pl.DataFrame({"id": [1], "v": ["theirs"]}))
    with pytest.raises(TableMovedError):
        staged.commit()
    stage(sink, 0, {"id": [1], "v": ["ours"]}, "b").commit()
    assert held(tmp_path, "id", "v") == {(1, "ours"): 1}


def test_a_column_that_another_writer_adds_while_rows_are_staged_is_not_lost(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path)
    bring(sink, 0, {"id": [1, 2], "v": ["a", "b"]})

    def meanwhile(frame: pl.DataFrame) -> pl.DataFrame:
        wider = pl.DataFrame({"id": [3], "v": ["c"], "w": ["theirs"]})
        write_deltalake(tmp_path, wider, mode="append", schema_mode="merge")
        return frame

    rows = pl.LazyFrame({"id": [3], "v": ["C"]})
    schema = sink.prepare(rows.collect_schema())
    new = sink.stage(1, "a" * 32, rows.map_batches(meanwhile), Tally())
    old, revision = sink.revise(1, "a" * 32, Edit(schema))
    assert revision is not None
    manifest = Manifest(1, "a" * 32, {"main": (*new, *old)}, {"main": schema}, {}, {}, revisions={"main": revision})
    with pytest.raises(TableMovedError):
        sink.commit(manifest, {})
    bring(sink, 1, {"id": [2], "v": ["B"]}, name="b")
    assert held(tmp_path, "id", "v", "w") == {(1, "a", None): 1, (2, "B", None): 1, (3, "c", "theirs"): 1}


def test_the_version_of_a_merge_is_a_change_and_no_blind_append(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path)
    bring(sink, 0, {"id": [1, 2], "v": ["a", "b"]})
    bring(sink, 1, {"id": [2], "v": ["B"]})
    found = actions(tmp_path, 1)
    assert found["commitInfo"]["isBlindAppend"] is False
    assert [each["dataChange"] for each in (*found["add"], found["remove"])] == [True] * 3


def test_the_first_batch_of_a_refresh_looks_at_nothing_of_the_old_table(tmp_path: Path) -> None:
    bring(merging_sink(tmp_path), 0, {"id": [1, 2], "v": ["a", "b"]})
    fresh = merging_sink(tmp_path, app="f" * 32 + "/main")
    fresh.bind("f" * 32 + "/main", "", [])
    bring(fresh, 0, {"id": [2, 3], "v": ["B", None], "_change": ["insert", "delete"]})
    assert held(tmp_path, "id", "v") == {(2, "B"): 1}
    bring(fresh, 1, {"id": [2], "v": ["C"]})
    assert held(tmp_path, "id", "v") == {(2, "C"): 1}


def test_a_row_group_at_a_time_is_written_anew(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path)
    bring(sink, 0, pl.DataFrame({"id": range(300_000), "v": ["old"] * 300_000}))
    bring(sink, 1, {"id": [150_000], "v": ["new"]})
    found = pl.read_delta(str(tmp_path))
    assert found["id"].sort().equals(pl.Series("id", range(300_000)), check_dtypes=False)
    assert found.filter(pl.col("v") == "new")["id"].to_list() == [150_000]
    large = max(table_files(tmp_path), key=lambda path: Path(path).stat().st_size)
    assert pq.read_metadata(large).num_row_groups > 1


def test_a_table_whose_rows_must_stay_is_refused(tmp_path: Path) -> None:
    bring(merging_sink(tmp_path), 0, {"id": [1]})
    DeltaTable(tmp_path).alter.set_table_properties({"delta.appendOnly": "true"})
    with pytest.raises(SinkError, match="append-only"):
        merging_sink(tmp_path).prepare(pl.Schema({"id": pl.Int64}))
