"""The types that both sides of a join are compared in: one that holds every value of both, or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from etl.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

_EXACT_IN_FLOAT64 = 32
"""How many bits an integer has at most that every float64 can hold exactly."""


def common_type(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """Return the narrowest type that holds every value of both exactly, None where there is none.

    A column of nulls alone takes any type.
    """
    import polars as pl

    if other in (one, pl.Null()):
        return one
    if one == pl.Null():
        return other
    if one.is_integer() and other.is_integer():
        return _common_integer(one, other)
    if isinstance(one, pl.Decimal) and isinstance(other, pl.Decimal):
        scale = max(one.scale, other.scale)
        digits = max((one.precision or 38) - one.scale, (other.precision or 38) - other.scale)
        return pl.Decimal(digits + scale, scale) if digits + scale <= 38 else None  # noqa: PLR2004  most of a decimal
    if one.is_numeric() and other.is_numeric() and not (one.is_decimal() or other.is_decimal()):
        is_exact = all(_bits(each) <= _EXACT_IN_FLOAT64 for each in (one, other) if each.is_integer())
        return pl.Float64() if is_exact else None
    return None


def _common_integer(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    import polars as pl

    wide, narrow = sorted((one, other), key=_bits, reverse=True)
    if one.is_signed_integer() == other.is_signed_integer():
        return wide
    if wide.is_signed_integer() and _bits(wide) > _bits(narrow):
        return wide
    return pl.Int64() if _bits(wide) <= _EXACT_IN_FLOAT64 else pl.Int128()


def _bits(kind: pl.DataType) -> int:
    return int("".join(letter for letter in str(kind) if letter.isdigit()))


def compared_types(on: Mapping[str, str], given: pl.Schema, static: pl.Schema, where: str) -> list[pl.DataType]:
    """Return the type in which each pair of keys is compared. Raises ConfigError for a pair that has none."""
    found: list[pl.DataType] = []
    for left, right in on.items():
        kind = common_type(given[left], static[right])
        if kind is None:
            raise ConfigError(
                f"{left!r} is {given[left]}, {right!r} of the static table is {static[right]}: no type holds both",
                where=where,
                hint=f"cast: {{{left}: …}} before; or, for files and queries, schema: {{{right}: …}} in the join",
            )
        found.append(kind)
    return found
