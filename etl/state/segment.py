"""A file of rows in the Arrow IPC format, sorted by the hash of their key: written whole, read where it is needed."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.state.version import StateFile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl
    import pyarrow as pa

    from etl.state.key_hash import Hashes

HASH = "_hash"
GONE = "_gone"
"""True in a tombstone: the key had a row, and has none any more."""
BY_TIME = "_by_time"
"""Where rows expire: the numbers of those that ever do, in the order in which they do, then the others."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """The bytes of a file to be, and what a version record says of it but for its name."""

    content: bytes
    checksum: str
    rows: int
    puts: int
    min_us: int | None
    max_us: int | None

    def named(self, path: str, batch_id: int) -> StateFile:
        """Return the file under a name."""
        size_bytes = len(self.content)
        return StateFile(path, self.rows, self.puts, size_bytes, self.checksum, batch_id, self.min_us, self.max_us)


def digest(content: bytes | memoryview) -> str:
    """Return the checksum of a file: the first half of its SHA-256."""
    return hashlib.sha256(content).hexdigest()[:32]


def encode_segment(frame: pl.DataFrame, expires: str | None, *, is_indexed: bool = True) -> Encoded:
    """Return the file of rows that are sorted by ``HASH`` and have ``GONE``, and what is in it.

    ``is_indexed`` adds ``BY_TIME`` where rows expire: for files that are read more often than written.
    """
    puts = frame.height - int(frame.get_column(GONE).sum())
    min_us = max_us = None
    if expires is not None:
        times = frame.get_column(expires).dt.epoch("us")
        if is_indexed:
            frame = frame.with_columns(times.arg_sort(nulls_last=True).alias(BY_TIME))
        min_us = times.min()
        max_us = times.max() if times.null_count() == frame.height - puts else None
    content = _to_ipc(frame.rechunk())
    return Encoded(content, digest(content), frame.height, puts, _integer(min_us), _integer(max_us))


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _to_ipc(frame: pl.DataFrame) -> bytes:
    """Return one record batch, uncompressed: it is mapped into memory, and most of it never looked at."""
    import polars as pl
    import pyarrow as pa

    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    counter = pa.MockOutputStream()
    _write_ipc(counter, table)
    content = pa.allocate_buffer(counter.size())  # a buffer that grows would be copied again and again
    _write_ipc(pa.FixedSizeBufferWriter(content), table)
    return bytes(content)


def _write_ipc(out: pa.NativeFile, table: pa.Table) -> None:
    import pyarrow as pa

    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table, max(table.num_rows, 1))


class Segment:
    """The rows of a file; ``content`` is its bytes, usually mapped into memory."""

    def __init__(self, content: object) -> None:
        import pyarrow as pa

        reader = pa.ipc.open_file(pa.py_buffer(content))
        self._batch: pa.RecordBatch = (
            reader.get_batch(0) if reader.num_record_batches else pa.RecordBatch.from_pylist([], reader.schema)
        )
        self.columns: tuple[str, ...] = tuple(reader.schema.names)
        self.hashes: Hashes = self._batch.column(HASH).to_numpy()

    def take(self, columns: Sequence[str], rows: npt.NDArray[np.int64] | slice) -> pa.RecordBatch:
        """Return columns of the rows with these numbers, in their order, or of those between two."""
        import pyarrow as pa

        batch = self._batch.select(list(columns))
        if isinstance(rows, slice):
            return batch.slice(rows.start, rows.stop - rows.start)
        return batch.take(pa.array(rows))

    def between(self, low: int, high: int) -> slice:
        """Return where the rows with hashes from ``low`` to ``high`` are."""
        import numpy as np

        begin = np.searchsorted(self.hashes, np.uint64(low), "left")
        end = np.searchsorted(self.hashes, np.uint64(high), "right")
        return slice(int(begin), int(end))

    def expiring(self, expires: str, after_us: int | None, upto_us: int) -> npt.NDArray[np.int64]:
        """Return the numbers of the rows whose time is after one and at or before another."""
        import numpy as np

        times = self._batch.column(expires)
        values = np.frombuffer(times.buffers()[1], np.int64)[times.offset : times.offset + len(times)]
        if BY_TIME not in self.columns:
            is_after = values > (-(2**63) if after_us is None else after_us)
            is_valid = times.is_valid().to_numpy(zero_copy_only=False)
            return np.flatnonzero(is_after & (values <= upto_us) & is_valid)
        order = self._batch.column(BY_TIME).to_numpy()[: len(times) - times.null_count]
        begin = 0 if after_us is None else bisect_right(order, after_us, key=values.__getitem__)
        end = bisect_right(order, upto_us, key=values.__getitem__)
        found: npt.NDArray[np.int64] = order[begin:end].astype(np.int64)
        return found
