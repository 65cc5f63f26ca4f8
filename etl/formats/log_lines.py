"""Log files: the lines of a file as rows, whatever the format of a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator

from etl.errors import ConfigError
from etl.formats.compressed import decompressed, sniff
from etl.formats.contract import FileOpener, Task
from etl.formats.line_pieces import pieces
from etl.formats.log_fitting import LogFit
from etl.formats.log_reading import LogReading, LogWay
from etl.formats.log_records import Joiner, LineParser
from etl.formats.multiline import Multiline
from etl.formats.patterned import check_pattern
from etl.options import Options
from etl.schema_contract import EVOLVE, SchemaContract, Survey

if TYPE_CHECKING:
    from etl.model import Schema


class MultilineOptions(Options):
    """Records of several lines."""

    start: str = Field(min_length=1, description="a regex: a line that it matches begins a record")

    @field_validator("start")
    @classmethod
    def _start_is_sound(cls, value: str) -> str:
        try:
            check_pattern(value)
        except ConfigError as exc:
            raise ValueError(exc.message) from exc
        return value


class LogOptions(Options):
    """What every log format may be told."""

    multiline: MultilineOptions | None = None


class LogFormat:
    """Lines of a log file, made into rows by a parser. A blank line is no row, but for ``lines``."""

    options_model: ClassVar[type[LogOptions]] = LogOptions
    has_blank_rows: ClassVar[bool] = False

    def __init__(self, options: LogOptions | None = None, contract: SchemaContract = EVOLVE) -> None:
        self.options = self.options_model() if options is None else options
        self.contract = contract
        self.way = LogWay(self.parser(), self.joiner(), self.has_blank_rows)

    def parser(self) -> LineParser:
        """Return what makes lines columns."""
        raise TypeError(type(self))

    def joiner(self) -> Joiner | None:
        """Return what makes lines records, None where each line is one."""
        return Multiline(self.options.multiline.start) if self.options.multiline else None

    def tasks(self, file: FileOpener, schema: Schema, _wide: frozenset[str] = frozenset()) -> Iterator[Task]:
        """Return one task per piece of a large plain file whose lines are records, one for any other."""
        fit = LogFit(self.way.parser, schema, self.contract, file.path)
        reading = LogReading(file, self.way)
        if file.size_bytes <= file.chunk_bytes or self.way.joiner is not None or _is_compressed(file):
            yield partial(reading.stream, fit)
            return
        for first in range(0, file.size_bytes, file.chunk_bytes):
            yield partial(reading.part, fit, first, min(first + file.chunk_bytes, file.size_bytes))

    def survey(self, file: FileOpener, known: Survey | None) -> Survey:
        """Return ``known`` with the columns of the format; only where lines name them are lines parsed."""
        known = known or Survey({})
        parser = self.way.parser
        if parser.schema is None:
            return replace(known, schema=self._named(file, known.schema))
        if _is_compressed(file):
            with file.open() as opened:
                for _ in pieces(decompressed(opened, file.path), file):
                    pass
        return replace(known, schema=self._evolved(known.schema, parser.schema))

    def _evolved(self, known: Schema, found: Schema) -> Schema:
        return known | {name: tree for name, tree in found.items() if name not in known and self._takes_new(known)}

    def _takes_new(self, known: Schema) -> bool:
        return not known or self.contract.new_columns == "evolve"

    def _named(self, file: FileOpener, known: Schema) -> Schema:
        """Return ``known`` and the columns that the lines of a file name."""
        if not self._takes_new(known):
            return known
        found: Schema = dict(known)
        for gathered in LogReading(file, self.way).records():
            parsed = self.way.parser.parse(gathered.records.lines, file.modified_at)
            fit = LogFit(self.way.parser, found, self.contract, file.path)
            found |= dict.fromkeys(fit.new_columns(parsed, gathered.records), "string")
        return found


def _is_compressed(file: FileOpener) -> bool:
    with file.open() as stream:
        return sniff(stream.read(10)) is not None
