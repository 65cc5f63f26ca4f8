"""Rows in an order in which those that are looked for together lie together: sorted, or along a Z curve."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

from etl.errors import SinkError

if TYPE_CHECKING:
    import polars as pl

_KEY = "_etl_z"
_KEY_BITS = 62
_MOST_BITS = 20


def refuse_unordered(types: pl.Schema, by: Sequence[str], table: str) -> None:
    """Refuse columns that are not there, or whose values have no order. Raises SinkError."""
    for name in by:
        if name not in types or types[name].is_nested():
            what = "is not in the table" if name not in types else f"is of type {types[name]}, which has no order"
            raise SinkError(what, where=f"{table}.{name}", hint="name other columns in z_order_by")


def clustered(rows: pl.LazyFrame, by: Sequence[str]) -> pl.LazyFrame:
    """Return the rows sorted by one column, or near one another by several; held in memory where they are ordered."""
    import polars as pl

    if not by:
        return rows
    if len(by) == 1:
        return rows.sort(by[0], nulls_last=False, maintain_order=True)
    bits = min(_MOST_BITS, _KEY_BITS // len(by))
    frame = rows.collect(engine="streaming")
    places = frame.select(_place(pl.col(name), bits).alias(str(number)) for number, name in enumerate(by))
    key = places.select(interleaved(places.columns, bits).alias(_KEY)).get_column(_KEY)
    return frame[key.arg_sort()].lazy()


def _place(column: pl.Expr, bits: int) -> pl.Expr:
    """Return where a value stands among all, from 0 for null to the greatest number of so many bits."""
    import polars as pl

    rank = column.rank("dense").cast(pl.Float64)
    most = float(2**bits - 1)
    return (rank / rank.max() * most).fill_null(0).fill_nan(0).cast(pl.UInt64)


def interleaved(columns: Sequence[str], bits: int) -> pl.Expr:
    """Return one number of the bits of all columns in turn, the highest first."""
    import polars as pl

    parts: list[pl.Expr] = [
        ((pl.col(name) // 2**bit) % 2) * 2 ** (bit * len(columns) + len(columns) - 1 - place)
        for bit in range(bits)
        for place, name in enumerate(columns)
    ]
    return reduce(_added, parts)


def _added(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    return left + right
