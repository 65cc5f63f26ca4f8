"""Lines of NDJSON in a piece of a file: where they start, and that each holds one object.

pyarrow's reader takes what is not NDJSON without a word: two objects on a line, an object over two lines, invalid
UTF-8; a first line ``null`` kills the process. Here every line is known to start with ``{`` and to end with ``}``;
``}`` and ``{`` never meet around a line break inside one JSON value, so as many rows as lines means one object each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from etl.errors import RowError
from etl.formats.compressed import decompressed

if TYPE_CHECKING:
    import polars as pl

    from etl.formats.contract import FileOpener

T = TypeVar("T")

_BLANK = b" \t\r\n"
BOM = b"\xef\xbb\xbf"
_EXCERPT_BYTES = 120
_HINT = "correct the line, or the column's type under `schema:`"
_TOO_LONG_HINT = "NDJSON holds one object per line; is the file one large JSON document?"
_NEWLINE, _OPEN, _CLOSE, _ASCII_END = 10, 123, 125, 128


class BadRow(Exception):  # noqa: N818  carries a place, never reaches a user
    """A row that does not fit, by the byte of the piece where its line starts."""

    def __init__(self, start: int, reason: str) -> None:
        super().__init__(reason)
        self.start = start
        self.reason = reason


class Lines:
    """The lines of a piece that are not blank, each known to be ``{…}``; ``piece`` holds whole lines.

    Counting them costs a fraction of finding where each starts, which is done when asked for.
    Raises BadRow for invalid UTF-8 and for a line that is not ``{…}``.
    """

    def __init__(self, piece: bytes) -> None:
        self._units = _units(piece if piece.endswith(b"\n") else piece + b"\n")
        _check_text(piece, self._units)
        self._starts = None if self._are_plain() else _as_starts(_careful_starts(piece))
        self._rows = int((self._units == _NEWLINE).sum()) if self._starts is None else len(self._starts)

    def __len__(self) -> int:
        """Return how many there are."""
        return self._rows

    def _are_plain(self) -> bool:
        """Tell whether every line starts with ``{`` and ends with ``}``: no blank one, no padding, no CR."""
        first, last = self._units[0], self._units[-2] if len(self._units) > 1 else None
        before, after = self._units.head(-1), self._units.slice(1)
        is_end = before == _NEWLINE
        is_start_wrong = (is_end & (after != _OPEN)).any()
        is_end_wrong = ((after == _NEWLINE) & (before != _CLOSE)).any()
        return first == _OPEN and last == _CLOSE and not is_start_wrong and not is_end_wrong

    @property
    def starts(self) -> pl.Series:
        """The byte (UInt32) at which each line starts."""
        if self._starts is None:
            ends = (self._units == _NEWLINE).arg_true()
            self._starts = _as_starts([0]).append(ends.head(len(ends) - 1) + 1)
        return self._starts


def _units(piece: bytes) -> pl.Series:
    import polars as pl
    import pyarrow as pa

    return pl.Series(pa.Array.from_buffers(pa.uint8(), len(piece), [None, pa.py_buffer(piece)]))


def _as_starts(numbers: Iterable[int]) -> pl.Series:
    import polars as pl

    return pl.Series(list(numbers), dtype=pl.UInt32)


def _check_text(piece: bytes, units: pl.Series) -> None:
    highest = units.max()
    if isinstance(highest, int) and highest < _ASCII_END:
        return
    try:
        piece.decode()
    except UnicodeDecodeError as exc:
        start = piece.rfind(b"\n", 0, exc.start) + 1
        raise BadRow(
            start, f"not UTF-8: byte 0x{piece[exc.start]:02x} at byte {exc.start - start} of the line"
        ) from exc


def _careful_starts(piece: bytes) -> Iterator[int]:
    """Yield the starts of lines where some are blank, padded or end in CR LF."""
    start = 0
    for line in piece.split(b"\n"):
        text = line.strip(_BLANK)
        if text:
            if b"\r" in text:
                raise BadRow(start, "a carriage return inside a line; lines end in LF or CR LF")
            if not (text.startswith(b"{") and text.endswith(b"}")):
                raise BadRow(start, "not one JSON object on a line")
            yield start
        start += len(line) + 1


def whole_lines(stream: BinaryIO, file: FileOpener) -> Iterator[tuple[int, bytes]]:
    """Yield the stream in pieces of whole lines, each with its place; a byte order mark at the start is left out.

    Raises RowError for a line of more than ``max_line_bytes``.
    """
    start, rest = 0, b""
    while block := stream.read(file.chunk_bytes):
        piece = rest + block
        if start == 0 and piece.startswith(BOM) and not rest:
            start, piece = len(BOM), piece[len(BOM) :]
        cut = piece.rfind(b"\n") + 1
        if len(piece) - cut > file.max_line_bytes:
            raise too_long(file, f"byte {start + cut}", _TOO_LONG_HINT)
        if cut:
            yield start, piece[:cut]
        start, rest = start + cut, piece[cut:]
    if rest:
        yield start, rest


def lines_between(stream: BinaryIO, file: FileOpener, first: int, last: int) -> tuple[int, bytes]:
    """Return the lines that start at bytes ``first`` to ``last - 1`` of a plain file, and where they start."""
    if first == 0:
        piece = stream.read(last)
        start = len(BOM) if piece.startswith(BOM) else 0
    else:
        stream.seek(first - 1)
        piece = stream.read(last - first + 1)
        start = piece.find(b"\n") + 1
        if start in (0, len(piece)):
            return first, b""  # no line starts here, or only at ``last``, in the next part
    parts, size = [piece[start:]], 0
    while not parts[-1].endswith(b"\n") and (block := stream.readline(file.chunk_bytes)):
        size += len(block)
        if size > file.max_line_bytes:
            raise too_long(file, f"byte {first}", _TOO_LONG_HINT)
        parts.append(block)
    return max(first - 1, 0) + start, b"".join(parts)


def located(piece: bytes, starts: Lines | Sequence[int], parse: Callable[[bytes, int], T]) -> T:
    """Return ``parse(piece, rows)``, one row per start.

    Raises BadRow with the first row at which parsing fails, found by halving.
    """
    import pyarrow as pa

    try:
        return parse(piece, len(starts))
    except pa.ArrowInvalid as exc:
        reason = exc
    places = starts.starts if isinstance(starts, Lines) else starts
    good, bad = 0, len(starts)
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            parse(piece[: places[middle]], middle)
            good = middle
        except pa.ArrowInvalid as exc:
            bad, reason = middle, exc
    raise BadRow(places[good], in_words(str(reason))) from reason


def in_words(message: str) -> str:
    """Return a message of pyarrow's JSON reader without the row number, which counts from the piece."""
    reason = re.sub(r" in row \d+$", "", message.removeprefix("JSON parse error: "))
    return re.sub(r"^Column\(/?(.*?)\) ", lambda found: f"column {found[1] or '(the line)'} ", reason)


def row_error(file: FileOpener, start: int, piece: bytes, bad: BadRow) -> RowError:
    """Return the error of a row of the piece at byte ``start``, with its line number, reason and an excerpt."""
    line = piece[bad.start :].split(b"\n", 1)[0]
    text = line[:_EXCERPT_BYTES].decode("utf-8", "backslashreplace")
    excerpt = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text.rstrip("\r"))
    excerpt += "…" if len(line) > _EXCERPT_BYTES else ""
    number = _lines_before(file, start) + piece.count(b"\n", 0, bad.start) + 1
    return RowError(f"{bad.reason}, in: {excerpt}", where=f"{file.path}:{number}", hint=_HINT)


def _lines_before(file: FileOpener, offset: int) -> int:
    lines = 0
    with file.open() as opened:
        stream = decompressed(opened, file.path)
        while offset > 0 and (block := stream.read(min(offset, file.chunk_bytes))):
            lines += block.count(b"\n")
            offset -= len(block)
    return lines


def too_long(file: FileOpener, place: str, hint: str) -> RowError:
    """Return the error for a line or record that passes the bound."""
    return RowError(f"a line is longer than {file.max_line_bytes} bytes", where=f"{file.path}:{place}", hint=hint)
