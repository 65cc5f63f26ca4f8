"""Lines of text in a file: pieces of many, and those that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import polars as pl

    from etl.formats.contract import FileOpener
    from etl.rejects import Rule

RAW_BYTES = 65_536
"""How much of a line that is too long is kept."""

_BOM = b"\xef\xbb\xbf"
_NEWLINE = 10


@dataclass(frozen=True, slots=True)
class Faulty:
    """A line that is set aside: where it starts, its number from 1, its bytes without the line end."""

    start: int
    line: int
    raw: bytes
    rule: Rule
    reason: str


@dataclass(slots=True)
class Piece:
    """Consecutive lines of a file: ``raw`` are the bytes at ``start``, without those of ``faulty`` where they are cut.

    ``text`` holds the good lines in UTF-8.
    """

    start: int
    first_line: int
    raw: bytes
    text: bytes = b""
    faulty: list[Faulty] = field(default_factory=list)

    def starts(self) -> pl.Series:
        """Return where each good line starts in the file."""
        import polars as pl
        import pyarrow as pa

        if not self.raw:
            return pl.Series([], dtype=pl.Int64)
        units = pl.Series(pa.Array.from_buffers(pa.uint8(), len(self.raw), [None, pa.py_buffer(self.raw)]))
        ends = (units == _NEWLINE).arg_true().cast(pl.Int64)
        starts = pl.Series([0], dtype=pl.Int64).append(ends + 1)
        starts = starts.filter(starts < len(self.raw)) + self.start
        bad = pl.Series([each.start for each in self.faulty], dtype=pl.Int64)
        return starts.filter(~starts.is_in(bad.implode())) if len(bad) else starts

    def lines(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield start, number and bytes of each good line."""
        bad = {each.start for each in self.faulty}
        start = self.start
        for number, line in enumerate(_split(self.raw), self.first_line):
            if start not in bad:
                yield start, number, without_end(line)
            start += len(line)


def _split(raw: bytes) -> list[bytes]:
    lines = [line + b"\n" for line in raw.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def without_end(line: bytes) -> bytes:
    """Return a line without its LF, CR LF, or the CR that ends the file."""
    return line.removesuffix(b"\n").removesuffix(b"\r")


def pieces(stream: BinaryIO, file: FileOpener, encoding: str) -> Iterator[Piece]:
    """Yield the stream in pieces of whole lines; a byte order mark at the start of UTF-8 is left out.

    The same lines are set aside whatever the size of the pieces.
    """
    number = 1
    for start, raw, cut in _whole_lines(stream, file, encoding):
        if cut:
            reason = f"a line is longer than {file.max_line_bytes} bytes"
            yield Piece(
                start, number, b"", faulty=[Faulty(start, number, without_end(raw)[:RAW_BYTES], "too_long", reason)]
            )
            number += 1
            continue
        piece = Piece(start, number, raw)
        _read(piece, encoding)
        yield piece
        number += raw.count(b"\n")


def _whole_lines(stream: BinaryIO, file: FileOpener, encoding: str) -> Iterator[tuple[int, bytes, bool]]:
    """Yield whole lines with their place, and lines that are too long one by one, marked and cut."""
    start, rest = 0, stream.read(file.chunk_bytes)
    while encoding == "utf-8" and len(rest) < len(_BOM) and (more := stream.read(file.chunk_bytes)):
        rest += more
    if encoding == "utf-8" and rest.startswith(_BOM):
        start, rest = len(_BOM), rest[len(_BOM) :]
    while True:
        cut = rest.rfind(b"\n") + 1
        if cut:
            yield from _by_length(start, rest[:cut], file.max_line_bytes)
            start, rest = start + cut, rest[cut:]
        if len(rest) > file.max_line_bytes + 1:
            head, size, rest = _skipped(stream, rest, file.chunk_bytes)
            yield start, head, True
            start += size
            continue
        block = stream.read(file.chunk_bytes)
        if not block:
            break
        rest += block
    if rest:
        yield from _by_length(start, rest, file.max_line_bytes)


def _skipped(stream: BinaryIO, rest: bytes, chunk_bytes: int) -> tuple[bytes, int, bytes]:
    """Return the head of a line that starts with ``rest``, its length, and what is read of the lines behind it."""
    head, size = rest[: RAW_BYTES + 2], len(rest)
    while block := stream.read(chunk_bytes):
        end = block.find(b"\n") + 1
        head += block[: min(end or len(block), RAW_BYTES + 2 - len(head))]
        size += end or len(block)
        if end:
            return head, size, block[end:] or stream.read(chunk_bytes)
    return head, size, b""


def _by_length(start: int, raw: bytes, limit: int) -> Iterator[tuple[int, bytes, bool]]:
    if len(raw) <= limit:
        yield start, raw, False
        return
    good: list[bytes] = []
    place = start
    for line in _split(raw):
        if len(without_end(line)) > limit:
            if good:
                yield place, b"".join(good), False
            place += sum(map(len, good))
            yield place, line, True
            place += len(line)
            good = []
        else:
            good.append(line)
    if good:
        yield place, b"".join(good), False


def _read(piece: Piece, encoding: str) -> None:
    """Find the lines of a piece that are no text, and the others in UTF-8."""
    raw = piece.raw
    if raw.isascii():
        piece.text = raw
        return
    good: list[bytes] = []
    place, line = 0, piece.first_line
    for start, end, reason in _undecodable(raw, encoding):
        good.append(_in_utf8(raw[place:start], encoding))
        line += raw.count(b"\n", place, start)
        piece.faulty.append(Faulty(piece.start + start, line, without_end(raw[start:end]), "encoding", reason))
        place, line = end, line + 1
    good.append(_in_utf8(raw[place:], encoding))
    piece.text = b"".join(good)


def _in_utf8(raw: bytes, encoding: str) -> bytes:
    return raw if encoding == "utf-8" else raw.decode(encoding).encode()


def _undecodable(raw: bytes, encoding: str) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and reason of each line that is no text."""
    place, view = 0, memoryview(raw)
    while place < len(raw):
        try:
            str(view[place:], encoding)
        except UnicodeDecodeError as exc:
            wrong = place + exc.start
            start = raw.rfind(b"\n", 0, wrong) + 1
            place = raw.find(b"\n", wrong) + 1 or len(raw)
            yield start, place, f"not {encoding}: byte 0x{raw[wrong]:02x} at byte {wrong - start} of the line"
        else:
            return
