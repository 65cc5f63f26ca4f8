"""``deduplicate: {keep: last}``: a row is given out when no other can take its place, or at once as a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.balance import Tally
from etl.model import CHANGE
from etl.state.contract import StateChange, StateTable
from etl.transforms.contract import Stepped
from etl.transforms.deduplicate_first import ROW, Sameness, is_among, marked, starts_of, without
from etl.transforms.lateness import AT, EXPIRES, expiry

if TYPE_CHECKING:
    import polars as pl

_IS_NEW = "_etl_is_new"


def keep_last(same: Sameness, frame: pl.DataFrame, table: StateTable, after_us: int | None, tally: Tally) -> Stepped:
    """Return the rows that became final, and the changes to those that wait. ``frame`` has ``AT``.

    A row that waits was counted ``folded`` when it came; when it leaves it is ``added``, and where another took its
    place ``deduplicated`` too.
    """
    import polars as pl

    given = [name for name in frame.columns if name != AT]
    waited = table.lookup(frame.select(same.keys)).with_columns(
        (pl.col(EXPIRES).dt.epoch("us") - same.hold_us).alias(AT), pl.lit(value=False).alias(_IS_NEW)
    )
    arrived = frame.with_columns(expiry(same.hold_us), pl.lit(value=True).alias(_IS_NEW))
    both = pl.concat([arrived, waited.select(arrived.columns)])
    is_gone = _replaced(same, both, given)
    gone, staying = both.filter(is_gone), both.filter(~is_gone)
    is_final = _is_final(after_us)
    due, waiting = staying.filter(is_final), staying.filter(~is_final & pl.col(_IS_NEW))
    elsewhere = _due_elsewhere(same, frame, table, after_us)

    tally.count("deduplicated", gone)
    tally.count("folded", waiting)
    for left in (gone.filter(~pl.col(_IS_NEW)), due.filter(~pl.col(_IS_NEW)), elsewhere):
        tally.count("added", left)
    change = StateChange(
        put=waiting.select(list(table.layout.columns)),
        remove=gone.filter(~pl.col(_IS_NEW)).select(*table.layout.keys, *table.layout.part),
        expire_upto_us=after_us,
    )
    return Stepped(pl.concat([due.select(given), elsewhere.select(given)]), {"held": change})


def _is_final(after_us: int | None) -> pl.Expr:
    import polars as pl

    return pl.lit(value=False) if after_us is None else pl.col(EXPIRES).dt.epoch("us") <= after_us


def _due_elsewhere(same: Sameness, frame: pl.DataFrame, table: StateTable, after_us: int | None) -> pl.DataFrame:
    """Return the rows of state that became final and whose key has no row in this batch."""
    if after_us is None:
        return table.lookup(frame.select(same.keys).clear())
    return table.expired(after_us).join(frame, on=list(same.keys), how="anti", nulls_equal=True)


def _replaced(same: Sameness, rows: pl.DataFrame, given: list[str]) -> pl.Series:
    """Tell of each row whether a later one of its key, with ``within`` one no further behind it, takes its place.

    Of rows that nothing sets in order the new one is the later.
    """
    import polars as pl

    keys, order = list(same.keys), same.order(given)
    needed = dict.fromkeys([*keys, *order, *([AT] if same.time else []), _IS_NEW])
    is_repeated = rows.select(keys).is_duplicated()
    repeated = rows.select(*needed).with_row_index(ROW).filter(is_repeated).sort([*keys, *order, _IS_NEW])
    is_followed = ~starts_of(keys).shift(-1, fill_value=True)
    if same.within_us is not None:
        is_followed &= (pl.col(AT).shift(-1) <= pl.col(AT) + same.within_us).fill_null(value=False)
    return marked(repeated.filter(is_followed)[ROW], rows.height)


def keep_newest(same: Sameness, frame: pl.DataFrame, table: StateTable, tally: Tally) -> Stepped:
    """Return the last row of each key as an insert or an update of the result.

    State keeps of the row given out what sets it in order; a row that is before it is dropped, whenever it comes.
    """
    import polars as pl

    keys, marks = list(same.keys), list(table.layout.columns)
    known = table.lookup(frame.select(keys))
    both = pl.concat(
        [
            frame.select(*marks, pl.lit(value=True).alias(_IS_NEW)),
            known.select(*marks, pl.lit(value=False).alias(_IS_NEW)),
        ]
    )
    is_gone = _replaced(same, both, frame.columns)
    kept = without(frame, is_gone.head(frame.height), tally)
    word = pl.when(is_among(kept, known, keys)).then(pl.lit("update")).otherwise(pl.lit("insert"))
    return Stepped(kept.with_columns(word.alias(CHANGE)), {"last": StateChange(put=kept.select(marks))})
