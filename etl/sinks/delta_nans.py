"""Which columns of files hold NaN: they get no maximum in statistics, since readers put NaN above every number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from etl.schema import to_polars

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from etl.sinks.delta_reading import FileReader, LiveFile

_OURS = re.compile(r"part-[0-9a-f]{8}-[0-9]{10}-[0-9a-f]{16}-(old)?[0-9]{5}\.parquet")
"""The names of the files that this library writes: a column of floats with a maximum has no NaN in them."""


def nan_columns(reader: FileReader, files: Sequence[LiveFile]) -> set[str]:
    """Return the columns, and fields of structs, in which files may hold NaN, as dotted paths.

    Files of ours tell it by their statistics, the others are asked: by their columns of floats alone.
    """
    leaves = {".".join(names): names for names in _float_leaves(to_polars(reader.before))}
    found: set[str] = set()
    for file in files if leaves else ():
        if _OURS.fullmatch(str(file["path"]).rsplit("/", 1)[-1]):
            found |= {path for path, names in leaves.items() if not _has_maximum(file, names)}
        else:
            rows = reader.read(file).select(_leaf(names).is_nan().any().alias(path) for path, names in leaves.items())
            found |= {path for path, has_nan in rows.collect(engine="streaming").row(0, named=True).items() if has_nan}
    return found


def _float_leaves(types: Mapping[str, Any], within: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    import polars as pl

    for name, dtype in types.items():
        if isinstance(dtype, pl.Struct):
            yield from _float_leaves(dtype.to_schema(), (*within, name))
        elif dtype.is_float():
            yield (*within, name)


def _leaf(names: Sequence[str]) -> pl.Expr:
    import polars as pl

    leaf = pl.col(names[0])
    for name in names[1:]:
        leaf = leaf.struct.field(name)
    return leaf


def _has_maximum(file: LiveFile, names: Sequence[str]) -> bool:
    """Tell whether statistics have a maximum of a column, or say that all of it is null."""
    nulls = _said(file.get("null_count"), names)
    return _said(file.get("max"), names) is not None or (nulls is not None and nulls == file.get("num_records"))


def _said(statistics: object, names: Sequence[str]) -> object:
    for name in names:
        if not isinstance(statistics, dict):
            return None
        statistics = statistics.get(name)
    return statistics
