"""One side of ``join_stream``: its rows as they come, and as state holds them until no partner can come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.balance import FILE, Tally
from etl.state.contract import StateChange, StateTable, TableLayout
from etl.transforms.columns import system_columns
from etl.transforms.contract import Moment
from etl.transforms.lateness import AT, EXPIRES, bucket_us, collected, expiry, on_time
from etl.transforms.watermark import event_time

if TYPE_CHECKING:
    import polars as pl

BATCH, ROW = "_etl_batch", "_etl_row"
"""Columns of our own that tell rows of one key apart: the batch that brought them, and their place in it."""

MATCHED = "_etl_matched"
"""A column of our own: whether a partner was found."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one side does with its rows.

    ``time`` is its column of event time, empty without bounds in time. ``hold_us`` is how far the watermark goes
    beyond a row until no partner can come, None where that is never known. ``is_outer``: rows without a partner come
    out in the end. ``is_once``: a row comes out, and leaves, with its first partner.
    """

    keys: tuple[str, ...]
    time: str = ""
    hold_us: int | None = None
    is_outer: bool = False
    is_once: bool = False

    def layout(self, given: pl.Schema) -> TableLayout:
        """Return the table that holds its rows."""
        import polars as pl

        kinds = {name: given[name] for name in self.columns(given) if name not in self.keys}
        if self.hold_us is not None:
            kinds[EXPIRES] = pl.Datetime("us", "UTC")
        if self.is_outer:
            kinds[MATCHED] = pl.Boolean()
        return TableLayout(
            keys={name: given[name] for name in self.keys},
            values=kinds,
            part={BATCH: pl.Int64(), ROW: pl.Int64()},
            expires=None if self.hold_us is None else EXPIRES,
            bucket_us=bucket_us(self.hold_us or 0),
        )

    def columns(self, given: pl.Schema) -> list[str]:
        """Return the columns that survive: a pair comes from two places, so that system columns do not."""
        system = system_columns(given)
        return [name for name in given if name not in (*system, AT)]

    def arrived(self, rows: pl.LazyFrame, moment: Moment, tally: Tally) -> pl.DataFrame:
        """Return the rows of a batch that are not late, counted ``folded``, with all columns that state has."""
        import polars as pl

        frame = collected(rows, self.time)
        if self.hold_us is not None:
            frame = on_time(frame, moment.before_us, tally)
        tally.count("folded", frame.select(FILE if FILE in frame.columns else frame.columns[0]))
        added = [pl.lit(moment.plan.batch_id, pl.Int64).alias(BATCH), pl.int_range(pl.len()).alias(ROW)]
        if self.hold_us is not None:
            added.append(expiry(self.hold_us))
        if self.is_outer:
            added.append(pl.lit(value=False).alias(MATCHED))
        return frame.select(*self.columns(frame.schema), *([AT] if self.time else []), *added)

    def held(self, table: StateTable, new: pl.DataFrame, partners: pl.DataFrame) -> Held:
        """Return the rows that matter to a batch: its ``new`` ones, and those of state with a key of ``partners``."""
        old = table.lookup(partners)
        if self.time:
            old = old.with_columns(event_time(self.time, old.schema[self.time]).alias(AT))
        return Held(self, table, new, old)


@dataclass(frozen=True, slots=True)
class Held:
    """The rows of one side in a batch: ``new`` ones, and the ``old`` ones of state whose key came on the other side."""

    side: Side
    table: StateTable
    new: pl.DataFrame
    old: pl.DataFrame

    def rows(self) -> pl.DataFrame:
        """Return both."""
        import polars as pl

        return pl.concat([self.old.select(self.new.columns), self.new])

    def with_partner(self, partnered: pl.DataFrame) -> pl.DataFrame:
        """Return the rows that found one just now."""
        return _inside(self.rows(), partnered)

    def unmatched(self, partnered: pl.DataFrame, after_us: int | None) -> pl.DataFrame:
        """Return the rows for which it is now known that they have no partner. ``partnered``: who found one just now.

        A row with a null in its key never has one.
        """
        import polars as pl

        columns = list(self.table.layout.columns)
        alone = _outside(self.new.select(columns), partnered)
        no_key = pl.any_horizontal(pl.col(*self.side.keys).is_null())
        if after_us is None:
            return alone.filter(no_key)
        over = self.table.expired(after_us).select(columns).filter(~pl.col(MATCHED))
        return pl.concat([alone.filter(no_key | _is_over(after_us)), _outside(over, partnered)])

    def change(self, partnered: pl.DataFrame, after_us: int | None) -> StateChange:
        """Return what the batch does to the side's table."""
        import polars as pl

        columns = list(self.table.layout.columns)
        put = self.new.select(columns).filter(pl.all_horizontal(pl.col(*self.side.keys).is_not_null()))
        if self.side.time and self.side.hold_us is None:
            put = put.filter(pl.col(self.side.time).is_not_null())
        remove = None
        if self.side.is_once:
            put, remove = _outside(put, partnered), _inside(self.old.select(columns), partnered)
        if self.side.is_outer:
            put = self._marked(put, partnered)
        if self.side.hold_us is not None and after_us is not None:
            put = put.filter(~_is_over(after_us))
        upto_us = None if self.side.hold_us is None else after_us
        return StateChange(put=put, remove=remove, expire_upto_us=upto_us)

    def _marked(self, new: pl.DataFrame, partnered: pl.DataFrame) -> pl.DataFrame:
        """Return the new rows, and the old ones that had no partner before, with the mark of who has one now."""
        import polars as pl

        turned = _inside(self.old.select(new.columns).filter(~pl.col(MATCHED)), partnered)
        both = pl.concat([_inside(new, partnered), turned]).with_columns(pl.lit(value=True).alias(MATCHED))
        return pl.concat([_outside(new, partnered), both])


def _is_over(after_us: int) -> pl.Expr:
    import polars as pl

    return pl.col(EXPIRES).dt.epoch("us") <= after_us


def _inside(rows: pl.DataFrame, partnered: pl.DataFrame) -> pl.DataFrame:
    return rows.join(partnered, on=[BATCH, ROW], how="semi")


def _outside(rows: pl.DataFrame, partnered: pl.DataFrame) -> pl.DataFrame:
    return rows.join(partnered, on=[BATCH, ROW], how="anti")
