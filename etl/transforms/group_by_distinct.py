"""Distinct values of groups that live for ever: a table for each aggregate, with a row per group and value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from etl.state.contract import State, StateChange, TableLayout
from etl.transforms.aggregates import Aggregate
from etl.transforms.aggregates_distinct import DistinctRows
from etl.transforms.group_by_shape import Shape

if TYPE_CHECKING:
    import polars as pl


def distinct_layouts(by: pl.Schema, aggregates: Sequence[Aggregate]) -> dict[str, TableLayout]:
    """Return the tables, by name."""
    return {table: TableLayout({**by, each.values: each.value_kind}, {}) for table, each in _kept(aggregates)}


def count_new(fresh: pl.DataFrame, shape: Shape, state: State) -> tuple[pl.DataFrame, dict[str, StateChange]]:
    """Return partial states with the number of values that their groups did not have before, and those values."""
    import polars as pl

    by, changes = list(shape.by), {}
    for table, each in _kept(shape.partials.aggregates):
        rows = fresh.select(*by, each.values).filter(pl.col(each.values).list.len() > 0).explode(each.values)
        unique = [*by, each.values]
        new = rows.join(state[table].lookup(rows), on=unique, how="anti", nulls_equal=True)
        (count,) = each.parts
        if by:
            counts = new.group_by(by).agg(pl.len().cast(pl.Int64).alias(count))
            fresh = fresh.join(counts, on=by, how="left", nulls_equal=True)
        else:
            fresh = fresh.with_columns(pl.lit(new.height, pl.Int64).alias(count))
        fresh = fresh.with_columns(pl.col(count).fill_null(0)).drop(each.values)
        changes[table] = StateChange(new)
    return fresh, changes


def _kept(aggregates: Sequence[Aggregate]) -> Iterator[tuple[str, DistinctRows]]:
    for each in aggregates:
        if isinstance(each, DistinctRows):
            yield f"distinct.{quote(each.name, safe='')}", each
