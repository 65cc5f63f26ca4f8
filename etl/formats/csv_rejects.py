"""Rejected records of CSV as rows: their bytes as they are in the file, and where."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.formats.records import CR, LF
from etl.rejects import reject_schema

if TYPE_CHECKING:
    import polars as pl

    from etl.formats.csv_text import TextBuffer, TextStream

RAW_BYTES = 65_536
"""How much of a record that is too long is kept."""

_EXCERPT_BYTES = 120


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that was set aside, by its span in a window."""

    start: int
    end: int
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a window starts: the byte of the file, the line from 1, and the text that it is part of."""

    position: int
    line: int
    text: TextStream

    @classmethod
    def of(cls, buffer: TextBuffer) -> Place:
        """Return where the buffer's content starts."""
        return cls(buffer.position, buffer.line, buffer.text)


def reject_frame(found: list[Rejected], place: Place, content: bytes, names: list[str]) -> pl.DataFrame:
    """Return rejected records of a window, in their order, as rows of ``reject_schema`` without ``_source_file``."""
    import polars as pl

    raws, offsets, lines = [], [], []
    position, line, reached = place.position, place.line, 0
    for item in found:
        passed = content[reached : item.start]
        position, line, reached = position + place.text.size(passed), line + passed.count(LF), item.start
        offsets.append(position)
        lines.append(line)
        record = content[item.start : item.end].removesuffix(LF).removesuffix(CR)
        raw = place.text.raw(record[:RAW_BYTES] if item.rule == "too_long" else record)
        raws.append(raw[:RAW_BYTES] if item.rule == "too_long" else raw)
    context = json.dumps({"columns": names}, ensure_ascii=False)
    columns = {
        "raw": raws,
        "form": ["text"] * len(found),
        "context": [context] * len(found),
        "_source_offset": offsets,
        "line": lines,
        "rule": [item.rule for item in found],
        "reason": [item.reason for item in found],
    }
    return pl.DataFrame(columns, schema={name: reject_schema()[name] for name in columns})


def excerpt(record: bytes) -> str:
    """Return the start of a record for people."""
    text = record[:_EXCERPT_BYTES].decode("utf-8", "backslashreplace").rstrip("\r\n")
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
    return shown + "…" if len(record) > _EXCERPT_BYTES else shown
