"""A stateful step of a function that is written where the test stands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import polars as pl

from etl.transforms.contract import TransformSite
from etl.transforms.stateful import KeyedFunction

Make = Callable[..., KeyedFunction]

SUMS = """
    def f(rows, state, batch):
        total = pl.concat([
            state.select("card", amount="total"), rows.select("card", "amount")
        ]).group_by("card").agg(total=pl.col("amount").sum())
        return rows.join(total, on="card", nulls_equal=True).select("card", "id", "total"), total
"""
"""The running sum of each card, beside each row."""


def step_in(folder: Path, body: str, site: dict[str, Any] | None = None, **options: Any) -> KeyedFunction:
    (folder / "transforms").mkdir(exist_ok=True)
    (folder / "transforms" / "cards.py").write_text(f"import polars as pl\n{dedent(body)}")
    chosen = {"python": "cards:f", "keys": ["card"], "state_schema": {"total": "int64"}, **options}
    return KeyedFunction(KeyedFunction.options_model.model_validate(chosen), TransformSite(folder, 2, **(site or {})))


TIMED = {"has_watermark": True, "time_column": "at"}


def rows(*found: tuple[str | None, int, int | None]) -> pl.DataFrame:
    """Return rows of (card, minute, amount) of one file; their ids count up."""
    start = datetime(2024, 3, 5, tzinfo=UTC).replace(tzinfo=None)
    return pl.DataFrame(
        {
            "card": [card for card, _, _ in found],
            "at": [start + timedelta(minutes=minute) for _, minute, _ in found],
            "amount": [amount for _, _, amount in found],
            "id": range(len(found)),
            "_source_file": ["a"] * len(found),
            "_source_offset": range(len(found)),
        },
        schema={
            "card": pl.String,
            "at": pl.Datetime("us"),
            "amount": pl.Int64,
            "id": pl.Int64,
            "_source_file": pl.String,
            "_source_offset": pl.Int64,
        },
    )
