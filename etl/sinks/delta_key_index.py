"""Which keys the data files of a Delta table hold, noted beside them where statistics do not tell.

A file that a batch has looked into in vain gets a note of its keys: later batches need not read it. Data files never
change, so a note is right for as long as its file is there; one that is lost or damaged costs a look into the file.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import TYPE_CHECKING

from etl.sinks.delta_keys import has_bounds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    import polars as pl

    from etl.sinks.delta_reading import FileReader, LiveFile
    from etl.state.key_hash import Hashes
    from etl.storage import Storage

FOLDER = "_keys"
_FORMAT = "1"
_CHECKSUM = 4
_HIGH, _LOW = "<u4", "<u2"
_BYTES_OF_KEY = 6
"""Of a hash 48 bits are kept: among a million keys one in 280 million others looks as if it were there."""
_LEARNED_ROWS = 2_000_000
"""How many rows one batch makes notes of: the first one on a large table is not to wait for all of it."""
_TEMPORARY_S = 3600.0


class KeyIndex:
    """The notes of the keys of a table's files, for a key in the columns and types of ``keys``, which is empty."""

    def __init__(self, storage: Storage, reader: FileReader, files: Sequence[LiveFile], least_rows: int | None) -> None:
        self._storage = storage
        self._reader = reader
        self._files = files
        self._least_rows = least_rows

    def may_hold(self, numbers: Sequence[int] | pl.Series, keys: pl.DataFrame) -> list[int]:
        """Return those of the files with some numbers whose notes do not say that they have none of the keys."""
        names = {number: _name(self._files[number], keys) for number in self._large(numbers, keys)}
        known = self._known() if names else frozenset()
        noted = {number: name for number, name in names.items() if name in known}
        needles = _sorted_hashes(keys) if noted else None
        return [number for number in numbers if needles is None or self._may(noted.get(number), needles)]

    def learn(self, numbers: Iterable[int], keys: pl.DataFrame) -> None:
        """Note the keys of large files that were looked into in vain. *Repeat*: safe."""
        large = self._large(numbers, keys)
        known = self._known() if large else frozenset()
        new = [number for number in large if _name(self._files[number], keys) not in known]
        left = _LEARNED_ROWS
        for number in new:
            rows = self._files[number]["num_records"]
            if left < _LEARNED_ROWS and rows > left:
                break
            left -= rows
            self._note(number, keys)
        if new:
            self._forget(known - {_name(file, keys) for file in self._files})

    def _large(self, numbers: Iterable[int], keys: pl.DataFrame) -> list[int]:
        """Return those of some files that may have notes of such keys."""
        least = self._least_rows
        if least is None or self._reader.retypes or not _can_be_noted(keys):
            return []
        return [number for number in numbers if (self._files[number].get("num_records") or 0) >= least]

    def _known(self) -> frozenset[str]:
        """Return the names of all notes."""
        return frozenset(self._storage.list(FOLDER))

    def _note(self, number: int, keys: pl.DataFrame) -> None:
        import polars as pl

        from etl.state.key_hash import hash_keys

        names = keys.columns
        rows = self._reader.typed(self._files[number]).select(names)

        def hashed(frame: pl.DataFrame) -> pl.DataFrame:
            return pl.DataFrame({FOLDER: hash_keys(frame, names)})

        found = rows.map_batches(hashed, schema=pl.Schema({FOLDER: pl.UInt64}), streamable=True)
        content = _encoded(found.collect(engine="streaming").to_series().sort().to_numpy())
        self._storage.replace(f"{FOLDER}/{_name(self._files[number], keys)}", content, effect="keys.put")

    def _may(self, name: str | None, needles: Hashes) -> bool:
        """Tell whether a file may have one of some hashes, by its note, if there is one."""
        if name is None:
            return True
        try:
            content = self._storage.read(f"{FOLDER}/{name}")
        except FileNotFoundError:
            return True
        return _may_hold(content, needles)

    def _forget(self, names: Collection[str]) -> None:
        """Remove the notes of files that are gone, and what a crash has left."""
        for name in sorted(names):
            if not name.startswith("."):
                self._storage.remove(f"{FOLDER}/{name}", effect="keys.discard")
        self._storage.sweep(FOLDER, older_than_s=_TEMPORARY_S, effect="keys.sweep")


def _can_be_noted(keys: pl.DataFrame) -> bool:
    return all(has_bounds(dtype) for dtype in keys.schema.values())


def _name(file: LiveFile, keys: pl.DataFrame) -> str:
    """Return a name that only the note of these key columns of this file has."""
    from etl.state.key_hash import NAME

    columns = [[name, str(dtype)] for name, dtype in keys.schema.items()]
    said = json.dumps([_FORMAT, NAME, file["path"], file.get("size_bytes"), file.get("num_records"), columns])
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _sorted_hashes(keys: pl.DataFrame) -> Hashes:
    import numpy as np

    from etl.state.key_hash import hash_keys

    return np.sort(hash_keys(keys, keys.columns))


def _halves(hashes: Hashes) -> tuple[Hashes, Hashes]:
    import numpy as np

    return (hashes >> np.uint64(32)).astype(_HIGH), (hashes >> np.uint64(16)).astype(_LOW)


def _encoded(hashes: Hashes) -> bytes:
    """Return the note of sorted hashes: a checksum, their first 32 bits, their next 16."""
    high, low = _halves(hashes)
    content = high.tobytes() + low.tobytes()
    return zlib.crc32(content).to_bytes(_CHECKSUM, "little") + content


def _may_hold(content: bytes, needles: Hashes) -> bool:
    """Tell whether one of some hashes may be in a note; of a note that is damaged nothing is believed."""
    import numpy as np

    count, rest = divmod(len(content) - _CHECKSUM, _BYTES_OF_KEY)
    if (
        rest
        or count < 0
        or zlib.crc32(memoryview(content)[_CHECKSUM:]) != int.from_bytes(content[:_CHECKSUM], "little")
    ):
        return True
    high = np.frombuffer(content, _HIGH, count, _CHECKSUM)
    low = np.frombuffer(content, _LOW, count, _CHECKSUM + 4 * count)
    wanted, more = _halves(needles)
    first, last = (np.searchsorted(high, wanted, side) for side in ("left", "right"))
    return any(
        bool((low[first[number] : last[number]] == more[number]).any()) for number in np.flatnonzero(last > first)
    )
