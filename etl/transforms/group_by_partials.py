"""Partial states of groups: made from rows, merged, and turned into results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.errors import TransformError
from etl.transforms.aggregates import NO_FIT, Aggregate

if TYPE_CHECKING:
    import polars as pl

ROWS = "_rows"
"""How many rows a group was made of."""

_ALL = "_etl_all"


@dataclass(frozen=True, slots=True)
class Partials:
    """The parts of all aggregates of a ``group_by``, and ``ROWS``."""

    aggregates: Sequence[Aggregate]

    @property
    def parts(self) -> dict[str, pl.DataType]:
        """The columns of a partial state."""
        import polars as pl

        return {ROWS: pl.Int64(), **{name: kind for each in self.aggregates for name, kind in each.parts.items()}}

    def of_rows(self, rows: pl.LazyFrame, keys: Sequence[str], also: Sequence[pl.Expr] = ()) -> pl.DataFrame:
        """Return a partial state per group, with ``also`` beside the keys."""
        import polars as pl

        parts = [expression for each in self.aggregates for expression in each.of_rows()]
        return self._settled(_grouped(rows, keys, [*also, pl.len().alias(ROWS), *parts]))

    def merged(self, frame: pl.DataFrame, keys: Sequence[str], also: Sequence[pl.Expr] = ()) -> pl.DataFrame:
        """Return one partial state per group of several, with ``also`` beside the keys."""
        import polars as pl

        parts = [expression for each in self.aggregates for expression in each.of_parts()]
        return self._settled(_grouped(frame.lazy(), keys, [*also, pl.col(ROWS).sum(), *parts]))

    def _settled(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        for each in self.aggregates:
            frame = each.settled(frame)
        return frame.with_columns(pl.col(ROWS).cast(pl.Int64))

    def added(self, known: pl.DataFrame, fresh: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
        """Return ``fresh`` with the partial states of the same groups that were ``known``; all are of its groups."""
        import polars as pl

        if not known.height:
            return fresh
        if not keys:
            return self.merged(pl.concat([known.select(fresh.columns), fresh]), keys)
        # What is new takes the short way: in windows that is nearly all.
        new = fresh.join(known, on=keys, how="anti", nulls_equal=True)
        more = fresh.join(known, on=keys, how="semi", nulls_equal=True)
        constant = [name for name in fresh.columns if name not in self.parts and name not in keys]
        both = pl.concat([known.select(fresh.columns), more])
        merged = self.merged(both, keys, [pl.col(name).first() for name in constant])
        return pl.concat([new, merged.select(new.columns)])

    def results(self, frame: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
        """Return keys and values of partial states."""
        return frame.select(*keys, *(each.result().cast(each.kind).alias(each.name) for each in self.aggregates))


def _grouped(rows: pl.LazyFrame, keys: Sequence[str], parts: list[pl.Expr]) -> pl.DataFrame:
    import polars as pl

    if not keys:  # one group of all rows, and none of no rows
        rows = rows.with_columns(pl.lit(value=True).alias(_ALL))
    groups = rows.group_by(keys or _ALL).agg(parts)
    try:
        return (groups if keys else groups.drop(_ALL)).collect(engine="streaming")
    except pl.exceptions.ComputeError as exc:
        if "overflow in decimal" not in str(exc):
            raise
        raise TransformError("the sum of a group does not fit into a decimal", hint=NO_FIT) from exc
