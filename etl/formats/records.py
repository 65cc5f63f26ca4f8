"""One record of CSV at a time: its fields, where it ends, or why it is none. For what bulk checks find suspicious."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

LF, CR = b"\n", b"\r"
ALONE = "a carriage return alone, neither a line end nor inside quotes"
NEVER_CLOSED = "a quoted field is never closed"
AFTER_QUOTE = "text after a closing quote"
STRAY = "a quote inside an unquoted field, below a quoted field that was not closed"


@dataclass(frozen=True)
class Dialect:
    """How fields are delimited, quoted and escaped (not at all where that is empty), and the lines before the header.

    What follows ``escape``, inside quotes or outside, is text.
    """

    delimiter: bytes = b","
    quote: bytes = b'"'
    escape: bytes = b""
    skip_lines: int = 0

    @cached_property
    def field(self) -> re.Pattern[bytes]:
        """The pattern of one field and of what ends it."""
        delimiter, quote = re.escape(self.delimiter), re.escape(self.quote)
        plain = rb"[^" + delimiter + rb"\r\n]*+"
        if self.escape:
            escape = re.escape(self.escape)
            plain = rb"(?:[^" + delimiter + escape + rb"\r\n]++|" + escape + rb"[^\r\n])*+"
        if self.quote:
            plain = self.quoted.pattern + rb"|(?!" + quote + rb")" + plain
        return re.compile(rb"(" + plain + rb")(" + delimiter + rb"|\r?\n|\Z)", re.DOTALL)

    @cached_property
    def quoted(self) -> re.Pattern[bytes]:
        """The pattern of a quoted field."""
        quote = re.escape(self.quote)
        if not self.escape:
            return re.compile(quote + rb"(?:[^" + quote + rb"]++|" + quote + quote + rb")*+" + quote)
        escape = re.escape(self.escape)
        inside = rb"(?:[^" + quote + escape + rb"]++|" + quote + quote + rb"|" + escape + rb".)*+"
        return re.compile(quote + inside + quote, re.DOTALL)

    def is_quoted(self, field: bytes) -> bool:
        """Tell whether a field, as it stands in the file, is quoted."""
        return bool(self.quote) and field.startswith(self.quote)

    def value(self, field: bytes) -> bytes:
        """Return what a field says."""
        is_quoted = self.is_quoted(field)
        inside = field[1:-1] if is_quoted else field
        if not self.escape:
            return inside.replace(self.quote * 2, self.quote) if is_quoted else inside
        doubled = self.quote * 2 if is_quoted else b""
        pattern = re.escape(self.escape) + rb"(.)" + (rb"|" + re.escape(doubled) if doubled else b"")
        return re.sub(pattern, lambda found: found[1] or self.quote, inside, flags=re.DOTALL)

    def written(self, fields: list[bytes]) -> bytes:
        """Return a record that says the same without escapes and without quotes inside unquoted fields."""
        return self.delimiter.join(self._plain(field) for field in fields) + LF

    def _plain(self, field: bytes) -> bytes:
        value = self.value(field)
        if not self.quote or not (self.is_quoted(field) or value != field or self.quote in field):
            return field
        return self.quote + value.replace(self.quote, self.quote * 2) + self.quote

    def is_odd(self, fields: list[bytes]) -> bool:
        """Tell whether a sound record has a quote inside an unquoted field or an escape."""
        if self.escape and any(self.escape in field for field in fields):
            return True
        return self.has_stray(fields)

    def has_stray(self, fields: list[bytes]) -> bool:
        """Tell whether a sound record has a quote inside an unquoted field."""
        return bool(self.quote) and any(self.quote in field and not self.is_quoted(field) for field in fields)


@dataclass(frozen=True, slots=True)
class Record:
    """A sound record: where it ends, behind its line end, and its fields as they stand there."""

    end: int
    fields: list[bytes]


@dataclass(frozen=True, slots=True)
class Fault:
    """Bytes that are no record: where reading goes on, why; up to ``strict_end`` lines stand below an open quote."""

    end: int
    reason: str
    strict_end: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """Some of a file from the start of a record on; ``is_final`` where the file ends with it."""

    content: bytes
    is_final: bool
    max_record_bytes: int

    def line_end(self, position: int) -> int | None:
        """Return what follows the line of ``position``, None where the window ends first."""
        found = self.content.find(LF, position) + 1
        return found or (len(self.content) if self.is_final else None)


Found: TypeAlias = "Record | Fault | None"


def record_at(window: Window, start: int, dialect: Dialect) -> Found:
    """Return the record that starts at ``start``, None where the window ends before that can be told.

    A quoted field that goes on over a line end and is closed in an unsound way, or not at all, makes a fault of the
    lines up to the one where it was opened, and of no more.
    """
    content, position = window.content, start
    bound = min(len(content), start + window.max_record_bytes + len(b"\r\n"))
    fields: list[bytes] = []
    opened = start
    while (found := dialect.field.match(content, position, bound)) is not None:
        fields.append(found[1])
        if LF in found[1]:
            opened = position
        position = found.end()
        if found[2].endswith(LF):
            return Record(position, fields)
        if not found[2]:
            break
    if found is not None and position == len(content) and bound == position:
        return Record(position, fields) if window.is_final else None
    if found is not None:
        return _cut_off(window, start, opened, bound)
    return _fault(window, start, position, dialect)


def _cut_off(window: Window, start: int, opened: int, bound: int) -> Fault:
    """Return the fault of a record beyond the bound: the lines up to the one that holds ``opened``, if it ends."""
    content = window.content
    end = content.find(LF, opened, bound) + 1 or content.find(LF, start, bound) + 1 or bound
    return Fault(end, f"{NEVER_CLOSED} within {window.max_record_bytes} bytes")


def _fault(window: Window, start: int, position: int, dialect: Dialect) -> Fault | None:
    content = window.content
    bound = min(len(content), start + window.max_record_bytes + len(b"\r\n"))
    if not (dialect.quote and content.startswith(dialect.quote, position)):
        return _unsound_plain(window, position, dialect)
    closed = dialect.quoted.match(content, position, bound)
    if closed is None:
        if bound < len(content):
            return _cut_off(window, start, position, bound)
        end = window.line_end(position)
        return Fault(end, NEVER_CLOSED) if end is not None and window.is_final else None
    return _closed_wrongly(window, position, closed.end())


def _closed_wrongly(window: Window, position: int, behind: int) -> Fault | None:
    """Return the fault of a quoted field from ``position`` to ``behind``, where no field ends."""
    content = window.content
    if not window.is_final and content[behind:] in (b"", CR):
        return None
    reason = ALONE if content.startswith(CR, behind) else AFTER_QUOTE
    if content.find(LF, position, behind) < 0:
        end = window.line_end(behind)
        return None if end is None else Fault(end, reason)
    end, strict_end = window.line_end(position), window.line_end(behind)
    if end is None or strict_end is None:
        return None
    return Fault(end, "a quoted field is not closed on its line, nor closed soundly below", strict_end)


def _unsound_plain(window: Window, position: int, dialect: Dialect) -> Fault | None:
    """Return the fault of an unquoted field: a carriage return alone, or an escape with nothing behind it."""
    content = window.content
    if not window.is_final and content.find(LF, position) < 0:
        return None
    end = window.line_end(position)
    line = content[position:end]
    is_escape = bool(dialect.escape) and line.rstrip(b"\r\n").endswith(dialect.escape)
    reason = "an escape with nothing behind it" if is_escape else ALONE
    return None if end is None else Fault(end, reason)
