"""The columns of a table: how they grow, what they refuse, partitions, protocols and nulls."""

# ruff: noqa: DTZ001  timestamps without zone are tested here; stand-ins are handed what the contract says

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest
from deltalake import DeltaTable, Field, Schema
from deltalake.schema import PrimitiveType

from etl.balance import Tally
from etl.errors import SinkError
from etl.model import PROVENANCE_COLUMNS
from tests.readers import table_rows
from tests.unit.sinks.tables import actions, append, attempt, log_file, make_sink, table_data

TEXT, LONG = PrimitiveType("string"), PrimitiveType("long")
ROWS = pl.DataFrame({"id": [1, 2], "name": ["a", None]})


def test_schema_grows_in_the_version_of_the_data_that_needs_it(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, ROWS)
    DeltaTable(tmp_path).alter.set_table_properties({"delta.appendOnly": "true"})
    wider = pl.DataFrame({"new": [{"x": 1}], "id": [3]})
    assert append(sink, 1, wider) == 2
    assert set(actions(tmp_path, 2)) == {"commitInfo", "metaData", "txn", "add"}
    assert actions(tmp_path, 2)["metaData"]["configuration"] == {"delta.appendOnly": "true"}
    assert actions(tmp_path, 2)["metaData"]["id"] == sink.table_id()
    assert pl.read_delta(str(tmp_path)).sort("id").rows() == [
        (1, "a", None), (2, None, None), (3, None, {"x": 1}),
    ]  # fmt: skip


def test_restarted_sink_keeps_the_properties_of_a_table_when_its_schema_grows(tmp_path: Path) -> None:
    DeltaTable.create(
        tmp_path, Schema([Field("id", LONG)]), name="n", description="d", configuration={"delta.appendOnly": "true"}
    )
    append(make_sink(tmp_path), 0, ROWS)
    metadata = DeltaTable(tmp_path).metadata()
    assert (metadata.name, metadata.description, metadata.configuration) == ("n", "d", {"delta.appendOnly": "true"})


def test_columns_of_narrower_types_are_widened_to_those_of_the_table(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, pl.DataFrame({"id": [2**40], "x": [0.5], "s": [{"a": 1, "b": "x"}], "l": [[1]]}))
    narrow: dict[str, Any] = {
        "s": pl.Struct({"b": pl.String, "a": pl.Int8}),
        "l": pl.List(pl.Int8),
        "id": pl.UInt8,
        "x": pl.Float32,
    }
    append(sink, 1, pl.DataFrame({"s": [{"b": "y", "a": 2}], "l": [[3]], "id": [7], "x": [0.25]}, schema=narrow))
    assert pl.read_delta(str(tmp_path)).sort("id").rows() == [
        (7, 0.25, {"a": 2, "b": "y"}, [3]), (2**40, 0.5, {"a": 1, "b": "x"}, [1]),
    ]  # fmt: skip


def test_greatest_unsigned_integer_is_stored_as_itself(tmp_path: Path) -> None:
    append(make_sink(tmp_path), 0, pl.DataFrame({"id": pl.Series([2**64 - 1], dtype=pl.UInt64)}))
    assert [int(row["id"]) for row in table_rows(tmp_path)] == [2**64 - 1]


def test_rows_that_do_not_fit_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, ROWS)
    with pytest.raises(SinkError, match="rows are double, the table's column is long"):
        sink.stage(1, "b" * 32, pl.DataFrame({"id": [1.5]}).lazy(), Tally())
    assert len(table_data(tmp_path)) == 1


def test_columns_of_unknown_type_are_left_out_and_known_ones_filled_with_null(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, pl.DataFrame({"id": [1], "later": [None]}))
    assert list(table_rows(tmp_path)[0]) == ["id"]
    append(sink, 1, pl.DataFrame({"id": [None], "later": ["x"]}))
    assert pl.read_delta(str(tmp_path)).sort("id", nulls_last=True).rows() == [(1, None), (None, "x")]


@pytest.mark.parametrize(
    "rows", [pl.DataFrame({"a": [None, None]}), pl.DataFrame({"a": [{"b": None}]}), pl.DataFrame()]
)
def test_first_batch_without_any_column_of_known_type_is_refused(tmp_path: Path, rows: pl.DataFrame) -> None:
    with pytest.raises(SinkError, match="no column of the batch has a type yet") as caught:
        make_sink(tmp_path).prepare(rows.schema)
    assert "schema:" in caught.value.hint


def test_system_columns_are_kept_as_provenance_says(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {"id": [1], "_source_file": ["f"], "_source_offset": [0], "_batch_id": [0], "_ingested_at": [datetime.now(UTC)]}
    )
    assert list(make_sink(tmp_path).prepare(rows.schema)) == ["id"]
    assert list(make_sink(tmp_path, provenance=PROVENANCE_COLUMNS).prepare(rows.schema)) == ["id", *PROVENANCE_COLUMNS]


def test_partitioning_of_a_table_cannot_be_changed(tmp_path: Path) -> None:
    append(make_sink(tmp_path), 0, ROWS)
    sink = make_sink(tmp_path, partition_by=["name"])
    with pytest.raises(SinkError, match=r"the table is partitioned by \[\], the pipeline says \['name'\]") as caught:
        sink.prepare(ROWS.schema)
    assert "set sink.partition_by to it" in caught.value.hint
    staged = attempt(make_sink(tmp_path), 1, ROWS)
    with pytest.raises(SinkError, match="is partitioned by"):
        sink.commit(staged.manifest, {})


