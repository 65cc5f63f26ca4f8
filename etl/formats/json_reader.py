"""Reading pieces of JSON lines into chunks: in one go where every line fits, through the sieve where one may not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from etl.formats.contract import Chunk, FileOpener
from etl.formats.json_lines import Lines
from etl.formats.json_sieve import Places, Sieve
from etl.formats.lines import KEPT_BYTES, LineCounter, Piece
from etl.rejects import rejects
from etl.schema import to_polars

if TYPE_CHECKING:
    import polars as pl

    from etl.formats.json_layout import Layout


@dataclass(frozen=True, slots=True)
class LinePlaces:
    """Where the lines of a piece of NDJSON stand."""

    path: str
    lines: Lines
    start: int
    counter: LineCounter

    def offsets(self, numbers: pl.Series | None) -> pl.Series:
        """Return the byte at which each of the lines (None for all) starts, as ``_source_offset``."""
        starts = self.lines.bounds.head(self.lines.count) + self.start
        return (starts if numbers is None else starts.gather(numbers)).alias("_source_offset")

    def line(self, number: int) -> int:
        """Return the number of the line in the file, from 1."""
        return self.counter.before(self.start) + number + 1

    def raw(self, number: int) -> bytes:
        """Return the line as it stands in the file, without its end."""
        first, last = self.lines.bounds[number], self.lines.bounds[number + 1]
        return self.lines.content[first : last - 1].removesuffix(b"\r")


def read_lines(lines: Lines, layout: Layout, places: Places) -> Chunk | None:
    """Return the rows of a piece and its rejects, None where there is neither.

    Raises SchemaDriftError, and RowError where the contract says so.
    """
    import polars as pl
    import pyarrow as pa

    if not lines.rows:
        return None
    if lines.are_sound and not (layout.is_dirty and layout.patterns.are_known):
        try:
            table = layout.table(lines.content, lines.rows)
        except pa.ArrowInvalid:
            pass
        else:
            locate = partial(places.offsets, lines.numbers)
            return Chunk(pl.DataFrame(table), lines.rows, locate, wide=layout.wide_in(table))
    sieve = Sieve(lines, layout, places)
    chunk = _sifted(sieve, layout, places)
    layout.is_dirty = not sieve.is_clean
    return chunk


def _sifted(sieve: Sieve, layout: Layout, places: Places) -> Chunk:
    import polars as pl

    table, numbers = sieve.table()
    frame = pl.DataFrame(schema=to_polars(layout.schema)) if table is None else pl.DataFrame(table)
    wide: frozenset[str] = frozenset() if table is None else layout.wide_in(table)
    return Chunk(frame, len(numbers), partial(places.offsets, numbers), sieve.rejects(), wide)


def too_long_chunk(piece: Piece, file: FileOpener, layout: Layout, counter: LineCounter) -> Chunk:
    """Return the reject of a line that is too long."""
    import polars as pl

    row = {
        "raw": piece.content,
        "_source_offset": piece.start,
        "line": counter.before(piece.start) + 1,
        "rule": "too_long",
        "reason": too_long_reason(file),
    }
    frame = pl.DataFrame(schema=to_polars(layout.schema))
    nowhere = pl.Series("_source_offset", [], dtype=pl.Int64)
    return Chunk(frame, 0, lambda: nowhere, rejects([row]).drop("_source_file"))


def too_long_reason(file: FileOpener) -> str:
    """Return why a line that is too long was rejected."""
    return f"longer than {file.max_line_bytes} bytes; of these the first {KEPT_BYTES} are kept"
