"""The canonical type tree and its forms in Polars and Arrow."""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from etl.errors import ConfigError
from etl.model import Schema
from etl.schema import MAX_DEPTH, format_type, from_arrow, from_polars, leaves, to_arrow, to_polars

EVERY: Schema = {
    "s": "string",
    "i": "int8",
    "u": "uint64",
    "f": "float32",
    "b": "boolean",
    "d": "date",
    "t": "timestamp",
    "z": "timestamp(UTC)",
    "c": "time",
    "m": "decimal(18,2)",
    "y": "binary",
    "n": "null",
    "l": {"list": {"list": "int64"}},
    "r": {"struct": {"a": "int64", "b": {"list": "timestamp(UTC)"}}},
}


def test_polars_form_counts_microseconds_and_keeps_column_order() -> None:
    expected: dict[str, Any] = {
        "s": pl.String,
        "i": pl.Int8,
        "u": pl.UInt64,
        "f": pl.Float32,
        "b": pl.Boolean,
        "d": pl.Date,
        "t": pl.Datetime("us"),
        "z": pl.Datetime("us", "UTC"),
        "c": pl.Time,
        "m": pl.Decimal(18, 2),
        "y": pl.Binary,
        "n": pl.Null,
        "l": pl.List(pl.List(pl.Int64)),
        "r": pl.Struct({"a": pl.Int64, "b": pl.List(pl.Datetime("us", "UTC"))}),
    }
    assert to_polars(EVERY) == pl.Schema(expected)
    assert list(to_polars(EVERY)) == list(EVERY)


def test_polars_form_turns_back_into_the_same_schema() -> None:
    assert from_polars(to_polars(EVERY)) == EVERY


def test_arrow_form_turns_back_into_the_same_schema() -> None:
    assert from_arrow(to_arrow(EVERY)) == EVERY
    assert to_arrow(EVERY).field("z").type == pa.timestamp("us", "UTC")


def test_arrow_form_becomes_the_polars_form() -> None:
    assert pl.DataFrame(to_arrow(EVERY).empty_table()).schema == to_polars(EVERY)


@pytest.mark.parametrize(
    "dtype", [pl.Datetime("ns"), pl.Datetime("us", "Europe/Berlin"), pl.Duration("us"), pl.Categorical(), pl.Int128()]
)
def test_polars_type_that_no_table_keeps_is_refused_by_column(dtype: pl.DataType) -> None:
    with pytest.raises(ConfigError, match=r"^r\.x: type .* cannot be kept in a table"):
        from_polars(pl.Schema({"r": pl.Struct({"x": dtype})}))


def test_millisecond_timestamps_of_polars_are_timestamps() -> None:
    assert from_polars(pl.Schema({"t": pl.Datetime("ms", "UTC")})) == {"t": "timestamp(UTC)"}


@pytest.mark.parametrize(
    ("dtype", "tree"),
    [
        (pa.large_string(), "string"),
        (pa.string_view(), "string"),
        (pa.binary(4), "binary"),
        (pa.dictionary(pa.int32(), pa.string()), "string"),
        (pa.timestamp("ns", "Europe/Berlin"), "timestamp(UTC)"),
        (pa.time32("s"), "time"),
        (pa.float16(), "float32"),
        (pa.large_list(pa.int32()), {"list": "int32"}),
    ],
)
def test_arrow_variants_are_their_plain_types(dtype: pa.DataType, tree: object) -> None:
    assert from_arrow(pa.schema([("x", dtype)])) == {"x": tree}


def test_arrow_type_that_is_not_supported_is_refused_with_file_and_column() -> None:
    with pytest.raises(ConfigError, match=r"^f\.parquet: x: type duration\[s\] is not supported"):
        from_arrow(pa.schema([("x", pa.duration("s"))]), where="f.parquet")


def test_nesting_deeper_than_the_bound_is_refused() -> None:
    dtype = pa.int64()
    for _ in range(MAX_DEPTH + 1):
        dtype = pa.list_(dtype)
    with pytest.raises(ConfigError, match="nest deeper than 64 levels"):
        from_arrow(pa.schema([("x", dtype)]))


def test_format_quotes_field_names_that_are_not_words() -> None:
    assert format_type({"struct": {"a b": "int64", "é": {"list": "null"}}}) == 'struct{"a b": int64, é: list<null>}'


def test_leaves_are_the_scalar_types_in_order() -> None:
    assert leaves({"struct": {"a": {"list": "int64"}, "b": "date"}}) == ["int64", "date"]
