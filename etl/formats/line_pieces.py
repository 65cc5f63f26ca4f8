"""Pieces of whole lines of a file, in bounded memory, and the lines in them: as text, or with why they are none."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import polars as pl

    from etl.formats.contract import FileOpener

BOM = b"\xef\xbb\xbf"
_NEWLINE = 10


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole lines from byte ``start`` of the uncompressed file on.

    With ``is_long`` it is the head of one line that is too long.
    """

    start: int
    content: bytes
    is_long: bool = False


def pieces(stream: BinaryIO, file: FileOpener, first: int = 0, last: int | None = None) -> Iterator[Piece]:
    """Yield the lines that start at bytes ``first`` to ``last - 1``, in order; the stream stands at its start.

    ``first`` other than 0 needs a stream that can seek. A byte order mark at the start of the file is left out. Of a
    line that is too long and does not end within a chunk the head is a piece by itself.
    """
    start, rest = _first_line(stream, file, first)
    if last is not None and first == 0:
        stream.seek(start)
        rest, last = b"", max(last, start + 1)
    while last is None or start < last:
        position = start + len(rest)
        is_within = last is None or position < last
        size = file.chunk_bytes if last is None else min(file.chunk_bytes, last - position)
        block = stream.read(size) if is_within else stream.readline(file.chunk_bytes)
        if not block:
            if rest:
                yield Piece(start, rest)
            return
        content = rest + block
        cut = content.rfind(b"\n") + 1
        if cut:
            yield Piece(start, content[:cut])
        start, rest = start + cut, content[cut:]
        if len(rest) > file.max_line_bytes + 1:
            size = len(rest) + _skip_line(stream, file.chunk_bytes)
            yield Piece(start, rest, is_long=True)
            start, rest = start + size, b""


def _first_line(stream: BinaryIO, file: FileOpener, first: int) -> tuple[int, bytes]:
    """Return where the first line at or behind ``first`` starts, and what of it was read."""
    if first:
        stream.seek(first - 1)
        return first - 1 + _skip_line(stream, file.chunk_bytes), b""
    head = b""
    while len(head) < len(BOM) and (block := stream.read(len(BOM) - len(head))):
        head += block
    return (len(BOM), b"") if head == BOM else (0, head)


def _skip_line(stream: BinaryIO, chunk_bytes: int) -> int:
    """Read on behind the next line feed, or to the end; return how many bytes that were."""
    size = 0
    while block := stream.readline(chunk_bytes):
        size += len(block)
        if block.endswith(b"\n"):
            break
    return size


@dataclass(frozen=True, slots=True)
class PieceLines:
    """The lines of a piece.

    ``lines`` (String, without line ends, LF or CR LF), where each starts in the file, its number in the piece from 0;
    ``refused``: raw, offset, number, rule and reason of each line that is no text or too long; ``count``: all of them.
    """

    lines: pl.Series
    offsets: pl.Series
    numbers: pl.Series
    refused: list[dict[str, object]]
    count: int


def split(piece: Piece, max_line_bytes: int) -> PieceLines:
    """Return the lines of a piece."""
    import polars as pl

    if piece.is_long:
        nothing = pl.Series(dtype=pl.Int64)
        refused = [_too_long(piece.content, max_line_bytes, (piece.start, 0))]
        return PieceLines(pl.Series(dtype=pl.String), nothing, nothing, refused, 1)
    offsets = _starts(piece.content) + piece.start
    numbers = pl.int_range(len(offsets), eager=True)
    try:
        lines, refused = pl.read_lines(io.BytesIO(piece.content)).to_series(), []
    except pl.exceptions.ComputeError:
        lines, refused = _decoded(piece.content, offsets)
    is_long = lines.str.len_bytes() > max_line_bytes
    if is_long.any():
        for number in is_long.arg_true():
            refused.append(_too_long(lines[number].encode(), max_line_bytes, (offsets[number], number)))
        lines = lines.zip_with(~is_long.fill_null(value=False), pl.Series([None], dtype=pl.String))
    if not refused:
        return PieceLines(lines, offsets, numbers, [], len(lines))
    good = lines.is_not_null()
    return PieceLines(lines.filter(good), offsets.filter(good), numbers.filter(good), refused, len(lines))


def _starts(content: bytes) -> pl.Series:
    """Return the byte (Int64) at which each line starts."""
    import polars as pl
    import pyarrow as pa

    units = pl.Series(pa.Array.from_buffers(pa.uint8(), len(content), [None, pa.py_buffer(content)]))
    ends = (units == _NEWLINE).arg_true().cast(pl.Int64) + 1
    starts = pl.concat([pl.Series([0], dtype=pl.Int64), ends])
    return starts.head(-1) if content.endswith(b"\n") else starts


def _decoded(content: bytes, offsets: pl.Series) -> tuple[pl.Series, list[dict[str, object]]]:
    """Return the lines of a piece that is not UTF-8 throughout, null where they are not, and why."""
    import polars as pl

    texts: list[str | None] = []
    refused: list[dict[str, object]] = []
    for number, line in enumerate(content.removesuffix(b"\n").split(b"\n")):
        raw = line.removesuffix(b"\r")
        try:
            texts.append(raw.decode())
        except UnicodeDecodeError as exc:
            texts.append(None)
            reason = f"not UTF-8: byte 0x{raw[exc.start]:02x} at byte {exc.start} of the line"
            refused.append(_refused(raw, (offsets[number], number), "encoding", reason))
    return pl.Series(texts, dtype=pl.String), refused


def _too_long(raw: bytes, most: int, place: tuple[int, int]) -> dict[str, object]:
    reason = f"a line of more than {most} bytes; its first {most + 1} bytes are kept"
    return _refused(raw[: most + 1], place, "too_long", reason)


def _refused(raw: bytes, place: tuple[int, int], rule: str, reason: str) -> dict[str, object]:
    return {"raw": raw, "_source_offset": place[0], "line": place[1] + 1, "rule": rule, "reason": reason}


class LineNumbers:
    """How many lines of a plain file lie before a byte; each byte is counted once at most. From any thread."""

    def __init__(self, file: FileOpener) -> None:
        self._file = file
        self._known = (0, 0)

    def before(self, offset: int) -> int:
        """Return the number of line feeds before byte ``offset``."""
        start, lines = self._known
        if start > offset:
            start, lines = 0, 0
        position = start
        with self._file.open() as stream:
            stream.seek(start)
            while position < offset and (block := stream.read(min(offset - position, self._file.chunk_bytes))):
                lines += block.count(b"\n")
                position += len(block)
        if position > self._known[0]:
            self._known = (position, lines)
        return lines
