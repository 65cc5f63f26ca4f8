"""Avro object container files: records become columns, logical types are kept exactly."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from etl.errors import ConfigError, UnreadableFileError
from etl.formats.arrow_values import NOT_TEXT
from etl.formats.avro_blocks import Container
from etl.formats.avro_types import Types, UnknownTypeError, bare
from etl.formats.avro_values import Converter, decoded_json
from etl.formats.columnar import BATCH_ROWS, Batches, Columnar, Rows, damage
from etl.formats.compressed import decompressed
from etl.formats.watched import Watched
from etl.options import Options
from etl.schema_contract import EVOLVE, SchemaContract

if TYPE_CHECKING:
    import pyarrow as pa

    from etl.formats.arrow_rows import Unfit
    from etl.formats.contract import FileOpener, Task
    from etl.model import Schema
    from etl.schema_contract import Survey


class AvroOptions(Options):
    """Avro has nothing to choose."""


class Avro:
    """Reads Avro, block by block. Records are decoded by fastavro, as plain numbers and bytes.

    Polars reads Avro five times faster, but a map ends its process's thread in a panic, a union of more than two types
    is refused, and the whole file is held in memory: tests/facts/test_polars_avro.py.
    """

    options_model = AvroOptions

    def __init__(self, options: AvroOptions | None = None, contract: SchemaContract = EVOLVE) -> None:
        self.options = options or AvroOptions()
        self._columnar = Columnar(_rows, contract)

    def tasks(self, file: FileOpener, schema: Schema, wide: frozenset[str] = frozenset()) -> Iterator[Task]:
        """Return the one task of the file."""
        return self._columnar.tasks(file, schema, wide)

    def survey(self, file: FileOpener, known: Survey | None) -> Survey:
        """Return ``known`` evolved by the fields of the file's schema."""
        return self._columnar.survey(file, known)


@contextmanager
def _rows(file: FileOpener, _: Schema) -> Iterator[Rows]:
    import pyarrow as pa

    with file.open() as opened:
        plain = decompressed(opened, file.path)
        watched = Watched(plain)
        with damage(file, watched, "not a whole Avro file"):
            container = Container(io.BufferedReader(watched, 65_536))
        converters, decode = _prepared(container, file)
        types = pa.schema([(name, each.arrow) for name, each in converters.items()])

        def batches(columns: list[str]) -> Batches:
            chosen = {name: converters[name] for name in columns}
            found = container.blocks()
            while True:
                with damage(file, watched, "data is damaged"):
                    block = next(found, None)
                if block is None:
                    return
                yield from _decoded(file, block, decode, chosen)

        yield Rows(types, batches)


def _prepared(container: Container, file: FileOpener) -> tuple[dict[str, Converter], Any]:
    """Return how each field becomes a column, and what decodes one record. Raises UnreadableFileError, ConfigError."""
    try:
        from fastavro import parse_schema, schemaless_reader
        from fastavro.schema import SchemaParseException, UnknownType
    except ImportError as exc:
        hint = 'install it: pip install "lakehouse-etl[avro]"'
        raise ConfigError("the format avro needs the library fastavro", where=file.path, hint=hint) from exc
    root = container.schema
    try:
        converters = Types().root(root)
        parsed = parse_schema(bare(root))
    except (UnknownTypeError, SchemaParseException, UnknownType, LookupError, TypeError, ValueError) as exc:
        fault = f"the schema of the file: {str(exc) or type(exc).__name__}"
        raise UnreadableFileError(file.path, fault, hint="write the file with another schema") from exc

    def decode(stream: io.BytesIO) -> dict[str, Any]:
        record: Any = schemaless_reader(stream, parsed, handle_unicode_errors="surrogateescape")
        return cast("dict[str, Any]", record)

    return converters, decode


def _decoded(file: FileOpener, block: tuple[int, bytes], decode: Any, chosen: dict[str, Converter]) -> Batches:  # noqa: ANN401
    count, content = block
    stream = io.BytesIO(content)
    while count > 0:
        size = min(count, BATCH_ROWS)
        try:
            records = [decode(stream) for _ in range(size)]
        except (EOFError, ValueError, LookupError, ArithmeticError, TypeError, struct.error, MemoryError) as exc:
            fault = f"data is damaged: {str(exc) or type(exc).__name__}"
            raise UnreadableFileError(file.path, fault, hint="copy the file again") from exc
        count -= size
        if count == 0 and stream.read(1):
            raise UnreadableFileError(file.path, "data is damaged: a block is longer than its records")
        yield _batch(records, chosen)


def _batch(records: list[dict[str, Any]], chosen: dict[str, Converter]) -> tuple[pa.RecordBatch, Unfit]:
    import pyarrow as pa

    unfit: Unfit = {}
    arrays = []
    for name, converter in chosen.items():
        values = [record[name] for record in records]
        try:
            arrays.append(converter.array(values))
        except (pa.ArrowException, ValueError, OverflowError):
            arrays.append(converter.array(_sound(values, (name, converter), unfit)))
    if not arrays:
        return pa.record_batch([pa.nulls(len(records))], names=[""]), unfit
    return pa.record_batch(arrays, schema=pa.schema([(n, c.arrow) for n, c in chosen.items()])), unfit


def _sound(values: list[Any], column: tuple[str, Converter], unfit: Unfit) -> list[Any]:
    """Return values with null for those that are no such value, which are noted in ``unfit``."""
    import pyarrow as pa

    name, converter = column
    sound = list(values)
    for row, value in enumerate(values):
        try:
            converter.array([value])
        except UnicodeEncodeError:
            sound[row] = None
            unfit.setdefault(row, {})[name] = decoded_json(value), ("encoding", f"column {name}: {NOT_TEXT}")
        except (pa.ArrowException, ValueError, OverflowError) as exc:
            sound[row] = None
            unfit.setdefault(row, {})[name] = decoded_json(value), ("type", f"column {name}: {exc}")
    return sound
