"""Rejected records as a file in memory, so that their format reads them like any other."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from etl.errors import UnreadableFileError
from etl.formats.contract import Chunk, FileOpener, Format
from etl.rejects import Rule

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Schema

_UTF16 = "utf-16"


class Record(NamedTuple):
    """A row of the quarantine that is read again. ``file`` is None where it came from none."""

    raw: bytes
    form: str
    context: str | None
    file: str | None
    offset: int | None
    line: int | None


class Refusal(NamedTuple):
    """Why a record is rejected again."""

    rule: Rule
    reason: str


@dataclass(frozen=True, slots=True)
class Document:
    """Records of one format and context, one after the other. ``path`` is the file of all of them, or of the first."""

    format: Format
    path: str
    records: tuple[Record, ...]

    def opener(self) -> tuple[FileOpener, list[int]]:
        """Return the records as a file, and the byte at which each starts. Raises UnreadableFileError."""
        codec, mark = _encoding(self.format, self.records[0].raw)
        end = "\n".encode(codec)
        parts, starts, position = [], [], 0
        for part in (mark, _lead(self.format, self.records[0].context, codec, self.path)):
            parts.append(part)
            position += len(part)
        for record in self.records:
            starts.append(position)
            parts += (record.raw, end)
            position += len(record.raw) + len(end)
        content = b"".join(parts)
        return FileOpener(self.path, len(content), lambda: io.BytesIO(content)), starts

    def split(self) -> list[Document]:
        """Return each record as a document of its own."""
        return [Document(self.format, record.file or self.path, (record,)) for record in self.records]


def documents(format_: Format, path: str, records: Sequence[Record]) -> list[Document]:
    """Return records as one document, those that could run into the next one by themselves."""
    quote = getattr(getattr(format_, "options", None), "quote", "")
    together = tuple(record for record in records if not _may_run_on(record.raw, quote.encode()))
    alone = [Document(format_, path, (record,)) for record in records if _may_run_on(record.raw, quote.encode())]
    return [Document(format_, path, together), *alone] if together else alone


def _may_run_on(raw: bytes, quote: bytes) -> bool:
    return b"\n" in raw or bool(quote and raw.count(quote) % 2)


def _encoding(format_: Format, raw: bytes) -> tuple[str, bytes]:
    """Return how the format's text is encoded, and the mark that its files begin with."""
    declared = getattr(getattr(format_, "options", None), "encoding", "utf-8")
    if declared != _UTF16:
        return declared, b""
    is_big = raw[0::2].count(0) > raw[1::2].count(0)
    return ("utf-16-be", b"\xfe\xff") if is_big else ("utf-16-le", b"\xff\xfe")


def _lead(format_: Format, context: str | None, codec: str, path: str) -> bytes:
    """Return what a file of the format has before its first record: lines to skip, the names of its columns."""
    options: Any = getattr(format_, "options", None)
    lead = "\n" * int(getattr(options, "skip_lines", 0))
    names = json.loads(context).get("columns") if context else None
    if names is not None and getattr(options, "header", False):
        lead += options.delimiter.join(_field(str(name), options) for name in names) + "\n"
    try:
        return lead.encode(codec)
    except UnicodeEncodeError as exc:
        raise UnreadableFileError(path, f"the names of its columns are no {codec}") from exc


def _field(name: str, options: Any) -> str:  # noqa: ANN401  the options of a format with columns in a header
    quote: str = options.quote
    escape: str | None = options.escape
    if not quote:
        return name
    if escape and escape != quote:
        return quote + name.replace(escape, escape * 2).replace(quote, escape + quote) + quote
    return quote + name.replace(quote, quote * 2) + quote


@dataclass(frozen=True, slots=True)
class Reread:
    """What became of the records of a document: ``accepted`` are the numbers of those that ``frame`` has, in order."""

    frame: pl.DataFrame | None
    accepted: tuple[int, ...]
    refused: dict[int, Refusal]
    wide: frozenset[str]


def reread(document: Document, schema: Schema, wide: frozenset[str]) -> list[tuple[Document, Reread]]:
    """Read a document; where it cannot be told which row is which record's, each record by itself.

    Raises SchemaDriftError and RowError as the format does.
    """
    try:
        found = _matched(document, *_read(document, schema, wide))
        refusal = Refusal("syntax", "it no longer gives one row")
    except UnreadableFileError as exc:
        found, refusal = None, Refusal("unreadable_file", exc.message)
    if found is not None:
        return [(document, found)]
    if len(document.records) == 1:
        return [(document, Reread(None, (), {0: refusal}, frozenset()))]
    return [each for part in document.split() for each in reread(part, schema, wide)]


def _read(document: Document, schema: Schema, wide: frozenset[str]) -> tuple[list[Chunk], list[int]]:
    opener, starts = document.opener()
    return [chunk for task in document.format.tasks(opener, schema, wide) for chunk in task()], starts


def _matched(document: Document, chunks: list[Chunk], starts: list[int]) -> Reread | None:
    """Return which record each row and reject is of, None where that cannot be told.

    Rejects tell the byte of their record; the others gave the rows, in order. A record alone needs to tell nothing.
    """
    import polars as pl

    numbers = {start: number for number, start in enumerate(starts)}
    is_alone = len(document.records) == 1
    refused: dict[int, Refusal] = {}
    rejects = [row for chunk in chunks if chunk.rejects is not None for row in chunk.rejects.iter_rows(named=True)]
    for row in rejects:
        number = 0 if is_alone else numbers.get(row["_source_offset"])
        if number is None or number in refused:
            return None
        refused[number] = Refusal(row["rule"], row["reason"])
    accepted = tuple(number for number in range(len(starts)) if number not in refused)
    if sum(chunk.rows for chunk in chunks) != len(accepted):
        return None
    frames = [chunk.frame for chunk in chunks if chunk.rows]
    wide = frozenset(name for chunk in chunks for name in chunk.wide)
    return Reread(pl.concat(frames) if frames else None, accepted, refused, wide)
