"""CSV and TSV: a header, then one record per line; quoted fields may hold line breaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from etl.errors import ConfigError
from etl.formats.compressed import decompressed
from etl.formats.contract import Chunk, FileOpener, Task
from etl.formats.csv_columns import FileColumns
from etl.formats.csv_header import Start, column_names
from etl.formats.csv_moments import MomentRules, check_form
from etl.formats.csv_reading import CsvRead, Outlook
from etl.formats.csv_text import Encoding, TextBuffer, text_stream
from etl.formats.csv_values import ValueRules
from etl.formats.records import Dialect
from etl.options import Options
from etl.schema import format_type
from etl.schema_contract import EVOLVE, RESCUED, SchemaContract, Survey

if TYPE_CHECKING:
    from etl.model import Schema

_One = Annotated[str, Field(min_length=1, max_length=1, pattern=r"^[ -~\t]$")]


class CsvOptions(Options):
    """How the fields of a CSV file are written."""

    delimiter: _One = Field(default=",", description="What stands between fields: one ASCII character.")
    quote: _One | Literal[""] = Field(default='"', description="What quotes fields, doubled inside; empty: nothing.")
    escape: _One | None = Field(default=None, description='What makes the next character text, as in `\\\\"`.')
    header: bool = Field(default=True, description="Whether the first record names the columns; else the schema does.")
    skip_lines: int = Field(default=0, ge=0, description="Lines before the header.")
    null_values: list[str] = Field(default=[""], description="Unquoted texts that are null.")
    encoding: Encoding = Field(default="utf-8", description="How text is encoded.")
    decimal_comma: bool = Field(default=False, description="Whether numbers are written 1,5 instead of 1.5.")
    date_format: str | None = Field(default=None, description="How dates are written, as in strptime; else ISO 8601.")
    timestamp_format: str | None = Field(
        default=None, description="How timestamps are written, as in strptime; else ISO 8601."
    )
    timezone: str | None = Field(
        default=None, description="The zone (Europe/Berlin) of timestamps without an offset in timestamp(UTC) columns."
    )

    @field_validator("date_format", "timestamp_format")
    @classmethod
    def _is_form(cls, form: str | None) -> str | None:
        return form if form is None else check_form(form)

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, name: str | None) -> str | None:
        try:
            return name if name is None else ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
            raise ValueError(f"no time zone is named {name!r}; write one such as Europe/Berlin") from exc

    @model_validator(mode="after")
    def _are_apart(self) -> Self:
        if self.delimiter in (self.quote, self.escape):
            raise ValueError("delimiter must differ from quote and escape")
        for word in self.null_values:
            if any(sign in word for sign in (self.delimiter, self.quote or "\n", self.escape or "\n", "\r", "\n")):
                raise ValueError(f"null_values: {word!r} holds a delimiter, quote, escape or line end")
        return self


class TsvOptions(CsvOptions):
    """How the fields of a TSV file are written."""

    delimiter: _One = Field(default="\t", description="What stands between fields: one ASCII character.")


class Csv:
    """Reads CSV strictly, columns by name. Without a declared type a column is ``string``: nothing is guessed.

    A record that is none, or that the schema cannot hold, is rejected alone. docs/formats.md has the rules.
    """

    options_model: type[CsvOptions] = CsvOptions

    def __init__(self, options: CsvOptions | None = None, contract: SchemaContract = EVOLVE) -> None:
        given = self.options = options or self.options_model()
        self._contract = contract
        escape = "" if given.escape in (None, given.quote) else str(given.escape)
        self._dialect = Dialect(given.delimiter.encode(), given.quote.encode(), escape.encode(), given.skip_lines)
        moments = MomentRules(given.date_format, given.timestamp_format, given.timezone)
        self._outlook = Outlook()
        self._rules = ValueRules(tuple(given.null_values), given.decimal_comma, moments)

    def tasks(self, file: FileOpener, schema: Schema, _wide: frozenset[str] = frozenset()) -> Iterator[Task]:
        """Return the one task of the file: where a record ends is only known from the file's start.

        Raises ConfigError for a list or struct.
        """
        for name, tree in schema.items():
            if not isinstance(tree, str):
                fault = f"a CSV field cannot be {format_type(tree)}"
                raise ConfigError(fault, where=f"{file.path}: {name}", hint="declare it as string")
        yield lambda: self._chunks(file, schema)

    def survey(self, file: FileOpener, known: Survey | None) -> Survey:
        """Return ``known`` and the header's other columns as ``string``, where the contract lets them in.

        The values decide nothing: they are text, or what the schema declares.
        """
        schema = None if known is None else known.schema
        with file.open() as opened:
            names = column_names(self._buffer(opened, file), self._start(file, schema)) or []
        if known is None:
            rescued = {RESCUED: "string"} if self._contract.rescues else {}
            return Survey({**dict.fromkeys(names, "string"), **rescued})
        new = [name for name in names if name not in known.schema]
        if not new or self._contract.new_columns != "evolve":
            return known
        inside = {name: tree for name, tree in known.schema.items() if name != RESCUED}
        last = {name: tree for name, tree in known.schema.items() if name == RESCUED}
        return Survey({**inside, **dict.fromkeys(new, "string"), **last}, known.wide, known.unreadable)

    def _chunks(self, file: FileOpener, schema: Schema) -> Iterator[Chunk]:
        with file.open() as opened:
            buffer = self._buffer(opened, file)
            names = column_names(buffer, self._start(file, schema))
            if names is not None:
                columns = FileColumns(names, schema, self._rules, self._contract, self._dialect)
                columns.check(file.path)
                yield from CsvRead(file, columns, buffer, self._outlook).chunks()

    def _buffer(self, opened: Any, file: FileOpener) -> TextBuffer:  # noqa: ANN401  any file object
        stream = text_stream(decompressed(opened, file.path), file.path, self.options.encoding, file.chunk_bytes)
        return TextBuffer(stream, file.chunk_bytes)

    def _start(self, file: FileOpener, schema: Schema | None) -> Start:
        known = None if schema is None else [name for name in schema if name != RESCUED]
        return Start(file.path, self._dialect, self.options.header, known, file.max_line_bytes)


class Tsv(Csv):
    """Reads CSV whose delimiter is a tab."""

    options_model = TsvOptions
