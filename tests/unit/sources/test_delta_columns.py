"""How the reading schema follows the columns of a Delta table."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from etl.errors import SourceError
from etl.model import Schema
from etl.schema_contract import SchemaContract
from etl.sources.delta_schema import evolved
from tests.following import Follower

EVOLVE = SchemaContract()


def write(root: Path, frame: pl.DataFrame, *, is_new_schema: bool = False) -> None:
    mode, how = ("overwrite", "overwrite") if is_new_schema else ("append", "merge")
    write_deltalake(root / "table", frame, mode=mode, schema_mode=how)  # type: ignore[call-overload]


def test_columns_that_are_added_come_in_with_the_version_that_brings_them(tmp_path: Path) -> None:
    write(tmp_path, pl.DataFrame({"id": [1]}))
    follower = Follower(tmp_path)
    follower.rows()
    write(tmp_path, pl.DataFrame({"id": [2]}))
    write(tmp_path, pl.DataFrame({"id": [3], "note": ["x"]}))
    assert follower.rows() == [[(2, None), (3, "x")]]
    assert follower.known is not None
    assert follower.known.schema == {"id": "int64", "note": "string"}


def test_a_column_that_is_added_to_a_changing_table_stands_behind_the_others(tmp_path: Path) -> None:
    write(tmp_path, pl.DataFrame({"id": [1]}))
    follower = Follower(tmp_path, {"read": "changes", "primary_key": ["id"]})
    follower.rows()
    write(tmp_path, pl.DataFrame({"id": [3], "note": ["x"]}))
    assert follower.rows() == [[(3, "insert", "x")]]


def test_a_column_that_the_table_loses_is_null_from_then_on(tmp_path: Path) -> None:
    write(tmp_path, pl.DataFrame({"id": [1], "v": [1.5]}))
    follower = Follower(tmp_path, {"read": "changes", "primary_key": ["id"]})
    follower.rows()
    write(tmp_path, pl.DataFrame({"id": [1, 2]}), is_new_schema=True)
    assert follower.rows() == [[(1, None, "update"), (2, None, "insert")]]


def test_a_type_that_is_widened_is_followed_and_files_of_before_are_read_in_it(tmp_path: Path) -> None:
    write(tmp_path, pl.DataFrame({"id": [1], "v": pl.Series([1], dtype=pl.Int32)}))
    follower = Follower(tmp_path, {"read": "changes", "primary_key": ["id"]})
    follower.rows()
    write(tmp_path, pl.DataFrame({"id": [1, 2], "v": [1, 2**40]}), is_new_schema=True)
    assert follower.rows() == [[(2, 2**40, "insert")]]
    assert follower.known is not None
    assert follower.known.schema == {"id": "int64", "v": "int64", "_change": "string"}


def test_a_type_that_is_another_is_refused(tmp_path: Path) -> None:
    write(tmp_path, pl.DataFrame({"id": [1], "v": [1]}))
    follower = Follower(tmp_path, {"read": "changes", "primary_key": ["id"]})
    follower.rows()
    write(tmp_path, pl.DataFrame({"id": [1], "v": ["x"]}), is_new_schema=True)
    with pytest.raises(SourceError, match="column v: is string now, and was int64") as refused:
        follower.rows()
    assert "--full-refresh" in refused.value.hint


def test_columns_of_the_version_that_a_batch_ends_with_count(tmp_path: Path) -> None:
    write(tmp_path, pl.DataFrame({"id": [1]}))
    follower = Follower(tmp_path, {"starting": {"version": 0}, "on_rewrite": "skip"})
    planned = follower.plan()
    write(tmp_path, pl.DataFrame({"id": ["a"]}), is_new_schema=True)
    assert planned is not None
    assert follower.read(planned).rows() == [(1,)]


def test_nested_columns_are_read_by_the_names_of_their_fields(tmp_path: Path) -> None:
    write(tmp_path, pl.DataFrame({"id": [1], "s": [{"a": 1, "l": [{"x": 1}]}], "day": [date(2024, 1, 1)]}))
    follower = Follower(tmp_path)
    follower.rows()
    write(tmp_path, pl.DataFrame({"id": [2], "s": [{"a": 2, "l": [{"x": 2}], "b": "new"}], "day": [date(2024, 1, 2)]}))
    found = follower.take()
    assert found is not None
    assert found.rows() == [(2, {"a": 2, "l": [{"x": 2}], "b": "new"}, date(2024, 1, 2))]


@pytest.mark.parametrize(
    ("known", "found", "expected"),
    [
        ({"a": "int32"}, {"a": "int64"}, {"a": "int64"}),
        ({"a": "int64"}, {"a": "int32"}, {"a": "int64"}),
        ({"a": "int64"}, {"a": "float64"}, {"a": "float64"}),
        ({"a": "date"}, {"a": "timestamp"}, {"a": "timestamp"}),
        ({"a": {"list": "null"}}, {"a": {"list": "date"}}, {"a": {"list": "date"}}),
        ({"a": {"list": "int64"}}, {"a": {"list": "float64"}}, {"a": {"list": "float64"}}),
        (
            {"a": {"struct": {"x": "int64"}}},
            {"a": {"struct": {"x": "float64", "y": "date"}}},
            {"a": {"struct": {"x": "float64", "y": "date"}}},
        ),
        ({"a": "decimal(10,2)"}, {"a": "decimal(12,2)"}, {"a": "decimal(12,2)"}),
    ],
)
def test_types_meet_in_one_that_holds_both(known: Schema, found: Schema, expected: Schema) -> None:
    assert evolved(known, found, EVOLVE, "t") == expected


@pytest.mark.parametrize(
    ("contract", "known", "found", "told"),
    [
        (EVOLVE, {"a": "float64"}, {"a": "int64"}, "is int64 now, and was float64"),
        (EVOLVE, {"a": {"list": "date"}}, {"a": {"list": "string"}}, "is list<string> now"),
        (EVOLVE, {"a": {"struct": {"x": "date"}}}, {"a": {"struct": {"x": "string"}}}, "is struct"),
        (SchemaContract(type_change="fail"), {"a": "int32"}, {"a": "int64"}, "is int64 now, and was int32"),
        (SchemaContract(new_columns="fail"), {"a": "int32"}, {"a": "int32", "b": "date"}, "has a new column 'b'"),
        (SchemaContract(new_columns="ignore", missing_columns="fail"), {"a": "date"}, {}, "has no column 'a' any more"),
    ],
)
def test_what_the_contract_forbids_is_refused(
    contract: SchemaContract, known: Schema, found: Schema, told: str
) -> None:
    with pytest.raises(SourceError, match=told):
        evolved(known, found, contract, "t")


def test_new_columns_may_be_ignored() -> None:
    assert evolved({"a": "date"}, {"a": "date", "b": "date"}, SchemaContract(new_columns="ignore"), "t") == {
        "a": "date"
    }
