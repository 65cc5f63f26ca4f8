"""An online model: logistic regression that scores each payment, then learns from it, one step a batch and merchant."""

from __future__ import annotations

import numpy as np
import polars as pl

from etl import Batch

RATE = 0.5


def score(rows: pl.DataFrame, state: pl.DataFrame, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return each payment with its probability of a refund, as it was known before the batch."""
    del batch
    known = rows.join(state, on="merchant", how="left", maintain_order="left").with_columns(
        pl.col("bias", "weight").fill_null(0.0), pl.col("seen").fill_null(0)
    )
    features = known["amount"].to_numpy() / 100
    chance = 1 / (1 + np.exp(-(known["bias"].to_numpy() + known["weight"].to_numpy() * features)))
    error = known["refunded"].cast(pl.Float64).to_numpy() - chance
    learnt = (
        known.with_columns(by_bias=pl.Series(error), by_weight=pl.Series(error * features))
        .group_by("merchant", maintain_order=True)
        .agg(
            bias=pl.col("bias").first() + RATE * pl.col("by_bias").mean(),
            weight=pl.col("weight").first() + RATE * pl.col("by_weight").mean(),
            seen=pl.col("seen").first() + pl.len(),
        )
    )
    return rows.with_columns(chance=pl.Series(chance, dtype=pl.Float64)), learnt
