"""Rows on time and rows behind the watermark, for transforms that go by a column of event time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from etl.balance import Tally
from etl.errors import ConfigError
from etl.model import CHANGE
from etl.transforms.columns import require
from etl.transforms.watermark import event_time

if TYPE_CHECKING:
    import polars as pl

AT = "_etl_at"
"""A column of our own beside those of the rows: event time in microseconds since 1970 in UTC."""

EXPIRES = "_etl_expires"
"""A column of our own in state: the moment that the watermark has to reach for a row to leave."""

_MICROSECONDS = 1_000_000
_LEAST_BUCKET_US = 300 * _MICROSECONDS
_BUCKETS = 16


def micros_of(seconds: float) -> int:
    """Return a duration of the options in microseconds."""
    return round(seconds * _MICROSECONDS)


def require_moment(column: str, given: pl.Schema, where: str) -> None:
    """Refuse a column that is missing or holds no moments in time. Raises ConfigError."""
    import polars as pl

    require([column], given, where)
    kind = given[column]
    if kind != pl.Date and not isinstance(kind, pl.Datetime):
        raise ConfigError(
            f"{column}: {kind} is no moment in time",
            where=where,
            hint="make it one before: with_columns: {at: CAST(at AS TIMESTAMP)}",
        )


def refuse_nested(keys: Iterable[str], given: pl.Schema, where: str) -> None:
    """Refuse keys that are lists or structs. Raises ConfigError."""
    for name in keys:
        if given[name].is_nested():
            raise ConfigError(
                f"{name}: {given[name]} cannot be a key", where=where, hint="take its parts (unnest), or a text of it"
            )


def refuse_changes(label: str, given: pl.Schema, where: str) -> None:
    """Refuse rows that change others. Raises ConfigError."""
    if CHANGE in given:
        raise ConfigError(
            f"{label} takes rows that stay, and these change rows that came before (`emit: updates`)",
            where=where,
            hint=f"say `emit: final` in the step before it, or put {label} before that step",
        )


def collected(rows: pl.LazyFrame, column: str) -> pl.DataFrame:
    """Return the rows of a batch with their event time in ``AT``; without a ``column`` as they are."""
    frame = rows.collect(engine="streaming")
    return frame.with_columns(event_time(column, frame.schema[column]).alias(AT)) if column else frame


def on_time(frame: pl.DataFrame, before_us: int | None, tally: Tally) -> pl.DataFrame:
    """Return the rows of ``frame`` (with ``AT``) that are not late; the others are set aside, with all their columns.

    So are those without an event time.
    """
    import polars as pl

    if frame[AT].null_count():
        tally.set_late(frame.filter(pl.col(AT).is_null()).drop(AT), None)
        frame = frame.filter(pl.col(AT).is_not_null())
    if before_us is None or not frame.height:
        return frame
    is_late = frame[AT] <= before_us
    if is_late.any():
        tally.set_late(frame.filter(is_late).drop(AT), before_us)
        frame = frame.filter(~is_late)
    return frame


def expiry(hold_us: int) -> pl.Expr:
    """Return ``EXPIRES`` of a row: ``hold_us`` after its event time."""
    import polars as pl

    return (pl.col(AT) + hold_us).cast(pl.Datetime("us", "UTC")).alias(EXPIRES)


def bucket_us(hold_us: int) -> int:
    """Return the width of the time partitions of rows that stay for ``hold_us`` and as long as the watermark lags."""
    return max(_LEAST_BUCKET_US, hold_us // _BUCKETS)


def lasting(frame: pl.DataFrame, hold_us: int, after_us: int | None) -> pl.DataFrame:
    """Return the rows of ``frame`` (with ``AT``) that state must keep beyond a batch, with ``EXPIRES``."""
    import polars as pl

    if after_us is not None:
        frame = frame.filter(pl.col(AT) + hold_us > after_us)
    return frame.with_columns(expiry(hold_us))
