"""A column of text as columns: which values parse, into what, and why the others do not."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from etl.errors import ConfigError
from etl.formats import FORMATS
from etl.formats.contract import Chunk, FileOpener
from etl.formats.log_fitting import LogFit
from etl.formats.log_formats import format_from
from etl.formats.log_records import Records
from etl.schema import to_polars
from etl.schema_contract import SchemaContract
from etl.vocabulary import nearest

if TYPE_CHECKING:
    from datetime import datetime

    import polars as pl

    from etl.formats.log_lines import LogFormat
    from etl.model import Schema

JSON = ("json", "ndjson")
_NO_OBJECT = "not one JSON object"
_FAULTS: dict[str, Any] = {"_source_offset": int, "reason": str}


@dataclass(frozen=True, slots=True)
class ParsedColumn:
    """Values as columns: ``frame`` has a row for each that parses.

    ``good`` and ``bad`` are the places of values that do and do not; ``reasons`` say why, one for each of the bad.
    """

    frame: pl.DataFrame
    good: pl.Series
    bad: pl.Series
    reasons: pl.Series


class ColumnParser(Protocol):
    """One format, for values that are columns' and not files'."""

    @property
    def schema(self) -> Schema:
        """The columns that come out."""

    def parse(self, texts: pl.Series, reference: datetime) -> ParsedColumn:
        """Return values as columns; null gives a row of nulls. ``reference`` as for ``LineParser``."""


def column_parser(
    value: str | Mapping[str, Any], options: Mapping[str, Any], declared: Schema | None, *, is_kept: bool, where: str
) -> ColumnParser:
    """Return the parser of a format. Raises ConfigError.

    What ``declared`` lacks is left where it is if the column ``is_kept``; else a value that has it does not parse.
    """
    contract = SchemaContract("ignore" if is_kept else "quarantine", "quarantine", "null")
    if value in JSON:
        if declared is None:
            raise ConfigError("JSON needs `schema`", where=where, hint="write name: type for each column")
        return JsonColumn(declared, contract)
    form = format_from(value, options, contract, where)
    given = form.way.parser.schema
    if given is not None:
        for name in declared or {}:
            if name not in given:
                hint = f"it gives {', '.join(given)}"
                raise ConfigError(f"the format gives no {name}{nearest(name, given)}", where=where, hint=hint)
        return LogColumn(form, given | (declared or {}), contract, where)
    if declared is None:
        raise ConfigError(f"{value} needs `schema`", where=where, hint="write name: type for each key")
    return LogColumn(form, declared, contract, where)


class LogColumn:
    """Lines of a log; each is a record by itself."""

    def __init__(self, form: LogFormat, schema: Schema, contract: SchemaContract, where: str) -> None:
        self.schema = schema
        self._parser = form.way.parser
        self._fit = LogFit(self._parser, schema, contract, where)

    def parse(self, texts: pl.Series, reference: datetime) -> ParsedColumn:
        """Return lines as columns."""
        import polars as pl

        places = pl.int_range(len(texts), eager=True)
        fitted = self._fit.apply(self._parser.parse(texts, reference), Records(texts, places, places))
        if fitted.rejects is None:
            return ParsedColumn(fitted.frame, fitted.offsets, places.clear(), pl.Series(dtype=pl.String))
        return ParsedColumn(fitted.frame, fitted.offsets, fitted.rejects["_source_offset"], fitted.rejects["reason"])


class JsonColumn:
    """JSON objects, read as the lines of an NDJSON file are."""

    def __init__(self, schema: Schema, contract: SchemaContract) -> None:
        self.schema = schema
        kind = FORMATS["ndjson"]
        self._format = kind(kind.options_model(), contract)

    def parse(self, texts: pl.Series, _reference: datetime | None = None) -> ParsedColumn:
        """Return objects as columns."""
        import polars as pl

        lines = _on_one_line(texts).fill_null("")
        sizes = lines.str.len_bytes().cast(pl.Int64)
        starts = (sizes + 1).cum_sum() - sizes
        content = "\n".join(["", *lines]).encode()
        file = FileOpener("", len(content), lambda: io.BytesIO(content))
        chunks = [chunk for task in self._format.tasks(file, self.schema) for chunk in task()]
        offsets = pl.concat([starts.clear(), *(chunk.offsets.alias(starts.name) for chunk in chunks)])
        rows = _spread(starts.search_sorted(offsets), len(texts))
        is_good = rows.is_not_null() | texts.is_null()
        frame = pl.concat([pl.DataFrame(schema=to_polars(self.schema)), *(chunk.frame for chunk in chunks)])
        found = pl.concat([pl.DataFrame(schema=_FAULTS), *(_faults(chunk) for chunk in chunks)])
        why = _spread(starts.search_sorted(found["_source_offset"]), len(texts))
        bad = (~is_good).arg_true()
        reasons = found["reason"].gather(why.gather(bad)).fill_null(_NO_OBJECT)
        return ParsedColumn(frame.select(pl.all().gather(rows.filter(is_good))), is_good.arg_true(), bad, reasons)


def _faults(chunk: Chunk) -> pl.DataFrame:
    import polars as pl

    empty = pl.DataFrame(schema=_FAULTS)
    return empty if chunk.rejects is None else chunk.rejects.select(empty.columns)


def _spread(places: pl.Series, height: int) -> pl.Series:
    """Return for each of ``height`` places which of ``places`` it is, null for none."""
    import polars as pl

    rows = pl.int_range(len(places), dtype=pl.UInt32, eager=True)
    return pl.repeat(None, height, dtype=pl.UInt32, eager=True).scatter(places, rows)


def _on_one_line(texts: pl.Series) -> pl.Series:
    """Return JSON without line breaks, which can stand only between its parts; null where they stand in a string."""
    import polars as pl

    places = texts.str.contains("[\\r\\n]").fill_null(value=False).arg_true()
    if not len(places):
        return texts
    return texts.clone().scatter(places, pl.Series(map(_unbroken, texts.gather(places)), dtype=pl.String))


def _unbroken(text: str) -> str | None:
    try:
        json.loads(text)
    except ValueError:
        return None
    return text.replace("\r", " ").replace("\n", " ")
