"""The newest row of each key among rows of several ages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from etl.state.segment import GONE, HASH

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from etl.state.key_hash import Hashes


def newest(frames: Sequence[pl.DataFrame], unique: Sequence[str]) -> pl.DataFrame:
    """Return the first row for each value of the columns ``unique``, sorted by ``HASH``; frames come newest first.

    Each frame is sorted by ``HASH``. Rows that are gone count: they take the place of older ones.
    """
    import numpy as np
    import polars as pl

    frame = pl.concat(frames, rechunk=True)
    hashes = frame.get_column(HASH).to_numpy()
    order = np.argsort(hashes, kind="stable")
    frame, hashes = frame[order], hashes[order]
    is_kept = _firsts(frame, hashes, list(unique))
    return frame if is_kept is None else frame.filter(is_kept)


def _firsts(frame: pl.DataFrame, hashes: Hashes, unique: list[str]) -> npt.NDArray[np.bool_] | None:
    """Return which rows are the first with their key, None for all: only rows of one hash are compared."""
    import numpy as np

    is_same = hashes[1:] == hashes[:-1]
    if not is_same.any():
        return None
    is_shared: npt.NDArray[np.bool_] = np.append(is_same, False) | np.insert(is_same, 0, False)
    rows = np.flatnonzero(is_shared)
    is_kept = ~is_shared
    if not unique:
        is_kept[rows[0]] = True
        return is_kept
    shared = frame[rows].select(unique).with_row_index("_row")
    firsts = shared.unique(unique, keep="first", maintain_order=True).get_column("_row")
    is_kept[rows[firsts.to_numpy()]] = True
    return is_kept


def alive(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that are not gone."""
    import polars as pl

    return frame.filter(~pl.col(GONE))
