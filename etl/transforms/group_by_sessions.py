"""Rows into sessions, which grow, merge, and end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from etl.balance import Tally
from etl.expressions import Columns
from etl.state.contract import State, StateChange, StateTable, TableLayout
from etl.transforms.contract import Moment, Stepped
from etl.transforms.group_by_fold import LEAST_BUCKET_US
from etl.transforms.group_by_shape import Shape, is_over, without
from etl.transforms.sessions import SESSION, Sessions, numbered
from etl.transforms.windows import AT, END, START, moments

if TYPE_CHECKING:
    import polars as pl

TABLE = "sessions"
EXPIRES, IS_CLOSED = "_expires", "_is_closed"


class SessionFold:
    """Keeps a partial state per group and session.

    A session that is over leaves its place in time behind, for one more gap: a row that would have been part of it
    comes too late, though by its own time it does not. So every session is what all rows that were not late make it.
    """

    def __init__(self, shape: Shape, sessions: Sessions, groups: Columns) -> None:
        self.shape = shape
        self._gap_us = sessions.gap_us
        self._groups = groups
        self._by = list(shape.by)
        self._keys = [*self._by, START]

    def layouts(self) -> Mapping[str, TableLayout]:
        """Return one table."""
        import polars as pl

        moment = pl.Datetime("us", "UTC")
        values = {END: moment, EXPIRES: moment, IS_CLOSED: pl.Boolean(), **self.shape.partials.parts}
        expires = EXPIRES if self.shape.is_closing else None
        bucket_us = max(self._gap_us, LEAST_BUCKET_US)
        return {TABLE: TableLayout(self.shape.by, values, {START: moment}, expires, bucket_us)}

    def step(self, rows: pl.LazyFrame, state: State, moment: Moment, tally: Tally) -> Stepped:
        """Return the result of a batch, and the sessions that changed."""
        import polars as pl

        table, is_closed = state[TABLE], None
        if self.shape.is_closing and moment.before_us is not None:
            is_closed = Closed(table, self._groups, self._gap_us, moment.before_us).test
        fresh = self._fresh(self.shape.taken(rows, moment, tally, is_closed))
        known = table.lookup(fresh).filter(~pl.col(IS_CLOSED)).select(fresh.columns)
        after = self._merged(pl.concat([known, fresh]))
        upto_us = moment.after_us() if self.shape.is_closing else None
        ended = after.clear()
        if upto_us is not None:
            old = table.expired(upto_us + self._gap_us).filter(~pl.col(IS_CLOSED) & is_over(upto_us))
            old = without(old, known, self._keys).select(after.columns)
            ended = pl.concat([after.filter(is_over(upto_us)), old])
            alive = after.filter(~is_over(upto_us))
        else:
            alive = after
        put = pl.concat([self._kept(alive, is_closed=False), self._kept(ended, is_closed=True)])
        if upto_us is not None:
            put = put.filter(pl.col(EXPIRES).dt.epoch("us") > upto_us)
        gone = without(known, after, self._keys).select(self._keys)
        change = StateChange(put.select(list(table.layout.columns)), gone, upto_us)
        return Stepped(self._emitted(table, (known, after, ended)), {TABLE: change})

    def _fresh(self, rows: pl.LazyFrame) -> pl.DataFrame:
        """Return the sessions that the rows of a batch make by themselves."""
        import polars as pl

        times = (pl.col(AT).alias(START), (pl.col(AT) + self._gap_us).alias(END))
        frame = numbered(rows.with_columns(times).drop(AT).collect(engine="streaming"), self._by)
        found = self.shape.partials.of_rows(frame.lazy(), [SESSION], self._bounds())
        return found.drop(SESSION).with_columns(moments(START, END))

    def _merged(self, frame: pl.DataFrame) -> pl.DataFrame:
        return self.shape.partials.merged(numbered(frame, self._by), [SESSION], self._bounds()).drop(SESSION)

    def _bounds(self) -> list[pl.Expr]:
        import polars as pl

        return [*(pl.col(name).first() for name in self._by), pl.col(START).min(), pl.col(END).max()]

    def _kept(self, frame: pl.DataFrame, *, is_closed: bool) -> pl.DataFrame:
        """Return sessions as rows of the table; of those that are over only their place is left."""
        import polars as pl

        frame = frame.with_columns(
            pl.col(END).dt.offset_by(f"{self._gap_us}us").alias(EXPIRES), pl.lit(is_closed).alias(IS_CLOSED)
        )
        if not is_closed:
            return frame
        return frame.with_columns(pl.lit(None, kind).alias(name) for name, kind in self.shape.partials.parts.items())

    def _emitted(self, table: StateTable, found: tuple[pl.DataFrame, ...]) -> pl.DataFrame:
        import polars as pl

        known, after, ended = found
        if self.shape.is_whole:
            kept = [without(part, known, self._keys).select(after.columns) for part in table.scan()]
            return self.shape.results(pl.concat([*kept, after]))
        return self.shape.results(ended) if self.shape.is_final else self.shape.changes(known, after)


@dataclass(frozen=True, slots=True)
class Closed:
    """The sessions that are over, as rows meet them on their way in."""

    table: StateTable
    groups: Columns
    gap_us: int
    watermark_us: int

    @property
    def test(self) -> Callable[[pl.DataFrame], pl.Series]:
        """Return what tells of each row whether it would have been part of one."""
        lock = Lock()

        def is_late(frame: pl.DataFrame) -> pl.Series:
            import polars as pl

            near = frame.with_row_index(SESSION).filter(pl.col(AT) < self.watermark_us)
            late: list[int] = []
            if near.height:
                with lock:  # rows come in several threads, and a table reads its files when it is asked
                    late = self._late(near)
            return pl.int_range(0, frame.height, eager=True).is_in(late)

        return is_late

    def _late(self, near: pl.DataFrame) -> list[int]:
        import polars as pl

        groups = self.groups.apply(near.lazy()).collect()
        by = [name for name in groups.columns if name not in (AT, SESSION)]
        closed = self.table.lookup(groups).filter(IS_CLOSED).select(*by, START, END)
        met = groups.join(closed, on=by, how="inner", nulls_equal=True) if by else groups.join(closed, how="cross")
        starts, ends = (pl.col(name).dt.epoch("us") for name in (START, END))
        touches = (pl.col(AT) < ends) & (pl.col(AT) + self.gap_us > starts)
        return met.filter(touches)[SESSION].unique().to_list()
