"""Rows as JSON read back as exactly the same values, of every type."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.model import Schema
from etl.row_json import decode_rows, encode_rows
from etl.schema import to_polars

SCHEMA: Schema = {
    "string": "string",
    "int8": "int8",
    "int64": "int64",
    "uint64": "uint64",
    "float32": "float32",
    "float64": "float64",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "zoned": "timestamp(UTC)",
    "time": "time",
    "decimal": "decimal(38,10)",
    "binary": "binary",
    "list": {"list": "date"},
    "struct": {"struct": {"a b": "int64", "é": {"list": {"struct": {"x": "decimal(5,2)"}}}}},
}
ROW: dict[str, Any] = {
    "string": 'é "x"\n\u2028 😀 \x00',
    "int8": -128,
    "int64": -(2**63),
    "uint64": 2**64 - 1,
    "float32": 0.5,
    "float64": 0.1,
    "boolean": False,
    "date": date(1, 1, 1),
    "timestamp": datetime.fromisoformat("9999-12-31T23:59:59.999999"),
    "zoned": datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC),
    "time": time(23, 59, 59, 999999),
    "decimal": Decimal("1234567890123456789012345678.0123456789"),
    "binary": b"\x00\xff",
    "list": [date(2026, 1, 1), None],
    "struct": {"a b": 1, "é": [{"x": Decimal("1.20")}, {"x": None}]},
}


def encoded(rows: list[dict[str, Any]], schema: Schema) -> list[bytes]:
    frame = pl.DataFrame(rows, schema=to_polars(schema))
    return encode_rows(frame.to_struct("row")).to_list()


def test_every_type_reads_back_as_it_was() -> None:
    nothing = dict.fromkeys(SCHEMA)
    rows = [ROW, nothing]
    frame = decode_rows(encoded(rows, SCHEMA), SCHEMA)
    assert frame.schema == to_polars(SCHEMA)
    expected = [ROW, nothing | {"struct": None}]
    assert frame.row(0, named=True) == expected[0]
    assert {name: value for name, value in frame.row(1, named=True).items() if name != "struct"} == {
        name: None for name in SCHEMA if name != "struct"
    }


def test_text_is_for_people() -> None:
    row = {
        "id": 1,
        "name": "é",
        "at": datetime.fromisoformat("2026-01-02T03:04:05"),
        "price": Decimal("1.20"),
        "raw": b"\xff",
    }
    schema: Schema = {"id": "int64", "name": "string", "at": "timestamp", "price": "decimal(5,2)", "raw": "binary"}
    assert encoded([row], schema) == [
        '{"id": 1, "name": "é", "at": "2026-01-02T03:04:05", "price": "1.20", "raw": "/w=="}'.encode()
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 1.7976931348623157e308])
def test_floats_read_back_to_the_bit(value: float) -> None:
    (raw,) = encoded([{"x": value}], {"x": "float64"})
    assert repr(decode_rows([raw], {"x": "float64"})["x"][0]) == repr(value)


def test_a_row_of_an_older_schema_lacks_columns() -> None:
    frame = decode_rows([b'{"id": 1}', b'{"new": "x"}'], {"id": "int64", "new": "string"})
    assert frame.rows() == [(1, None), (None, "x")]


def test_a_value_that_no_column_is_left_for_is_not_dropped() -> None:
    with pytest.raises(ValueError, match="no column gone is known any more"):
        decode_rows([b'{"id": 1, "gone": [1]}'], {"id": "int64"})


def test_fields_that_a_struct_lacks_are_null() -> None:
    schema: Schema = {"s": {"struct": {"a": "int64", "b": "date"}}}
    assert decode_rows([b'{"s": {"a": 1}}'], schema)["s"].to_list() == [{"a": 1, "b": None}]


def test_no_rows_have_columns() -> None:
    assert decode_rows([], SCHEMA).schema == to_polars(SCHEMA)
    assert encode_rows(pl.Series("row", [], dtype=pl.Struct({"a": pl.Int64()}))).dtype == pl.Binary


@pytest.mark.parametrize(
    ("raw", "tree"),
    [
        (b'{"x": "seven"}', "int64"),
        (b'{"x": 300}', "int8"),
        (b'{"x": "yesterday"}', "date"),
        (b'{"x": true}', "string"),
        (b"{x", "string"),
    ],
)
def test_a_value_of_another_type_is_refused(raw: bytes, tree: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_rows([raw], {"x": tree})


SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(st.characters(exclude_categories=["Cs"])),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "float64": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "date": st.dates(),
    "timestamp": st.datetimes(),
    "timestamp(UTC)": st.datetimes(timezones=st.just(UTC)),
    "time": st.times(),
    "decimal(10,3)": st.decimals(-9999999, 9999999, places=3),
    "binary": st.binary(),
}


@given(st.data())
def test_any_row_reads_back_as_it_was(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(sorted(SCALARS)), min_size=1, max_size=5))
    schema: Schema = {}
    row: dict[str, Any] = {}
    for number, kind in enumerate(kinds):
        values = st.none() | SCALARS[kind]
        shape = data.draw(st.sampled_from(["plain", "list", "struct"]))
        name = f"c{number}"
        if shape == "list":
            schema[name], row[name] = {"list": kind}, data.draw(st.none() | st.lists(values, max_size=3))
        elif shape == "struct":
            schema[name], row[name] = {"struct": {"f": kind}}, {"f": data.draw(values)}
        else:
            schema[name], row[name] = kind, data.draw(values)
    (raw,) = encoded([row], schema)
    json.loads(raw)
    assert decode_rows([raw], schema).row(0, named=True) == row
