"""A changing result into groups: its rows are kept as they are now, and the groups they touch are computed anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from etl.balance import Tally
from etl.model import CHANGE
from etl.state.contract import State, StateChange, StateTable, TableLayout
from etl.transforms.contract import Moment, Stepped
from etl.transforms.group_by_fold import LEAST_BUCKET_US
from etl.transforms.group_by_intake import KEY
from etl.transforms.group_by_shape import Shape, is_over, without
from etl.transforms.windows import AT, END, PANE, START, Window

if TYPE_CHECKING:
    import polars as pl

ROWS, HOMES = "rows", "homes"


class ChangingFold:
    """Keeps the newest row of each key of the input, and where the key of a group may change, in which group it is.

    A row of several windows is kept in each. Event time is part of the input's key, so that no row ever moves from one
    window to another.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._window = shape.window if isinstance(shape.window, Window) else None
        self._groups = [*shape.by, *shape.windows[:1]]
        columns = shape.intake.columns.schema
        self._kept = {name: kind for name, kind in columns.items() if name not in (AT, CHANGE, *shape.by)}
        self._row = [name for name in self._kept if name.startswith(KEY)]

    def layouts(self) -> Mapping[str, TableLayout]:
        """Return the table of rows by group, and that of groups by the key of a row."""
        import polars as pl

        shape, moment = self.shape, pl.Datetime("us", "UTC")
        start, end = ({name: moment} for name in (START, END)) if self._window else ({}, {})
        part = {name: self._kept[name] for name in self._row}
        values = {name: kind for name, kind in self._kept.items() if name not in part}
        expires = END if shape.is_closing else None
        bucket_us = max(self._window.period_us if self._window else 0, LEAST_BUCKET_US)
        rows = TableLayout({**shape.by, **start}, {**end, **values}, part, expires, bucket_us)
        homes = TableLayout(part, {**end, **shape.by}, start, expires, bucket_us)
        return {ROWS: rows, HOMES: homes}

    def step(self, rows: pl.LazyFrame, state: State, moment: Moment, tally: Tally) -> Stepped:
        """Return the result of a batch, and the rows that changed."""
        import polars as pl

        table, homes = state[ROWS], state[HOMES]
        changed = self._opened(self.shape.taken(rows, moment, tally).collect(engine="streaming"))
        there = changed.filter(pl.col(CHANGE) != "delete").drop(CHANGE)
        left = homes.lookup(changed)
        touched = pl.concat([changed.select(self._groups), left.select(self._groups)]) if self._groups else changed
        before = table.lookup(touched).select(there.columns)
        unique = [*self._row, *self._groups[len(self.shape.by) :]]
        after = pl.concat([without(before, changed, unique), there])
        upto_us = moment.after_us() if self.shape.is_closing else None
        alive = there if upto_us is None else there.filter(~is_over(upto_us))
        gone = without(left, there, [*self._groups, *self._row])
        deleted = without(left, there, unique)
        changes = {
            ROWS: StateChange(alive.select(list(table.layout.columns)), gone, upto_us),
            HOMES: StateChange(alive.select(list(homes.layout.columns)), deleted, upto_us),
        }
        return Stepped(self._emitted(table, before, after, upto_us), changes)

    def _opened(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows in their windows."""
        import polars as pl

        if self._window is None:
            return frame
        return self._window.opened(frame.with_columns(pl.col(AT).alias(PANE)).drop(AT))

    def _emitted(
        self, table: StateTable, before: pl.DataFrame, after: pl.DataFrame, upto_us: int | None
    ) -> pl.DataFrame:
        import polars as pl

        shape = self.shape
        if shape.is_whole:
            kept = [without(part, before, self._groups).select(after.columns) for part in table.scan()]
            return shape.results(self._folded(pl.concat([*kept, after])))
        if not shape.is_final:
            return shape.changes(self._folded(before), self._folded(after))
        if upto_us is None:
            return shape.results(self._folded(after.clear()))
        over = without(table.expired(upto_us), before, self._groups).select(after.columns)
        return shape.results(self._folded(pl.concat([over, after.filter(is_over(upto_us))])))

    def _folded(self, frame: pl.DataFrame) -> pl.DataFrame:
        keys = [*self.shape.by, *self.shape.windows]
        return self.shape.partials.of_rows(frame.lazy(), keys)
