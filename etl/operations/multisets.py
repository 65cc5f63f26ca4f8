"""Multisets of rows as a few numbers: equal for equal rows in any order, from one streaming pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import polars as pl

Digests: TypeAlias = "dict[tuple[Any, ...], tuple[int, ...]]"
"""By the values of some columns: how many rows, and four sums of their hashes. Only good within one process."""

_SEEDS = (1, 2)
_HALF = 2**32
"""Hashes are summed in halves, which cannot overflow: 2^32 rows would have to come together."""


def digests(rows: pl.LazyFrame, by: Sequence[str] = ()) -> Digests:
    """Return the multiset of rows for each value of the columns ``by``. Each row counts with all its columns."""
    import polars as pl

    names = [f"_etl_by_{place}" for place in range(len(by))]
    keys = [pl.col(column).alias(name) for column, name in zip(by, names, strict=True)]
    whole = pl.struct(sorted(rows.collect_schema().names()))
    hashed = rows.select(*keys, *(whole.hash(seed).alias(f"_etl_hash_{seed}") for seed in _SEEDS))
    halves = [half for seed in _SEEDS for half in _halves(pl.col(f"_etl_hash_{seed}"))]
    sums = [pl.len().cast(pl.UInt64), *(half.sum().alias(f"_etl_sum_{place}") for place, half in enumerate(halves))]
    counted = hashed.group_by(names).agg(sums) if names else hashed.select(sums)
    found = counted.collect(engine="streaming")
    return {tuple(row[: len(names)]): tuple(row[len(names) :]) for row in found.iter_rows() if row[len(names)]}


def _halves(hashed: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    return hashed // _HALF, hashed % _HALF


def as_stored(rows: pl.LazyFrame, types: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    """Return rows in the columns and types of a table: what they lack is null, what it lacks is left out."""
    import polars as pl

    given = rows.collect_schema()
    return rows.select(
        (pl.col(name) if name in given else pl.lit(None)).cast(dtype, strict=True).alias(name)
        for name, dtype in types.items()
    )
