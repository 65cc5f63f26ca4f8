"""Parquet whose types are exactly those of the schema: read by Polars, in half the time that conversions take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from etl.formats.arrow_values import BOUNDS
from etl.schema import to_polars
from etl.schema_contract import RESCUED

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from etl.model import Schema

_WORDS = {
    "bool": "boolean",
    **{word: word for kind in ("int", "uint") for word in (f"{kind}8", f"{kind}16", f"{kind}32", f"{kind}64")},
    "float": "float32",
    "double": "float64",
    **dict.fromkeys(("string", "large_string"), "string"),
    **dict.fromkeys(("binary", "large_binary"), "binary"),
    "date32[day]": "date",
    "timestamp[us]": "timestamp",
    "timestamp[us, tz=UTC]": "timestamp(UTC)",
}
"""The Arrow types that both libraries read as the same values, and the column type of each."""


def is_exact(types: pa.Schema, columns: Sequence[str], schema: Schema) -> bool:
    """Tell whether some columns of a file are all those of the schema, in its own types."""
    if not columns or RESCUED in columns:
        return False
    return {name: _WORDS.get(str(types.field(name).type)) for name in columns} == schema


def exact_frames(content: bytes, schema: Schema, groups: Sequence[int], most: int) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file, at most ``most`` at a time, up to where something is wrong with them.

    ``groups`` tells how many rows each row group has. Whoever takes them reads the rest in another way, which says what
    is wrong: Polars has an error for a whole file, and no bounds for moments.
    """
    import polars as pl

    kinds = to_polars(schema)
    try:
        found = pl.scan_parquet(content).select(list(schema))
        if found.collect_schema() != kinds:
            return
        for start, rows in _pieces(groups, most):
            frame = found.slice(start, rows).collect()
            if frame.height != rows or not _is_within_bounds(frame, schema):
                return
            yield frame
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, MemoryError):
        return


def _pieces(groups: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Yield first row and number of rows of pieces that cut as few row groups as they can: a cut is decoded twice.

    >>> list(_pieces([2, 2, 5, 1], 4))
    [(0, 4), (4, 4), (8, 2)]
    """
    start = rows = 0
    for group in groups:
        if rows and rows + group > most:
            yield start, rows
            start, rows = start + rows, 0
        rows += group
        while rows > most:
            yield start, most
            start, rows = start + most, rows - most
    if rows:
        yield start, rows


def _is_within_bounds(frame: pl.DataFrame, schema: Schema) -> bool:
    bounded = {name: BOUNDS[tree] for name, tree in schema.items() if isinstance(tree, str) and tree in BOUNDS}
    for name, (low, high, _) in bounded.items():
        numbers = frame[name].to_physical()
        least = cast("int | None", numbers.min())
        if least is not None and not low <= least <= cast("int", numbers.max()) <= high:
            return False
    return True
