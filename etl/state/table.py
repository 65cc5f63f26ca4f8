"""A table of state as it lies in files: looked up by the hash of the key, in time that grows with the batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etl.state.contract import TableLayout
from etl.state.key_hash import hash_keys
from etl.state.limits import Limits
from etl.state.merging import alive, newest
from etl.state.overlay import Overlay, matching_rows
from etl.state.segment import GONE, HASH, Segment, encode_segment
from etl.state.segment_cache import DamagedFileError, SegmentCache
from etl.state.sources import ALWAYS, Columns, Source
from etl.state.version import Part, Run, StateFile, TableVersion, equal_ranges

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from etl.state.key_hash import Hashes
    from etl.state.overlay import Numbers

_NEEDLE = "_needle"


@dataclass(slots=True)
class Shelf:
    """What a table keeps from version to version: opened files, the index of its runs, snapshots made good again."""

    cache: SegmentCache
    limits: Limits
    overlay: Overlay = field(default_factory=Overlay)
    rebuilt: dict[str, Segment] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Keys, each once, sorted by their hashes, and which of them older files still have to be asked for."""

    keys: pl.DataFrame
    hashes: Hashes
    is_open: npt.NDArray[np.bool_]


class StoredTable:
    """A table of a version, in the columns of ``layout``."""

    def __init__(self, version: TableVersion, columns: Columns, shelf: Shelf) -> None:
        self.version = version
        self.layout: TableLayout = columns.layout
        self.columns = columns
        self.shelf = shelf

    @property
    def rows(self) -> int:
        """How many rows are alive, at most: those that were replaced since the last folding count twice."""
        return sum(file.puts for file in self.version.live_files)

    def lookup(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Return the rows with a key that occurs in ``keys``."""
        import numpy as np
        import polars as pl

        needles = self._needles(keys)
        hashes = hash_keys(needles, list(self.layout.keys), self.shelf.limits.hash_bits)
        order = np.argsort(hashes)
        asked = _Asked(needles[order], hashes[order], np.ones(needles.height, np.bool_))
        frames = [*self._in_runs(asked), *self._in_snapshots(asked)]
        if not frames:
            return pl.DataFrame(schema=self.layout.columns)
        frame = pl.concat(frames)
        if self.layout.part:
            frame = frame.unique([_NEEDLE, *self.layout.part], keep="first", maintain_order=True)
        return alive(frame).select(list(self.layout.columns))

    def _needles(self, keys: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        types = self.layout.keys
        if not types:
            return pl.DataFrame(height=min(keys.height, 1))
        return keys.select(pl.col(name).cast(dtype) for name, dtype in types.items()).unique()

    def _in_runs(self, asked: _Asked) -> Iterator[pl.DataFrame]:
        """Yield rows of the recent changes, newest first; close the needles that older rows no longer matter to.

        Where the newest row with a hash has another key than the needle, the next one is tried.
        """
        import numpy as np

        runs = self.version.live
        overlay = self.shelf.overlay
        overlay.follow(runs, lambda file: self.shelf.cache.get(file).hashes)
        hits = overlay.find(asked.hashes)
        hits = hits.chosen(np.lexsort((-hits.source, hits.needle)))
        while hits.needle.size:
            is_tried = (
                np.ones(hits.needle.size, np.bool_) if self.layout.part else np.diff(hits.needle, prepend=-1) != 0
            )
            frame, tried = self.columns.gather(runs, self.run, hits.chosen(is_tried))
            frame, is_equal = self._of_needles(frame, asked, tried.needle)
            yield frame
            if self.layout.part:
                return
            asked.is_open[tried.needle[is_equal]] = False
            hits = hits.chosen(~is_tried & asked.is_open[hits.needle])

    def _in_snapshots(self, asked: _Asked) -> Iterator[pl.DataFrame]:
        """Yield the rows of the open needles, partition by partition."""
        import numpy as np

        numbers = np.flatnonzero(asked.is_open)
        hashes = asked.hashes[numbers]
        for part in self.version.parts:
            begin = np.searchsorted(hashes, np.uint64(part.low), "left")
            end = np.searchsorted(hashes, np.uint64(part.high), "right")
            source = self.snapshot(part) if begin < end else None
            if source is not None:
                rows, which = matching_rows(source.segment.hashes, hashes[begin:end])
                if rows.size:
                    yield self._of_needles(self.columns.rows(source, rows), asked, numbers[begin:end][which])[0]

    def _of_needles(
        self, frame: pl.DataFrame, asked: _Asked, needle: Numbers
    ) -> tuple[pl.DataFrame, npt.NDArray[np.bool_]]:
        """Return the rows whose key is that of their needle, not only its hash, and which these are."""
        import numpy as np
        import polars as pl

        is_equal = np.ones(frame.height, np.bool_)
        for name, dtype in self.layout.keys.items():
            if dtype != pl.Null:
                wanted = asked.keys.get_column(name)[needle]
                is_equal &= frame.get_column(name).eq_missing(wanted).to_numpy()
        if self.layout.part:
            frame = frame.with_columns(pl.Series(_NEEDLE, needle, pl.Int64))
        return (frame if is_equal.all() else frame.filter(is_equal)), is_equal

    def expired(self, upto_us: int) -> pl.DataFrame:
        """Return the rows whose time is at or before ``upto_us``: files that hold none such are not opened."""
        import polars as pl

        expires = self.layout.expires
        found = [] if expires is None else list(self._expiring(expires, upto_us))
        if expires is None or not found:
            return pl.DataFrame(schema=self.layout.columns)
        rows = self.lookup(pl.concat(found))
        return rows.filter(pl.col(expires).dt.epoch("us") <= upto_us)

    def _expiring(self, expires: str, upto_us: int) -> Iterator[pl.DataFrame]:
        """Yield rows that expire by a time, and may have been replaced."""
        for part in self.version.parts:
            file = part.now.file
            if file is not None and _may_expire(file, part.now.cut_us, upto_us):
                source = self.snapshot(part)
                if source is not None:
                    yield self._expiring_in(source, expires, upto_us)
        for run in self.version.live:
            if _may_expire(run.file, run.cut_us, upto_us):
                yield self._expiring_in(self.run(run), expires, upto_us)

    def _expiring_in(self, source: Source, expires: str, upto_us: int) -> pl.DataFrame:
        return self.columns.read(source, source.segment.expiring(expires, source.cut_us, upto_us))

    def scan(self) -> Iterator[pl.DataFrame]:
        """Return all rows that are alive, a partition at a time."""
        for low, high, part in self._ranges():
            base = None if part is None else self.snapshot(part)
            runs = self.version.live if part is None else self.runs_after(part.now.upto)
            yield alive(self.merged(low, high, base, runs)).drop(HASH, GONE)

    def _ranges(self) -> list[tuple[int, int, Part | None]]:
        if self.version.parts:
            return [(part.low, part.high, part) for part in self.version.parts]
        count = 1 + sum(run.file.rows for run in self.version.live) // self.shelf.limits.part_rows
        return [(low, high, None) for low, high in equal_ranges(count)]

    def runs_after(self, batch_id: int) -> tuple[Run, ...]:
        """Return the runs with changes after a batch, oldest first."""
        return tuple(run for run in self.version.runs if run.last > batch_id)

    def merged(self, low: int, high: int, base: Source | None, runs: tuple[Run, ...]) -> pl.DataFrame:
        """Return the newest row of each key in a range of hashes, those that are gone too, sorted, with ``HASH``."""
        import polars as pl

        sources = [*(self.run(run) for run in reversed(runs)), *([] if base is None else [base])]
        frames = [frame for source in sources if (frame := self.columns.slice(source, low, high)).height]
        if not frames:
            return pl.DataFrame(schema={HASH: pl.UInt64(), GONE: pl.Boolean(), **self.layout.columns})
        return newest(frames, [*self.layout.keys, *self.layout.part])

    def run(self, run: Run) -> Source:
        """Open a run. Raises DamagedFileError."""
        return Source(self.shelf.cache.get(run.file), run.file.batch_id, run.cut_us)

    def snapshot(self, part: Part) -> Source | None:
        """Open the newest snapshot of a partition, None where it is empty.

        Where its file is damaged, it is made again of the former one and the changes since. Raises DamagedFileError.
        """
        file, cut_us = part.now.file, part.now.cut_us
        if file is None:
            return None
        if file.path in self.shelf.rebuilt:
            return Source(self.shelf.rebuilt[file.path], ALWAYS, cut_us)
        try:
            return Source(self.shelf.cache.get(file), file.batch_id, cut_us)
        except DamagedFileError as damage:
            return Source(self._rebuild(part, file, damage), ALWAYS, cut_us)

    def _rebuild(self, part: Part, file: StateFile, damage: DamagedFileError) -> Segment:
        former, base = part.former, None
        if former == part.now:
            raise damage
        try:
            if former.file is not None:
                base = Source(self.shelf.cache.get(former.file), former.file.batch_id, former.cut_us)
            frame = alive(self.merged(part.low, part.high, base, self.runs_after(former.upto)))
        except DamagedFileError:
            raise damage from None
        segment = Segment(encode_segment(frame, self.layout.expires).content)
        self.shelf.rebuilt[file.path] = segment
        return segment


def _may_expire(file: StateFile, cut_us: int | None, upto_us: int) -> bool:
    """Tell whether a file may hold rows that have not left, but do at a time."""
    return file.min_us is not None and file.min_us <= upto_us and not file.is_dead(cut_us)