@pytest.mark.parametrize(
    "dtype", [pl.Float64, pl.Datetime("us"), pl.Binary, pl.List(pl.Int8), pl.Decimal(5, 2)], ids=str
)
def test_partition_column_of_an_unfit_type_is_refused(tmp_path: Path, dtype: Any) -> None:
    with pytest.raises(SinkError, match="cannot be partitioned by a column of type") as caught:
        make_sink(tmp_path, partition_by=["k"]).prepare(pl.Schema({"k": dtype, "v": pl.Int8}))
    assert caught.value.where == "silver.t.k"


def test_partition_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="cannot be partitioned by a column of type unknown"):
        make_sink(tmp_path, partition_by=["k"]).prepare(pl.Schema({"v": pl.Int8}))


def test_partitions_of_every_fit_type_are_read_back_by_independent_readers(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {"t": ["x", None], "b": [True, None], "n": [-5, None], "d": [date(2026, 1, 2), None], "id": [1, 2]},
        schema_overrides={"n": pl.Int16},
    )
    append(make_sink(tmp_path, partition_by=["t", "b", "n", "d"]), 0, rows)
    assert pl.read_delta(str(tmp_path)).sort("id").select(rows.columns).rows() == rows.rows()
    arrow = DeltaTable(tmp_path).to_pyarrow_dataset().to_table().sort_by("id").select(rows.columns).to_pylist()
    assert arrow == rows.to_dicts()
    assert [(row["t"], row["n"], row["id"]) for row in sorted(table_rows(tmp_path), key=lambda row: row["id"])] == [
        ("x", "-5", 1), (None, None, 2),
    ]  # fmt: skip


def test_timestamp_without_zone_raises_the_protocol_of_a_new_table(tmp_path: Path) -> None:
    append(make_sink(tmp_path), 0, pl.DataFrame({"at": [datetime(2026, 1, 1)]}))
    assert actions(tmp_path, 0)["protocol"] == {
        "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["timestampNtz"],
        "writerFeatures": ["timestampNtz"],
    }  # fmt: skip
    assert pl.read_delta(str(tmp_path)).rows() == [(datetime(2026, 1, 1),)]


def test_timestamp_without_zone_raises_the_protocol_of_an_old_table_in_the_same_version(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, ROWS)
    nested = pl.DataFrame({"id": [3], "s": [[{"at": datetime(2026, 1, 1)}]]})
    append(sink, 1, nested)
    assert actions(tmp_path, 1)["protocol"] == {
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": ["timestampNtz"],
        "writerFeatures": ["appendOnly", "invariants", "timestampNtz"],
    }
    append(sink, 2, nested)
    append(make_sink(tmp_path), 3, nested)
    assert "protocol" not in actions(tmp_path, 2) | actions(tmp_path, 3)
    assert DeltaTable(tmp_path).version() == 3


def test_timestamp_without_zone_keeps_the_features_that_a_table_has(tmp_path: Path) -> None:
    append(make_sink(tmp_path), 0, ROWS)
    DeltaTable(tmp_path).alter.add_feature(
        deltalake.TableFeatures.DeletionVectors, allow_protocol_versions_increase=True
    )
    append(make_sink(tmp_path), 1, pl.DataFrame({"at": [datetime(2026, 1, 1)]}))
    protocol = actions(tmp_path, 2)["protocol"]
    assert {"deletionVectors", "timestampNtz"} <= set(protocol["readerFeatures"])
    assert {"deletionVectors", "timestampNtz"} <= set(protocol["writerFeatures"])


def test_timestamp_without_zone_is_refused_by_a_table_between_the_protocols(tmp_path: Path) -> None:
    append(make_sink(tmp_path), 0, ROWS)
    text = log_file(tmp_path, 0).read_text().replace('"minWriterVersion":2', '"minWriterVersion":4')
    log_file(tmp_path, 0).write_text(text)
    staged = attempt(make_sink(tmp_path), 1, pl.DataFrame({"at": [datetime(2026, 1, 1)]}))
    with pytest.raises(SinkError, match="protocol cannot take timestamps without zone") as caught:
        staged.commit()
    assert "cast them to timestamp(UTC)" in caught.value.hint


def test_column_that_is_only_named_like_the_type_raises_no_protocol(tmp_path: Path) -> None:
    append(make_sink(tmp_path), 0, pl.DataFrame({"timestamp_ntz": [1], "s": [{"timestamp_ntz": "x"}]}))
    assert actions(tmp_path, 0)["protocol"] == {"minReaderVersion": 1, "minWriterVersion": 2}


def strict_table(root: Path) -> None:
    fields = [Field("k", TEXT, nullable=False), Field("id", LONG, nullable=False), Field("name", TEXT)]
    DeltaTable.create(root, Schema(fields), partition_by=["k"])


def test_columns_that_forbid_nulls_take_values(tmp_path: Path) -> None:
    strict_table(tmp_path)
    assert append(make_sink(tmp_path, partition_by=["k"]), 0, pl.DataFrame({"k": ["x"], "id": [1]})) == 1


@pytest.mark.parametrize(
    ("rows", "where"),
    [
        (pl.DataFrame({"k": ["x"], "id": [None], "name": ["n"]}), "id"),
        (pl.DataFrame({"k": ["x"], "name": ["n"]}), "id"),
        (pl.DataFrame({"k": ["x", None], "id": [1, 2]}), "k"),
    ],
)
def test_columns_that_forbid_nulls_refuse_them(tmp_path: Path, rows: pl.DataFrame, where: str) -> None:
    strict_table(tmp_path)
    staged = attempt(make_sink(tmp_path, partition_by=["k"]), 0, rows)
    with pytest.raises(SinkError, match="the table forbids nulls in this column") as caught:
        staged.commit()
    assert caught.value.where == where
    assert DeltaTable(tmp_path).version() == 0
