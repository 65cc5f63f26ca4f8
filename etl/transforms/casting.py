"""Values of one type as another, kept exactly or refused: what ``cast`` and ``fill_null`` rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.errors import ConfigError
from etl.formats.typed_text import typed

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
        return typed(values, target)
    found = values.cast(target, strict=False)
    return found, _changed(values, found) | (found.is_null() & values.is_not_null())


def _changed(values: pl.Series, found: pl.Series) -> pl.Series:
    import polars as pl

    if found.dtype == pl.String:
        return pl.repeat(value=False, n=len(values), dtype=pl.Boolean, eager=True)
    if values.dtype.is_float() and found.dtype == pl.Float32:
        return found.is_infinite().fill_null(value=False) & values.is_finite().fill_null(value=False)
    return found.cast(values.dtype, strict=False).ne_missing(values)
