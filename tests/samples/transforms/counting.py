"""The smallest function with state: how many rows of each key there were."""

from __future__ import annotations

import polars as pl

from etl import Batch


def seen(rows: pl.DataFrame, state: pl.DataFrame, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the count of each key that occurs or has expired; remember that of those that go on."""
    counted = pl.concat([state, rows.select("id", n=pl.lit(1, pl.Int64))]).group_by("id").agg(pl.col("n").sum())
    return counted, counted.join(batch.expired, on="id", how="anti", nulls_equal=True)
