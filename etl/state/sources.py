"""Rows of many files as one frame, in the columns of a layout, whatever columns each file has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.state.contract import TableLayout
from etl.state.overlay import Hits
from etl.state.segment import GONE, HASH, Segment
from etl.state.version import Run

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

ALWAYS = 2**62
"""The batch of a source that has every column."""


@dataclass(frozen=True, slots=True)
class Source:
    """An opened file: which batch wrote it, and the time up to which its rows have left."""

    segment: Segment
    batch_id: int
    cut_us: int | None

    def between(self, low: int, high: int) -> npt.NDArray[np.intp] | None:
        """Return the numbers of the rows with hashes from ``low`` to ``high``, None for all of them."""
        import numpy as np

        begin, end = self.segment.between(low, high)
        return None if end - begin == self.segment.hashes.size else np.arange(begin, end)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table as they are wanted; ``since`` names the batch from which on files hold one."""

    layout: TableLayout
    since: Mapping[str, int]

    def read(self, source: Source, rows: npt.NDArray[np.intp] | None, *, with_hash: bool = False) -> pl.DataFrame:
        """Return rows of a file by number, all without. A column that it lacks is null, a narrower type cast."""
        import polars as pl

        wanted = self.layout.columns
        held = [
            name for name in wanted if name in source.segment.columns and self.since.get(name, -1) <= source.batch_id
        ]
        frame = source.segment.take([*([HASH] if with_hash else []), GONE, *held], rows)
        if all(frame.schema.get(name) == dtype for name, dtype in wanted.items()):
            return frame
        fitted = [
            pl.col(name).cast(dtype) if name in held else pl.lit(None, dtype).alias(name)
            for name, dtype in wanted.items()
        ]
        return frame.select(*([HASH] if with_hash else []), GONE, *fitted)

    def slice(self, source: Source, low: int, high: int) -> pl.DataFrame:
        """Return the rows with hashes from ``low`` to ``high``, with ``HASH``; those that have left are ``GONE``."""
        frame = self.read(source, source.between(low, high), with_hash=True)
        return frame if source.cut_us is None else self._without_expired(frame, source.cut_us)

    def gather(self, runs: Sequence[Run], opened: Callable[[Run], Source], hits: Hits) -> tuple[pl.DataFrame, Hits]:
        """Return the rows of hits in runs, and the hits in their order: by source, the last one first."""
        import numpy as np
        import polars as pl

        hits = hits.chosen(np.argsort(-hits.source, kind="stable"))
        starts = np.flatnonzero(np.diff(hits.source, prepend=-1))
        frames = [
            self.rows(opened(runs[int(hits.source[start])]), rows)
            for start, rows in zip(starts, np.split(hits.row, starts[1:]), strict=True)
        ]
        return pl.concat(frames, rechunk=True), hits

    def rows(self, source: Source, rows: npt.NDArray[np.intp]) -> pl.DataFrame:
        """Return rows by number; those that have left are ``GONE``."""
        frame = self.read(source, rows)
        return frame if source.cut_us is None else self._without_expired(frame, source.cut_us)

    def _without_expired(self, frame: pl.DataFrame, cut_us: int) -> pl.DataFrame:
        """Return rows as gone whose time is at or before a moment."""
        import polars as pl

        expires = self.layout.expires
        if expires is None:
            return frame
        has_left = (pl.col(expires).dt.epoch("us") <= cut_us).fill_null(value=False)
        return frame.with_columns(pl.col(GONE) | has_left)
