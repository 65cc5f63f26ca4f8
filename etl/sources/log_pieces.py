"""The bytes of a planned range in pieces of whole lines, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from etl.errors import SourceChangedError
from etl.sources.log_identity import Content
from etl.sources.log_units import LogUnit

RAW_BYTES = 1 << 16
"""How much of a line that is too long is kept."""


class Piece(NamedTuple):
    """Whole lines from byte ``start``. With ``long_bytes`` it is the head of one line of so many bytes."""

    start: int
    text: bytes
    long_bytes: int = 0


def pieces(content: Content, unit: LogUnit, chunk_bytes: int, max_line: int) -> Iterator[Piece]:
    """Yield the range of a unit; memory is bounded by a chunk and a line. Raises SourceChangedError where it is short.

    A line of more than ``max_line`` bytes that spans chunks is a piece of its own; others are inside the pieces.
    """
    start, rest = unit.start, b""
    while start + len(rest) < unit.end:
        block = _block(content, unit, start + len(rest), chunk_bytes)
        text = rest + block
        cut = len(text) if start + len(text) == unit.end else text.rfind(b"\n") + 1
        if cut:
            yield Piece(start, text[:cut])
        start, rest = start + cut, text[cut:]
        if len(rest) > max_line:
            size = _length_of_line(content, unit, start, chunk_bytes)
            yield Piece(start, rest[:RAW_BYTES], size)
            start, rest = min(start + size + 1, unit.end), b""


def _length_of_line(content: Content, unit: LogUnit, start: int, chunk_bytes: int) -> int:
    at = start
    while at < unit.end:
        block = _block(content, unit, at, chunk_bytes)
        found = block.find(b"\n")
        if found >= 0:
            return at + found - start
        at += len(block)
    return at - start


def _block(content: Content, unit: LogUnit, at: int, chunk_bytes: int) -> bytes:
    block = content.read_at(at, min(chunk_bytes, unit.end - at))
    if not block:
        raise SourceChangedError(
            unit.path,
            f"ends at byte {at}, before byte {unit.end} of the plan",
            hint="it was truncated since; what of it is gone is reported as lost",
        )
    return block
