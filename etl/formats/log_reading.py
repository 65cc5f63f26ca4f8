"""A log file being read: its pieces as lines, lines as records, records as rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from etl.formats.compressed import decompressed
from etl.formats.contract import Chunk, FileOpener
from etl.formats.line_pieces import LineNumbers, Piece, pieces, split
from etl.formats.log_fitting import LogFit, as_rejects, refuse_fatal
from etl.formats.log_records import Joiner, LineParser, Records

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class LogWay:
    """How lines become records and records rows. ``has_blank_rows``: whether a blank record is a row."""

    parser: LineParser
    joiner: Joiner | None = None
    has_blank_rows: bool = False


@dataclass(frozen=True, slots=True)
class Gathered:
    """Records, their ``numbers`` counting lines from byte ``start`` on, and the refused lines beside them."""

    start: int
    records: Records
    refused: pl.DataFrame | None


class LogReading:
    """One file being read; its tasks may run in any thread."""

    def __init__(self, file: FileOpener, way: LogWay) -> None:
        self._file = file
        self._way = way
        self._numbers = LineNumbers(file)

    def stream(self, fit: LogFit) -> Iterator[Chunk]:
        """Read the file from start to end."""
        for gathered in self.records():
            yield self._chunk(gathered, fit)

    def part(self, fit: LogFit, first: int, last: int) -> Iterator[Chunk]:
        """Read the lines that start between two bytes of a plain file."""
        with self._file.open() as opened:
            for gathered in self._gathered(pieces(opened, self._file, first, last)):
                yield self._chunk(gathered, fit)

    def records(self) -> Iterator[Gathered]:
        """Yield the records of the whole file."""
        with self._file.open() as opened:
            yield from self._gathered(pieces(decompressed(opened, self._file.path), self._file))

    def _gathered(self, found: Iterator[Piece]) -> Iterator[Gathered]:
        """Yield the records of pieces; lines that are held go before those of the next piece."""
        start, before, held = None, 0, None
        for piece in found:
            start = piece.start if start is None else start
            given = split(piece, self._file.max_line_bytes)
            records = Records(given.lines, given.offsets, given.numbers + before)
            refused = as_rejects(given.refused, before) if given.refused else None
            before += given.count
            if self._way.joiner is not None:
                records, held = _joined(self._way.joiner, _after(held, records), is_end=False)
            yield Gathered(start, self._without_blank(records), refused)
        if start is not None and held is not None and len(held.lines) and self._way.joiner is not None:
            yield Gathered(start, self._without_blank(_joined(self._way.joiner, held, is_end=True)[0]), None)

    def _without_blank(self, records: Records) -> Records:
        is_blank = records.lines == ""
        if self._way.has_blank_rows or not is_blank.any():
            return records
        kept = ~is_blank
        return Records(records.lines.filter(kept), records.offsets.filter(kept), records.numbers.filter(kept))

    def _chunk(self, gathered: Gathered, fit: LogFit) -> Chunk:
        import polars as pl

        parsed = self._way.parser.parse(gathered.records.lines, self._file.modified_at)
        fitted = fit.apply(parsed, gathered.records)
        found = [frame for frame in (fitted.rejects, gathered.refused) if frame is not None]
        rejects = None
        if found:
            before = self._numbers.before(gathered.start)
            rejects = pl.concat(found).sort("_source_offset").with_columns(pl.col("line") + before)
            refuse_fatal(rejects, fit.contract, self._file.path)
        return Chunk(fitted.frame, len(fitted.offsets), partial(_located, fitted.offsets), rejects)


def _located(offsets: pl.Series) -> pl.Series:
    return offsets.alias("_source_offset")


def _after(held: Records | None, more: Records) -> Records:
    """Return the lines that were held and those that follow them."""
    import polars as pl

    if held is None:
        return more
    return Records(
        pl.concat([held.lines, more.lines]),
        pl.concat([held.offsets, more.offsets]),
        pl.concat([held.numbers, more.numbers]),
    )


def _joined(joiner: Joiner, given: Records, *, is_end: bool) -> tuple[Records, Records]:
    """Return the records of lines, and the lines that are held."""
    found = joiner.join(given.lines, given.offsets, is_end=is_end)
    held = found.held
    rest = Records(given.lines.tail(held), given.offsets.tail(held), given.numbers.tail(held))
    return Records(found.lines, found.offsets, given.numbers.gather(found.numbers)), rest
