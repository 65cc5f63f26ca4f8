"""Rows that leave a Delta table by their places: the files that hold them are written anew without them, streaming."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from etl.balance import observed
from etl.errors import BalanceError
from etl.sinks.delta_files import nan_observer
from etl.sinks.delta_hits import FILE, ROW, beside
from etl.sinks.delta_nans import nan_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from etl.sinks.delta_reading import FileReader, LiveFile

_SMALL_BYTES = 8_000_000
"""Files below it are written together, until they are about that large; larger ones stay by themselves.

So files keep the narrow bounds of keys that readers, and later merges, skip them by.
"""


class Removal:
    """What takes the rows at some ``places`` out of one version of a table, and puts ``more`` rows in.

    ``files`` are all of the version. Where columns change their type, all of them are written anew.
    """

    def __init__(
        self,
        reader: FileReader,
        files: Sequence[LiveFile],
        places: pl.DataFrame,
        more: pl.DataFrame | None = None,
    ) -> None:
        self._reader = reader
        self._more = more if more is not None and more.height else None
        self.retypes = reader.retypes
        self.gone = places.height
        self._leaving = {int(number): rows[ROW] for (number,), rows in places.group_by(FILE, maintain_order=True)}
        numbers = range(len(files)) if self.retypes else sorted(self._leaving)
        self._files = {number: files[number] for number in numbers}
        self._rows = dict(zip(self._files, reader.counts(list(self._files.values())), strict=True))

    @property
    def removes(self) -> tuple[str, ...]:
        """The files that are taken out, as the table's log writes them."""
        return tuple(file["path"] for file in self._files.values())

    @property
    def puts_back(self) -> bool:
        """Whether rows have to be written."""
        return bool(self._files) or self._more is not None

    @property
    def is_data_change(self) -> bool:
        """Whether rows go or come, and not only change their types."""
        return bool(self.gone) or self._more is not None

    def written(self) -> tuple[list[pl.LazyFrame], set[str]]:
        """Return the rows that are put back, in parts that are written side by side, and which columns may hold NaN.

        The set is whole once the rows are written. Streaming raises SinkError where a value does not survive its new
        type.
        """
        parts = [self._without(group) for group in self._groups() if self._is_left(group)]
        if self.retypes or self._more is not None:
            more = [] if self._more is None else [self._more.lazy()]
            look, found = nan_observer()
            return [observed(rows, look) for rows in parts + more], found
        return parts, nan_columns(self._reader, list(self._files.values()))

    def _groups(self) -> Iterator[list[int]]:
        """Give the files that are written together: of one partition, in order."""
        open_groups: dict[str, tuple[list[int], int]] = {}
        for number, file in self._files.items():
            size, partition = file.get("size_bytes") or _SMALL_BYTES, repr(file.get("partition"))
            if size >= _SMALL_BYTES:
                yield [number]
                continue
            group, total = open_groups.get(partition, ([], 0))
            open_groups[partition] = ([*group, number], total + size)
            if total + size >= _SMALL_BYTES:
                yield open_groups.pop(partition)[0]
        yield from (group for group, _ in open_groups.values())

    def _is_left(self, group: Sequence[int]) -> bool:
        leaving = sum(len(self._leaving.get(number, ())) for number in group)
        return leaving < sum(self._rows[number] for number in group)

    def _without(self, group: Sequence[int]) -> pl.LazyFrame:
        """Return the rows of some files that stay, in their order."""
        import numpy as np
        import polars as pl

        rows = pl.concat([self._reader.typed(self._files[number]) for number in group])
        stays = np.ones(sum(self._rows[number] for number in group), np.bool_)
        start = 0
        for number in group:
            if number in self._leaving:
                stays[start + self._leaving[number].to_numpy().astype(np.int64)] = False
            start += self._rows[number]
        return rows if stays.all() else beside(rows, stays)

    def check(self, written: int) -> None:
        """Refuse to put back fewer or more rows than were there. Raises BalanceError."""
        before = sum(self._rows.values())
        more = 0 if self._more is None else self._more.height
        if written != before - self.gone + more:
            raise BalanceError(
                f"{before} rows taken out, {self.gone} of them for good, {written} put back",
                where=self._reader.url,
            )
