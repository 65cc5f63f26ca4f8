"""Binary: a row a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from etl.errors import UnreadableFileError
from etl.formats.columnar import Batches, Columnar, Rows
from etl.options import Options
from etl.schema_contract import EVOLVE, SchemaContract

if TYPE_CHECKING:
    from etl.formats.contract import FileOpener, Task
    from etl.model import Schema
    from etl.schema_contract import Survey

MAX_BYTES = 256_000_000
"""The largest file that is read; a larger one is an unreadable file."""


class BinaryOptions(Options):
    """Binary has nothing to choose."""


class Binary:
    """Reads a file as one row, ``content: binary``: its own bytes, compressed ones as they are."""

    options_model = BinaryOptions

    def __init__(self, options: BinaryOptions | None = None, contract: SchemaContract = EVOLVE) -> None:
        self.options = options or BinaryOptions()
        self._columnar = Columnar(_rows, contract)

    def tasks(self, file: FileOpener, schema: Schema, wide: frozenset[str] = frozenset()) -> Iterator[Task]:
        """Return the one task of the file."""
        return self._columnar.tasks(file, schema, wide)

    def survey(self, file: FileOpener, known: Survey | None) -> Survey:
        """Return ``known`` with ``content``."""
        return self._columnar.survey(file, known)


@contextmanager
def _rows(file: FileOpener, _: Schema) -> Iterator[Rows]:
    import pyarrow as pa

    types = pa.schema([("content", pa.binary())])

    def batches(columns: list[str]) -> Batches:
        with file.open() as opened:
            content = opened.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            hint = "a row holds the whole file: keep large files where they are, and load their names"
            raise UnreadableFileError(file.path, f"it is larger than {MAX_BYTES} bytes", hint=hint)
        yield pa.record_batch([pa.array([content], pa.binary())], schema=types).select(columns), {}

    yield Rows(types, batches)
