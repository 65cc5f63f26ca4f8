"""The dialect of a CSV file by its beginning: encoding, delimiter, quotes, escapes, lines before the header, header."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from etl.errors import ConfigError

_LOOK_CHARACTERS = 200_000
_LOOK_ROWS = 200
_DELIMITERS = "\t;|,"
"""Where several fit, the earlier one: commas and blanks also stand inside numbers and text."""

_LEAST_SHARE = 0.6
_C1 = re.compile(rb"[\x80-\x9f]")
_UNDEFINED_1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_DATUM = re.compile(r"[+-]?[0-9][0-9.,:/ TZ+-]*|(?i:true|false)")


@dataclass(slots=True)
class FoundDialect:
    """``options`` as ``format_options`` spells them, without defaults; ``notes`` say what was doubtful of which.

    ``names`` are the columns where the file does not name them in a way that can be used, else None.
    """

    options: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    names: list[str] | None = None


def dialect_of(content: bytes, path: str, *, default_delimiter: str) -> FoundDialect:
    """Return the dialect of a file that starts with ``content``. Raises ConfigError for text that cannot be read."""
    found = FoundDialect()
    text = _text(content, path, found)[:_LOOK_CHARACTERS]
    if len(text) == _LOOK_CHARACTERS:
        text = text[: text.rfind("\n") + 1] or text
    quote = _quote(text, found)
    if f"\\{quote}" in text:
        found.options["escape"] = "\\"
    escape = found.options.get("escape")
    tables = {each: _rows(text, each, quote, escape) for each in _DELIMITERS}
    delimiter = _delimiter(tables)
    if delimiter is None:
        _look_at_header([row for _, row in tables[default_delimiter]], found)
        return found
    if delimiter != default_delimiter:
        found.options["delimiter"] = delimiter
    _look_at_header(_after_preamble(tables[delimiter], found), found)
    return found


def is_delimited(head: bytes) -> bool:
    """Tell whether what a file begins with is a table of at least two columns."""
    text = head.decode("utf-8", "replace")
    text = text[: text.rfind("\n") + 1] or text
    return _delimiter({each: _rows(text, each, '"', None) for each in _DELIMITERS}) is not None


def _delimiter(tables: dict[str, list[tuple[int, list[str]]]]) -> str | None:
    """Return the delimiter under which most records have the same number of fields, None where none has."""
    best = max(tables, key=lambda each: (_share(tables[each]), -_DELIMITERS.index(each)))
    return best if _share(tables[best]) >= _LEAST_SHARE else None


def _text(content: bytes, path: str, found: FoundDialect) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        found.options["encoding"] = "utf-16"
        return content.decode("utf-16", "replace")
    if content[:_LOOK_CHARACTERS].count(b"\0") > len(content[:_LOOK_CHARACTERS]) // 4:
        raise ConfigError("looks like UTF-16 without a byte order mark", where=path, hint="convert it to UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        place = content[exc.start]
    if _C1.search(content) is None:
        found.options["encoding"] = "windows-1252"
        found.notes["encoding"] = f"not UTF-8 (byte 0x{place:02x}); latin-1 would read the sample alike"
    elif _UNDEFINED_1252.search(content) is None:
        found.options["encoding"] = "windows-1252"
        found.notes["encoding"] = f"not UTF-8 (byte 0x{place:02x})"
    else:
        found.options["encoding"] = "latin-1"
        found.notes["encoding"] = f"not UTF-8 (byte 0x{place:02x}), nor windows-1252: is it another encoding?"
    return content.decode(found.options["encoding"], "replace")


def _quote(text: str, found: FoundDialect) -> str:
    """Return what quotes fields: an apostrophe only where no field has a quotation mark and many are wrapped in it."""
    if '"' in text:
        return '"'
    wrapped = len(re.findall(r"(?:^|[,;\t|])'[^'\n]*'(?=$|[,;\t|\r])", text, re.MULTILINE))
    lines = text.count("\n") + 1
    if wrapped < lines // 2 or wrapped < 1:
        return '"'
    found.options["quote"] = "'"
    return "'"


def _rows(text: str, delimiter: str, quote: str, escape: str | None) -> list[tuple[int, list[str]]]:
    """Return the first records, each with the number of lines before it; blank lines are none."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote, escapechar=escape, doublequote=True
    )
    rows: list[tuple[int, list[str]]] = []
    before = 0
    try:
        for row in reader:
            if row:
                rows.append((before, row))
            before = reader.line_num
            if len(rows) == _LOOK_ROWS:
                break
    except csv.Error:
        return []
    return rows


def _width(rows: list[tuple[int, list[str]]]) -> int:
    return Counter(len(row) for _, row in rows).most_common(1)[0][0] if rows else 0


def _share(rows: list[tuple[int, list[str]]]) -> float:
    """Return how many of the records have the most frequent width, 0 where that is one field."""
    width = _width(rows)
    return sum(len(row) == width for _, row in rows) / len(rows) if width > 1 else 0.0


def _after_preamble(rows: list[tuple[int, list[str]]], found: FoundDialect) -> list[list[str]]:
    """Return the records from the first one of the most frequent width on; what stands before is skipped."""
    width = _width(rows)
    for index, (before, row) in enumerate(rows):
        if len(row) == width:
            if index:
                found.options["skip_lines"] = before
                found.notes["skip_lines"] = f"lines of another width, the first: {','.join(rows[0][1])[:40]!r}"
            return [each for _, each in rows[index:]]
    return []


def _look_at_header(rows: list[list[str]], found: FoundDialect) -> None:
    """Say whether the first record names the columns."""
    if not rows:
        return
    first, body = rows[0], rows[1:]
    if any(_DATUM.fullmatch(value.strip()) for value in first):
        found.options["header"] = False
        found.names = [f"column_{place}" for place in range(1, len(first) + 1)]
        return
    if "" in first or len(set(first)) < len(first):
        found.options["header"] = False
        found.options["skip_lines"] = found.options.get("skip_lines", 0) + 1
        found.notes["header"] = "a name is missing or stands twice, so the names below count and the line is skipped"
        found.names = _unique(first)
        return
    has_data = any(_DATUM.fullmatch(value.strip()) for row in body for value in row)
    if body and not has_data:
        found.options["header"] = True
        found.notes["header"] = "every value is text: is the first line really the header?"


def _unique(names: list[str]) -> list[str]:
    """Return names that are all there and differ."""
    taken: list[str] = []
    for place, name in enumerate(names, 1):
        wanted = name or f"column_{place}"
        while wanted in taken:
            wanted = f"{wanted}_{place}"
        taken.append(wanted)
    return taken
