from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import polars as pl

from etl.operations.multisets import as_stored, digests

ROWS = pl.DataFrame(
    {
        "id": [1, 2, 2, None],
        "text": ["a", None, "", "é"],
        "price": [Decimal("1.10"), None, Decimal("0.00"), Decimal("-1.10")],
        "at": [datetime(2026, 1, 1, tzinfo=UTC), None, None, None],
        "tags": [["x"], [], None, ["x", None]],
        "point": [{"x": 1, "y": None}, None, {"x": None, "y": 1.5}, {"x": 1, "y": float("nan")}],
    },
    schema_overrides={"price": pl.Decimal(18, 2)},
)


def test_a_multiset_does_not_depend_on_order_columns_or_chunks() -> None:
    other = pl.concat([ROWS[2:], ROWS[:2]], rechunk=False).select(reversed(ROWS.columns))

    assert digests(ROWS.lazy()) == digests(other.lazy())


def test_a_multiset_counts_how_often_a_row_occurs() -> None:
    once = pl.LazyFrame({"id": [1, 2]})
    twice = pl.LazyFrame({"id": [1, 2, 2]})
    other = pl.LazyFrame({"id": [1, 1, 2]})

    assert len({str(digests(rows)) for rows in (once, twice, other)}) == 3
    assert digests(twice)[()][0] == 3


def test_every_value_of_every_column_counts() -> None:
    whole = digests(ROWS.lazy())
    changed = [
        ROWS.with_columns(pl.when(pl.col("id") == 1).then(9).otherwise("id").alias("id")),
        ROWS.with_columns(text=pl.col("text").fill_null("")),
        ROWS.with_columns(price=pl.col("price").fill_null(0)),
        ROWS.with_columns(tags=pl.col("tags").list.reverse()),
        ROWS.with_columns(point=pl.struct(x=pl.col("point").struct.field("x"), y=pl.lit(None, pl.Float64))),
    ]

    assert all(digests(frame.lazy()) != whole for frame in changed)


def test_multisets_by_column_hold_the_rows_of_each_value() -> None:
    found = digests(ROWS.lazy(), ["id"])

    assert {key: rows[0] for key, rows in found.items()} == {(1,): 1, (2,): 2, (None,): 1}
    assert found[(1,)] == digests(ROWS[:1].lazy())[()]


def test_no_rows_are_nothing() -> None:
    assert digests(ROWS[:0].lazy()) == {}
    assert digests(ROWS[:0].lazy(), ["id"]) == {}


def test_rows_are_fitted_to_the_columns_and_types_of_a_table() -> None:
    rows = pl.LazyFrame({"id": [1], "gone": ["x"]}, schema_overrides={"id": pl.Int32})
    found = as_stored(rows, {"id": pl.Float64(), "new": pl.String()}).collect()

    assert found.to_dicts() == [{"id": 1.0, "new": None}]
    assert found.schema == {"id": pl.Float64, "new": pl.String}
