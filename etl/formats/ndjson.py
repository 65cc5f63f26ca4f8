"""NDJSON: one JSON object per line."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from etl.formats.compressed import decompressed, sniff
from etl.formats.contract import Chunk, FileOpener, Task
from etl.formats.json_layout import Layout
from etl.formats.json_lines import Lines
from etl.formats.json_reader import LinePlaces, read_lines, too_long_chunk
from etl.formats.json_survey import JsonSurvey
from etl.formats.lines import LineCounter, Piece, check_encoding, lines_between, whole_lines
from etl.options import Options
from etl.schema_contract import EVOLVE, SchemaContract, Survey

if TYPE_CHECKING:
    from etl.model import Schema


class NdjsonOptions(Options):
    """NDJSON has nothing to choose."""


class Ndjson:
    """Reads NDJSON; blank lines are no rows. Parsing is pyarrow's, strict; what it refuses gets a look of its own."""

    options_model = NdjsonOptions

    def __init__(self, options: NdjsonOptions | None = None, contract: SchemaContract = EVOLVE) -> None:
        self.options = options or NdjsonOptions()
        self._contract = contract
        self._layout: Layout | None = None

    def tasks(self, file: FileOpener, schema: Schema, wide: frozenset[str] = frozenset()) -> Iterator[Task]:
        """Return one task per piece of a large plain file, one for any other.

        ``wide`` are integer fields that cannot become floats: a fraction in one is no drift.
        """
        layout = self._layout
        if layout is None or layout.schema != schema or layout.wide != wide:
            layout = self._layout = Layout(schema, self._contract, wide)
        reading = _Reading(file, layout)
        if file.size_bytes <= file.chunk_bytes:
            yield reading.stream
            return
        with file.open() as stream:
            head = stream.read(4)
        if sniff(head) is not None:
            yield reading.stream
            return
        check_encoding(head, file)
        for first in range(0, file.size_bytes, file.chunk_bytes):
            yield partial(reading.part, first, min(first + file.chunk_bytes, file.size_bytes))

    def survey(self, file: FileOpener, known: Survey | None) -> Survey:
        """Return ``known`` evolved by the whole file. Text stays ``string``, whatever it looks like."""
        survey = JsonSurvey(known, self._contract)
        counter = LineCounter(file)
        with file.open() as opened:
            for piece in whole_lines(decompressed(opened, file.path), file):
                if not piece.is_too_long:
                    lines = Lines(piece.content)
                    survey.take(lines, LinePlaces(file.path, lines, piece.start, counter))
        return survey.found


class _Reading:
    """One file being read with one schema."""

    def __init__(self, file: FileOpener, layout: Layout) -> None:
        self._file = file
        self._layout = layout
        self._counter = LineCounter(file)

    def stream(self) -> Iterator[Chunk]:
        """Read the file from start to end."""
        with self._file.open() as opened:
            end = 0
            for piece in whole_lines(decompressed(opened, self._file.path), self._file):
                if piece.start > end:  # a byte order mark, or what a line that is too long has left
                    self._counter.add(end, piece.start, 1 if end else 0)
                end = piece.start + (0 if piece.is_too_long else len(piece.content))
                yield from self._chunk(piece)

    def part(self, first: int, last: int) -> Iterator[Chunk]:
        """Read the lines that start between two bytes."""
        with self._file.open() as opened:
            pieces = list(lines_between(opened, self._file, first, last))
        for piece in pieces:
            yield from self._chunk(piece)

    def _chunk(self, piece: Piece) -> Iterator[Chunk]:
        if piece.is_too_long:
            yield too_long_chunk(piece, self._file, self._layout, self._counter)
            return
        lines = Lines(piece.content)
        self._counter.add(piece.start, piece.start + len(piece.content), lines.count)
        chunk = read_lines(lines, self._layout, LinePlaces(self._file.path, lines, piece.start, self._counter))
        if chunk is not None:
            yield chunk
