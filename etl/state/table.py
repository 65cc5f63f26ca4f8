"""A table of state as it lies in files: looked up by the hash of the key, in time that grows with the batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etl.state.contract import TableLayout
from etl.state.key_hash import hash_keys, order_of
from etl.state.limits import Limits
from etl.state.merging import alive, firsts, fitted, newest, same
from etl.state.overlay import Hits, Overlay, matching_rows
from etl.state.segment import Segment, encode_segment
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
        import polars as pl

        asked = self._asked(keys)
        runs = self.version.live
        self.shelf.overlay.follow(runs, lambda file: self.shelf.cache.get(file).hashes)
        hits = self.shelf.overlay.find(asked.hashes)
        if self.layout.part:
            return alive(self._newest_by_part(asked, self._gathered(runs, hits)))
        recent = list(self._newest_by_key(asked, runs, hits))
        frame, needle = self._in_snapshots(asked)
        is_equal = self._have_key(frame, asked, needle)
        return alive(pl.concat([*recent, frame if is_equal.all() else frame.filter(is_equal)]))

    def _newest_by_part(self, asked: _Asked, recent: tuple[pl.DataFrame, Numbers]) -> pl.DataFrame:
        """Return the newest row of each needle and part."""
        import numpy as np
        import polars as pl

        older = self._in_snapshots(asked)
        frame, needle = pl.concat([recent[0], older[0]], rechunk=True), np.concatenate([recent[1], older[1]])
        numbered = frame.with_columns(pl.Series(_NEEDLE, needle)).filter(self._have_key(frame, asked, needle))
        kept = numbered.unique([_NEEDLE, *self.layout.part], keep="first", maintain_order=True)
        return kept.drop(_NEEDLE)

    def _asked(self, keys: pl.DataFrame) -> _Asked:
        import numpy as np

        names = list(self.layout.keys)
        keys = fitted(keys, self.layout.keys)
        hashes = hash_keys(keys, names, self.shelf.limits.hash_bits)
        order = order_of(hashes)
        hashes = hashes[order]
        is_first = firsts(keys, names, order, hashes)
        order, hashes = order[is_first], hashes[is_first]
        return _Asked(keys[order] if names else keys.head(1), hashes, np.ones(hashes.size, np.bool_))

    def _newest_by_key(self, asked: _Asked, runs: tuple[Run, ...], hits: Hits) -> Iterator[pl.DataFrame]:
        """Yield the rows of recent changes; close the needles that older rows no longer matter to.

        Where the newest row with a hash has another key than the needle, the next one is tried.
        """
        import numpy as np

        hits = hits.chosen(np.argsort(hits.needle * len(runs) - hits.source, kind="stable"))
        while hits.needle.size:
            is_tried = np.diff(hits.needle, prepend=-1) != 0
            frame, needle = self._gathered(runs, hits.chosen(is_tried))
            is_equal = self._have_key(frame, asked, needle)
            yield frame if is_equal.all() else frame.filter(is_equal)
            asked.is_open[needle[is_equal]] = False
            hits = hits.chosen(~is_tried & asked.is_open[hits.needle])

    def _gathered(self, runs: tuple[Run, ...], hits: Hits) -> tuple[pl.DataFrame, Numbers]:
        """Return the rows of hits, those of the newest run first, and the needle of each."""
        import numpy as np

        hits = hits.chosen(np.argsort(-hits.source.astype(np.int16), kind="stable"))
        starts = np.flatnonzero(np.diff(hits.source, prepend=-1))
        pieces = zip(starts, np.split(hits.row, starts[1:]) if starts.size else [], strict=True)
        return self.columns.read((self.run(runs[int(hits.source[start])]), rows) for start, rows in pieces), hits.needle

    def _in_snapshots(self, asked: _Asked) -> tuple[pl.DataFrame, Numbers]:
        """Return the rows with the hashes of the open needles, and the needle of each, partition by partition."""
        import numpy as np

        numbers = np.flatnonzero(asked.is_open)
        hashes = asked.hashes[numbers]
        needles = [np.zeros(0, np.int64)]

        def found() -> Iterator[tuple[Source, Numbers]]:
            for part in self.version.parts:
                begin = np.searchsorted(hashes, np.uint64(part.low), "left")
                end = np.searchsorted(hashes, np.uint64(part.high), "right")
                source = self.snapshot(part) if begin < end else None
                if source is not None:
                    rows, which = matching_rows(source.segment.hashes, hashes[begin:end])
                    needles.append(numbers[begin:end][which])
                    yield source, rows

        return self.columns.read(found()), np.concatenate(needles)

    def _have_key(self, frame: pl.DataFrame, asked: _Asked, needle: Numbers) -> npt.NDArray[np.bool_]:
        """Tell of which rows the key is that of their needle, not only its hash."""
        import numpy as np

        is_equal = np.ones(frame.height, np.bool_)
        for name in self.layout.keys:
            is_equal &= same(frame.get_column(name), asked.keys.get_column(name)[needle])
        return is_equal

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
        return alive(self.columns.read([(source, source.segment.expiring(expires, source.cut_us, upto_us))]))

    def scan(self) -> Iterator[pl.DataFrame]:
        """Return all rows that are alive, a partition at a time."""
        for low, high, part in self._ranges():
            base = None if part is None else self.snapshot(part)
            runs = self.version.live if part is None else self.runs_after(part.now.upto)
            yield alive(self.merged(low, high, base, runs))

    def _ranges(self) -> list[tuple[int, int, Part | None]]:
        if self.version.parts:
            return [(part.low, part.high, part) for part in self.version.parts]
        count = 1 + sum(run.file.rows for run in self.version.live) // self.shelf.limits.part_rows
        return [(low, high, None) for low, high in equal_ranges(count)]

    def runs_after(self, batch_id: int) -> tuple[Run, ...]:
        """Return the runs with changes after a batch, oldest first."""
        return tuple(run for run in self.version.runs if run.last > batch_id)

    def merged(
        self, low: int, high: int, base: Source | None, runs: tuple[Run, ...], *, with_gone: bool = False
    ) -> pl.DataFrame:
        """Return the newest row of each key in a range of hashes, sorted, with ``HASH`` and ``GONE``."""
        sources = [*(self.run(run) for run in reversed(runs)), *([] if base is None else [base])]
        pieces = ((source, source.segment.between(low, high)) for source in sources)
        frame = self.columns.read(((source, rows) for source, rows in pieces if rows.start < rows.stop), with_hash=True)
        return newest(frame, [*self.layout.keys, *self.layout.part], with_gone=with_gone)

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
            frame = self.merged(part.low, part.high, base, self.runs_after(former.upto))
        except DamagedFileError:
            raise damage from None
        segment = Segment(encode_segment(frame, self.layout.expires).content)
        self.shelf.rebuilt[file.path] = segment
        return segment


def _may_expire(file: StateFile, cut_us: int | None, upto_us: int) -> bool:
    """Tell whether a file may hold rows that have not left, but do at a time."""
    return file.min_us is not None and file.min_us <= upto_us and not file.is_dead(cut_us)
