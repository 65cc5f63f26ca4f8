"""The lines of one piece of NDJSON: where each starts, and that each holds one object.

``Lines`` knows what pyarrow's JSON reader takes without a word: two objects on a line, an object over two lines,
invalid UTF-8; a first line ``null`` kills the process. Where every line starts with ``{`` and ends with ``}``, as many
rows as lines means one object each: ``}`` and ``{`` never meet around a line break inside one JSON value.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_NEWLINE, _OPEN, _CLOSE, _ASCII_END = 10, 123, 125, 128


class Lines:
    """The lines of a piece, numbered from 0, blank ones among them."""

    def __init__(self, content: bytes) -> None:
        self.content = content if content.endswith(b"\n") else content + b"\n"
        self._units = _units(self.content)
        self._is_plain = self._are_plain()
        self.count = int((self._units == _NEWLINE).sum())

    def _are_plain(self) -> bool:
        """Tell whether every line starts with ``{`` and ends with ``}``: no blank one, no padding, no CR."""
        first, last = self._units[0], self._units[-2] if len(self._units) > 1 else None
        before, after = self._units.head(-1), self._units.slice(1)
        is_end = before == _NEWLINE
        is_start_wrong = (is_end & (after != _OPEN)).any()
        is_end_wrong = ((after == _NEWLINE) & (before != _CLOSE)).any()
        return first == _OPEN and last == _CLOSE and not is_start_wrong and not is_end_wrong

    @cached_property
    def bounds(self) -> pl.Series:
        """The byte at which each line starts, and where the last one ends."""
        import polars as pl

        ends = (self._units == _NEWLINE).arg_true().cast(pl.Int64)
        return pl.concat([pl.Series([0], dtype=pl.Int64), ends + 1])

    @property
    def longest(self) -> int:
        """The bytes of the longest line."""
        longest = self.bounds.diff().max()
        return longest if isinstance(longest, int) else 0

    @cached_property
    def bad_text(self) -> dict[int, str]:
        """The lines that are not UTF-8, each with the reason."""
        highest = self._units.max()
        if isinstance(highest, int) and highest < _ASCII_END:
            return {}
        try:
            self.content.decode()
        except UnicodeDecodeError:
            return dict(_undecodable(self.content))
        return {}

    @cached_property
    def records(self) -> pa.LargeBinaryArray:
        """Every line with its line end; where it is not UTF-8, an empty one."""
        import pyarrow as pa
        import pyarrow.compute as pc

        bounds = self.bounds.to_arrow().buffers()[1]
        lines = pa.Array.from_buffers(pa.large_binary(), self.count, [None, bounds, pa.py_buffer(self.content)])
        if self.bad_text:
            is_bad = pa.array(number in self.bad_text for number in range(self.count))
            lines = pc.if_else(is_bad, pa.scalar(b"", pa.large_binary()), lines)
        return lines

    @cached_property
    def texts(self) -> pl.Series:
        """The same as text."""
        import polars as pl
        import pyarrow as pa

        return pl.Series(self.records.view(pa.large_string()))

    @cached_property
    def numbers(self) -> pl.Series | None:
        """The numbers of the lines that are not blank, None where none is."""
        if self._is_plain:
            return None
        is_row = self._stripped.str.len_bytes() > 0
        for number in self.bad_text:
            is_row[number] = True
        return is_row.arg_true()

    @property
    def rows(self) -> int:
        """How many lines are not blank."""
        return self.count if self.numbers is None else len(self.numbers)

    @cached_property
    def are_sound(self) -> bool:
        """Tell whether every line is UTF-8 and blank or ``{…}``."""
        if self._is_plain or self.bad_text:
            return not self.bad_text
        text = self._stripped
        return bool(((text.str.starts_with("{") & text.str.ends_with("}")) | (text == "")).all())

    @cached_property
    def _stripped(self) -> pl.Series:
        return self.texts.str.strip_chars(" \t\r\n")


def _units(content: bytes) -> pl.Series:
    import polars as pl
    import pyarrow as pa

    return pl.Series(pa.Array.from_buffers(pa.uint8(), len(content), [None, pa.py_buffer(content)]))


def _undecodable(content: bytes) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(content.split(b"\n")):
        try:
            line.decode()
        except UnicodeDecodeError as exc:
            yield number, f"not UTF-8: byte 0x{line[exc.start]:02x} at byte {exc.start} of the line"
