"""NDJSON: one JSON object per line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from etl.errors import SchemaDriftError
from etl.formats.compressed import decompressed, sniff
from etl.formats.contract import Chunk, FileOpener, Task
from etl.formats.json_inference import found_schema, told, widened
from etl.formats.json_values import (
    check_digits,
    convert,
    find_rounded,
    has_rounded,
    json_type,
    needs_conversion,
    unknown_paths,
)
from etl.formats.lines import BadRow, Lines, in_words, lines_between, located, row_error, whole_lines
from etl.options import Options
from etl.schema import leaves
from etl.schema_contract import EVOLVE, SchemaContract, Survey
from etl.widening import merge

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    import pyarrow.json as pj

    from etl.model import Schema


class NdjsonOptions(Options):
    """NDJSON has nothing to choose."""


class Ndjson:
    """Reads NDJSON; blank lines are no rows. Parsing is pyarrow's, strict: a value that does not fit is a RowError."""

    options_model = NdjsonOptions

    def __init__(self, options: NdjsonOptions | None = None, contract: SchemaContract = EVOLVE) -> None:
        self.contract = contract
        self.options = options or NdjsonOptions()
        self._layout: _Layout | None = None

    def tasks(self, file: FileOpener, schema: Schema, wide: frozenset[str] = frozenset()) -> Iterator[Task]:
        """Return one task per piece of a large plain file, one for any other."""
        layout = self._layout
        if layout is None or layout.schema != schema:
            layout = self._layout = _Layout(schema)
        reading = _Reading(file, layout)
        if file.size_bytes <= file.chunk_bytes:
            yield reading.stream
            return
        with file.open() as stream:
            is_plain = sniff(stream.read(4)) is None
        if not is_plain:
            yield reading.stream
            return
        for first in range(0, file.size_bytes, file.chunk_bytes):
            yield partial(reading.part, first, min(first + file.chunk_bytes, file.size_bytes))

    def survey(self, file: FileOpener, known: Survey | None) -> Survey:
        """Return ``known`` evolved by the file."""
        return Survey(self.infer(file, None if known is None else known.schema))

    def infer(self, file: FileOpener, known: Schema | None) -> Schema:
        """Return ``known`` widened by the whole file. Text stays ``string``, whatever it looks like.

        Numbers are int64, or float64 where one of them has a fraction; an integer beyond int64 is a RowError.
        """
        found: Schema = {}
        with file.open() as opened:
            for start, piece in whole_lines(decompressed(opened, file.path), file):
                more = _infer_piece(file, start, piece, known or {})
                found = merge(found, more, where=file.path, widen_numbers=True)
        return widened(known or {}, found, where=file.path)


class _Layout:
    """What a reading schema means to the parser; made once for all files of a batch."""

    def __init__(self, schema: Schema) -> None:
        import pyarrow as pa

        self.schema = schema
        self.types = pa.schema([pa.field(name, json_type(tree)) for name, tree in schema.items()])
        self.unknown = {path for name, tree in schema.items() for path in unknown_paths(tree, f"/{name}")}
        self.converted = {name: tree for name, tree in schema.items() if needs_conversion(tree)}


class _Reading:
    """One file being read with one schema."""

    def __init__(self, file: FileOpener, layout: _Layout) -> None:
        self._file = file
        self._layout = layout

    def stream(self) -> Iterator[Chunk]:
        """Read the file from start to end."""
        with self._file.open() as opened:
            for start, piece in whole_lines(decompressed(opened, self._file.path), self._file):
                yield from self._chunk(start, piece)

    def part(self, first: int, last: int) -> Iterator[Chunk]:
        """Read the lines that start between two bytes."""
        with self._file.open() as opened:
            start, piece = lines_between(opened, self._file, first, last)
        yield from self._chunk(start, piece)

    def _chunk(self, start: int, piece: bytes) -> Iterator[Chunk]:
        import polars as pl

        try:
            lines = Lines(piece)
            if not len(lines):
                return
            table = located(piece, lines, self._table)
            _check_rounding(piece, lines, table, self._layout.schema)
        except BadRow as exc:
            raise row_error(self._file, start, piece, exc) from exc
        yield Chunk(pl.DataFrame(table), len(lines), partial(_offsets, lines, start))

    def _table(self, piece: bytes, rows: int) -> pa.Table:
        import pyarrow as pa
        import pyarrow.json as pj

        try:
            table = read_json(
                piece, pj.ParseOptions(explicit_schema=self._layout.types, unexpected_field_behavior="error")
            )
        except pa.ArrowInvalid as exc:
            if self._is_drift(str(exc)):
                raise SchemaDriftError(
                    f"input that the schema lacks: {in_words(str(exc))}", where=self._file.path
                ) from exc
            raise
        check_rows(table, rows)
        for name, tree in self._layout.converted.items():
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, convert(table.column(place).combine_chunks(), tree, name))
        check_digits(table, self._layout.schema)
        return table

    def _is_drift(self, message: str) -> bool:
        changed = re.search(r"Column\((.*)\) changed from object to ", message)
        return "unexpected field" in message or (changed is not None and changed[1] in self._layout.unknown)


def _offsets(lines: Lines, start: int) -> pl.Series:
    import polars as pl

    return (lines.starts.cast(pl.Int64) + start).alias("_source_offset")


def read_json(piece: bytes, options: pj.ParseOptions) -> pa.Table:
    """Return whole lines as one table of one chunk per column."""
    import pyarrow as pa
    import pyarrow.json as pj

    whole = pj.ReadOptions(use_threads=False, block_size=len(piece) + 1)
    return pj.read_json(pa.BufferReader(piece), read_options=whole, parse_options=options)


def check_rows(table: pa.Table, rows: int) -> None:
    """Refuse a table of other than ``rows`` rows. Raises ArrowInvalid, as the parser does."""
    import pyarrow as pa

    if table.num_rows != rows:
        raise pa.ArrowInvalid("more than one JSON value on a line")


def _check_rounding(piece: bytes, lines: Lines, table: pa.Table, schema: Schema, *, largest: int | None = None) -> None:
    """Refuse integers that a float column would round, or (``largest``) that are beyond it. Raises BadRow."""
    if not any(has_rounded(part) for column in table.columns for part in column.chunks):
        return
    for start in lines.starts:
        end = piece.find(b"\n", start)
        if reason := find_rounded(piece[start : end if end >= 0 else None], schema, largest):
            raise BadRow(start, reason)


def _infer_piece(file: FileOpener, start: int, piece: bytes, known: Schema) -> Schema:
    import pyarrow as pa
    import pyarrow.json as pj

    options = pj.ParseOptions(explicit_schema=told(known), unexpected_field_behavior="infer")

    def parse(part: bytes, rows: int) -> pa.Table:
        table = read_json(part, options)
        check_rows(table, rows)
        return table

    try:
        lines = Lines(piece)
        if not len(lines):
            return {}
        # Only the types are right: pyarrow moves values inside lists that hold null when it infers.
        found = found_schema(located(piece, lines, parse).schema, where=file.path)
        floats = {name: tree for name, tree in found.items() if name not in known and "float64" in leaves(tree)}
        if floats:
            types = pa.schema([pa.field(name, json_type(tree)) for name, tree in floats.items()])
            again = read_json(piece, pj.ParseOptions(explicit_schema=types, unexpected_field_behavior="ignore"))
            _check_rounding(piece, lines, again, floats, largest=2**63 - 1)
    except BadRow as exc:
        raise row_error(file, start, piece, exc) from exc
    return found
