"""Pieces of whole lines of a file: which line is too long, and how many there are before a byte."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from etl.errors import RowError, UnreadableFileError
from etl.formats.compressed import decompressed

if TYPE_CHECKING:
    from etl.formats.contract import FileOpener

T = TypeVar("T")

BOM = b"\xef\xbb\xbf"
KEPT_BYTES = 65_536
"""How much of a line that is too long is kept."""

_UTF16 = re.compile(rb"\xff\xfe|\xfe\xff|[{\[]\x00|\x00[{\[]")
_EXCERPT_BYTES = 120
_HINT = "correct the line, or the column's type under `schema:`"


class BadRow(Exception):  # noqa: N818  carries a place, never reaches a user
    """A row that does not fit, by the byte of the piece where its line starts."""

    def __init__(self, start: int, reason: str) -> None:
        super().__init__(reason)
        self.start = start
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole lines from byte ``start`` on, or the first ``KEPT_BYTES`` of one that is too long."""

    start: int
    content: bytes
    is_too_long: bool = False


def whole_lines(stream: BinaryIO, file: FileOpener) -> Iterator[Piece]:
    """Yield the stream in pieces of whole lines; a byte order mark at the start is left out.

    Raises UnreadableFileError for UTF-16.
    """
    start = 0
    rest: list[bytes] = []
    size = 0
    while block := stream.read(file.chunk_bytes):
        if start == 0 and not rest:
            check_encoding(block, file)
            start = len(BOM) if block.startswith(BOM) else 0
            block = block[start:]
        cut = block.rfind(b"\n") + 1
        if cut:
            whole = b"".join([*rest, block[:cut]])
            yield from _bounded(start, whole, file)
            start, rest, size = start + len(whole), [block[cut:]], len(block) - cut
        else:
            rest.append(block)
            size += len(block)
        if size > file.max_line_bytes + len(b"\r"):
            yield Piece(start, b"".join(rest)[:KEPT_BYTES], is_too_long=True)
            skipped, tail = _skipped(stream, file)
            start, cut = start + size + skipped, tail.rfind(b"\n") + 1
            yield from _bounded(start, tail[:cut], file)
            start, rest, size = start + cut, [tail[cut:]], len(tail) - cut
    if size:
        yield from _bounded(start, b"".join(rest), file)


def _skipped(stream: BinaryIO, file: FileOpener) -> tuple[int, bytes]:
    """Read on to the end of a line; return how many bytes of it were read, and what was read behind it."""
    skipped = 0
    while block := stream.read(file.chunk_bytes):
        cut = block.find(b"\n") + 1
        if cut:
            return skipped + cut, block[cut:]
        skipped += len(block)
    return skipped, b""


def _bounded(start: int, content: bytes, file: FileOpener) -> Iterator[Piece]:
    """Yield whole lines, with those that are too long on their own."""
    most = file.max_line_bytes
    if len(content) <= most:
        if content:
            yield Piece(start, content)
        return
    begin = place = 0
    while place < len(content):
        end = content.find(b"\n", place) + 1 or len(content)
        if len(content[place:end].rstrip(b"\r\n")) > most:
            if place > begin:
                yield Piece(start + begin, content[begin:place])
            yield Piece(start + place, content[place : min(end, place + KEPT_BYTES)], is_too_long=True)
            begin = end
        place = end
    if place > begin:
        yield Piece(start + begin, content[begin:])


def lines_between(stream: BinaryIO, file: FileOpener, first: int, last: int) -> Iterator[Piece]:
    """Yield the lines that start at bytes ``first`` to ``last - 1`` of a plain file."""
    start = first
    if first == 0:
        content = stream.read(last)
        check_encoding(content, file)
        start = len(BOM) if content.startswith(BOM) else 0
        content = content[start:]
    else:
        stream.seek(first - 1)
        content = stream.read(last - first + 1)
        cut = content.find(b"\n") + 1
        if cut in (0, len(content)):
            return  # no line starts here, or only at ``last``, in the next part
        start, content = first - 1 + cut, content[cut:]
    parts = [content]
    size = len(content) - content.rfind(b"\n") - 1
    while not parts[-1].endswith(b"\n") and (block := stream.readline(file.chunk_bytes)):
        parts.append(block)
        size += len(block)
        if size > file.max_line_bytes + len(b"\r\n"):
            break
    yield from _bounded(start, b"".join(parts), file)


