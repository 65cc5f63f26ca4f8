"""Pieces of CSV parsed by Polars, and the proof that it took every record as it stands.

Polars pads a short record with nulls, takes a blank line for a row of nulls, finds line ends by the parity of all
quotes, and takes some unsound quoted fields; a record that is too long it refuses: tests/facts/test_polars_csv.py. So
a piece was taken as it stands if it gave as many rows as it has line ends, none of them is padded, and quotes stand at
the edges of fields or are doubled. The last column is read as text, where null is an unquoted empty field and nothing
else; there must be as many as records end with a delimiter. Of a padded record that ends with one, the last two columns
are null; only where there are such rows are delimiters counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.formats.csv_lines import places_of, units_of
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


def parse(piece: bytes, types: Mapping[str, pl.DataType], dialect: Dialect) -> pl.DataFrame | str:
    """Return the records as a frame, or why Polars refuses them. ``piece`` is UTF-8 and not empty."""
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
    except (pl.exceptions.ComputeError, pl.exceptions.SchemaError, pl.exceptions.NoDataError) as exc:
        return str(exc)


def is_about_a_value(refusal: str) -> bool:
    """Tell whether Polars refused a field of another type than text; only speed depends on the answer."""
    return " as dtype `" in refusal and "as dtype `str`" not in refusal


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
        last = frame[:, -1]
        if returns is None or (frame.width == 1 and last.null_count()):
            return False
        if frame.height == self.lines:
            empty = (
                int((self._empty_before(has_returns=returns) & self._ends.slice(1)).sum()) if last.null_count() else 0
            )
        else:
            places = self._record_ends()
            if places is None or len(places) != frame.height:
                return False
            empty = self._empty_at(places)
        is_unpadded = last.null_count() == empty and (empty == 0 or self._is_unpadded(frame))
        return is_unpadded and (self._are_plain(frame) or self._quotes() is not None)

    def _are_plain(self, frame: pl.DataFrame) -> bool:
        """Tell whether each quote is the first or the last byte of a field, and nothing in quotes ends one.

        Then each quoted field is sound, as Polars took its end for one. Costs half of looking where quotes are.
        """
        quote = self._dialect.quote
        if not quote or quote not in self._piece:
            return True
        is_delimiter = self._units == self._dialect.delimiter[0]
        if frame.height != self.lines or int(is_delimiter.sum()) != frame.height * (frame.width - 1):
            return False
        is_edge = is_delimiter | self._ends
        if CR in self._piece:
            is_edge |= self._units == CR[0]
        is_quote = self._units == quote[0]
        before_last = len(is_quote) - 1  # there is a line end at the end
        is_first = is_quote.slice(1) & is_edge.slice(0, before_last)
        is_last = is_quote.slice(0, before_last) & is_edge.slice(1)
        has_both = (is_first.slice(0, before_last - 1) & is_last.slice(1)).any() or (is_quote[0] and is_last[0])
        return not has_both and int(is_first.sum()) + int(is_last.sum()) + is_quote[0] == is_quote.sum()

    def _is_unpadded(self, frame: pl.DataFrame) -> bool:
        if not (frame[:, -1].is_null() & frame[:, -2].is_null()).any():
            return True
        inside = self._delimiters_inside()
        delimiters = int((self._units == self._dialect.delimiter[0]).sum())
        return inside is not None and delimiters - inside == frame.height * (frame.width - 1)

    def _delimiters_inside(self) -> int | None:
        """Return how many delimiters stand inside quotes, None where these are not sound."""
        quotes = self._quotes()
        if quotes is None:
            return None
        opening, closing = quotes.gather_every(2), quotes.gather_every(2, 1)
        if not (closing - opening > 1).any():
            return 0
        delimiters = places_of(self._units == self._dialect.delimiter[0])
        return int(delimiters.search_sorted(closing).sum()) - int(delimiters.search_sorted(opening).sum())

    def ends(self) -> pl.Series:
        """Return where each row ends, behind its line end; only after ``holds`` said yes."""
        places = self._record_ends()
        if places is None:
            places = places_of(self._ends)
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
        """Return the line ends outside quotes, None where these are not sound."""
        quotes = self._quotes()
        if quotes is None:
            return None
        places = places_of(self._ends)
        return places.filter(quotes.search_sorted(places) % 2 == 0) if len(quotes) else places

    def _quotes(self) -> pl.Series | None:
        """Return where quotes are, None where they do not stand at the edges of fields, in pairs."""
        import polars as pl

        quote = self._dialect.quote
        if not quote or quote not in self._piece:
            return pl.Series(dtype=pl.UInt32)
        quotes = places_of(self._units == quote[0])
        return None if len(quotes) % 2 or not self._are_edges(quotes) else quotes

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
