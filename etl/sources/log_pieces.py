"""The bytes of a planned range in pieces of whole records, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from etl.errors import SourceChangedError
from etl.formats.line_pieces import Piece as LinePiece
from etl.formats.line_pieces import split
from etl.sources.log_identity import Content

if TYPE_CHECKING:
    from etl.formats.log_records import Joiner

RAW_BYTES = 1 << 16
"""How much of a line that is too long is kept."""


class Range(NamedTuple):
    """Bytes of a log, from ``start`` to before ``end``; ``path`` for messages."""

    path: str
    start: int
    end: int


class Piece(NamedTuple):
    """Whole lines from byte ``start``. With ``long_bytes`` it is the head of one line of so many bytes.

    ``lead`` is the header of its log that is not in it.
    """

    start: int
    text: bytes
    long_bytes: int = 0
    lead: bytes = b""


def whole_lines(text: bytes) -> int:
    """Return how many bytes at the start of some text are whole lines."""
    return text.rfind(b"\n") + 1


def pieces(
    content: Content,
    asked: Range,
    chunk_bytes: int,
    max_line: int,
    whole_bytes: Callable[[bytes], int] = whole_lines,
) -> Iterator[Piece]:
    """Yield a range; memory is bounded by a chunk and a line. Raises SourceChangedError where it is short.

    ``whole_bytes`` tells how much of some text may be a piece. A line of more than ``max_line`` bytes that spans chunks
    is a piece of its own; others are inside the pieces.
    """
    start, rest = asked.start, b""
    while start + len(rest) < asked.end:
        block = _block(content, asked, start + len(rest), chunk_bytes)
        text = rest + block
        cut = len(text) if start + len(text) == asked.end else whole_bytes(text)
        if cut:
            yield Piece(start, text[:cut])
        start, rest = start + cut, text[cut:]
        if len(rest) > max_line:
            size = _length_of_line(content, asked, start, chunk_bytes)
            yield Piece(start, rest[: min(RAW_BYTES, size)], size)
            start, rest = min(start + size + 1, asked.end), b""


def joined(found: Iterator[Piece], joiner: Joiner, max_line: int) -> Iterator[tuple[Piece, int]]:
    """Yield the pieces cut where records end, each with the byte up to where the records so far are whole.

    What is behind the last whole record comes last, with the byte where it starts. A record may hold many lines, but
    is bounded by the joiner.
    """
    held = Piece(0, b"")
    for piece in found:
        if piece.long_bytes:
            # Nothing goes on behind a line that is too long.
            if held.text:
                yield held, piece.start
            yield piece, piece.start + piece.long_bytes
            held = Piece(0, b"")
            continue
        text = held.text + piece.text
        start = held.start if held.text else piece.start
        end = _whole_bytes(text, joiner, max_line)
        if end:
            yield Piece(start, text[:end]), start + end
        held = Piece(start + end, text[end:])
    if held.text:
        yield held, held.start


def _whole_bytes(text: bytes, joiner: Joiner, max_line: int) -> int:
    """Return how many bytes at the start of some lines are whole records."""
    lines = split(LinePiece(0, text), max_line)
    records = joiner.join(lines.lines, lines.offsets, is_end=False)
    return len(text) if records.held == 0 else int(lines.offsets[-records.held])


def _length_of_line(content: Content, asked: Range, start: int, chunk_bytes: int) -> int:
    at = start
    while at < asked.end:
        block = _block(content, asked, at, chunk_bytes)
        found = block.find(b"\n")
        if found >= 0:
            return at + found - start
        at += len(block)
    return at - start


def _block(content: Content, asked: Range, at: int, chunk_bytes: int) -> bytes:
    block = content.read_at(at, min(chunk_bytes, asked.end - at))
    if not block:
        raise SourceChangedError(
            asked.path,
            f"ends at byte {at}, before byte {asked.end} of the plan",
            hint="it was truncated since; what of it is gone is reported as lost",
        )
    return block
