"""Logs that are CSV: their header is the first line of each, and a record may go over several lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.errors import ConfigError, SourceError
from etl.sources.log_borders import last_line_end
from etl.sources.log_identity import Content

if TYPE_CHECKING:
    from etl.formats.delimited import CsvOptions

_STEP_BYTES = 1 << 20
_LEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class CsvBorders:
    """Where records of a CSV log end: at line ends with an even number of quotes before them.

    A quote that is not closed within ``max_line`` bytes is taken for a fault of its line.
    """

    quote: bytes
    has_header: bool
    skip_lines: int
    max_line: int

    @classmethod
    def of(cls, options: CsvOptions, max_line: int) -> CsvBorders:
        """Return the borders of a format's options. Raises ConfigError for those that a log cannot have."""
        if options.escape not in (None, options.quote):
            raise ConfigError("csv logs double quotes to escape them", where="format_options.escape", hint="remove it")
        if options.encoding == "utf-16":
            raise ConfigError("utf-16 cannot be read from its middle on", where="format_options.encoding")
        return cls(options.quote.encode(), options.header, options.skip_lines, max_line)

    def lead(self, content: Content, path: str) -> bytes | None:
        """Return what stands before the first record, empty for nothing, None where it is not whole yet.

        Raises SourceError where it has no end within ``max_line``.
        """
        if not (self.has_header or self.skip_lines):
            return b""
        for most in (min(_LEAD_BYTES, self.max_line), self.max_line):
            block = content.read_at(0, most)
            found = self._lead(block, path)
            if found is not None or len(block) < most:
                return found
        raise SourceError(f"its header is longer than {self.max_line} bytes", where=path, hint="raise `max_line`")

    def _lead(self, block: bytes, path: str) -> bytes | None:
        end = 0
        for _ in range(self.skip_lines):
            end = block.find(b"\n", end) + 1
            if not end:
                return None
        start, is_blank = end, self.has_header
        while is_blank:
            start, end = end, block.find(b"\n", end) + 1
            if not end:
                return None
            is_blank = not block[start:end].strip()
        if self.quote and block.count(self.quote, start, end) % 2:
            raise SourceError("its header goes over several lines", where=path, hint="write it in one line")
        return block[:end]

    def whole_bytes(self, text: bytes) -> int:
        """Return how many bytes at the start of some text are whole records."""
        end = text.rfind(b"\n") + 1
        odd = text.count(self.quote, 0, end) % 2 if self.quote else 0
        while odd and end:
            before = text.rfind(b"\n", 0, text.rfind(self.quote, 0, end)) + 1
            odd ^= text.count(self.quote, before, end) % 2
            end = before
        return end

    def first_bytes(self, text: bytes) -> int:
        """Return how long the first record of some text is, 0 where it does not end there."""
        end, odd = 0, 0
        while found := text.find(b"\n", end) + 1:
            odd ^= text.count(self.quote, end, found) % 2 if self.quote else 0
            if not odd:
                return found
            end = found
        return 0

    def last_end(self, content: Content, start: int, end: int) -> int:
        """Return the end of the last whole record between two places, ``start`` where there is none."""
        whole, at, rest = start, start, b""
        while at < end and (block := content.read_at(at, min(_STEP_BYTES, end - at))):
            at += len(block)
            text = rest + block
            cut = self.whole_bytes(text)
            whole, rest = whole + cut, text[cut:]
            if len(rest) > self.max_line:
                return last_line_end(content, start, end)
        return whole

    def first_end(self, content: Content, start: int, end: int) -> int:
        """Return the end of the first record that ends between two places, ``start`` where none does."""
        text, step = b"", _STEP_BYTES
        while len(text) < min(end - start, self.max_line + step):
            text = content.read_at(start, min(step, end - start))
            if found := self.first_bytes(text):
                return start + found
            step *= 2
        return start
