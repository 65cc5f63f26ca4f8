"""A decision about each payment, from what its card did in the last hour."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from etl import Batch

HOUR = timedelta(hours=1)
MANY = 4
LARGE = 2000.0
SPENT = 3000.0


def decide(rows: pl.DataFrame, state: pl.DataFrame, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return every payment with its decision and the reason; remember the last hour of each card.

    ``approve``, ``review`` (a person looks at it) or ``decline``. Declined payments count as well: whoever tries ten
    times has tried ten times.
    """
    del batch  # a card that has expired is forgotten without a word
    new = rows.select("card", "payment_id", last=pl.struct("paid_at", "amount"))
    known = state.explode("last").select("card", pl.lit(None, pl.String).alias("payment_id"), "last")
    both = pl.concat([known, new]).unnest("last").with_columns(one=1)
    payments = both.sort("card", "paid_at", maintain_order=True)
    judged = payments.with_columns(
        within_hour=pl.col("one").rolling_sum_by("paid_at", "1h").over("card"),
        spent=pl.col("amount").rolling_sum_by("paid_at", "1h").over("card"),
    ).filter(pl.col("payment_id").is_not_null())
    decided = judged.with_columns(
        decision=pl.when((pl.col("within_hour") > MANY) & (pl.col("spent") > SPENT))
        .then(pl.lit("decline"))
        .when((pl.col("within_hour") > MANY) | (pl.col("amount") > LARGE))
        .then(pl.lit("review"))
        .otherwise(pl.lit("approve")),
        reason=pl.format("{} payments, {} within an hour", "within_hour", pl.col("spent").round(2)),
    )
    recent = payments.filter(pl.col("paid_at") > pl.col("paid_at").max().over("card") - HOUR)
    kept = recent.group_by("card", maintain_order=True).agg(last=pl.struct("paid_at", "amount"))
    return decided.select("payment_id", "card", "paid_at", "amount", "decision", "reason"), kept
