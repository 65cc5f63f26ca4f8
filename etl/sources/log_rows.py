"""What the bytes of a piece of a log become: rows of the reading schema, and rejected lines, by the source's format."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from etl.formats.contract import Chunk, FileOpener
from etl.formats.delimited import Csv
from etl.rejects import rejects
from etl.sources.log_borders import CHUNK_BYTES
from etl.sources.log_csv import CsvBorders
from etl.sources.log_formats import made
from etl.sources.log_identity import Content
from etl.sources.log_pieces import RAW_BYTES, Piece, Range, joined, pieces
from etl.sources.log_units import LogUnit

if TYPE_CHECKING:
    import polars as pl

    from etl.formats.contract import Format
    from etl.schema_contract import SchemaContract, Survey
    from etl.sources.log_options import LogOptions

_EPOCH = datetime.fromtimestamp(0, UTC)


class LogRows:
    """The format of one source over pieces of its logs. Called from several threads."""

    def __init__(self, options: LogOptions, contract: SchemaContract) -> None:
        self._max_line = options.max_line
        self.format = cast("Format", made(options, contract))
        way = getattr(self.format, "way", None)
        self.joiner = None if way is None else way.joiner
        self.csv = CsvBorders.of(self.format.options, self._max_line) if isinstance(self.format, Csv) else None
        self._has_fixed_columns = way is not None and way.parser.schema is not None

    def pieces(self, content: Content, unit: LogUnit, chunk_bytes: int) -> Iterator[Piece]:
        """Yield the range of a unit in pieces of whole records."""
        if self.csv is not None:
            return self._csv_pieces(self.csv, content, unit)
        found = pieces(content, Range(unit.path, unit.start, unit.end), chunk_bytes, self._max_line)
        if self.joiner is None:
            return found
        return (piece for piece, _ in joined(found, self.joiner, self._max_line))

    def _csv_pieces(self, csv: CsvBorders, content: Content, unit: LogUnit) -> Iterator[Piece]:
        """Yield whole records, each piece but the first of a log with its header.

        Their size is fixed: rows are numbered from the start of their piece.
        """
        lead = csv.lead(content, unit.path) or b""
        asked = Range(unit.path, max(unit.start, len(lead)) if unit.start else 0, unit.end)
        for piece in pieces(content, asked, CHUNK_BYTES, self._max_line, csv.whole_bytes):
            yield piece._replace(lead=lead if piece.start else b"")

    def survey_of_none(self, known: Survey | None) -> Survey | None:
        """Return ``known`` with the columns of a format that has the same for all lines, None for any other."""
        if not self._has_fixed_columns:
            return None
        return self.format.survey(FileOpener("", 0, io.BytesIO), known)

    def survey(self, unit: LogUnit, piece: Piece, known: Survey | None) -> Survey | None:
        """Return ``known`` evolved by the lines of a piece."""
        return known if piece.long_bytes else self.format.survey(self._opener(unit, piece), known)

    def chunks(self, unit: LogUnit, piece: Piece, known: Survey) -> Iterator[Chunk]:
        """Yield the rows of a piece, and its rejects with the file that they come from."""
        import polars as pl

        if piece.long_bytes:
            from etl.schema import to_polars

            yield Chunk(pl.DataFrame(schema=to_polars(known.schema)), 0, _no_offsets, self._too_long(unit, piece))
            return
        for task in self.format.tasks(self._opener(unit, piece), known.schema, *([known.wide] if known.wide else [])):
            for chunk in task():
                yield _placed(chunk, unit, piece, self._max_line)

    def _opener(self, unit: LogUnit, piece: Piece) -> FileOpener:
        modified_at = _EPOCH + timedelta(microseconds=unit.modified_ns // 1000)
        text = piece.lead + piece.text
        size = len(text)
        return FileOpener(
            unit.path, size, lambda: io.BytesIO(text), max(size, 1), self._max_line, modified_at=modified_at
        )

    def _too_long(self, unit: LogUnit, piece: Piece) -> pl.DataFrame:
        kept = piece.text[: min(self._max_line, RAW_BYTES)]
        reason = _kept(self._max_line, len(kept))
        return rejects(
            [
                {
                    "raw": kept,
                    "_source_file": unit.path,
                    "_source_offset": piece.start,
                    "rule": "too_long",
                    "reason": reason,
                }
            ]
        )


def _placed(chunk: Chunk, unit: LogUnit, piece: Piece, max_line: int) -> Chunk:
    """Return a chunk with the places of its rows in the log; how many lines lie before is not known."""
    import polars as pl

    found, in_bytes = chunk.rejects, piece.start - len(piece.lead)
    if found is not None:
        is_long = pl.col("rule") == "too_long"
        found = found.with_columns(
            pl.col("_source_offset") + in_bytes,
            pl.when(is_long)
            .then(pl.col("raw").bin.head(min(max_line, RAW_BYTES)))
            .otherwise(pl.col("raw"))
            .alias("raw"),
            pl.when(is_long)
            .then(pl.lit(_kept(max_line, min(max_line, RAW_BYTES))))
            .otherwise("reason")
            .alias("reason"),
            _source_file=pl.lit(unit.path),
            line=pl.lit(None, pl.Int64),
        ).select(rejects([]).columns)
    return replace(chunk, locate=lambda: chunk.offsets + piece.start, rejects=found)


def _kept(most: int, kept: int) -> str:
    return f"more than {most} bytes; the first {kept} are kept"


def _no_offsets() -> pl.Series:
    import polars as pl

    return pl.Series("_source_offset", [], dtype=pl.Int64)
