"""Every pair comes out once, and every row without a partner, wherever batches are cut and however late rows come."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.transforms import TRANSFORMS
from etl.transforms.contract import TransformSite
from tests.stepping import Clock, Walk, assert_ahead, assert_same, cut, walk

ORDERS = pl.Schema({"order": pl.String(), "at": pl.Datetime("us"), "item": pl.Int64(), "_source_file": pl.String()})
REFUNDS = pl.Schema({"of": pl.String(), "at": pl.Datetime("us"), "refund": pl.Int64(), "_source_file": pl.String()})
MINUTE_US = 60_000_000

Rows = list[tuple[str | None, int]]
ROW = st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 30))
PLACES = st.lists(st.integers(0, 12), min_size=3, max_size=3)


def frame(rows: Rows, schema: pl.Schema) -> pl.DataFrame:
    """Return rows of key and minute, numbered."""
    start = datetime(2024, 3, 5)  # noqa: DTZ001  without a zone
    told = [(key, start + timedelta(minutes=minute), number, "f") for number, (key, minute) in enumerate(rows)]
    return pl.DataFrame(told, schema=schema, orient="row")


def joined(how: str, batches: list[tuple[pl.DataFrame, ...]], bounds: tuple[int, int], clock: Clock | None) -> Walk:
    before, after = bounds
    within = {"column": "at", "other": "at", "before": f"{before}m", "after": f"{after}m"}
    kind: Any = TRANSFORMS["join_stream"]
    options = kind.options_model.model_validate(
        {"with": "refunds", "on": {"order": "of"}, "how": how, "within": within}
    )
    return walk([kind(options, TransformSite(Path(), 0, has_watermark=clock is not None))], batches, clock)


def accepted(rows: pl.DataFrame, late: list[pl.DataFrame], name: str) -> pl.DataFrame:
    """Return the rows that were not late, with their event time in microseconds."""
    gone = [number for part in late if name in part.columns for number in part[name]]
    return rows.filter(~pl.col(name).is_in(gone)).with_columns(us=pl.col("at").dt.epoch("us")).drop("_source_file")


def expected(query: str, orders: pl.DataFrame, refunds: pl.DataFrame) -> pl.DataFrame:
    with duckdb.connect() as con:
        con.register("orders", orders)
        con.register("refunds", refunds)
        return pl.DataFrame(con.sql(query))


def query(how: str, bounds: tuple[int, int], upto_us: int | None) -> str:
    """Return what must have come out when the watermark is at ``upto_us``."""
    before_us, after_us = (minutes * MINUTE_US for minutes in bounds)
    upto = -1 if upto_us is None else upto_us
    match = f'o."order" = r."of" AND r.us BETWEEN o.us - {before_us} AND o.us + {after_us}'
    if how == "semi":
        return f"SELECT * EXCLUDE (us) FROM orders o WHERE EXISTS (SELECT 1 FROM refunds r WHERE {match})"
    no_partner = f"""(r.refund IS NULL AND o.us + {after_us} <= {upto})
        OR (o.item IS NULL AND r.us + {before_us} <= {upto})"""
    return f"""SELECT coalesce(o."order", r."of") AS "order", o.at, o.item, r.at AS at_refunds, r.refund
        FROM orders o {how} JOIN refunds r ON {match}
        WHERE (o.item IS NOT NULL AND r.refund IS NOT NULL) OR {no_partner}
           OR (r.refund IS NULL AND o."order" IS NULL) OR (o.item IS NULL AND r."of" IS NULL)"""


@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("how", ["inner", "left", "right", "full", "semi"])
@given(
    left=st.lists(ROW, max_size=12),
    right=st.lists(ROW, max_size=12),
    places=st.tuples(PLACES, PLACES),
    bounds=st.tuples(st.integers(0, 5), st.integers(0, 8)),
    delay=st.integers(0, 10),
)
def test_a_join_gives_what_sql_gives_over_all_rows_that_were_not_late(
    how: str, left: Rows, right: Rows, places: tuple[list[int], list[int]], bounds: tuple[int, int], delay: int
) -> None:
    orders, refunds = frame(left, ORDERS), frame(right, REFUNDS)
    batches = list(zip(cut(orders, places[0]), cut(refunds, places[1]), strict=True))

    found = joined(how, [*batches], bounds, Clock(("at", "at"), delay * MINUTE_US))

    kept = accepted(orders, found.late, "item"), accepted(refunds, found.late, "refund")
    assert_same(found.rows(), expected(query(how, bounds, found.watermarks[-1]), *kept))
    for column in {"at", "at_refunds"} & set(found.rows().columns):
        assert_ahead(found, column, max(bounds) * MINUTE_US)


@settings(max_examples=40, deadline=None)
@given(left=st.lists(ROW, max_size=12), right=st.lists(ROW, max_size=12), places=st.tuples(PLACES, PLACES))
def test_an_inner_join_without_a_watermark_finds_all_pairs(
    left: Rows, right: Rows, places: tuple[list[int], list[int]]
) -> None:
    orders, refunds = frame(left, ORDERS), frame(right, REFUNDS)
    batches = list(zip(cut(orders, places[0]), cut(refunds, places[1]), strict=True))

    found = joined("inner", [*batches], (2, 5), None)

    kept = accepted(orders, [], "item"), accepted(refunds, [], "refund")
    assert_same(found.rows(), expected(query("inner", (2, 5), None), *kept))
