"""Pieces of CSV parsed by Polars, and the proof that it took every record as it stands.

Polars pads a short record with nulls, takes a blank line for a row of nulls, and finds line ends by the parity of all
quotes; a record that is too long and an unsound quoted field it refuses: tests/facts/test_polars_csv.py. So a piece
was taken as it stands if it gave as many rows as it has line ends, and as many nulls in its last column as records end
with a delimiter. The last column is read as text, where null is an unquoted empty field and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.formats.csv_lines import units_of
from etl.formats.records import CR, LF, Dialect

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

_BOM = b"\xef\xbb\xbf"
_TAKEN_FOR_OTHERS = (_BOM, b"x")


@dataclass(frozen=True, slots=True)
class Parsed:
    """Rows of a piece, columns named by their place (``0``, ``1``, …), and where each row ends in the piece."""

    frame: pl.DataFrame
    ends: pl.Series | None = None


def parse(piece: bytes, types: Mapping[str, pl.DataType], dialect: Dialect) -> pl.DataFrame | None:
    """Return the records as a frame, None where Polars refuses them. ``piece`` is UTF-8 and not empty."""
    import polars as pl

    if piece.startswith(_TAKEN_FOR_OTHERS):  # a byte order mark is dropped, ``x\x01`` taken for compressed data
        piece = _BOM + piece
    try:
        return pl.read_csv(
            piece if piece.endswith(LF) else piece + LF,  # else a last field ``\"\"\"`` is taken for empty text
            has_header=False,
            schema=dict(types),
            separator=dialect.delimiter.decode(),
            quote_char=dialect.quote.decode() or None,
        )
    except (pl.exceptions.ComputeError, pl.exceptions.SchemaError, pl.exceptions.NoDataError):
        return None


class Proof:
    """What shows that a frame has the records of a piece, one a row, with nothing padded."""

    def __init__(self, piece: bytes, dialect: Dialect) -> None:
        self._piece, self._dialect = piece, dialect
        self._units = units_of(piece if piece.endswith(LF) else piece + LF)
        self._ends = self._units == LF[0]

    @property
    def lines(self) -> int:
        """How many lines the piece has."""
        return int(self._ends.sum())

    def holds(self, frame: pl.DataFrame) -> bool:
        """Tell whether the piece was taken as it stands. A carriage return inside quotes is not looked into."""
        returns = self._returns()
        if returns is None:
            return False
        nulls = frame[:, -1].null_count()
        if frame.width == 1 and nulls:
            return False
        if frame.height == self.lines:
            return (
                nulls == int((self._empty_before(has_returns=returns) & self._ends.slice(1)).sum()) or frame.width == 1
            )
        places = self._record_ends()
        return places is not None and len(places) == frame.height and nulls == self._empty_at(places)

    def ends(self) -> pl.Series:
        """Return where each row ends, behind its line end; only after ``holds`` said yes."""
        places = self._record_ends()
        if places is None:
            places = self._ends.arg_true()
        return places + 1

    def _returns(self) -> bool | None:
        """Tell whether lines end in CR LF, None where a carriage return is followed by anything else."""
        if CR not in self._piece:
            return False
        is_return = self._units == CR[0]
        return True if (is_return.slice(0, len(is_return) - 1) & self._ends.slice(1)).sum() == is_return.sum() else None

    def _empty_before(self, *, has_returns: bool) -> pl.Series:
        """Return for each byte but the first whether an empty field ends before it."""
        before = self._units.slice(0, len(self._units) - 1)
        is_empty = before == self._dialect.delimiter[0]
        if not has_returns:
            return is_empty
        earlier = is_empty.shift(1, fill_value=False)
        return is_empty | (earlier & (before == CR[0]))

    def _record_ends(self) -> pl.Series | None:
        """Return the line ends outside quotes, None where quotes do not stand at the edges of fields, in pairs."""
        quote = self._dialect.quote
        if not quote or quote not in self._piece:
            return self._ends.arg_true()
        quotes = (self._units == quote[0]).arg_true()
        if len(quotes) % 2 or not self._are_edges(quotes):
            return None
        places = self._ends.arg_true()
        return places.filter(quotes.search_sorted(places) % 2 == 0)

    def _are_edges(self, quotes: pl.Series) -> bool:
        edges = [LF[0], self._dialect.delimiter[0], self._dialect.quote[0]]
        opening, closing = quotes.gather_every(2), quotes.gather_every(2, 1)
        first = int(opening[0])
        before = self._units.gather((opening if first else opening.slice(1)) - 1)
        after = self._units.gather(closing + 1)
        return bool(before.is_in(edges).all() and after.is_in([*edges, CR[0]]).all())

    def _empty_at(self, places: pl.Series) -> int:
        """Return how many records end with an empty field."""
        before = self._units.gather((places.cast(int) - 1).clip(0))
        earlier = self._units.gather((places.cast(int) - 2).clip(0))
        is_empty = before == self._dialect.delimiter[0]
        return int((is_empty | ((before == CR[0]) & (earlier == self._dialect.delimiter[0]))).sum())
