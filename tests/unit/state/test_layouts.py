"""Which columns of state can serve a changed definition."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from etl.errors import StateError
from etl.state.contract import TableLayout
from etl.state.layouts import holds, kept_layout, layout_from_json, layout_to_json, refuse_other_layout

MOMENT = pl.Datetime("us", "UTC")
STORED = TableLayout({"k": pl.Int32()}, {"v": pl.Float32(), "at": MOMENT}, {"p": pl.Int8()}, "at", 1_000)


def layout(**changes: Any) -> TableLayout:
    given = {"keys": STORED.keys, "values": STORED.values, "part": STORED.part, "expires": "at", **changes}
    return TableLayout(given["keys"], given["values"], given["part"], given["expires"])


def test_a_layout_is_read_back_from_its_record() -> None:
    body = layout_to_json(STORED, where="x")
    assert body == {
        "keys": {"k": "int32"},
        "part": {"p": "int8"},
        "values": {"v": "float32", "at": "timestamp(UTC)"},
        "expires": "at",
        "bucket_us": 1_000,
    }
    assert layout_from_json(body) == STORED


@pytest.mark.parametrize(
    "wanted",
    [
        layout(),
        layout(keys={"k": pl.Int64()}),
        layout(part={"p": pl.Int64()}),
        layout(values={"at": MOMENT, "v": pl.Float64()}),
        layout(values={"at": MOMENT}),
        layout(values={**STORED.values, "new": pl.List(pl.String())}),
    ],
    ids=["same", "wider key", "wider part", "wider value", "left out", "new column"],
)
def test_wider_types_new_columns_and_fewer_are_served(wanted: TableLayout) -> None:
    refuse_other_layout(STORED, wanted, where="state/t")


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (layout(keys={"k": pl.Int16()}), "k was int32 and is int16 now"),
        (layout(keys={"k": pl.String()}), "k was int32 and is string now"),
        (layout(keys={"other": pl.Int32()}), "its keys were (k) and are (other) now"),
        (layout(part={}), "what tells the rows of a key apart were (p) and are () now"),
        (layout(values={"at": MOMENT, "v": pl.String()}), "v was float32 and is string now"),
        (layout(expires=None), "rows left by at, and by nothing now"),
    ],
)
def test_anything_else_is_refused_by_name(wanted: TableLayout, told: str) -> None:
    with pytest.raises(StateError, match="its definition changed") as caught:
        refuse_other_layout(STORED, wanted, where="state/t")
    assert told in caught.value.message
    assert "--full-refresh" in caught.value.hint


def test_a_nested_key_is_refused() -> None:
    with pytest.raises(StateError, match="rows cannot be found by k: it is list<int64>"):
        kept_layout(layout(keys={"k": pl.List(pl.Int64())}), where="state/t")


def test_a_type_that_no_table_keeps_is_refused() -> None:
    with pytest.raises(StateError, match="v: type Duration"):
        kept_layout(layout(values={"v": pl.Duration(), "at": MOMENT}), where="state/t")


def test_moments_are_kept_in_microseconds() -> None:
    assert kept_layout(layout(keys={"k": pl.Datetime("ms")}), where="x").keys == {"k": pl.Datetime("us")}


@pytest.mark.parametrize(
    ("known", "found", "expected"),
    [
        ({"struct": {"a": "int64"}}, {"struct": {"a": "int8"}}, True),
        ({"struct": {"a": "int64", "b": "string"}}, {"struct": {"a": "int64"}}, False),
        ({"list": "string"}, "string", False),
        ("decimal(12,2)", "decimal(10,2)", True),
        ("string", "null", True),
    ],
)
def test_a_type_holds_another(known: Any, found: Any, expected: bool) -> None:
    assert holds(known, found) is expected
