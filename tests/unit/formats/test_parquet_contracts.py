"""Parquet under every policy of the schema contract, and types that become wider."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from etl.errors import RowError, SchemaDriftError
from etl.schema_contract import RESCUE, STRICT, SchemaContract, Survey
from tests.unit.formats.files import made, opener, parquet, read, survey

NEW = {"a": pa.array([1, 2]), "n": pa.array(["x", None])}


NEW_FIELD = {"a": pa.array([{"x": 1, "n": 2}, None])}


@pytest.mark.parametrize(
    ("columns", "schema", "path"),
    [(NEW, {"a": "int64"}, "n"), (NEW_FIELD, {"a": {"struct": {"x": "int64"}}}, "a.n")],
)
def test_new_column_or_field_follows_the_contract(columns: dict[str, Any], schema: Any, path: str) -> None:
    content = parquet(columns)
    with pytest.raises(SchemaDriftError):
        read("parquet", content, schema)
    assert survey("parquet", content, schema).schema != schema
    ignored = read("parquet", content, schema, SchemaContract("ignore"))
    assert (len(ignored.rows), ignored.rejects) == (2, [])
    quarantined = read("parquet", content, schema, STRICT)
    reason = f"columns that the schema lacks: {path}"
    assert (quarantined.rows, quarantined.faults) == ([], [(0, "new_column", reason), (1, "new_column", reason)])
    with pytest.raises(RowError, match=rf"^in/f: {reason}"):
        read("parquet", content, schema, SchemaContract("fail"))
    for contract in (SchemaContract("ignore"), STRICT, RESCUE):
        assert survey("parquet", content, schema, contract).schema == schema


@pytest.mark.parametrize(
    ("schema", "path"),
    [({"a": {"struct": {"x": "int64", "n": "int64"}}, "z": "date"}, "z"), ({"a": {"struct": {"z": "date"}}}, "a.z")],
)
def test_missing_column_or_field_follows_the_contract(schema: Any, path: str) -> None:
    content = parquet(NEW_FIELD)
    found = read("parquet", content, schema, SchemaContract("ignore", "widen", "quarantine"))
    reason = f"columns that the file lacks: {path}"
    assert (found.rows, found.faults) == ([], [(0, "missing_column", reason), (1, "missing_column", reason)])
    with pytest.raises(RowError, match=rf"^in/f: {reason}"):
        survey("parquet", content, schema, SchemaContract("ignore", "widen", "fail"))
    # a file of which no row passes has no part in the schema
    contract = SchemaContract("evolve", "widen", "quarantine")
    assert survey("parquet", content, schema, contract).schema == schema


@pytest.mark.parametrize(
    ("known", "array", "wider"),
    [
        ("int32", pa.array([1]), "int64"),
        ("int64", pa.array([1], pa.int32()), "int64"),
        ("int8", pa.array([1], pa.uint8()), "int16"),
        ("float32", pa.array([0.1]), "float64"),
        ("int64", pa.array([0.5]), "float64"),
        ("float64", pa.array([2**60]), "float64"),
        ("int16", pa.array([0.5], pa.float32()), "float32"),
        ("float32", pa.array([1]), "float64"),
        ("decimal(5,2)", pa.array([Decimal("1.123")]), "decimal(6,3)"),
        ("int64", pa.array([Decimal("1.50")]), "decimal(21,2)"),
        ("decimal(38,2)", pa.array([Decimal("1.123")]), "decimal(38,2)"),
        ("date", pa.array([1], pa.timestamp("us")), "timestamp"),
        ("timestamp", pa.array([date(2024, 1, 1)]), "timestamp"),
        ("date", pa.array([1], pa.timestamp("us", "UTC")), "date"),
        ("string", pa.array([1]), "string"),
        ("null", pa.array([1]), "int64"),
        ({"list": "int32"}, pa.array([[1]]), {"list": "int64"}),
        ({"struct": {"x": "int32"}}, pa.array([{"x": 1}]), {"struct": {"x": "int64"}}),
    ],
)
def test_type_is_widened_where_one_holds_both(known: Any, array: pa.Array, wider: Any) -> None:
    content = parquet({"a": array})
    assert survey("parquet", content, {"a": known}).schema == {"a": wider}
    if wider != known:
        with pytest.raises(SchemaDriftError):
            read("parquet", content, {"a": known})
    assert survey("parquet", content, {"a": known}, STRICT).schema == {"a": known}


def test_integers_too_large_for_floats_are_found_and_stay_integers() -> None:
    ints, floats = (
        parquet({"a": pa.array([2**53 + 1]), "l": pa.array([[-(2**60)]])}),
        parquet({"a": pa.array([1.5, 2.0])}),
    )
    first = survey("parquet", ints)
    assert first == Survey({"a": "int64", "l": {"list": "int64"}}, frozenset({"a", "l[]"}))
    second = survey("parquet", floats, first)
    assert second == first


def test_wide_integers_set_a_fraction_aside() -> None:
    file, known = opener(parquet({"a": pa.array([1.5, 2.0])})), Survey({"a": "int64"}, frozenset({"a"}))
    assert survey("parquet", file, known) == known
    (chunk,) = [chunk for task in made("parquet").tasks(file, known.schema, known.wide) for chunk in task()]
    assert chunk.frame.rows() == [(2,)]
    assert chunk.rejects["reason"].to_list() == ["column a: Float value 1.500000 was truncated converting to int64"]


def test_chunk_tells_which_integers_are_too_large_for_floats() -> None:
    file = opener(parquet({"a": pa.array([2**53 + 1]), "s": pa.array([{"x": -(2**60), "y": 5}])}))
    schema = {"a": "int64", "s": {"struct": {"x": "int64", "y": "int64"}}}
    (chunk,) = [chunk for task in made("parquet").tasks(file, schema) for chunk in task()]
    assert chunk.wide == {"a", "s.x"}
    (chunk,) = [chunk for task in made("parquet", STRICT).tasks(file, schema) for chunk in task()]
    assert chunk.wide == frozenset()
