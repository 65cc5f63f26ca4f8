"""Rows into groups and windows of a fixed width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from etl.balance import Tally
from etl.state.contract import State, StateChange, StateTable, TableLayout
from etl.transforms.contract import Moment, Stepped
from etl.transforms.group_by_distinct import count_new, distinct_layouts
from etl.transforms.group_by_shape import Shape, is_over, without
from etl.transforms.windows import END, PANE, START, Window

if TYPE_CHECKING:
    import polars as pl

TABLE = "groups"
LEAST_BUCKET_US = 60_000_000


class Fold:
    """Keeps a partial state per group, or per group and window."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._window = shape.window if isinstance(shape.window, Window) else None
        self._keys = [*shape.by, *shape.windows[:1]]

    def layouts(self) -> Mapping[str, TableLayout]:
        """Return one table; a window's rows leave it when it is over."""
        import polars as pl

        shape, moment = self.shape, pl.Datetime("us", "UTC")
        start, end = ({name: moment} for name in (START, END)) if self._window else ({}, {})
        bucket_us = max(self._window.period_us if self._window else 0, LEAST_BUCKET_US)
        expires = END if shape.is_closing else None
        layout = TableLayout(
            {**shape.by, **start}, {**end, **shape.partials.parts}, expires=expires, bucket_us=bucket_us
        )
        return {TABLE: layout, **distinct_layouts(shape.by, shape.partials.aggregates)}

    def step(self, rows: pl.LazyFrame, state: State, moment: Moment, tally: Tally) -> Stepped:
        """Return the result of a batch, and the groups that changed."""
        table = state[TABLE]
        fresh, changes = count_new(self._fresh(rows, moment, tally), self.shape, state)
        known = table.lookup(fresh)
        after = self.shape.partials.added(known, fresh, self._keys)
        upto_us = moment.after_us() if self.shape.is_closing else None
        alive = after if upto_us is None else after.filter(~is_over(upto_us))
        change = StateChange(put=alive.select(list(table.layout.columns)), expire_upto_us=upto_us)
        return Stepped(self._emitted(table, known, after, upto_us), {TABLE: change, **changes})

    def _fresh(self, rows: pl.LazyFrame, moment: Moment, tally: Tally) -> pl.DataFrame:
        """Return the partial states of the rows of a batch."""
        shape = self.shape
        taken = shape.taken(rows, moment, tally)
        if self._window is None:
            return shape.partials.of_rows(taken, list(shape.by))
        panes = shape.partials.of_rows(taken.with_columns(self._window.pane()), [*shape.by, PANE])
        opened = self._window.opened(panes)
        if not self._window.is_sliding:
            return opened
        return shape.partials.merged(opened, [*shape.by, START, END])

    def _emitted(
        self, table: StateTable, known: pl.DataFrame, after: pl.DataFrame, upto_us: int | None
    ) -> pl.DataFrame:
        import polars as pl

        shape = self.shape
        if shape.is_whole:
            kept = [without(part, after, self._keys).select(after.columns) for part in table.scan()]
            return shape.results(pl.concat([*kept, after]))
        if not shape.is_final:
            return shape.changes(known, after)
        if upto_us is None:
            return shape.results(after.clear())
        old = without(table.expired(upto_us), after, self._keys)
        return shape.results(pl.concat([after.filter(is_over(upto_us)), old.select(after.columns)]))
