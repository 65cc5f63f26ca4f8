"""``deduplicate: {keep: first}``: rows whose key was seen before are dropped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.balance import FILE, Tally
from etl.state.contract import StateChange, StateTable, TableLayout
from etl.transforms.contract import Stepped
from etl.transforms.lateness import AT, EXPIRES, bucket_us, lasting
from etl.transforms.ordering import row_order

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy as np
    import polars as pl

    Places: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]
    Marks: TypeAlias = np.ndarray[tuple[int], np.dtype[np.bool_]]

ROW = "_etl_row"
"""A column of our own: the place of a row in its frame."""


@dataclass(frozen=True, slots=True)
class Sameness:
    """When two rows are the same: equal ``keys`` and, with ``within_us``, event times no further apart.

    ``time`` is the column of event time, empty where there is no watermark.
    """

    keys: tuple[str, ...]
    time: str = ""
    within_us: int | None = None

    @property
    def hold_us(self) -> int:
        """How far the watermark has to go beyond a row until it is forgotten."""
        return self.within_us or 0

    def order(self, given: Iterable[str]) -> list[str]:
        """Return the columns by which one row is before another."""
        return row_order(given, self.time or None)

    def layout(self, given: pl.Schema, values: Sequence[str] = ()) -> TableLayout:
        """Return the table of state that holds a row for each that is remembered, with further columns."""
        import polars as pl

        kinds: dict[str, pl.DataType] = {name: given[name] for name in values}
        if self.time:
            kinds[EXPIRES] = pl.Datetime("us", "UTC")
        return TableLayout(
            keys={name: given[name] for name in self.keys},
            values=kinds,
            part={} if self.within_us is None else {AT: pl.Int64()},
            expires=EXPIRES if self.time else None,
            bucket_us=bucket_us(self.hold_us),
        )


def keep_first(same: Sameness, frame: pl.DataFrame, table: StateTable, after_us: int | None, tally: Tally) -> Stepped:
    """Return the rows that are no duplicates, and what to remember of them. ``frame`` has ``AT`` where time counts."""
    keys = list(same.keys)
    if same.within_us is None:
        frame = without(frame, _later(same, frame), tally)
        known = table.lookup(frame.select(keys))
        is_known = is_among(frame, known, keys) if known.height else None
        kept = without(frame, is_known, tally)
    else:
        known = table.lookup(frame.select(keys))
        frame = without(frame, _covered(same, frame, known) if known.height else None, tally)
        kept = without(frame, _later(same, frame), tally)
    if not same.time:
        return Stepped(kept, {"seen": StateChange(put=kept.select(keys))})
    seen = lasting(kept.select(*keys, AT), same.hold_us, after_us)
    put = seen.select(*keys, *([] if same.within_us is None else [AT]), EXPIRES)
    return Stepped(kept.drop(AT), {"seen": StateChange(put=put, expire_upto_us=after_us)})


def without(frame: pl.DataFrame, is_dropped: pl.Series | None, tally: Tally) -> pl.DataFrame:
    """Return ``frame`` without some of its rows, counting those."""
    if is_dropped is None or not is_dropped.any():
        return frame
    # Of the rows that go, their file alone is taken: the others of their columns may be large.
    narrow = frame.select(FILE if FILE in frame.columns else frame.columns[0])
    tally.count("deduplicated", narrow.filter(is_dropped))
    return frame.filter(~is_dropped)


def is_among(frame: pl.DataFrame, known: pl.DataFrame, keys: list[str]) -> pl.Series:
    """Tell of each row whether its key is among those of ``known``."""
    found = frame.select(keys).with_row_index(ROW).join(known, on=keys, how="semi", nulls_equal=True)
    return marked(found[ROW], frame.height)


def _covered(same: Sameness, frame: pl.DataFrame, known: pl.DataFrame) -> pl.Series:
    """Tell of each row whether one of its key that was kept is no further from it than ``within``."""
    import numpy as np
    import polars as pl

    keys, within_us = list(same.keys), same.within_us or 0
    numbered = known.select(keys).unique().with_row_index("_etl_key")
    kept = known.join(numbered, on=keys, nulls_equal=True).sort("_etl_key", AT)
    rows = frame.select(*keys, AT).with_row_index(ROW).join(numbered, on=keys, nulls_equal=True)
    moments = np.unique(kept[AT].to_numpy())
    stride, times = len(moments) + 1, rows[AT].to_numpy()
    here = _ranked(kept["_etl_key"], np.searchsorted(moments, kept[AT].to_numpy()), stride)
    least = _ranked(rows["_etl_key"], np.searchsorted(moments, times - within_us), stride)
    beyond = _ranked(rows["_etl_key"], np.searchsorted(moments, times + within_us, side="right"), stride)
    is_near = np.searchsorted(here, beyond) > np.searchsorted(here, least)
    return marked(rows[ROW].filter(pl.Series(is_near)), frame.height)


def _ranked(keys: pl.Series, places: Places, stride: int) -> Places:
    """Return one number that sorts by key, then by place."""
    import numpy as np

    return keys.to_numpy().astype(np.int64) * stride + places


def marked(places: pl.Series, height: int) -> pl.Series:
    """Return true at ``places``, false elsewhere."""
    import numpy as np
    import polars as pl

    marks = np.zeros(height, dtype=bool)
    marks[places.to_numpy()] = True
    return pl.Series(marks)


def _later(same: Sameness, frame: pl.DataFrame) -> pl.Series | None:
    """Tell of each row whether another of its key in the same frame is kept in its place; None where no key is twice.

    The first of each key is kept; with ``within`` then the first that is further than that behind the one kept before.
    """
    import numpy as np
    import polars as pl

    keys = list(same.keys)
    is_repeated = frame.select(keys).is_duplicated()
    if not is_repeated.any():
        return None
    order = same.order(frame.columns)
    needed = list(dict.fromkeys([*keys, *order, *([AT] if same.time else [])]))
    repeated = frame.select(needed).with_row_index(ROW).filter(is_repeated).sort([*keys, *order])
    is_start = repeated.select(starts_of(keys)).to_series().to_numpy()
    if same.within_us is not None:
        is_start = _chain(np.cumsum(is_start), repeated[AT].to_numpy(), is_start, same.within_us)
    return marked(repeated[ROW].filter(pl.Series(~is_start)), frame.height)


def starts_of(keys: Sequence[str]) -> pl.Expr:
    """Tell of each row of a sorted frame whether it is the first of its key."""
    import polars as pl

    is_other = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in keys)
    return is_other | (pl.int_range(pl.len()) == 0)


def _chain(groups: Places, times: Places, is_start: Marks, within_us: int) -> Marks:
    """Tell which rows (sorted by group, then time) are kept: the first of a group, then each first one out of reach.

    Every row points to the first one out of its reach; what the starts lead to is found by doubling the pointers, in
    log(rows) steps.
    """
    import numpy as np

    moments = np.unique(times)
    stride, size = len(moments) + 1, len(times)
    here = groups * stride + np.searchsorted(moments, times)
    beyond = np.searchsorted(here, groups * stride + np.searchsorted(moments, times + within_us, side="right"))
    is_same = np.append(groups, -1)[beyond] == groups
    following = np.append(np.where(is_same, beyond, size), size)
    is_kept = np.append(is_start, False)
    while (following < size).any():
        is_kept[following[np.flatnonzero(is_kept)]] = True
        following = following[following]
    return is_kept[:size]
