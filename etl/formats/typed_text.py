"""Text as a declared type: kept exactly or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.text_casts import CLOCK, DAY, PLAIN_FORMAT, ZONE, ZONED_FORMAT

if TYPE_CHECKING:
    import polars as pl


def typed(texts: pl.Series, target: pl.DataType) -> tuple[pl.Series, pl.Series]:
    """Return texts as ``target`` and a mask of those that are written in another way than it is.

    Whole numbers, ``true``/``false``, ISO dates and times, no more digits than a decimal keeps. Null is never lost.
    """
    import polars as pl

    pattern = ""
    if target == pl.Boolean:
        found = texts.replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)
    elif target == pl.Date:
        found, pattern = texts.str.to_date("%Y-%m-%d", strict=False), f"^{DAY}$"
    elif target == pl.Time:
        found, pattern = texts.str.to_time("%H:%M:%S%.f", strict=False), f"^{CLOCK}$"
    elif isinstance(target, pl.Datetime):
        found, pattern = _moments(texts, target), f"^{DAY}[T ]{CLOCK}{ZONE if target.time_zone else ''}$"
    else:
        found = texts.cast(target, strict=False)
        if isinstance(target, pl.Decimal):
            pattern = rf"^[+-]?\d+(\.\d{{0,{target.scale}}}0*)?$"
        elif target.is_float():
            is_lost = found.is_infinite().fill_null(value=False) & texts.str.contains(r"\d")
            return found, is_lost | (found.is_null() & texts.is_not_null())
    is_lost = ~texts.str.contains(pattern).fill_null(value=True)
    return found, is_lost | (found.is_null() & texts.is_not_null())


def _moments(texts: pl.Series, target: pl.Datetime) -> pl.Series:
    spaced = texts.str.replace("T", " ", literal=True)
    form = ZONED_FORMAT if target.time_zone else PLAIN_FORMAT
    return spaced.str.to_datetime(form, time_unit="us", time_zone=target.time_zone, strict=False)
