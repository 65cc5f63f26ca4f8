"""Records of CSV in a piece of a file: where they end, and that their quotes are sound.

pyarrow's reader takes a quoted field that is never closed, or text after a closing quote, without a word. Here quotes
are looked at in bulk; only where one stands in an unusual place is the piece walked through field by field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

from etl.formats.lines import BOM, BadRow, row_error, too_long

if TYPE_CHECKING:
    from etl.formats.contract import FileOpener

_CR, _LF = b"\r", b"\n"


class UnfinishedError(BadRow):
    """A record that goes on behind the end of the piece, or a quoted field that is never closed."""


@dataclass(frozen=True)
class Dialect:
    """How fields are delimited and quoted (not at all if ``quote`` is empty), and the lines before the header."""

    delimiter: bytes = b","
    quote: bytes = b'"'
    skip_lines: int = 0

    @cached_property
    def field(self) -> re.Pattern[bytes]:
        """The pattern of one field and of what ends it."""
        delimiter, quote = re.escape(self.delimiter), re.escape(self.quote)
        plain = rb"[^" + delimiter + rb"\r\n]*+"
        if not self.quote:
            return re.compile(rb"(" + plain + rb")(" + delimiter + rb"|\r?\n|\Z)")
        return re.compile(
            rb"(" + self.quoted.pattern + rb"|(?!" + quote + rb")" + plain + rb")(" + delimiter + rb"|\r?\n|\Z)"
        )

    @cached_property
    def quoted(self) -> re.Pattern[bytes]:
        """The pattern of a quoted field."""
        quote = re.escape(self.quote)
        return re.compile(quote + rb"(?:[^" + quote + rb"]++|" + quote + quote + rb")*+" + quote)

    def text(self, field: bytes) -> str:
        """Return what a field of the header says."""
        if self.quote and field.startswith(self.quote):
            field = field[1:-1].replace(self.quote * 2, self.quote)
        return field.decode()


def walk(piece: bytes, dialect: Dialect) -> Iterator[tuple[int, int, list[bytes]]]:
    """Yield start, end and fields of each record that is not blank. Raises BadRow, and UnfinishedError at the end."""
    start = position = 0
    fields: list[bytes] = []
    while position < len(piece):
        found = dialect.field.match(piece, position)
        if found is None:
            raise _fault(piece, start, position, dialect)
        fields.append(found[1])
        position = found.end()
        if found[2] != dialect.delimiter:
            if fields != [b""]:
                yield start, position, fields
            start, fields = position, []
    if fields:
        yield start, position, [*fields, b""]


def _fault(piece: bytes, start: int, position: int, dialect: Dialect) -> BadRow:
    if dialect.quote and piece.startswith(dialect.quote, position):
        closed = dialect.quoted.match(piece, position)
        if closed is None:
            return UnfinishedError(start, "a quoted field is never closed")
        position = closed.end()
        if piece[position:] != _CR:
            is_return = piece.startswith(_CR, position)
            return BadRow(start, "a carriage return alone" if is_return else "text after a closing quote")
    reason = "a carriage return alone, neither a line end nor inside quotes"
    is_last = piece.find(_CR, position) == len(piece) - 1
    return UnfinishedError(start, reason) if is_last else BadRow(start, reason)


def is_regular(piece: bytes, dialect: Dialect) -> bool:
    """Tell whether every quote stands at the edge of a field or doubled, and every CR before a LF.

    An odd number of quotes is regular too: the last field goes on.
    """
    if piece.count(_CR) != piece.count(b"\r\n"):
        return False
    if not dialect.quote or dialect.quote not in piece:
        return True
    import polars as pl
    import pyarrow as pa

    padded = b"\n" + piece + b"\n"
    units = pl.Series(pa.Array.from_buffers(pa.uint8(), len(padded), [None, pa.py_buffer(padded)]))
    quotes = (units == dialect.quote[0]).arg_true()
    edges = {_LF[0], _CR[0], dialect.delimiter[0], dialect.quote[0]}
    is_edge = pl.Series([code in edges for code in range(256)])
    before, after = units.gather(quotes.gather_every(2) - 1), units.gather(quotes.gather_every(2, 1) + 1)
    return bool(is_edge.gather(before).all() and is_edge.gather(after).all())


def check(piece: bytes, dialect: Dialect) -> None:
    """Refuse whole records whose quotes are unsound. Raises BadRow."""
    is_closed = not dialect.quote or piece.count(dialect.quote) % 2 == 0
    if not (is_closed and is_regular(piece, dialect)):
        for _ in walk(piece, dialect):
            pass


def last_end(piece: bytes, dialect: Dialect) -> int:
    """Return where the last whole record of a piece that may go on ends, 0 if there is none. Raises BadRow."""
    if not is_regular(piece, dialect):
        return _walked_end(piece, dialect)
    end = len(piece)
    is_open = bool(dialect.quote) and piece.count(dialect.quote) % 2 == 1
    while True:
        quote = piece.rfind(dialect.quote, 0, end) if dialect.quote else -1
        newline = -1 if is_open else piece.rfind(_LF, quote + 1, end)
        if newline >= 0 or quote < 0:
            return newline + 1
        end, is_open = quote, not is_open


def _walked_end(piece: bytes, dialect: Dialect) -> int:
    last = 0
    try:
        for _, end, _ in walk(piece, dialect):
            last = end if piece.endswith(_LF, 0, end) else last
    except UnfinishedError:
        pass
    return last


def whole_records(stream: BinaryIO, file: FileOpener, dialect: Dialect) -> Iterator[tuple[int, bytes]]:
    """Yield the stream in pieces of whole, sound records, each with its place, from the header on.

    Raises RowError for unsound quotes, a carriage return alone and a record of more than ``max_line_bytes``.
    """
    start, rest = _header_start(stream, file, dialect)
    while block := stream.read(file.chunk_bytes):
        rest += block
        try:
            cut = last_end(rest, dialect)
        except BadRow as exc:
            raise row_error(file, start, rest, exc) from exc
        if len(rest) - cut > file.max_line_bytes:
            raise too_long(file, f"byte {start + cut}", "is a quote missing? `format_options: {quote: ''}` reads none")
        if cut:
            yield start, rest[:cut]  # sound: last_end has looked at all of it
            start, rest = start + cut, rest[cut:]
    if rest:
        yield start, _checked(file, start, rest, dialect)


def _checked(file: FileOpener, start: int, piece: bytes, dialect: Dialect) -> bytes:
    try:
        check(piece, dialect)
    except BadRow as exc:
        raise row_error(file, start, piece, exc) from exc
    return piece


def _header_start(stream: BinaryIO, file: FileOpener, dialect: Dialect) -> tuple[int, bytes]:
    """Return where the header starts, behind a byte order mark and skipped lines, and what was read from there on."""
    rest = stream.read(file.chunk_bytes)
    start = len(BOM) if rest.startswith(BOM) else 0
    rest = rest[start:]
    for _ in range(dialect.skip_lines):
        while _LF not in rest and (block := stream.read(file.chunk_bytes)):
            rest += block
        cut = rest.find(_LF) + 1 or len(rest)
        start, rest = start + cut, rest[cut:]
    return start, rest
