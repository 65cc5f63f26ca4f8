"""Arrow IPC: files (Feather version 2 is one) and streams, told apart by their first bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from etl.errors import UnreadableFileError
from etl.formats.columnar import BATCH_ROWS, Batches, Columnar, Rows, damage
from etl.formats.compressed import decompressed, seekable
from etl.formats.watched import Watched
from etl.options import Options
from etl.schema_contract import EVOLVE, SchemaContract

if TYPE_CHECKING:
    from typing import BinaryIO

    import pyarrow as pa

    from etl.formats.contract import FileOpener, Task
    from etl.model import Schema
    from etl.schema_contract import Survey

_FILE = b"ARROW1"
_FEATHER_1 = b"FEA1"


class ArrowOptions(Options):
    """Arrow has nothing to choose."""


class Arrow:
    """Reads Arrow IPC, batch by batch, each checked before it is used: offsets and sizes in a file may be anything."""

    options_model = ArrowOptions

    def __init__(self, options: ArrowOptions | None = None, contract: SchemaContract = EVOLVE) -> None:
        self.options = options or ArrowOptions()
        self._columnar = Columnar(_rows, contract)

    def tasks(self, file: FileOpener, schema: Schema, wide: frozenset[str] = frozenset()) -> Iterator[Task]:
        """Return the one task of the file."""
        return self._columnar.tasks(file, schema, wide)

    def survey(self, file: FileOpener, known: Survey | None) -> Survey:
        """Return ``known`` evolved by the columns, fields and types of the file."""
        return self._columnar.survey(file, known)


@contextmanager
def _rows(file: FileOpener, _: Schema) -> Iterator[Rows]:
    from pyarrow import ipc

    with file.open() as opened:
        head = _head(decompressed(opened, file.path))
        opened.seek(0)
        if head.startswith(_FEATHER_1):
            raise UnreadableFileError(file.path, "Feather version 1 is not Arrow", hint="write it as version 2")
        is_file = head == _FILE
        watched = Watched(seekable(opened, file.path) if is_file else decompressed(opened, file.path))
        with damage(file, watched, "not a whole Arrow file"):
            reader = (ipc.open_file if is_file else ipc.open_stream)(cast("BinaryIO", watched))
            types = reader.schema

        def batches(columns: list[str]) -> Batches:
            found = _in_file(reader) if is_file else _in_stream(reader, watched)
            while True:
                with damage(file, watched, "data is damaged"):
                    batch = next(found, None)
                    if batch is None:
                        return
                    chosen = _checked(batch.select(columns))
                for start in range(0, chosen.num_rows, BATCH_ROWS):
                    yield chosen.slice(start, BATCH_ROWS), {}

        yield Rows(types, batches)


def _head(stream: BinaryIO) -> bytes:
    head = b""
    while len(head) < len(_FILE) and (block := stream.read(len(_FILE) - len(head))):
        head += block
    return head


def _in_file(reader: Any) -> Iterator[pa.RecordBatch]:  # noqa: ANN401  pyarrow has no types here
    for place in range(reader.num_record_batches):
        yield reader.get_batch(place)


def _in_stream(reader: Any, watched: Watched) -> Iterator[pa.RecordBatch]:  # noqa: ANN401  the same
    """Yield the batches of a stream. Raises ValueError where its end mark is missing, or is not the end.

    The mark is optional in the format, but a stream that is cut off between two batches looks the same without it.
    """
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            break
        yield batch
    if watched.is_at_end:
        raise ValueError("the stream has no end mark: it may be cut off")
    if watched.read(1):
        raise ValueError("something follows the end of the stream")


def _checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Refuse a batch whose arrays point outside of their bytes. Raises ArrowInvalid.

    Text that is not UTF-8 in a column of text is left to be found row by row.
    """
    import pyarrow as pa

    for array in batch.columns:
        if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
            array.validate()
            as_bytes = pa.binary() if pa.types.is_string(array.type) else pa.large_binary()
            array.view(as_bytes).validate(full=True)
        else:
            array.validate(full=True)
    return batch
