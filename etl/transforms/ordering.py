"""The order of rows that does not depend on how they came in batches."""

from __future__ import annotations

from collections.abc import Iterable

_ORIGIN = ("_source_file", "_source_offset")


def row_order(given: Iterable[str], time: str | None = None) -> list[str]:
    """Return the columns to sort by where "first" and "last" have to mean something: event time, then the row's origin.

    ``time`` is the column of event time, where there is one.

    >>> row_order(["a", "ts", "_source_file", "_source_offset"], "ts")
    ['ts', '_source_file', '_source_offset']
    """
    known = list(given)
    return [name for name in (time, *_ORIGIN) if name is not None and name in known]
