"""Text for terminals: tables that fit, figures, sizes; nothing secret and no control character gets through."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import typer

from etl.readable import count, counted, escaped, moment, size
from etl.secrets import mask

__all__ = [
    "columns_that_fit",
    "count",
    "counted",
    "escaped",
    "moment",
    "say",
    "say_json",
    "size",
    "table",
    "width",
    "wrapped",
]

_WIDTH = 120
_LEAST_COLUMN = 8
_MOST_COLUMN = 40
_GAP = "  "


def say(text: str = "", *, to_error: bool = False) -> None:
    """Print a line, secrets masked."""
    typer.echo(mask(text).encode("utf-8", "backslashreplace").decode(), err=to_error)


def say_json(value: Any, *, is_line: bool = False) -> None:  # noqa: ANN401  any plain value
    """Print one JSON document; as one line for a stream of them."""
    say(json.dumps(value, ensure_ascii=False, indent=None if is_line else 2, default=str))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> str:
    """Return aligned columns that fit the terminal (120 characters where there is none); ``numbers`` to the right.

    Texts that are too long lose their middle.
    """
    cells = [list(header), *[[escaped(cell) for cell in row] for row in rows]]
    widths = _fitted([max(map(len, column)) for column in zip(*cells, strict=True)], width())
    lines = []
    for row in cells:
        padded = [
            _cut(cell, wide).rjust(wide) if name in numbers else _cut(cell, wide).ljust(wide)
            for name, cell, wide in zip(header, row, widths, strict=True)
        ]
        lines.append(_GAP.join(padded).rstrip())
    lines.insert(1, _GAP.join("─" * wide for wide in widths))
    return "\n".join(lines)


def columns_that_fit(widths: Sequence[int]) -> int:
    """Return how many columns of so many characters stand side by side, none taking more than forty; one at least."""
    used = 0
    for index, wide in enumerate(widths):
        used += min(wide, _MOST_COLUMN) + (len(_GAP) if index else 0)
        if used > width():
            return max(index, 1)
    return len(widths)


def width() -> int:
    """Return how many characters a line may have."""
    if not sys.stdout.isatty():
        return int(os.environ.get("COLUMNS") or _WIDTH)
    return os.get_terminal_size().columns


def wrapped(text: str, indent: int) -> str:
    """Return ``text`` broken to fit, its further lines indented."""
    return textwrap.fill(
        text, width(), initial_indent=" " * indent, subsequent_indent=" " * indent, break_on_hyphens=False
    ).lstrip()


def _fitted(widths: list[int], most: int) -> list[int]:
    """Return the widths with the widest columns narrowed until all fit, none below eight characters."""
    fitted = list(widths)
    while sum(fitted) + len(_GAP) * (len(fitted) - 1) > most and max(fitted) > _LEAST_COLUMN:
        fitted[fitted.index(max(fitted))] -= 1
    return fitted


def _cut(text: str, wide: int) -> str:
    if len(text) <= wide:
        return text
    head = (wide - 1) // 2
    return f"{text[:head]}…{text[len(text) - (wide - 1 - head) :]}"
