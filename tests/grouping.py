"""``group_by`` from its YAML value, over small frames of events, without an engine."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from etl.transforms.contract import TransformSite
from etl.transforms.group_by import GroupBy
from tests.stepping import Clock, Walk, walk

MINUTE_US = 60_000_000
DAY = datetime(2024, 3, 5)  # noqa: DTZ001  naive on purpose


def step_of(value: dict[str, Any], **site: Any) -> GroupBy:
    """Return the transform, third in its list; ``site`` says what stands around it."""
    return GroupBy(GroupBy.options_model.model_validate(value), TransformSite(Path(), 2, **site))


def minute(number: int) -> datetime:
    return DAY + timedelta(minutes=number)


def events(*rows: tuple[int | None, str | None, Any], kind: Any = pl.Int64) -> pl.DataFrame:
    """Return rows of minute, user and value, in the order of one file."""
    times = [None if at is None else minute(at) for at, _, _ in rows]
    return pl.DataFrame(
        {
            "at": pl.Series(times, dtype=pl.Datetime("us")),
            "user": pl.Series([user for _, user, _ in rows], dtype=pl.String),
            "x": pl.Series([value for _, _, value in rows], dtype=kind),
            "_source_file": pl.Series(["f"] * len(rows), dtype=pl.String),
            "_source_offset": pl.Series(range(len(rows)), dtype=pl.Int64),
        }
    )


def values(*found: Any, kind: Any = pl.Int64) -> pl.DataFrame:
    """Return rows of one user, a minute apart."""
    return events(*((at, "a", value) for at, value in enumerate(found)), kind=kind)


def aggregated(text: str, *batches: pl.DataFrame) -> Any:
    """Return the value of an aggregate over all rows, taken in batches."""
    result = walk([step_of({"aggregate": {"value": text}}, is_whole=True)], batches).emitted[-1]
    return result["value"].item()


def windows(value: dict[str, Any], batches: Iterable[pl.DataFrame], delay: int = 0) -> Walk:
    """Drive a group_by with a watermark on ``at``, ``delay`` minutes behind."""
    return walk([step_of(value, has_watermark=True)], list(batches), Clock(("at",), delay * MINUTE_US))


def spans(frame: pl.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    """Return the rows as start and end of their window in minutes, then ``names``, in that order."""
    minutes = [((pl.col(name) - pl.lit(DAY)).dt.total_minutes()) for name in ("window_start", "window_end")]
    return sorted(frame.select(*minutes, *names).rows(), key=repr)
