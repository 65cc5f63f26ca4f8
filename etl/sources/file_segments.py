"""The folded part of a file ledger: immutable Parquet segments that record which file came in which batch.

A segment is named ``segment-<from>-<to>-<rows>.parquet`` after the batches that it covers, so its content follows from
its name. A merged segment is durable before the ones it replaces go; until then both hold the same rows.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.errors import CheckpointError, RecordExistsError
from etl.seam import Seam
from etl.storage import Storage, put_if_absent

if TYPE_CHECKING:
    import polars as pl

START = "start.parquet"
_REREAD = f"remove every file of this folder but {START}: the plans say the same, and are read again"
_NAME = re.compile(r"segment-(\d{10})-(\d{10})-(\d+)\.parquet")
_GROWTH = 3


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """The files of the batches ``first`` to ``last``, both included."""

    first: int
    last: int
    rows: int

    @property
    def name(self) -> str:
        """The name of the record."""
        return f"segment-{self.first:010}-{self.last:010}-{self.rows}.parquet"

    def holds(self, other: Segment) -> bool:
        """Tell whether every batch of another segment is in this one as well."""
        return self.first <= other.first and other.last <= self.last


class Segments:
    """The segments in one ledger folder."""

    def __init__(self, storage: Storage, seam: Seam) -> None:
        self._storage = storage
        self._seam = seam

    def present(self) -> tuple[list[Segment], list[Segment]]:
        """Return the segments that cover all folded batches, oldest first, and those that a merge has replaced.

        Raises CheckpointError where batches in the middle are covered by none.
        """
        found = [
            Segment(*map(int, match.groups())) for name in self._storage.list() if (match := _NAME.fullmatch(name))
        ]
        widest = sorted(found, key=lambda segment: (segment.first, -segment.last))
        current: list[Segment] = []
        for segment in widest:
            if current and current[-1].holds(segment):
                continue
            expected = current[-1].last + 1 if current else 0
            if segment.first > expected:
                raise CheckpointError(
                    f"the ledger does not say which files batches {expected} to {segment.first - 1} read",
                    where=self._storage.url,
                    hint=_REREAD,
                )
            current.append(segment)
        return current, [segment for segment in found if segment not in current]

    def has_start(self) -> bool:
        """Tell whether the files that were there before the first batch are recorded."""
        return START in self._storage.list()

    def read(self, names: Iterable[str], columns: list[str] | None = None) -> pl.DataFrame:
        """Return the rows of some segments, one beneath the other; ``columns`` None is all. Raises CheckpointError."""
        import polars as pl

        frames = []
        for name in names:
            try:
                frames.append(pl.read_parquet(io.BytesIO(self._storage.read(name)), columns=columns))
            except (OSError, pl.exceptions.PolarsError) as exc:
                where = f"{self._storage.url}/{name}"
                raise CheckpointError(f"unreadable ledger segment: {exc}", where=where, hint=_REREAD) from exc
        return pl.concat(frames)

    def write(self, name: str, rows: pl.DataFrame) -> None:
        """Write a segment, unless it is there. *Repeat*: safe, equal names hold equal rows."""
        content = io.BytesIO()
        rows.write_parquet(content, compression="zstd", statistics=False)
        with suppress(RecordExistsError):
            put_if_absent(self._storage, name, content.getvalue(), effect="ledger.put", seam=self._seam)

    def add(self, first: int, last: int, rows: pl.DataFrame) -> None:
        """Write the segment of the batches ``first`` to ``last`` and merge what has become small beside it.

        A segment is merged into its older neighbour while that is less than three times as large, so that a row is
        rewritten only a logarithm of times.
        """
        self.write(Segment(first, last, rows.height).name, rows)
        current, replaced = self.present()
        while len(current) > 1 and current[-2].rows < _GROWTH * current[-1].rows:
            older, newer = current[-2:]
            merged = self.read([older.name, newer.name]).unique(maintain_order=True)
            current[-2:] = [Segment(older.first, newer.last, merged.height)]
            self.write(current[-1].name, merged)
            replaced += [older, newer]
        for segment in replaced:
            self._storage.remove(segment.name, effect="ledger.remove")
