"""``write_mode: overwrite``: each batch takes the place of all rows, in one version."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from etl.balance import Tally
from etl.errors import SinkError
from etl.model import Manifest, Revision
from etl.sinks.contract import Edit
from etl.sinks.delta import DeltaSink
from tests.readers import table_files
from tests.unit.sinks.merging import bring, held, stage
from tests.unit.sinks.tables import actions, append, make_sink


def replacing_sink(root: Path, *partition_by: str) -> DeltaSink:
    return make_sink(root, write_mode="overwrite", partition_by=list(partition_by))


def test_each_batch_takes_the_place_of_the_one_before_in_one_version(tmp_path: Path) -> None:
    sink = replacing_sink(tmp_path)
    assert bring(sink, 0, {"id": [1, 2, 2]}) == {"written": 3}
    assert bring(sink, 1, {"id": [2, 3]}) == {"written": 2}
    assert held(tmp_path, "id") == {(2,): 1, (3,): 1}
    found = actions(tmp_path, 1)
    assert found["commitInfo"]["operationParameters"] == {"mode": "Overwrite"}
    assert found["txn"]["version"] == 1
    assert DeltaTable(tmp_path).version() == 1


def test_columns_types_and_partitions_are_those_of_the_batch_alone(tmp_path: Path) -> None:
    bring(replacing_sink(tmp_path), 0, {"id": [1], "old": ["x"], "v": [1]})
    bring(replacing_sink(tmp_path, "kind"), 1, {"id": ["a", "b"], "v": [1.5, None], "kind": ["x", None]})
    table = pl.read_delta(str(tmp_path)).sort("id")
    assert table.select("id", "v", "kind").rows() == [("a", 1.5, "x"), ("b", None, None)]
    assert DeltaTable(tmp_path).metadata().partition_columns == ["kind"]


def test_what_another_writer_adds_between_staging_and_commit_is_replaced_too(tmp_path: Path) -> None:
    sink = replacing_sink(tmp_path)
    bring(sink, 0, {"id": [1]})
    staged = stage(sink, 1, {"id": [2]})
    write_deltalake(tmp_path, pl.DataFrame({"id": [50]}), mode="append")
    assert staged.commit() == 2
    assert held(tmp_path, "id") == {(2,): 1}


def test_a_table_that_another_writer_makes_after_staging_is_replaced(tmp_path: Path) -> None:
    staged = stage(replacing_sink(tmp_path), 0, {"id": [2]})
    write_deltalake(tmp_path, pl.DataFrame({"id": [50]}))
    staged.commit()
    assert held(tmp_path, "id") == {(2,): 1}


def test_rows_that_were_read_and_all_filtered_leave_an_empty_table(tmp_path: Path) -> None:
    sink = replacing_sink(tmp_path)
    bring(sink, 0, {"id": [1]})
    tally = Tally()
    tally.add("read", 3)
    tally.add("filtered", 3)
    commit_nothing(sink, tally, pl.Schema({"id": pl.Int64}))
    assert table_files(tmp_path) == []
    assert DeltaTable(tmp_path).schema().fields[0].name == "id"


@pytest.mark.parametrize("kind", [pl.Int64, pl.String], ids=["same", "other type"])
def test_a_batch_for_which_nothing_was_read_leaves_the_table_as_it_is(tmp_path: Path, kind: type[pl.DataType]) -> None:
    sink = replacing_sink(tmp_path)
    bring(sink, 0, {"id": [1], "v": ["a"]})
    commit_nothing(sink, Tally(), pl.Schema({"id": kind}))
    assert held(tmp_path, "id", "v") == {(1, "a"): 1}
    assert sink.last_batch_id() == 1
    bring(sink, 2, {"id": [2]})
    assert held(tmp_path, "id") == {(2,): 1}


def commit_nothing(sink: DeltaSink, tally: Tally, types: pl.Schema) -> None:
    """Commit batch 1, without a row."""
    schema = sink.prepare(types)
    files = sink.stage(1, "e" * 32, pl.LazyFrame(schema=types), tally)
    old, revision = sink.revise(1, "e" * 32, Edit(schema))
    assert (files, old) == ((), ())
    revisions = {} if revision is None else {"main": revision}
    sink.commit(Manifest(1, "e" * 32, {"main": ()}, {"main": schema}, {}, {}, revisions=revisions), {})


def test_a_batch_says_that_it_takes_the_place_of_all(tmp_path: Path) -> None:
    append(make_sink(tmp_path), 0, pl.DataFrame({"id": [1]}))
    assert stage(replacing_sink(tmp_path), 1, {"id": [2]}).revision == Revision((), 0, is_data_change=True)


def test_a_table_whose_rows_must_stay_is_refused(tmp_path: Path) -> None:
    bring(replacing_sink(tmp_path), 0, {"id": [1]})
    DeltaTable(tmp_path).alter.set_table_properties({"delta.appendOnly": "true"})
    with pytest.raises(SinkError, match="append-only"):
        replacing_sink(tmp_path).prepare(pl.Schema({"id": pl.Int64}))


def test_only_a_batch_for_which_nothing_was_read_leaves_the_table_alone(tmp_path: Path) -> None:
    sink, types = replacing_sink(tmp_path), pl.Schema({"id": pl.Int64})
    assert not is_left_alone(sink, Tally(), types)
    bring(sink, 0, {"id": [1], "v": ["a"]})
    assert is_left_alone(sink, Tally(), types)
    tally = Tally()
    tally.add("read", 3)
    tally.add("filtered", 3)
    assert not is_left_alone(sink, tally, types)


def is_left_alone(sink: DeltaSink, tally: Tally, types: pl.Schema) -> bool:
    schema = sink.prepare(types)
    files = sink.stage(1, "f" * 32, pl.LazyFrame(schema=types), tally)
    return sink.is_left_alone(files, schema, sink.revise(1, "f" * 32, Edit(schema))[1])
