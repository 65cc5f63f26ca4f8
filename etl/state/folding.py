"""Folding changes into snapshots, partition by partition: a little with every batch, in proportion to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, TypeVar

from etl.state.segment import GONE, HASH, Encoded, encode_segment
from etl.state.table import StoredTable
from etl.state.version import Part, Run, Snapshot, StateFile, TableVersion, equal_ranges

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")
Write = Callable[[Encoded], StateFile]
_THREADS = 2
_LOOK_BYTES = 1 << 12
"""What it costs to see that a partition has no changes."""


class Writer(Protocol):
    """What makes files of an attempt: named and readable by ``write``, on disk after ``flush``."""

    def write(self, encoded: Encoded) -> StateFile:
        """Name a file."""

    def flush(self) -> None:
        """Write what was named."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """The rows of a range of hashes, as the file that they are to be; None for none."""

    low: int
    high: int
    encoded: Encoded | None


@dataclass(frozen=True, slots=True)
class Folding:
    """The folding that a batch does in one table."""

    table: StoredTable
    batch_id: int
    writer: Writer
    memory_bytes: int

    def folded(self, gained_bytes: int) -> TableVersion:
        """Return the table with some partitions folded; ``gained_bytes`` is the size of the batch's own change."""
        limits = self.table.shelf.limits
        version = self.table.version
        gained = int(limits.fold_factor * gained_bytes) * (2 if self._is_index_large() else 1)
        credit = min(version.credit + gained, max(gained, limits.part_bytes))
        if not self._is_due():
            return replace(version, credit=credit)
        parts = sorted(version.parts or self._first_parts(), key=self._urgency)
        chosen = self._chosen(parts, credit)
        folded = parts[len(chosen) :]
        for part, pieces in _in_threads(self._merged, chosen, self.writer.flush):
            after, cost_bytes = self._written(part, pieces)
            folded += after
            credit -= cost_bytes
        return replace(version, parts=tuple(sorted(folded, key=lambda part: part.low)), credit=credit)

    def _chosen(self, parts: list[Part], credit: int) -> list[Part]:
        """Return the first of the partitions: those that are damaged, and as many as the credit is good for."""
        chosen = []
        for part in parts:
            if credit <= 0 and not self._is_damaged(part):
                break
            credit -= max(_LOOK_BYTES, 0 if part.now.file is None else part.now.file.size_bytes)
            chosen.append(part)
        return chosen

    def _is_due(self) -> bool:
        limits, version = self.table.shelf.limits, self.table.version
        if any(self._is_damaged(part) for part in version.parts):
            return True
        live = version.live
        if sum(run.file.size_bytes for run in live) <= limits.fold_bytes:
            return False
        is_lasting = version.layout.expires is None or len(live) > limits.max_runs
        return is_lasting or self._is_index_large()

    def _is_index_large(self) -> bool:
        return self.table.shelf.overlay.size_bytes > self.memory_bytes // 8

    def _urgency(self, part: Part) -> tuple[bool, int, int]:
        return not self._is_damaged(part), part.now.upto, part.low

    def _is_damaged(self, part: Part) -> bool:
        return part.now.file is not None and part.now.file.path in self.table.shelf.rebuilt

    def _first_parts(self) -> list[Part]:
        """Return empty partitions that the runs so far will fill half."""
        limits, live = self.table.shelf.limits, self.table.version.live
        rows, size = (sum(getattr(run.file, name) for run in live) for name in ("rows", "size_bytes"))
        count = 1 + max(2 * rows // limits.part_rows, 2 * size // limits.part_bytes)
        empty = Snapshot(None, -1)
        return [Part(low, high, empty, empty) for low, high in equal_ranges(count)]

    def _merged(self, part: Part) -> list[_Piece] | None:
        """Return what a partition is made of now, None where it has not changed, and there are two files of it."""
        if not self._is_changed(part, part.former.upto) and not self._is_damaged(part):
            return None
        runs = self.table.runs_after(part.now.upto)
        frame = self.table.merged(part.low, part.high, self.table.snapshot(part), runs)
        expires = self.table.layout.expires
        return [
            _Piece(low, high, encode_segment(piece, expires) if piece.height else None)
            for piece, low, high in self._pieces(frame, part)
        ]

    def _written(self, part: Part, pieces: list[_Piece] | None) -> tuple[list[Part], int]:
        """Return what becomes of a partition, and how many bytes that took."""
        if pieces is None:
            return [replace(part, now=self._at(part.now), former=self._at(part.former))], _LOOK_BYTES
        if self._is_damaged(part):
            former = part.former
        else:
            former = part.now if self._is_changed(part, part.now.upto) else self._at(part.now)
        parts = []
        for piece in pieces:
            file = None if piece.encoded is None else self.writer.write(piece.encoded)
            parts.append(Part(piece.low, piece.high, Snapshot(file, self.batch_id), former))
        written = sum(part.now.file.size_bytes for part in parts if part.now.file is not None)
        return parts, max(written, _LOOK_BYTES)

    def _at(self, shot: Snapshot) -> Snapshot:
        return replace(shot, upto=self.batch_id)

    def _is_changed(self, part: Part, after: int) -> bool:
        for run in self.table.runs_after(after):
            rows = self.table.run(run).segment.between(part.low, part.high)
            if rows.start < rows.stop:
                return True
        return False

    def _pieces(self, frame: pl.DataFrame, part: Part) -> list[tuple[pl.DataFrame, int, int]]:
        """Cut a partition that has grown too large, between hashes, into pieces that are half full."""
        limits = self.table.shelf.limits
        fullness = max(frame.height / limits.part_rows, frame.estimated_size() / limits.part_bytes)
        if fullness <= 1:
            return [(frame, part.low, part.high)]
        count = int(2 * fullness) + 1
        hashes = frame.get_column(HASH)
        firsts = {int(hashes[frame.height * number // count]) for number in range(1, count)}
        borders = [part.low, *sorted(first for first in firsts if first > part.low), part.high + 1]
        rows = [0, *(int(hashes.search_sorted(border, "left")) for border in borders[1:-1]), frame.height]
        return [
            (frame[begin:end], low, high - 1)
            for (begin, end), (low, high) in zip(pairwise(rows), pairwise(borders), strict=True)
        ]


def _in_threads(
    work: Callable[[Part], T], parts: list[Part], meanwhile: Callable[[], None]
) -> Iterator[tuple[Part, T]]:
    """Yield partitions with what work makes of them, in order; two are worked on at a time, ``meanwhile`` is called."""
    waiting: deque[tuple[Part, Future[T]]] = deque()
    with ThreadPoolExecutor(_THREADS, "state-fold") as pool:
        for part in parts:
            waiting.append((part, pool.submit(work, part)))
            if len(waiting) >= _THREADS:
                meanwhile()
                part_done, made = waiting.popleft()
                yield part_done, made.result()
        for part_done, made in waiting:
            meanwhile()
            yield part_done, made.result()


def merge_small_runs(table: StoredTable, write: Write) -> TableVersion:
    """Return a table whose newest small runs are one, where there are many: sizes then grow from run to run."""
    version, limits = table.version, table.shelf.limits
    count = rows = 0
    for run in reversed(version.live):
        if run.file.rows >= limits.small_rows or (count >= limits.fan_in and run.file.rows > rows):
            break
        count, rows = count + 1, rows + run.file.rows
    if count < limits.fan_in:
        return version
    kept, small = version.runs[:-count], version.runs[-count:]
    low, high = equal_ranges(1)[0]
    frame = _without_values(table.merged(low, high, None, small, with_gone=True), table)
    merged = Run(write(encode_segment(frame, table.layout.expires)), small[0].first, small[-1].last)
    return replace(version, runs=(*kept, merged))


def _without_values(frame: pl.DataFrame, table: StoredTable) -> pl.DataFrame:
    """Return rows that are gone as tombstones: with nothing but their key."""
    import polars as pl

    is_gone = pl.col(GONE)
    values = [pl.when(~is_gone).then(pl.col(name)).alias(name) for name in table.layout.values]
    return frame.with_columns(values) if frame.get_column(GONE).any() else frame
