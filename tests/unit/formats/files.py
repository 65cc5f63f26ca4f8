"""Files in memory, read and surveyed under a contract; and files of every format that has types."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from openpyxl import Workbook
from pyarrow import ipc

from etl.formats import FORMATS, FileOpener
from etl.schema_contract import EVOLVE, SchemaContract, Survey


def opener(content: bytes, path: str = "in/f", **bounds: Any) -> FileOpener:
    """Return a file of these bytes."""
    return FileOpener(path, len(content), lambda: io.BytesIO(content), **bounds)


@dataclass
class Found:
    """What reading a file gave: rows with their offset behind the values, and rejects."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)

    @property
    def faults(self) -> list[tuple[int, str, str]]:
        """Offset, rule and reason of each reject."""
        return [(each["_source_offset"], each["rule"], each["reason"]) for each in self.rejects]


def made(name: str, contract: SchemaContract = EVOLVE, options: dict[str, Any] | None = None) -> Any:
    """Return a format."""
    kind = FORMATS[name]
    return kind(kind.options_model(**(options or {})), contract)


def read(
    name: str, file: FileOpener | bytes, schema: Any, contract: SchemaContract = EVOLVE, options: Any = None
) -> Found:
    """Return everything that a file holds."""
    opened = opener(file) if isinstance(file, bytes) else file
    found = Found()
    for task in made(name, contract, options).tasks(opened, schema):
        for chunk in task():
            assert list(chunk.frame.columns) == list(schema)
            assert chunk.rows == len(chunk.offsets)
            found.rows += chunk.frame.with_columns(chunk.offsets).rows() if chunk.rows else []
            found.rejects += chunk.rejects.to_dicts() if chunk.rejects is not None else []
    return found


def survey(
    name: str, file: FileOpener | bytes, known: Any = None, contract: SchemaContract = EVOLVE, options: Any = None
) -> Survey:
    """Return what a look at a file finds; ``known`` is a survey or a schema."""
    opened = opener(file) if isinstance(file, bytes) else file
    before = known if known is None or isinstance(known, Survey) else Survey(known)
    found: Survey = made(name, contract, options).survey(opened, before)
    return found


def parquet(columns: dict[str, pa.Array] | pa.Table, **options: object) -> bytes:
    """Return a Parquet file."""
    stream = io.BytesIO()
    pq.write_table(pa.table(columns) if isinstance(columns, dict) else columns, stream, **options)
    return stream.getvalue()


def arrow(columns: dict[str, pa.Array], *, is_stream: bool = False, **options: Any) -> bytes:
    """Return an Arrow IPC file, or a stream."""
    table, stream = pa.table(columns), io.BytesIO()
    make = ipc.new_stream if is_stream else ipc.new_file
    with make(stream, table.schema, options=ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return stream.getvalue()


def avro(fields: dict[str, Any], rows: list[dict[str, Any]], codec: str = "null") -> bytes:
    """Return an Avro file; ``fields`` are the types by name."""
    stream = io.BytesIO()
    schema = {"type": "record", "name": "r", "fields": [{"name": name, "type": kind} for name, kind in fields.items()]}
    fastavro.writer(stream, schema, rows, codec=codec, sync_marker=b"0123456789abcdef")
    return stream.getvalue()


def xlsx(rows: list[list[Any]], **sheets: list[list[Any]]) -> bytes:
    """Return a workbook: a sheet ``First`` of these rows, and others by name."""
    book = Workbook()
    book.remove(book.worksheets[0])
    for title, cells in {"First": rows, **sheets}.items():
        sheet = book.create_sheet(title)
        for row in cells:
            sheet.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()
