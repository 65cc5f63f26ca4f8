"""Values of one type as another, kept exactly or refused: what ``cast`` and ``fill_null`` rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.errors import ConfigError
from etl.text_casts import CLOCK, DAY, PLAIN_FORMAT, ZONE, ZONED_FORMAT

if TYPE_CHECKING:
    import polars as pl


def check_cast(kind: pl.DataType, target: pl.DataType) -> None:
    """Refuse what no value of ``kind`` could keep as ``target``. Raises ConfigError."""
    import polars as pl

    if isinstance(kind, pl.Datetime) and isinstance(target, pl.Datetime) and kind.time_zone and not target.time_zone:
        raise ConfigError(f"{kind} would lose its time zone", hint="cast to timestamp(UTC)")
    fault = ConfigError(f"{kind} cannot become {target}", hint="write an expression in with_columns")
    # Polars wraps a number into a list, takes a number for microseconds or days, and finds a list that should become
    # a number only when there is one
    is_mixed = kind.is_temporal() != target.is_temporal() and pl.String not in (kind, target)
    if is_mixed or ((kind.is_nested() or target.is_nested()) and kind.base_type() != target.base_type()):
        raise fault
    try:
        exact_cast(pl.Series([None], dtype=kind), target)
    except pl.exceptions.PolarsError as exc:
        raise fault from exc


def exact_cast(values: pl.Series, target: pl.DataType) -> tuple[pl.Series, pl.Series]:
    """Return ``values`` as ``target`` and a mask of those that it cannot keep exactly.

    Text must be written as the type is: whole numbers, ``true``/``false``, ISO dates and times. A float64 may
    become the nearest float32.
    """
    import polars as pl

    if values.dtype == pl.String and target != pl.String:
        found, is_lost = _parsed(values, target)
    else:
        found = values.cast(target, strict=False)
        is_lost = _changed(values, found)
    return found, is_lost | (found.is_null() & values.is_not_null())


def _changed(values: pl.Series, found: pl.Series) -> pl.Series:
    import polars as pl

    if found.dtype == pl.String:
        return pl.repeat(value=False, n=len(values), dtype=pl.Boolean, eager=True)
    if values.dtype.is_float() and found.dtype == pl.Float32:
        return found.is_infinite().fill_null(value=False) & values.is_finite().fill_null(value=False)
    return found.cast(values.dtype, strict=False).ne_missing(values)


def _parsed(texts: pl.Series, target: pl.DataType) -> tuple[pl.Series, pl.Series]:
    """Return texts as ``target`` and a mask of those that are written in another way."""
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
            return found, found.is_infinite().fill_null(value=False) & texts.str.contains(r"\d")
    return found, ~texts.str.contains(pattern).fill_null(value=True)


def _moments(texts: pl.Series, target: pl.Datetime) -> pl.Series:
    spaced = texts.str.replace("T", " ", literal=True)
    form = ZONED_FORMAT if target.time_zone else PLAIN_FORMAT
    return spaced.str.to_datetime(form, time_unit="us", time_zone=target.time_zone, strict=False)
