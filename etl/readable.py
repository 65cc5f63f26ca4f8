"""Figures, sizes, moments and hostile text as people read them, in a terminal or on a page."""

from __future__ import annotations


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
