"""The newest row of each key among rows of several ages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from etl.state.segment import GONE, HASH

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from etl.state.key_hash import Hashes


def newest(frame: pl.DataFrame, unique: Sequence[str], *, with_gone: bool) -> pl.DataFrame:
    """Return the first row for each value of the columns ``unique``, sorted by ``HASH``.

    The frame is made of pieces that are sorted by ``HASH``, the newest first. Rows that are gone take the place of
    older ones, and are left out after that unless ``with_gone``.
    """
    import numpy as np

    hashes = frame.get_column(HASH).to_numpy()
    order = np.argsort(hashes, kind="stable")  # of sorted pieces: they are merged
    order = order[firsts(frame, unique, order, hashes[order])]
    if not with_gone:
        order = order[~frame.get_column(GONE).to_numpy()[order]]
    return frame[order]


def firsts(
    frame: pl.DataFrame, unique: Sequence[str], order: npt.NDArray[np.intp], hashes: Hashes
) -> npt.NDArray[np.bool_]:
    """Tell for each place of an order by ``hashes`` whether its row is the first with its values of ``unique``."""
    import numpy as np

    is_first = np.ones(order.size, np.bool_)
    again = np.flatnonzero(hashes[1:] == hashes[:-1]) + 1
    if not again.size:
        return is_first
    if _are_equal(frame, unique, order[again], order[again - 1]):
        is_first[again] = False
        return is_first
    places = np.union1d(again, again - 1)  # different keys with one hash
    shared = frame[order[places]].select(unique).with_row_index("_place")
    kept = shared.unique(unique, keep="first", maintain_order=True).get_column("_place").to_numpy()
    is_first[places] = False
    is_first[places[kept]] = True
    return is_first


def _are_equal(
    frame: pl.DataFrame, names: Sequence[str], some: npt.NDArray[np.intp], others: npt.NDArray[np.intp]
) -> bool:
    columns = (frame.get_column(name) for name in names)
    return all(same(column[some], column[others]).all() for column in columns)


def same(some: pl.Series, others: pl.Series) -> npt.NDArray[np.bool_]:
    """Tell for each row whether two values are one: null is null, NaN is NaN, the two zeros are one."""
    import numpy as np
    import polars as pl

    if some.dtype == pl.Null:
        return np.ones(len(some), np.bool_)
    is_plain = not (some.has_nulls() or others.has_nulls())
    found: npt.NDArray[np.bool_] = ((some == others) if is_plain else some.eq_missing(others)).to_numpy()
    return found


def alive(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that are not gone, without the columns that only the store has."""
    gone = frame.get_column(GONE)
    kept = frame.filter(~gone) if gone.any() else frame.clone()
    for name in (HASH, GONE):
        if name in kept.columns:
            kept.drop_in_place(name)
    return kept


def fitted(frame: pl.DataFrame, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Return the columns that a frame must have, in order, of types that hold them."""
    import polars as pl

    found = {name: frame.get_column(name) for name in columns}
    kept = [column if column.dtype == columns[name] else column.cast(columns[name]) for name, column in found.items()]
    return pl.DataFrame(kept) if kept else pl.DataFrame(height=frame.height)
