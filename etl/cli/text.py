"""Text for terminals: tables that fit, figures, sizes; nothing secret and no control character gets through."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import typer

from etl.secrets import mask

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


def escaped(text: str, keep: str = "") -> str:
    r"""Return ``text`` with control characters spelt out, so that it cannot move the cursor or forge a line.

    >>> escaped("a\x1b[31m\nb")
    'a\\x1b[31m\\nb'
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape", "backslashreplace").decode()
        for char in text
    )


def count(number: int | None) -> str:
    """Return a figure with thousands separators, ``?`` for one that is not known.

    >>> count(1234567), count(None)
    ('1,234,567', '?')
    """
    return "?" if number is None else f"{number:,}"


def counted(number: int, noun: str) -> str:
    """Return a figure with its noun.

    >>> counted(1, "file"), counted(2000, "batch")
    ('1 file', '2,000 batches')
    """
    ending = "" if number == 1 else "es" if noun.endswith("ch") else "s"
    return f"{number:,} {noun}{ending}"


def size(size_bytes: int | None) -> str:
    """Return bytes in a unit of powers of ten.

    >>> size(999), size(181_213), size(None)
    ('999 B', '181.2 KB', '?')
    """
    if size_bytes is None:
        return "?"
    amount = float(size_bytes)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1000:  # noqa: PLR2004  a power of ten
            return f"{amount:.0f} B" if unit == "B" else f"{amount:,.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def moment(text: str | None) -> str:
    """Return an ISO moment to the second, in UTC as it is recorded.

    >>> moment("2026-11-23T08:12:20.123456+00:00")
    '2026-11-23 08:12:20'
    """
    return "" if text is None else text[:19].replace("T", " ")


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
