"""Which of the known formats the lines of a text file are written in."""

from __future__ import annotations

import io
import re
from typing import Any, BinaryIO, cast

from etl.errors import EtlError
from etl.formats import FORMATS, FileOpener

_TRIED = ("combined", "common", "syslog_rfc5424", "syslog_rfc3164", "logfmt")
_TRIED_LINES = 500
_MOST = 0.9
_PAIR = re.compile(rb"^[A-Za-z_][\w.-]*=")


def log_format(content: bytes, path: str) -> str | None:
    """Return the format that reads at least nine of ten of the first lines, None where none does."""
    head = b"".join(content.splitlines(keepends=True)[:_TRIED_LINES])
    lines = [line for line in head.splitlines() if line.strip()]
    pairs = sum(_PAIR.match(line) is not None for line in lines)
    for name in _TRIED:
        if name == "logfmt" and pairs < _MOST * len(lines):
            continue
        if lines and _rows(name, head, path) >= _MOST * len(lines):
            return name
    return None


def _rows(name: str, head: bytes, path: str) -> int:
    """Return how many lines a format makes rows of."""
    kind: Any = FORMATS[name]
    lines = kind(kind.options_model())
    opener = FileOpener(path, len(head), lambda: cast("BinaryIO", io.BytesIO(head)))
    try:
        schema = lines.survey(opener, None).schema
        return sum(chunk.rows for task in lines.tasks(opener, schema) for chunk in task())
    except EtlError:
        return 0
