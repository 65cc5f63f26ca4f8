"""State for people and tools: which tables a version has, and their rows, without the pipeline that made them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from etl.errors import StateError
from etl.model import StateRef
from etl.state.contract import Fingerprint, TableLayout
from etl.state.limits import USUAL
from etl.state.segment_cache import DamagedFileError, SegmentCache
from etl.state.sources import Columns
from etl.state.store import read_version
from etl.state.table import Shelf, StoredTable
from etl.state.version import StateFile, TableVersion, Version

if TYPE_CHECKING:
    import polars as pl

    from etl.storage import Storage

_MEMORY_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What a version record says of a table. ``rows`` is an upper bound, ``next_us`` a lower one of the next expiry."""

    layout: TableLayout
    rows: int
    size_bytes: int
    files: int
    next_us: int | None


class StateReader:
    """The tables of a version of a transform's state, below the ``storage`` of that transform. Nothing is written."""

    def __init__(self, storage: Storage, ref: StateRef) -> None:
        self._storage = storage
        self._version: Version = read_version(storage, ref)

    @property
    def batch_id(self) -> int:
        """The batch that wrote the version: that of the reference, or the last one before that changed anything."""
        return self._version.batch_id

    @property
    def fingerprint(self) -> Fingerprint:
        """What the state was made by."""
        return self._version.fingerprint

    @property
    def tables(self) -> Mapping[str, TableFacts]:
        """The tables by name."""
        return {name: _facts(table) for name, table in self._version.tables.items()}

    @property
    def files(self) -> tuple[StateFile, ...]:
        """Every file of the version, those to fall back on too."""
        return tuple(file for table in self._version.tables.values() for file in table.files())

    def damages(self, seen: set[str]) -> Iterator[str]:
        """Yield what is wrong with the files of the version, those to fall back on too, but for those in ``seen``.

        Every file is read as a whole; its path is added to ``seen``.
        """
        cache = SegmentCache(self._storage, 0)
        for file in self.files:
            if file.path in seen:
                continue
            seen.add(file.path)
            try:
                cache.get(file)
            except DamagedFileError as exc:
                yield f"{exc.where} {exc.message}"

    def scan(self, name: str) -> Iterator[pl.DataFrame]:
        """Return the rows of a table, in parts that fit into memory. Raises StateError."""
        return self._table(name).scan()

    def lookup(self, name: str, keys: pl.DataFrame) -> pl.DataFrame:
        """Return the rows with a key that occurs in ``keys``, without reading the others. Raises StateError."""
        return self._table(name).lookup(keys)

    def _table(self, name: str) -> StoredTable:
        table = self._version.tables.get(name)
        if table is None:
            known = ", ".join(self._version.tables) or "none"
            raise StateError(f"there is no table {name}", where=self._storage.url, hint=f"its tables are: {known}")
        limits = replace(USUAL, hash_bits=self._version.hash_bits)
        shelf = Shelf(SegmentCache(self._storage, _MEMORY_BYTES), limits)
        return StoredTable(table, Columns(table.layout, table.since), shelf)


def _facts(table: TableVersion) -> TableFacts:
    files = table.live_files
    moments = [file.min_us for file in files if file.min_us is not None]
    return TableFacts(
        table.layout,
        sum(file.puts for file in files),
        sum(file.size_bytes for file in files),
        len(files),
        min(moments, default=None),
    )