def check_encoding(head: bytes, file: FileOpener) -> None:
    """Refuse a file that starts as UTF-16 does. Raises UnreadableFileError."""
    if _UTF16.match(head):
        raise UnreadableFileError(file.path, "the file is UTF-16", hint="convert it to UTF-8")


class LineCounter:
    """How many lines there are before a byte of one file: from what its pieces tell, and else from a look."""

    def __init__(self, file: FileOpener) -> None:
        self._file = file
        self._known: dict[int, tuple[int, int]] = {}
        self._lock = Lock()

    def add(self, start: int, end: int, lines: int) -> None:
        """Take in that ``lines`` end between two bytes."""
        if end > start:
            with self._lock:
                self._known[start] = (end, lines)

    def before(self, offset: int) -> int:
        """Return how many lines end before ``offset``."""
        with self._lock:
            place = lines = 0
            while place < offset:
                if self._known.get(place, (offset + 1, 0))[0] > offset:
                    end = min((start for start in self._known if place < start < offset), default=offset)
                    self._known[place] = (end, self._counted(place, end))
                place, more = self._known[place]
                lines += more
            return lines

    def _counted(self, first: int, last: int) -> int:
        lines = 0
        with self._file.open() as opened:
            stream = decompressed(opened, self._file.path)
            if stream is opened:
                stream.seek(first)
            place = first if stream is opened else 0
            while place < last and (block := stream.read(min(self._file.chunk_bytes, last - place))):
                lines += block.count(b"\n", max(first - place, 0))
                place += len(block)
        return lines


def located(piece: bytes, starts: Sequence[int], parse: Callable[[bytes, int], T]) -> T:
    """Return ``parse(piece, rows)``, one row per start.

    Raises BadRow with the first row at which parsing fails, found by halving.
    """
    import pyarrow as pa

    try:
        return parse(piece, len(starts))
    except pa.ArrowInvalid as exc:
        reason = exc
    good, bad = 0, len(starts)
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            parse(piece[: starts[middle]], middle)
            good = middle
        except pa.ArrowInvalid as exc:
            bad, reason = middle, exc
    raise BadRow(starts[good], in_words(str(reason))) from reason


def in_words(message: str) -> str:
    """Return a message of pyarrow's JSON reader without the row number, which counts from the piece."""
    reason = re.sub(r" in row \d+$", "", message.removeprefix("JSON parse error: "))
    return re.sub(r"^Column\(/?(.*?)\) ", lambda found: f"column {found[1] or '(the line)'} ", reason)


def row_error(file: FileOpener, start: int, piece: bytes, bad: BadRow) -> RowError:
    """Return the error of a row of the piece at byte ``start``, with its line number, reason and an excerpt."""
    line = piece[bad.start :].split(b"\n", 1)[0]
    number = LineCounter(file).before(start) + piece.count(b"\n", 0, bad.start) + 1
    return RowError(f"{bad.reason}, in: {excerpt(line)}", where=f"{file.path}:{number}", hint=_HINT)


def excerpt(line: bytes) -> str:
    """Return the start of a line, without control characters."""
    text = line[:_EXCERPT_BYTES].decode("utf-8", "backslashreplace")
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text.rstrip("\r"))
    return shown + ("…" if len(line) > _EXCERPT_BYTES else "")


def too_long(file: FileOpener, place: str, hint: str) -> RowError:
    """Return the error for a line or record that passes the bound."""
    return RowError(f"a line is longer than {file.max_line_bytes} bytes", where=f"{file.path}:{place}", hint=hint)
