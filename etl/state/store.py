"""The state of one transform: versions in immutable files, of which each batch adds one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from etl.errors import StateError
from etl.model import StateRef
from etl.state.changing import cut, encode_change, without_dead
from etl.state.contract import Fingerprint, StateChange, TableLayout
from etl.state.fingerprints import refuse_other
from etl.state.folding import Folding, merge_small_runs
from etl.state.layouts import kept_layout, refuse_other_layout
from etl.state.limits import USUAL, Limits
from etl.state.segment import Encoded, digest
from etl.state.segment_cache import RESTORE, SegmentCache
from etl.state.sources import ALWAYS, Columns
from etl.state.table import Shelf, StoredTable
from etl.state.version import Run, StateFile, TableVersion, Version, decode_version, encode_version
from etl.storage import put_if_absent

if TYPE_CHECKING:
    from etl.seam import Seam
    from etl.storage import Storage


@dataclass(frozen=True, slots=True)
class OpenState:
    """The tables of a version as a definition sees them; ``ref`` names the version, None for none yet."""

    tables: Mapping[str, StoredTable]
    fingerprint: Fingerprint
    ref: StateRef | None = None
    version: Version | None = None


class StateStore:
    """The versions of the state of one transform, below ``storage``; keeps what it has opened from batch to batch."""

    def __init__(self, storage: Storage, seam: Seam, memory_bytes: int, limits: Limits = USUAL) -> None:
        self._storage = storage
        self._seam = seam
        self.memory_bytes = memory_bytes
        self._limits = limits.within(memory_bytes)
        self.cache = SegmentCache(storage, memory_bytes // 2)
        self._shelves: dict[str, Shelf] = {}
        self._versions: dict[StateRef, Version] = {}
        self._known: set[str] | None = None

    def open(self, ref: StateRef | None, layouts: Mapping[str, TableLayout], fingerprint: Fingerprint) -> OpenState:
        """Return the state after a batch, None for none yet. Nothing is written.

        A column that the state lacks is null. Raises StateError where the state is damaged, or was made by a definition
        that means something else.
        """
        version = None if ref is None else self.version(ref)
        if version is not None:
            refuse_other(version.fingerprint, fingerprint, where=self._storage.url)
        stored = {} if version is None else version.tables
        tables = {name: self._table(name, stored.get(name), layout) for name, layout in layouts.items()}
        return OpenState(tables, fingerprint, ref, version)

    def version(self, ref: StateRef) -> Version:
        """Return the record of a version. Raises StateError."""
        if ref in self._versions:
            return self._versions[ref]
        version = read_version(self._storage, ref)
        if version.hash_bits != self._limits.hash_bits:
            raise StateError(f"its keys have hashes of {version.hash_bits} bits", where=self._where(ref.file))
        self._versions[ref] = version
        return version

    def _where(self, path: str) -> str:
        return f"{self._storage.url}/{path}"

    def _table(self, name: str, stored: TableVersion | None, wanted: TableLayout) -> StoredTable:
        where = self._where(name)
        layout = kept_layout(wanted, where=where)
        version = TableVersion(layout)
        if stored is not None:
            refuse_other_layout(stored.layout, layout, where=where)
            new = {column: ALWAYS for column in layout.columns if column not in stored.layout.columns}
            since = {column: batch for column, batch in stored.since.items() if column in layout.columns}
            version = replace(stored, layout=layout, since={**since, **new})
        shelf = self._shelves.setdefault(name, Shelf(self.cache, self._limits))
        return StoredTable(version, Columns(wanted, version.since), shelf)

    def stage(self, batch_id: int, attempt: str, before: OpenState, changes: Mapping[str, StateChange]) -> StateRef:
        """Write the version after a batch, durably; nothing refers to it yet.

        Where nothing has changed, the version before is returned. *Repeat*: under another ``attempt``.
        """
        staging = _Staging(self, batch_id, attempt)
        tables = {name: staging.changed(table, changes.get(name)) for name, table in before.tables.items()}
        version = Version(batch_id, before.fingerprint, tables, self._limits.hash_bits)
        if before.ref is not None and before.version == replace(version, batch_id=_batch_of(before)):
            return before.ref
        content = encode_version(version, where=self._storage.url)
        path = f"{batch_id:010d}-{attempt}.json"
        self.put(path, content, "state.version")
        ref = StateRef(path, digest(content), *_totals(tables))
        self._versions[ref] = version
        return ref

    def put(self, path: str, content: bytes, effect: str) -> None:
        """Write a file of state, whole and durable."""
        put_if_absent(self._storage, path, content, effect=effect, seam=self._seam)
        if self._known is not None:
            self._known.add(path)

    def discard(self, batch_id: int, keep_attempt: str | None) -> None:
        """Remove what other attempts at a batch left, all of them without ``keep_attempt``. *Repeat*: safe."""
        for name in self._storage.list():
            batch, _, rest = name.partition("-")
            if batch == f"{batch_id:010d}" and rest.partition(".")[0].partition("-")[0] != keep_attempt:
                self._remove(name, "state.discard")

    def collect(self, kept: Sequence[StateRef]) -> None:
        """Remove every file that no kept version needs, be it to fall back on. *Repeat*: safe. Raises StateError."""
        self._versions = {ref: self.version(ref) for ref in kept}
        needed = {ref.file for ref in kept}
        for ref in kept:
            needed.update(file.path for table in self.version(ref).tables.values() for file in table.files())
        if self._known is None:
            self._known = set(self._storage.list())
        for name in sorted(self._known - needed):
            self._remove(name, "state.collect")

    def _remove(self, name: str, effect: str) -> None:
        self._storage.remove(name, effect=effect)
        self.cache.forget(name)
        for shelf in self._shelves.values():
            shelf.rebuilt.pop(name, None)
        if self._known is not None:
            self._known.discard(name)


@dataclass(slots=True)
class _Staging:
    """One attempt at the version after a batch."""

    store: StateStore
    batch_id: int
    attempt: str
    files: list[StateFile] = field(default_factory=list)
    waiting: list[tuple[StateFile, bytes]] = field(default_factory=list)

    def changed(self, table: StoredTable, change: StateChange | None) -> TableVersion:
        """Return a table after a change: with its run, without what is dead, and some of it folded."""
        since = {name: min(batch, self.batch_id) for name, batch in table.version.since.items()}
        version = replace(table.version, since=since)
        gained = 0
        if change is not None:
            encoded = encode_change(version.layout, change, table.shelf.limits.hash_bits)
            if encoded is not None:
                run = Run(self.write(encoded), self.batch_id, self.batch_id)
                version, gained = replace(version, runs=(*version.runs, run)), run.file.size_bytes
            version = without_dead(cut(version, change.expire_upto_us))
        version = merge_small_runs(self._opened(table, version), self.write)
        folding = Folding(self._opened(table, version), self.batch_id, self, self.store.memory_bytes)
        if gained or version != table.version:
            version = without_dead(folding.folded(gained))
        self.flush()
        return version

    def _opened(self, table: StoredTable, version: TableVersion) -> StoredTable:
        return StoredTable(version, Columns(table.layout, version.since), table.shelf)

    def write(self, encoded: Encoded) -> StateFile:
        """Name a file of this attempt, which can be read from now on and is written by ``flush``."""
        file = encoded.named(f"{self.batch_id:010d}-{self.attempt}-{len(self.files)}.arrow", self.batch_id)
        self.store.cache.trust(file, encoded.content)
        self.files.append(file)
        self.waiting.append((file, encoded.content))
        return file

    def flush(self) -> None:
        """Write what waits, in order: folding goes on in threads meanwhile."""
        while self.waiting:
            file, content = self.waiting.pop(0)
            self.store.put(file.path, content, "state.write")
            self.store.cache.settle(file)


def read_version(storage: Storage, ref: StateRef) -> Version:
    """Return the record of a version. Raises StateError where it is missing or damaged."""
    where = f"{storage.url}/{ref.file}"
    try:
        content = storage.read(ref.file)
    except FileNotFoundError as exc:
        raise StateError("is missing", where=where, hint=RESTORE) from exc
    if digest(content) != ref.checksum:
        raise StateError("its bytes are not those that were written", where=where, hint=RESTORE)
    return decode_version(content, where=where)


def _batch_of(state: OpenState) -> int:
    return -1 if state.version is None else state.version.batch_id


def _totals(tables: Mapping[str, TableVersion]) -> tuple[int, int]:
    files = [file for table in tables.values() for file in table.live_files]
    return sum(file.puts for file in files), sum(file.size_bytes for file in files)
