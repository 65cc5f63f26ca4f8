"""JSON: documents over any number of lines; an object is a row, and so is each element of a list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from etl.errors import UnreadableFileError
from etl.formats.compressed import decompressed
from etl.formats.contract import Chunk, FileOpener, Task
from etl.formats.json_elements import Document
from etl.formats.json_layout import Layout
from etl.formats.json_lines import Lines
from etl.formats.json_reader import read_lines, too_long_reason
from etl.formats.json_survey import JsonSurvey
from etl.formats.lines import BOM, KEPT_BYTES, check_encoding
from etl.formats.ndjson import NdjsonOptions
from etl.rejects import rejects
from etl.schema import to_polars
from etl.schema_contract import EVOLVE, SchemaContract, Survey

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Schema

MAX_DOCUMENT_BYTES = 256_000_000
"""The largest document that is read: it is held in memory as a whole."""


class JsonOptions(NdjsonOptions):
    """JSON has nothing to choose."""


class Json:
    """Reads JSON documents: one, or several one after the other. Their elements are read as NDJSON's lines are."""

    options_model = JsonOptions

    def __init__(self, options: JsonOptions | None = None, contract: SchemaContract = EVOLVE) -> None:
        self.options = options or JsonOptions()
        self._contract = contract
        self._layout: Layout | None = None

    def tasks(self, file: FileOpener, schema: Schema, wide: frozenset[str] = frozenset()) -> Iterator[Task]:
        """Return the whole file as one task. ``wide`` as in NDJSON."""
        layout = self._layout
        if layout is None or layout.schema != schema or layout.wide != wide:
            layout = self._layout = Layout(schema, self._contract, wide)
        yield partial(_chunks, file, layout)

    def survey(self, file: FileOpener, known: Survey | None) -> Survey:
        """Return ``known`` evolved by the whole file."""
        survey = JsonSurvey(known, self._contract)
        for lines, places, _ in _groups(file):
            survey.take(lines, places)
        return survey.found


@dataclass(frozen=True, slots=True)
class ElementPlaces:
    """Where the elements of a document stand."""

    path: str
    document: Document
    starts: pl.Series
    ends: pl.Series

    def offsets(self, numbers: pl.Series | None) -> pl.Series:
        """Return the byte at which each of the elements (None for all) starts, as ``_source_offset``."""
        starts = self.starts + self.document.start
        return (starts if numbers is None else starts.gather(numbers)).alias("_source_offset")

    def line(self, number: int) -> int:
        """Return the number of the element's first line, from 1."""
        return self.document.line(int(self.starts[number]))

    def raw(self, number: int) -> bytes:
        """Return the element as it stands in the file."""
        return self.document.content[self.starts[number] : self.ends[number]]


def _chunks(file: FileOpener, layout: Layout) -> Iterator[Chunk]:
    for lines, places, aside in _groups(file):
        chunk = read_lines(lines, layout, places) if lines.rows else None
        if chunk is None:
            chunk = Chunk(_no_rows(layout), 0, partial(places.offsets, places.starts.head(0)))
        yield _with_rejects(chunk, aside)


def _no_rows(layout: Layout) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(schema=to_polars(layout.schema))


def _with_rejects(chunk: Chunk, aside: list[dict[str, Any]]) -> Chunk:
    import polars as pl

    if not aside:
        return chunk
    more = rejects(aside).drop("_source_file")
    frames = [more] if chunk.rejects is None else [chunk.rejects, more]
    return replace(chunk, rejects=pl.concat(frames).sort("_source_offset", maintain_order=True))


def _groups(file: FileOpener) -> Iterator[tuple[Lines, ElementPlaces, list[dict[str, Any]]]]:
    """Yield the elements of a file as lines, some at a time, with the rejects among them that are no lines."""
    document = _document(file)
    for starts, ends in document.elements(file.chunk_bytes):
        sizes = ends - starts
        is_line = (sizes > 0) & (sizes <= file.max_line_bytes)
        aside = []
        for start, end in zip(starts.filter(~is_line).to_list(), ends.filter(~is_line).to_list(), strict=True):
            rule, reason = ("too_long", too_long_reason(file)) if end > start else ("syntax", "no value between commas")
            aside.append(
                {
                    "raw": document.content[start : min(end, start + KEPT_BYTES)],
                    "_source_offset": start + document.start,
                    "line": document.line(start),
                    "rule": rule,
                    "reason": reason,
                }
            )
        places = ElementPlaces(file.path, document, starts.filter(is_line), ends.filter(is_line))
        content = document.lines(places.starts, places.ends) if len(places.starts) else b"\n"
        yield Lines(content), places, aside


def _document(file: FileOpener) -> Document:
    """Return the whole file. Raises UnreadableFileError where it is too large, or UTF-16."""
    parts, size = [], 0
    with file.open() as opened:
        stream = decompressed(opened, file.path)
        while block := stream.read(file.chunk_bytes):
            parts.append(block)
            size += len(block)
            if size > MAX_DOCUMENT_BYTES:
                hint = "write it as NDJSON, one object per line: such a file may have any size"
                raise UnreadableFileError(
                    file.path, f"a JSON document of more than {MAX_DOCUMENT_BYTES} bytes", hint=hint
                )
    content = b"".join(parts)
    check_encoding(content, file)
    start = len(BOM) if content.startswith(BOM) else 0
    return Document(file.path, content[start:], start)
