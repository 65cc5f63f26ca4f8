"""What the bytes of a piece of a log become: rows of the reading schema, and rejected lines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from etl.rejects import rejects
from etl.schema_contract import Survey

if TYPE_CHECKING:
    import polars as pl

    from etl.sources.log_options import LogOptions
    from etl.sources.log_pieces import Piece
    from etl.sources.log_units import LogUnit


@dataclass(frozen=True, slots=True)
class PieceRows:
    """Rows of a piece, where each starts, and beside them the rejected lines."""

    frame: pl.DataFrame
    rows: int
    offsets: pl.Series
    rejects: pl.DataFrame

    def completed(self, frame: pl.DataFrame) -> PieceRows:
        """Return the same with another frame."""
        return replace(self, frame=frame)


class LogRows:
    """Lines as one column."""

    joiner = None

    def __init__(self, options: LogOptions) -> None:
        self._max_line = options.max_line

    def survey(self, unit: LogUnit, piece: Piece, known: Survey | None) -> Survey:
        del unit, piece
        return known or self.survey_of_nothing()

    def survey_of_nothing(self) -> Survey:
        return Survey({"line": "string"})

    def rows(self, unit: LogUnit, piece: Piece, known: Survey) -> PieceRows:
        import polars as pl

        lines, offsets, bad = [], [], []
        at = piece.start
        for line in piece.text.split(b"\n")[: -1 if piece.text.endswith(b"\n") else None]:
            if piece.long_bytes or len(line) > self._max_line:
                bad.append(
                    {
                        "raw": line[:65536],
                        "_source_file": unit.path,
                        "_source_offset": at,
                        "rule": "too_long",
                        "reason": f"a line of {piece.long_bytes or len(line)} bytes",
                    }
                )
            else:
                lines.append(line.removesuffix(b"\r").decode())
                offsets.append(at)
            at += len(line) + 1
        frame = pl.DataFrame({"line": pl.Series(lines, dtype=pl.String)})
        return PieceRows(frame, len(lines), pl.Series("_source_offset", offsets, dtype=pl.Int64), rejects(bad))
