"""CSV and TSV: a header, then one record per line; quoted fields may hold line breaks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from etl.errors import ConfigError, SchemaDriftError, SourceError
from etl.formats.compressed import decompressed
from etl.formats.contract import Chunk, FileOpener, Task, numbers
from etl.formats.json_values import EXACT, check_digits, convert_text
from etl.formats.lines import BadRow, located, row_error
from etl.formats.records import Dialect, walk, whole_records
from etl.options import Options
from etl.schema import arrow_type, format_type
from etl.schema_contract import EVOLVE, SchemaContract, Survey

if TYPE_CHECKING:
    import pyarrow as pa

    from etl.model import Schema

_TEXT_TYPES = ("date", "timestamp", "timestamp(UTC)", "time")
_One = Annotated[str, Field(min_length=1, max_length=1, pattern=r"^[ -~\t]$")]


class CsvOptions(Options):
    """How the fields of a CSV file are written."""

    delimiter: _One = Field(default=",", description="What stands between fields: one ASCII character.")
    quote: _One | Literal[""] = Field(default='"', description="What quotes fields, doubled inside; empty: nothing.")
    header: bool = Field(default=True, description="Whether the first record names the columns; else the schema does.")
    skip_lines: int = Field(default=0, ge=0, description="Lines before the header.")
    null_values: list[str] = Field(default=[""], description="Unquoted texts that are null.")
    encoding: Literal["utf-8", "latin-1", "windows-1252"] = Field(default="utf-8", description="How text is encoded.")


class TsvOptions(CsvOptions):
    """How the fields of a TSV file are written."""

    delimiter: _One = Field(default="\t", description="What stands between fields: one ASCII character.")


class Csv:
    """Reads CSV strictly, columns by name. Blank lines are no rows; a quoted empty field is text, an unquoted one null.

    CSV has no types: without a declared one every column is ``string``. A declared integer is decimal digits,
    perhaps with ``-`` before them, and has the value that Python's ``int`` gives: ``007`` is 7, blanks around it do
    not count; ``0x10 1_000 +1 1.0`` are refused. A boolean is ``true false 1 0`` in any case.
    """

    options_model: type[CsvOptions] = CsvOptions

    def __init__(self, options: CsvOptions | None = None, contract: SchemaContract = EVOLVE) -> None:
        self.contract = contract
        self.options = options or self.options_model()
        given = self.options
        self._dialect = Dialect(given.delimiter.encode(), given.quote.encode(), given.skip_lines)

    def tasks(self, file: FileOpener, schema: Schema, wide: frozenset[str] = frozenset()) -> Iterator[Task]:
        """Return the one task of the file: where a record ends is only known from the file's start.

        Raises ConfigError for a list or struct.
        """
        for name, tree in schema.items():
            if not isinstance(tree, str):
                fault = f"a CSV field cannot be {format_type(tree)}"
                raise ConfigError(fault, where=f"{file.path}: {name}", hint="declare it as string")
        yield lambda: self._chunks(file, schema)

    def survey(self, file: FileOpener, known: Survey | None) -> Survey:
        """Return ``known`` evolved by the file."""
        return Survey(self.infer(file, None if known is None else known.schema))

    def infer(self, file: FileOpener, known: Schema | None) -> Schema:
        """Return ``known`` and the header's other columns as ``string``."""
        for _, _, names in self._pieces(file, list(known or ())):
            return {**(known or {}), **{name: "string" for name in names if name not in (known or {})}}
        return dict(known or {})

    def _chunks(self, file: FileOpener, schema: Schema) -> Iterator[Chunk]:
        import polars as pl

        offset = 0
        for start, piece, names in self._pieces(file, list(schema)):
            if more := [name for name in names if name not in schema]:
                raise SchemaDriftError(f"columns not in the schema: {', '.join(more)}", where=file.path)
            if not piece.strip():
                continue
            frame = pl.DataFrame(self._table(file, start, piece, _Columns(names, schema, self.options)))
            yield Chunk(frame, frame.height, partial(numbers, offset, frame.height))
            offset += frame.height

    def _pieces(self, file: FileOpener, names: list[str]) -> Iterator[tuple[int, bytes, list[str]]]:
        """Yield pieces of records without the header, in UTF-8, each with its place and the names of its columns."""
        found: list[str] | None = None
        with file.open() as opened:
            for start, raw in whole_records(decompressed(opened, file.path), file, self._dialect):
                piece, cut = self._in_utf8(file, start, raw), 0
                if found is None:
                    found, cut = self._header(file, piece, names)
                yield start + cut, piece[cut:], found

    def _in_utf8(self, file: FileOpener, start: int, raw: bytes) -> bytes:
        if raw.isascii():
            return raw
        try:
            text = raw.decode(self.options.encoding)
        except UnicodeDecodeError as exc:
            row = raw.rfind(b"\n", 0, exc.start) + 1
            reason = f"not {self.options.encoding}: byte 0x{raw[exc.start]:02x} at byte {exc.start - row} of the line"
            raise row_error(file, start, raw, BadRow(row, reason)) from exc
        return raw if self.options.encoding == "utf-8" else text.encode()

    def _header(self, file: FileOpener, piece: bytes, names: list[str]) -> tuple[list[str], int]:
        """Return the names of the columns and where the first record starts."""
        end, fields = next(((end, fields) for _, end, fields in walk(piece, self._dialect)), (len(piece), []))
        if not self.options.header:
            return names or [f"column_{place}" for place in range(1, len(fields) + 1)], 0
        found = [self._dialect.text(field) for field in fields]
        if any("\x00" in name for name in found):
            raise SourceError("the header holds NUL: is the file UTF-16?", where=file.path, hint="convert it to UTF-8")
        for place, name in enumerate(found, 1):
            if not name or found.count(name) > 1:
                fault = f"column {name!r} stands twice" if name else f"column {place} has no name"
                raise SourceError(f"{fault} in the header", where=file.path, hint="correct the header of the file")
        return found, end

    def _table(self, file: FileOpener, start: int, piece: bytes, columns: _Columns) -> pa.Table:
        import pyarrow as pa

        try:
            return columns.read(piece)
        except pa.ArrowInvalid:
            starts = [begin for begin, _, _ in walk(piece, self._dialect)]
        try:
            return located(piece, starts, lambda part, _: columns.read(part))
        except BadRow as exc:
            raise row_error(file, start, piece, columns.named(exc)) from exc


