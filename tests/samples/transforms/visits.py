"""Sessions with rules: a visit ends with a purchase, or when its visitor was silent for half an hour."""

from __future__ import annotations

import polars as pl

from etl import Batch


def sessions(rows: pl.DataFrame, state: pl.DataFrame, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the visits that have ended; remember those that go on."""
    silent = state.join(batch.expired, on="visitor").with_columns(ended_by=pl.lit("silence"))
    going_on = state.join(batch.expired, on="visitor", how="anti")
    clicks = rows.select(
        "visitor", started_at="at", seen_at="at", pages=pl.lit(1, pl.Int64), is_end=pl.col("page") == "thanks"
    )
    steps = pl.concat([going_on.with_columns(is_end=False), clicks])
    number = pl.col("is_end").cast(pl.Int64).cum_sum().over("visitor") - pl.col("is_end").cast(pl.Int64)
    visits = (
        steps.with_columns(number=number)
        .group_by("visitor", "number", maintain_order=True)
        .agg(
            pl.col("started_at").min(),
            pl.col("seen_at").max(),
            pl.col("pages").sum(),
            pl.col("is_end").any(),
        )
        .drop("number")
    )
    bought = visits.filter("is_end").drop("is_end").with_columns(ended_by=pl.lit("purchase"))
    return pl.concat([silent, bought]), visits.filter(~pl.col("is_end")).drop("is_end")
