from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

PRICES = pl.DataFrame(
    {
        "sku": ["a", "a", "a", "b", None, "a"],
        "at": [5, 1, 3, 2, 0, None],
        "price": [50, 10, 30, 20, 99, 98],
    }
)
NOON = datetime(2024, 1, 2, 12, tzinfo=UTC)
SALES = pl.DataFrame({"sku": ["a", "a", "a", "b", "c", None, "a"], "at": [4, 0, 5, 9, 3, 3, None]})


@pytest.fixture
def prices(tmp_path: Path) -> Any:
    """Return what writes a frame as the static table ``prices.parquet``."""

    def written(frame: pl.DataFrame = PRICES) -> None:
        frame.write_parquet(tmp_path / "prices.parquet")

    written()
    return written


def options(**more: Any) -> dict[str, Any]:
    return {"path": "prices.parquet", "on": "sku", "how": "asof", "asof": {"column": "at", **more}}


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({}, [30, None, 50, 20, None, None, None]),
        ({"direction": "forward"}, [50, 10, 50, None, None, None, None]),
        ({"direction": "nearest"}, [50, 10, 50, 20, None, None, None]),
        ({"tolerance": 6}, [30, None, 50, None, None, None, None]),
        ({"tolerance": 0, "direction": "nearest"}, [None, None, 50, None, None, None, None]),
    ],
)
@pytest.mark.usefixtures("prices")
def test_asof_finds_the_nearest_row_of_the_same_keys_and_keeps_every_row_in_its_place(
    apply: Any, more: dict[str, Any], found: list[Any]
) -> None:
    rows, counts = apply("join", options(**more), SALES)

    assert rows.select("sku", "at").equals(SALES)
    assert rows["price"].to_list() == found
    assert counts == {}


@pytest.mark.usefixtures("prices")
def test_asof_without_keys_looks_at_all_rows(apply: Any) -> None:
    rows, _ = apply("join", options() | {"on": [], "columns": {"price": "price", "sku": "of"}}, SALES)

    assert rows.select("price", "of").rows()[:2] == [(30, "a"), (99, None)]


def test_asof_keeps_the_last_of_rows_at_one_place_whatever_their_order(apply: Any, prices: Any) -> None:
    twice = pl.DataFrame({"sku": ["a", "a"], "at": [1, 1], "price": [7, 9]})

    for frame in (twice, twice.reverse()):
        prices(frame)
        for direction in ("backward", "forward", "nearest"):
            rows, _ = apply("join", options(direction=direction), SALES.filter(pl.col("at") < 2, sku="a"))
            assert rows["price"].to_list() == ([None] if direction == "backward" else [9])


@pytest.mark.parametrize("sale", [NOON.replace(tzinfo=None), NOON, date(2024, 1, 3)])
@pytest.mark.parametrize("price", [NOON.replace(hour=11, tzinfo=None), NOON.replace(hour=11), date(2024, 1, 2)])
def test_asof_compares_moments_of_any_kind(apply: Any, prices: Any, sale: Any, price: Any) -> None:
    prices(pl.DataFrame({"sku": ["a"], "since": [price], "price": [1]}))
    sales = pl.DataFrame({"sku": ["a"], "at": [sale]})

    rows, _ = apply("join", options(other="since"), sales)

    assert rows.rows() == [("a", sale, price, 1)]
    assert apply("join", options(other="since", tolerance="1h"), sales)[0]["price"].to_list() == [
        1 if (type(sale), type(price)) == (datetime, datetime) else None
    ]


def test_asof_takes_no_number_that_is_none(apply: Any, prices: Any) -> None:
    prices(pl.DataFrame({"sku": ["a", "a"], "at": [1.5, float("nan")], "price": [1, 2]}))
    sales = pl.DataFrame({"sku": ["a", "a"], "at": [float("nan"), 2.0]})

    assert apply("join", options(), sales)[0]["price"].to_list() == [None, 1]


@pytest.mark.parametrize(
    ("kind", "more", "message"),
    [
        (pl.String, {}, "they cannot be compared"),
        (pl.Datetime("us"), {}, "they cannot be compared"),
        (pl.UInt64, {}, "they cannot be compared"),
        (pl.Int64, {"tolerance": "1h"}, "tolerance: not a number"),
        (pl.Int64, {"column": "gone"}, "unknown column 'gone'"),
        (pl.Int64, {"other": "gone"}, "the static table has no column 'gone'"),
    ],
)
@pytest.mark.usefixtures("prices")
def test_asof_refuses_what_cannot_be_compared(refuse: Any, kind: Any, more: dict[str, Any], message: str) -> None:
    assert message in refuse("join", options(**more), {"sku": pl.String, "at": kind}).message


def test_asof_refuses_a_distance_between_moments_without_a_unit(refuse: Any, prices: Any) -> None:
    prices(pl.DataFrame({"sku": ["a"], "at": [date(2024, 1, 1)], "price": [1]}))

    refused = refuse("join", options(tolerance=5), {"sku": pl.String, "at": pl.Date})

    assert refused.message == "tolerance: not a duration; write 500ms, 30s, 5m, 2h or 7d"


def test_asof_passes_over_columns_that_have_no_order(apply: Any, tmp_path: Path) -> None:
    (tmp_path / "prices.ndjson").write_text(json.dumps({"sku": "a", "at": 1, "tags": ["x"], "of": {"b": 1}}) + "\n")

    rows, _ = apply("join", options() | {"path": "prices.ndjson"}, SALES.head(1))

    assert rows.rows() == [("a", 4, ["x"], {"b": 1})]