class Tsv(Csv):
    """Reads CSV whose delimiter is a tab."""

    options_model = TsvOptions


class _Columns:
    """The columns of a file and what each is to become."""

    def __init__(self, names: list[str], schema: Schema, options: CsvOptions) -> None:
        self._names = names
        self._schema = schema
        self._options = options
        self._texts = [name for name in schema if schema[name] in _TEXT_TYPES]
        self._floats = [name for name in names if schema[name] in ("float32", "float64")]
        self._integers = [name for name in names if "int" in str(schema[name])]

    def read(self, piece: bytes) -> pa.Table:
        """Return records as a table of the schema's columns. Raises ArrowInvalid where a field does not fit."""
        table = self._parsed(piece, self._schema, self._texts)
        for name in self._texts:
            place = table.schema.get_field_index(name)
            converted = convert_text(table.column(place).combine_chunks(), str(self._schema[name]), name)
            table = table.set_column(place, name, converted)
        check_digits(table, self._schema)
        self._check_integers(piece)
        self._check_floats(piece, table)
        return table

    def _parsed(self, piece: bytes, schema: Schema, as_text: list[str]) -> pa.Table:
        import pyarrow as pa
        from pyarrow import csv

        types = {name: pa.string() if name in as_text else arrow_type(tree) for name, tree in schema.items()}
        return csv.read_csv(
            pa.BufferReader(piece),
            read_options=csv.ReadOptions(use_threads=False, block_size=len(piece) + 1, column_names=self._names),
            parse_options=csv.ParseOptions(
                delimiter=self._options.delimiter, quote_char=self._options.quote or False, newlines_in_values=True
            ),
            convert_options=csv.ConvertOptions(
                column_types=types,
                include_columns=list(schema),
                include_missing_columns=True,
                null_values=self._options.null_values,
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )

    def _check_integers(self, piece: bytes) -> None:
        """Refuse hexadecimal numbers, which pyarrow takes for integers. Raises ArrowInvalid."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not (self._integers and (b"0x" in piece or b"0X" in piece)):
            return
        texts = self._parsed(piece, dict.fromkeys(self._integers, "string"), [])
        for name in self._integers:
            column = texts.column(name)
            found = column.filter(pc.match_substring_regex(column, "^[ \\t]*0[xX]"))
            if len(found):
                raise pa.ArrowInvalid(f"column {name}: {found[0].as_py()} is hexadecimal; write decimal digits")

    def _check_floats(self, piece: bytes, table: pa.Table) -> None:
        """Refuse numbers that became infinity or another integer in a float column. Raises ArrowInvalid."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for name in self._floats:
            values = table.column(name)
            large = pc.greater_equal(pc.abs(values), float(EXACT))
            if not pc.any(large).as_py():
                continue
            texts = self._parsed(piece, {name: "string"}, []).column(name)
            for text, value in zip(texts.filter(large).to_pylist(), values.filter(large).to_pylist(), strict=True):
                if not _is_faithful(text.strip(), value):
                    raise pa.ArrowInvalid(f"column {name}: {self._schema[name]} cannot hold {text} exactly")

    def named(self, bad: BadRow) -> BadRow:
        """Return the fault with the column's name in place of its number."""
        found = re.search(r"^In CSV column #(\d+): (?:Row #\d+: )?", bad.reason)
        reason = bad.reason if found is None else f"column {self._names[int(found[1])]}: {bad.reason[found.end() :]}"
        width = re.search(r"^CSV parse error: Row #\d+: Expected (\d+) columns, got (\d+)", reason)
        return BadRow(bad.start, reason if width is None else f"{width[2]} fields where the header has {width[1]}")


def _is_faithful(text: str, value: float) -> bool:
    if re.fullmatch(r"[+-]?\d+", text):
        return abs(value) != float("inf") and int(value) == int(text)
    return abs(value) != float("inf") or "inf" in text.lower()
