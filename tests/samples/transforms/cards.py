"""Fraud rules over a card's last hour: too many payments, too much money, two countries at once."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from etl import Batch

HOUR = timedelta(hours=1)


def fraud(rows: pl.DataFrame, state: pl.DataFrame, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the payments that break a rule; remember of each card the payments of its last hour."""
    del batch  # a card that has expired is forgotten without a word
    new = rows.select("card", last=pl.struct("at", "amount", "country"))
    known = state.explode("last").with_columns(is_new=False)
    payments = (
        pl.concat([known, new.with_columns(is_new=True)])
        .unnest("last")
        .sort("card", "at", maintain_order=True)
        .with_columns(one=1, place=pl.col("country").rank("dense"))
    )
    judged = payments.with_columns(
        payments=pl.col("one").rolling_sum_by("at", "1h").over("card"),
        spent=pl.col("amount").rolling_sum_by("at", "1h").over("card"),
        first=pl.col("place").rolling_min_by("at", "1h").over("card"),
        last=pl.col("place").rolling_max_by("at", "1h").over("card"),
    )
    rule = (
        pl.when(pl.col("first") < pl.col("last"))
        .then(pl.lit("two countries"))
        .when(pl.col("payments") > 3)
        .then(pl.lit("many payments"))
        .when(pl.col("spent") > 1000)
        .then(pl.lit("much money"))
    )
    alerts = judged.with_columns(rule=rule).filter("is_new", pl.col("rule").is_not_null())
    recent = payments.filter(pl.col("at") > pl.col("at").max().over("card") - HOUR)
    kept = recent.group_by("card", maintain_order=True).agg(last=pl.struct("at", "amount", "country"))
    return alerts.select("card", "at", "amount", "rule"), kept
