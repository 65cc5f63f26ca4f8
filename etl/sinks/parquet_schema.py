"""How the columns of a plain Parquet table grow: files keep the types that they were written with.

So a type may only be widened where every value of the files that are there is exactly one of the wider type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.delta_types import from_delta_fields, merge_fields, to_delta_fields
from etl.errors import SinkError
from etl.schema import is_list, is_struct
from etl.sinks.parquet_commits import merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from etl.model import Schema, StagedFile, TypeTree
    from etl.sinks.parquet_commits import Commit

_EXACT = 2**53
"""The greatest whole number up to which every one is a float64 too."""


def grown(live: Sequence[Commit], rows: Schema, *, may_widen: bool, table: str) -> Schema:
    """Return the columns of a table of the batches ``live`` after one of ``rows``. Raises SinkError."""
    before = merged(each.schema for each in live)
    after = from_delta_fields(merge_fields(to_delta_fields(before), to_delta_fields(rows), may_widen=may_widen))
    for path, old, new in _changed(before, after, ()):
        if (old, new) == ("int64", "float64"):
            _refuse_inexact((file for each in live for file in each.files), path, table)
    return after


def _changed(before: Schema, after: Schema, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield path, type before and type after of each leaf that has another; ``[]`` in a path is an item of a list."""
    for name, old in before.items():
        yield from _changed_type(old, after[name], (*above, name))


def _changed_type(old: TypeTree, new: TypeTree, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    if is_list(old) and is_list(new):
        yield from _changed_type(old["list"], new["list"], (*path, "[]"))
    elif is_struct(old) and is_struct(new):
        yield from _changed(dict(old["struct"]), dict(new["struct"]), path)
    elif old != new:
        yield path, str(old), str(new)


def _refuse_inexact(files: Iterable[StagedFile], path: tuple[str, ...], table: str) -> None:
    """Refuse to read whole numbers of files as floats where one might not be the same. Raises SinkError."""
    for file in files:
        bounds = [_bound(file, kind, path) for kind in ("minValues", "maxValues")]
        is_empty = _bound(file, "nullCount", path) == file.rows
        is_exact = all(isinstance(bound, int) and abs(bound) <= _EXACT for bound in bounds)
        if not (is_exact or is_empty):
            raise SinkError(
                f"would become float64, and {file.path} may hold whole numbers that no float64 is",
                where=f"{table}.{'.'.join(path)}",
                hint="declare the column's type under `schema:` of the source and build the table anew: "
                "etl run PIPELINE --full-refresh",
            )


def _bound(file: StagedFile, kind: str, path: tuple[str, ...]) -> Any:  # noqa: ANN401  what JSON has there
    found: Any = file.statistics.get(kind)
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found
