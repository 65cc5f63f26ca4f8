"""The state of a user's function in one batch: what is known of the keys that occur, what is due, what it becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, cast

from etl.state.contract import StateChange, StateTable
from etl.transforms.keyed_call import Returned

if TYPE_CHECKING:
    import polars as pl

Ask: TypeAlias = "Callable[[pl.DataFrame, pl.DataFrame, pl.DataFrame], Returned]"
"""The function, with rows, what is known of their keys, and the keys that have expired."""

PART = "_row"
DUE = "_due_at"
NEWEST = "_newest_us"
_BEFORE, _DUE_US = "_before_us", "_due_us"


class KeyedState:
    """What becomes of a table of state in one batch. ``now_us`` is the clock that timeouts go by, None before it runs.

    Where timeouts go by event time, ``newest`` tells for each key how new its rows are; else they are as new as now.
    """

    def __init__(self, table: StateTable, timeout_us: int | None, now_us: int | None) -> None:
        self._table = table
        self._keys = list(table.layout.keys)
        self._timeout_us = timeout_us
        self._now_us = now_us if timeout_us is not None else None
        self._replaced: list[pl.DataFrame] = []
        self._put: pl.DataFrame | None = None

    def turn(self, rows: pl.DataFrame, newest: pl.DataFrame | None, ask: Ask) -> list[pl.DataFrame]:
        """Return the rows of one call or two: keys that have rows in this batch and are due in it come in the second.

        The function is not called where there is nothing to tell it.
        """
        import polars as pl

        known, due = self._table.lookup(rows.select(self._keys)), self._due(rows)
        self._replaced = [known, due]
        if not (rows.height or due.height):
            return []
        expired = self._keys_of(due)
        first = ask(rows, self._shown(pl.concat([known, due])), expired)
        after = self._timed(first.state, self._dues(known, newest))
        overdue = self._overdue(after)
        if not overdue.height:
            self._put = after
            return [first.rows]
        second = ask(rows.clear(), self._shown(overdue), self._keys_of(overdue))
        self._put = pl.concat(
            [after.join(overdue, on=self._keys, how="anti", nulls_equal=True), self._timed(second.state)]
        )
        return [first.rows, second.rows]

    def change(self) -> StateChange:
        """Return what the batch does to the table: only keys that occurred, and time."""
        import polars as pl

        unique = [*self._keys, *self._table.layout.part]
        replaced = pl.concat(self._replaced).select(unique)
        if self._put is not None:
            replaced = replaced.join(self._put.select(unique), on=unique, how="anti", nulls_equal=True)
        has_put = self._put is not None and self._put.height
        return StateChange(self._put if has_put else None, replaced if replaced.height else None, self._now_us)

    def _due(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of state whose time is up, of keys without rows in this batch: new rows put a timeout off."""
        import polars as pl

        if self._now_us is None:
            return pl.DataFrame(schema=self._table.layout.columns)
        due = self._table.expired(self._now_us)
        return due.join(rows.select(self._keys), on=self._keys, how="anti", nulls_equal=True)

    def _overdue(self, after: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        if self._now_us is None:
            return after.clear()
        return after.filter(pl.col(DUE).dt.epoch("us") <= self._now_us)

    def _keys_of(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(self._keys).unique().sort(self._keys)

    def _shown(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return state as the function sees it, in an order that does not depend on where it lay."""
        layout = self._table.layout
        return frame.sort([*self._keys, *layout.part]).drop(*layout.part, DUE, strict=False)

    def _dues(self, known: pl.DataFrame, newest: pl.DataFrame | None) -> pl.DataFrame | None:
        """Return when each key with rows is due, where that goes by event time: never earlier than it was."""
        import polars as pl

        if newest is None:
            return None
        before = known.select(*self._keys, pl.col(DUE).dt.epoch("us").alias(_BEFORE)).unique()
        found = newest.join(before, on=self._keys, how="left", nulls_equal=True)
        due_us = pl.max_horizontal(pl.col(NEWEST) + self._timeout_us, _BEFORE)
        return found.select(*self._keys, due_us.alias(_DUE_US))

    def _timed(self, state: pl.DataFrame, dues: pl.DataFrame | None = None) -> pl.DataFrame:
        """Return the function's state as it is kept. Keys that are not in ``dues`` are due a timeout from now."""
        import polars as pl

        layout = self._table.layout
        if layout.part:
            state = state.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).over(self._keys).alias(PART))
        is_timed = self._now_us is not None and self._timeout_us is not None
        from_now = pl.lit(cast("int", self._now_us) + cast("int", self._timeout_us) if is_timed else None, pl.Int64)
        if dues is None:
            state = state.with_columns(**{_DUE_US: from_now})
        else:
            state = state.join(dues, on=self._keys, how="left", nulls_equal=True, maintain_order="left")
            state = state.with_columns(pl.col(_DUE_US).fill_null(from_now))
        moment = pl.col(_DUE_US).cast(pl.Datetime("us", "UTC")).alias(DUE)
        return state.with_columns(moment).select(list(layout.columns))
