"""Sessions with rules: a visit ends with a purchase, or when its visitor was silent for half an hour."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from etl import Batch

SILENCE = timedelta(minutes=30)


def sessions(rows: pl.DataFrame, state: pl.DataFrame, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the visits that have ended; remember those that go on."""
    clicks = rows.select(
        "visitor", started_at="at", seen_at="at", pages=pl.lit(1, pl.Int64), is_purchase=pl.col("page") == "thanks"
    )
    going_on = state.join(batch.expired, on="visitor", how="anti").with_columns(is_purchase=False)
    was_purchase = pl.col("is_purchase").shift().over("visitor")
    was_silent = pl.col("started_at") - pl.col("seen_at").shift().over("visitor") >= SILENCE
    visits = (
        pl.concat([going_on, clicks])
        .with_columns(number=(was_purchase | was_silent).fill_null(value=False).cum_sum().over("visitor"))
        .group_by("visitor", "number", maintain_order=True)
        .agg(pl.col("started_at").min(), pl.col("seen_at").max(), pl.col("pages").sum(), pl.col("is_purchase").any())
        .with_columns(is_last=pl.col("number") == pl.col("number").max().over("visitor"))
    )
    goes_on = pl.col("is_last") & ~pl.col("is_purchase")
    ended_by = pl.when("is_purchase").then(pl.lit("purchase")).otherwise(pl.lit("silence"))
    ended = visits.filter(~goes_on).select(*state.columns, ended_by=ended_by)
    expired = state.join(batch.expired, on="visitor").with_columns(ended_by=pl.lit("silence"))
    return pl.concat([expired, ended]), visits.filter(goes_on).select(state.columns)
