"""Parquet: columns by name, types from the footer, only exact conversions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from etl.formats.columnar import BATCH_ROWS, Batches, Columnar, Rows, damage
from etl.formats.compressed import seekable
from etl.formats.watched import Watched
from etl.options import Options
from etl.schema_contract import EVOLVE, SchemaContract

if TYPE_CHECKING:
    from typing import BinaryIO

    from etl.formats.contract import FileOpener, Task
    from etl.model import Schema
    from etl.schema_contract import Survey

_BATCH_BYTES = 64_000_000
_BUFFER_BYTES = 1_000_000
"""Read in buffers, a row group of 200 MB takes 80 MB of memory, without them 275 MB; no slower (2026-11-26)."""


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
def _rows(file: FileOpener, _: Schema) -> Iterator[Rows]:
    import pyarrow.parquet as pq

    with file.open() as opened:
        watched = Watched(seekable(opened, file.path))
        with damage(file, watched, "not a whole Parquet file"):
            parquet = pq.ParquetFile(
                cast("BinaryIO", watched), buffer_size=_BUFFER_BYTES, pre_buffer=False, arrow_extensions_enabled=False
            )
            types = parquet.schema_arrow

        def batches(columns: list[str]) -> Batches:
            with damage(file, watched, "data is damaged"):
                found = parquet.iter_batches(batch_size=_batch_rows(parquet), columns=columns, use_threads=False)
                batch = next(found, None)
            while batch is not None:
                yield batch, {}
                with damage(file, watched, "data is damaged"):
                    batch = next(found, None)

        yield Rows(types, batches)


def _batch_rows(parquet: Any) -> int:  # noqa: ANN401  pyarrow has no types here
    """Return how many rows to decode at a time, so that long values keep the bound of memory too."""
    meta = parquet.metadata
    rows: int = meta.num_rows
    size: int = sum(meta.row_group(place).total_byte_size for place in range(meta.num_row_groups))
    return max(1, min(BATCH_ROWS, _BATCH_BYTES * max(rows, 1) // max(size, 1)))
