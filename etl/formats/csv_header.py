"""The header of a CSV file, and the mistakes in its dialect that show there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.errors import UnreadableFileError
from etl.formats.records import CR, LF, Dialect, Fault, Window, record_at
from etl.schema_contract import RESCUED

if TYPE_CHECKING:
    from etl.formats.csv_text import TextBuffer

_LOOK_BYTES = 65_536
_LOOK_RECORDS = 5
_DELIMITERS = b",;\t|"
_NUL_SHARE = 3
_HEADER_HINT = "correct the header of the file"


@dataclass(frozen=True, slots=True)
class Start:
    """What to expect of the start of a file: ``known`` are the names of the reading schema, None on a first look."""

    path: str
    dialect: Dialect
    has_header: bool
    known: list[str] | None
    max_record_bytes: int

    def failure(self, message: str, hint: str = _HEADER_HINT) -> UnreadableFileError:
        """Return the error of the file."""
        return UnreadableFileError(self.path, message, hint=hint)


def column_names(buffer: TextBuffer, start: Start) -> list[str] | None:
    """Return the names of the columns and leave the buffer at the first record; None for a file without a record.

    Raises UnreadableFileError for a header that cannot be trusted, and a dialect that is not the file's.
    """
    for _ in range(start.dialect.skip_lines):
        buffer.fill(_LOOK_BYTES)
        buffer.drop_line()
    buffer.fill(_LOOK_BYTES)
    while (blank := re.match(rb"(?:\r?\n)+", buffer.content)) is not None:
        buffer.drop(blank.end())
        buffer.fill(_LOOK_BYTES)
    if not buffer.content:
        return None
    _check_bytes(buffer, start)
    fields, end = _first_record(buffer, start)
    if not start.has_header:
        return _names_by_place(buffer, start, len(fields))
    names = _names(buffer, start, fields)
    _check_delimiter(names, buffer.content[end : end + _LOOK_BYTES], start)
    _check_names(names, start)
    buffer.drop(end)
    return names


def _check_bytes(buffer: TextBuffer, start: Start) -> None:
    looked = buffer.content[:_LOOK_BYTES]
    line = looked.split(LF, 1)[0]
    if b"\0" in line and (start.has_header or looked.count(b"\0") * _NUL_SHARE > len(looked)):
        raise start.failure(
            "the first line holds NUL: is the file UTF-16?",
            "convert it to UTF-8; UTF-16 with a byte order mark is read with `format_options: {encoding: utf-16}`",
        )
    if LF not in looked and CR in (looked if buffer.is_ended else looked[:-1]):
        raise start.failure("lines end in a carriage return alone", "convert the line ends to LF or CR LF")


def _first_record(buffer: TextBuffer, start: Start) -> tuple[list[bytes], int]:
    bound = start.max_record_bytes + len(b"\r\n")
    while True:
        if len(buffer.content) > bound and LF not in buffer.content[:bound]:
            raise start.failure(f"the first line is longer than {start.max_record_bytes} bytes", "is it a CSV file?")
        window = Window(buffer.content, buffer.is_ended, start.max_record_bytes)
        found = record_at(window, 0, start.dialect)
        if isinstance(found, Fault):
            if not start.has_header:
                return [], 0
            raise start.failure(f"the header is no record: {found.reason}")
        if found is not None:
            return found.fields, found.end
        buffer.fill(2 * len(buffer.content))


def _names_by_place(buffer: TextBuffer, start: Start, width: int) -> list[str]:
    names = start.known or [f"column_{place}" for place in range(1, width + 1)]
    if width and width != len(names) and _widths(buffer, start) == {width}:
        raise start.failure(
            f"records have {width} fields where the schema has {len(names)} columns",
            "a file without a header has the columns of `schema:`, all of them, in order; is the delimiter right?",
        )
    return names


def _widths(buffer: TextBuffer, start: Start) -> set[int]:
    """Return how many fields the first records have."""
    window = Window(buffer.content[:_LOOK_BYTES], buffer.is_ended, start.max_record_bytes)
    position, found = 0, set()
    for _ in range(_LOOK_RECORDS):
        record = record_at(window, position, start.dialect) if position < len(window.content) else None
        if record is None:
            break
        position = record.end
        found.add(0 if isinstance(record, Fault) else len(record.fields))
    return found


def _names(buffer: TextBuffer, start: Start, fields: list[bytes]) -> list[str]:
    names = []
    for place, field in enumerate(fields, 1):
        try:
            text = buffer.text.utf8(start.dialect.value(field))
            names.append((b"\xff" if text is None else text).decode())
        except UnicodeDecodeError as exc:
            hint = "is it another encoding? `format_options: {encoding: windows-1252}`"
            raise start.failure(f"the name of column {place} is not {buffer.text.encoding}", hint) from exc
    return names


def _check_delimiter(names: list[str], below: bytes, start: Start) -> None:
    """Refuse a header of one name that holds another delimiter as often as each line below it."""
    if len(names) != 1 or names[0] in (start.known or ()):
        return
    lines = [line for line in below.split(LF)[: _LOOK_RECORDS + 1] if line.strip()][:_LOOK_RECORDS]
    for sign in _DELIMITERS.decode():
        count = names[0].count(sign)
        if (
            count
            and sign.encode() != start.dialect.delimiter
            and all(line.count(sign.encode()) == count for line in lines)
        ):
            shown = "a tab" if sign == "\t" else f"'{sign}'"
            written = '"\\t"' if sign == "\t" else f'"{sign}"'
            raise start.failure(
                f'the header has one column "{_shown(names[0])}": is the delimiter {shown}?',
                f"set `format_options: {{delimiter: {written}}}`",
            )


def _check_names(names: list[str], start: Start) -> None:
    seen: dict[str, str] = {}
    known = start.known or []
    known_by_case = {name.casefold(): name for name in known}
    for place, name in enumerate(names, 1):
        if not name:
            raise start.failure(f"column {place} has no name in the header")
        if name == RESCUED:
            raise start.failure(f"column {name!r} stands in the header; the name is kept for what does not fit")
        earlier = seen.setdefault(name.casefold(), name)
        if len(seen) < place:
            differ = "stands twice" if earlier == name else f"and {earlier!r} differ only in case"
            raise start.failure(f"column {name!r} {differ} in the header")
        declared = known_by_case.get(name.casefold(), name)
        if declared != name and declared not in names and name not in known:
            raise start.failure(f"column {name!r} of the header is {declared!r} in the schema; case counts")
    if known and not set(known) & set(names):
        raise start.failure(
            f"the header has none of the schema's columns: {_shown(', '.join(names))}",
            "does the file have a header? without one set `format_options: {header: false}`",
        )


def _shown(text: str, most: int = 100) -> str:
    return text if len(text) <= most else text[:most] + "…"
