"""Where a range of a log may end: behind a whole line, or a whole record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.sources.log_identity import Content
from etl.sources.log_pieces import Range, joined, pieces

if TYPE_CHECKING:
    from etl.formats.log_records import Joiner

_STEP_BYTES = 1 << 16
CHUNK_BYTES = 4_000_000
"""How much of a log is read at a time."""


def last_line_end(content: Content, start: int, end: int) -> int:
    """Return the end of the last whole line between two places, ``start`` where no line ends there."""
    while end > start:
        first = max(start, end - _STEP_BYTES)
        found = content.read_at(first, end - first).rfind(b"\n")
        if found >= 0:
            return first + found + 1
        end = first
    return start


def first_line_end(content: Content, start: int, end: int) -> int:
    """Return the end of the first line that ends between two places, ``start`` where none does."""
    at = start
    while at < end and (block := content.read_at(at, min(_STEP_BYTES, end - at))):
        found = block.find(b"\n")
        if found >= 0:
            return at + found + 1
        at += len(block)
    return start


def last_record_end(content: Content, joiner: Joiner, asked: Range, max_line: int) -> int:
    """Return the end of the last whole record in a range of whole lines, its start where none is whole.

    The log is read forwards, as the rows are: which lines make a record depends on those before them.
    """
    end = asked.start
    for _, whole in joined(pieces(content, asked, CHUNK_BYTES, max_line), joiner, max_line):
        end = whole
    return end
