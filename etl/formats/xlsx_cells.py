"""Cells of a sheet as values of a column: exactly, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from etl.schema import arrow_type, decimal_digits, format_type

if TYPE_CHECKING:
    import pyarrow as pa

    from etl.model import Json, TypeTree

ERROR = "e"
"""What a sheet calls a cell whose formula failed."""

_DAY = timedelta(days=1)


class UnfitCellError(ValueError):
    """A cell that its column cannot hold."""


def cell_type(value: Any, kind: str) -> str | None:  # noqa: ANN401  any cell
    """Return the column type of a cell, None for an empty one or a failed formula."""
    if value is None or kind == ERROR:
        return None
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "float64"
    if isinstance(value, datetime | date):
        return "timestamp"
    return "time" if isinstance(value, time | timedelta) else "string"


def cell_value(value: Any, kind: str, tree: TypeTree) -> Any:  # noqa: ANN401  any cell
    """Return a cell as a value of a column. Raises UnfitCellError."""
    if kind == ERROR:
        raise UnfitCellError(f"the formula failed: {value}")
    if value is None:
        return None
    found = cell_type(value, kind)
    if isinstance(tree, str):
        if found == "float64":
            return _number(value, tree)
        if found == tree and not isinstance(value, timedelta):
            return value
        if found == "timestamp" and tree == "date" and (not isinstance(value, datetime) or value.time() == time()):
            return value.date() if isinstance(value, datetime) else value
        if isinstance(value, timedelta) and tree == "time" and timedelta(0) <= value < _DAY:
            return (datetime(1970, 1, 1) + value).time()  # noqa: DTZ001  a time of day has no zone
    raise UnfitCellError(f"{cell_json(value)!r} is not {format_type(tree)}")


def _number(value: float, word: str) -> Any:  # noqa: ANN401  a number of the column's type
    import pyarrow as pa

    try:
        if decimal_digits(word):
            return pa.scalar(Decimal(repr(value)), arrow_type(word)).as_py()
        if "int" in word and int(value) == value:
            return pa.scalar(int(value), arrow_type(word)).as_py()
        if word == "float64" and float(value) == value:
            return float(value)
        if word == "float32" and pa.scalar(value, pa.float32()).as_py() == value:
            return value
    except (pa.ArrowException, ValueError, OverflowError):
        pass
    raise UnfitCellError(f"{value!r} is not {word}")


def cell_json(value: Any) -> Json:  # noqa: ANN401  any cell
    """Return a cell as JSON tells it."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def column(cells: Iterator[tuple[Any, str]], tree: TypeTree) -> tuple[pa.Array, dict[int, tuple[Json, str]]]:
    """Return cells as an array of the type, null for those that do not fit, which come with their reasons by row."""
    import pyarrow as pa

    values: list[Any] = []
    unfit: dict[int, tuple[Json, str]] = {}
    for row, (value, kind) in enumerate(cells):
        try:
            values.append(cell_value(value, kind, tree))
        except UnfitCellError as exc:
            values.append(None)
            unfit[row] = cell_json(value), str(exc)
    return pa.array(values, arrow_type(tree)), unfit
