"""Parquet: columns by name, types from the footer, only exact conversions."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from etl.formats.columnar import BATCH_ROWS, Batches, Columnar, Rows, damage
from etl.formats.compressed import seekable
from etl.formats.parquet_exact import exact_frames, is_exact
from etl.formats.parquet_pages import are_sound
from etl.formats.watched import Watched
from etl.options import Options
from etl.schema_contract import EVOLVE, SchemaContract

if TYPE_CHECKING:
    from typing import BinaryIO

    import pyarrow.parquet as pq

    from etl.formats.contract import FileOpener, Task
    from etl.model import Schema
    from etl.schema_contract import Survey

_BATCH_BYTES = 64_000_000
_BUFFER_BYTES = 1_000_000
"""Read in buffers, a row group of 200 MB takes 80 MB of memory, without them 275 MB; no slower (2026-11-26)."""
_EXACT_BATCHES = 2
"""Polars reads as many at a time: what it decodes takes less memory, and the frames are handed on as they are."""
_WHOLE_CHUNKS = 16
"""A file of so many chunks may be held in memory while it is read."""


class ParquetOptions(Options):
    """Parquet has nothing to choose."""


class Parquet:
    """Reads Parquet, row group by row group. A value that its column cannot hold exactly sets its row aside."""

    options_model = ParquetOptions

    def __init__(self, options: ParquetOptions | None = None, contract: SchemaContract = EVOLVE) -> None:
        self.options = options or ParquetOptions()
        self._columnar = Columnar(_rows, contract)

    def tasks(self, file: FileOpener, schema: Schema, wide: frozenset[str] = frozenset()) -> Iterator[Task]:
        """Return the one task of the file."""
        return self._columnar.tasks(file, schema, wide)

    def survey(self, file: FileOpener, known: Survey | None) -> Survey:
        """Return ``known`` evolved by the columns, fields and types of the footer."""
        return self._columnar.survey(file, known)


@contextmanager
def _rows(file: FileOpener, schema: Schema) -> Iterator[Rows]:
    with file.open() as opened:
        watched = Watched(seekable(opened, file.path))
        with damage(file, watched, "not a whole Parquet file"):
            parquet = _opened(cast("BinaryIO", watched))
            types = parquet.schema_arrow

        def batches(columns: list[str]) -> Batches:
            found, given = parquet, 0
            if file.size_bytes <= _WHOLE_CHUNKS * file.chunk_bytes and is_exact(types, columns, schema):
                with damage(file, watched, "data is damaged"):
                    watched.seek(0)
                    content = watched.read()
                    found = _opened(io.BytesIO(content))
                if are_sound(content, columns):
                    for frame in exact_frames(content, schema, _row_groups(found), _EXACT_BATCHES * _batch_rows(found)):
                        yield frame, {}
                        given += frame.height
            if not given or given < sum(_row_groups(found)):
                yield from converted(found, columns, given)

        def converted(parquet: pq.ParquetFile, columns: list[str], after: int) -> Batches:
            with damage(file, watched, "data is damaged"):
                found = parquet.iter_batches(batch_size=_batch_rows(parquet), columns=columns, use_threads=False)
                batch = next(found, None)
            while batch is not None:
                if batch.num_rows > after:
                    yield batch.slice(after), {}
                after = max(0, after - batch.num_rows)
                with damage(file, watched, "data is damaged"):
                    batch = next(found, None)

        yield Rows(types, batches)


def _opened(source: BinaryIO) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    return pq.ParquetFile(source, buffer_size=_BUFFER_BYTES, pre_buffer=False, arrow_extensions_enabled=False)


def _row_groups(parquet: pq.ParquetFile) -> list[int]:
    """Return how many rows each row group has."""
    return [parquet.metadata.row_group(place).num_rows for place in range(parquet.metadata.num_row_groups)]


def _batch_rows(parquet: pq.ParquetFile) -> int:
    """Return how many rows to decode at a time, so that long values keep the bound of memory too."""
    meta = parquet.metadata
    rows: int = meta.num_rows
    size: int = sum(meta.row_group(place).total_byte_size for place in range(meta.num_row_groups))
    return max(1, min(BATCH_ROWS, _BATCH_BYTES * max(rows, 1) // max(size, 1)))
