"""Data files of a Delta table: staged by Polars' streaming engine, described from their own footers."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, unquote

from etl.errors import SinkError
from etl.model import Json, StagedFile

if TYPE_CHECKING:
    import polars as pl
    import pyarrow.parquet as pq
    from polars.io.partition import FileProviderArgs, SinkedPathsCallbackArgs

ROW_GROUP_ROWS = 122_880
_SIDE_BY_SIDE = 2
"""Files that are written at a time: the steps of one do not keep two cores busy, and each holds a row group or two."""
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_TEXT_LENGTH = 32
_SAFE_DECIMAL_DIGITS = 15
_LAST_BEFORE_SURROGATES, _LAST_CODE = 0xD7FF, 0x10FFFF


@dataclass(frozen=True, slots=True)
class StagingPlan:
    """How the rows of one attempt become files: the table's URL, a name prefix unique to the attempt, the layout.

    Without ``keeps_order`` rows may be in another order in a file than they come, which is faster. ``ending`` ends
    every name.
    """

    url: str
    prefix: str
    partition_by: tuple[str, ...]
    target_bytes: int
    storage_options: dict[str, str] = field(default_factory=dict)
    keeps_order: bool = True
    ending: str = ".parquet"


def write_files(parts: Sequence[pl.LazyFrame], plan: StagingPlan) -> list[str]:
    """Stream parts of rows into Parquet files, each into its own; return their paths relative to the table."""
    numbers = itertools.count()
    if len(parts) == 1:
        return _write_part(parts[0], plan, numbers)
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        found = pool.map(lambda rows: _write_part(rows, plan, numbers), parts)
        return sorted(path for paths in found for path in paths)


def _write_part(rows: pl.LazyFrame, plan: StagingPlan, numbers: Iterator[int]) -> list[str]:
    import polars as pl

    paths: list[str] = []

    def name(args: FileProviderArgs) -> str:
        folders = "".join(f"{folder}/" for folder in _folders(args.partition_keys, plan.partition_by))
        return f"{folders}{plan.prefix}{next(numbers):05d}{plan.ending}"

    def remember(args: SinkedPathsCallbackArgs) -> None:
        paths.extend(file.path for file in args.paths)

    layout = pl.PartitionBy(
        plan.url,
        file_path_provider=name,
        key=list(plan.partition_by) or None,
        include_key=False if plan.partition_by else None,
        approximate_bytes_per_file=plan.target_bytes,
    )
    rows.sink_parquet(
        layout,
        compression="snappy",
        row_group_size=ROW_GROUP_ROWS,
        maintain_order=plan.keeps_order,
        storage_options=plan.storage_options or None,
        mkdir=True,
        sinked_paths_callback=remember,
    )
    return sorted(path[path.index(plan.url) + len(plan.url) :].lstrip("/") for path in paths)


def _folders(keys: pl.DataFrame | None, columns: Sequence[str]) -> Iterator[str]:
    """Give ``column=value`` for each partition column, percent-encoded once, as Delta writers do."""
    if keys is None:
        return
    for column in columns:
        value = keys[column][0]
        text = NULL_PARTITION if value is None else quote(partition_text(value, column), safe="")
        yield f"{quote(column, safe='')}={text}"


def partition_text(value: object, column: str) -> str:
    """Return Delta's text for a partition value. Raises SinkError for text that a reader would take for null."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if text in ("", NULL_PARTITION):
        raise SinkError(
            f"the value {text!r} cannot be a partition: readers would see null",
            where=f"partition_by {column}",
            hint="replace it in a with_columns step before the sink",
        )
    return text


def describe_file(
    path: str, size_bytes: int, open_file: Callable[[], BinaryIO], nan_columns: frozenset[str] = frozenset()
) -> StagedFile:
    """Return what a Delta add action says of a Parquet file, from its footer.

    ``nan_columns`` are columns that hold NaN somewhere: they get no maximum, since readers put NaN above every number.
    """
    import pyarrow.parquet as pq

    with open_file() as file:
        footer = pq.read_metadata(file)
    statistics = file_statistics(footer, nan_columns)
    return StagedFile(path, size_bytes, footer.num_rows, partition_values(path), statistics)


def partition_values(path: str) -> dict[str, str | None]:
    """Return the partition values that the folders of a path spell."""
    values: dict[str, str | None] = {}
    for folder in path.split("/")[:-1]:
        column, _, text = folder.partition("=")
        values[unquote(column)] = None if text == NULL_PARTITION else unquote(text)
    return values


def file_statistics(footer: pq.FileMetaData, nan_columns: frozenset[str]) -> dict[str, Json]:
    """Return Delta statistics (numRecords, minValues, maxValues, nullCount) of the leaves that are not in lists.

    *Source*: Delta protocol, "Per-file Statistics".
    """
    minimum: dict[str, Any] = {}
    maximum: dict[str, Any] = {}
    nulls: dict[str, Any] = {}
    columns = footer.schema
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    for index, names in enumerate(_leaf_names(footer) if groups else ()):
        if columns.column(index).max_repetition_level:
            continue
        seen = [group.column(index).statistics for group in groups]
        if any(part is None or part.null_count is None for part in seen):
            continue
        _put(nulls, names, sum(part.null_count for part in seen))
        bounds = _bounds(seen)
        if bounds and len(bounds) == sum(1 for part in seen if part.num_values):
            low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
            _put(minimum, names, _lower(low))
            _put(maximum, names, None if ".".join(names) in nan_columns else _upper(high))
    return {"numRecords": footer.num_rows, "minValues": minimum, "maxValues": maximum, "nullCount": nulls}


def _bounds(seen: list[pq.Statistics]) -> list[tuple[Any, Any]]:
    """Return minimum and maximum of each row group that has them; none where Python has no such moment or day."""
    try:
        return [(part.min, part.max) for part in seen if part.has_min_max]
    except (OverflowError, ValueError):
        return []


def _leaf_names(footer: pq.FileMetaData) -> list[list[str]]:
    """Return the names from column to leaf, of each leaf; a dot may be part of a name, so the schema is asked."""
    import pyarrow as pa

    found: list[list[str]] = []

    def walk(part: pa.Field, names: list[str]) -> None:
        inner = [*names, part.name]
        if pa.types.is_struct(part.type):
            for number in range(part.type.num_fields):
                walk(part.type.field(number), inner)
        elif pa.types.is_list(part.type) or pa.types.is_large_list(part.type):
            walk(part.type.value_field, inner)
        else:
            found.append(inner)

    for part in footer.schema.to_arrow_schema():
        walk(part, [])
    return found


def _put(tree: dict[str, Any], names: list[str], value: Json) -> None:
    if value is None:
        return
    for name in names[:-1]:
        tree = tree.setdefault(name, {})
    tree[names[-1]] = value


def _lower(value: object) -> Json:
    """Return the text or number of a minimum, never above it."""
    if isinstance(value, str):
        return value[:_TEXT_LENGTH]
    return _bound(value, timedelta(0))


def _upper(value: object) -> Json:
    """Return the text or number of a maximum, never below it; None where there is no such text."""
    if isinstance(value, str) and len(value) > _TEXT_LENGTH:
        return _next_text(value[:_TEXT_LENGTH])
    return value if isinstance(value, str) else _bound(value, timedelta(microseconds=999))


def _next_text(text: str) -> str | None:
    """Return the shortest text above every text that starts with ``text``."""
    for index in range(len(text) - 1, -1, -1):
        code = ord(text[index])
        if code not in (_LAST_BEFORE_SURROGATES, _LAST_CODE):
            return text[:index] + chr(code + 1)
    return None


def _bound(value: object, up: timedelta) -> Json:
    """Return a bound in Delta's form; moments are in whole milliseconds, moved by ``up`` first."""
    if isinstance(value, bool | bytes):
        return None
    if isinstance(value, datetime):
        return _moment_bound(value, up)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _decimal_bound(value)


def _moment_bound(value: datetime, up: timedelta) -> Json:
    """Return a moment in whole milliseconds, None where there is none so late."""
    if value > datetime.max.replace(tzinfo=value.tzinfo) - up:
        return None
    text = (value + up).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return f"{text}Z" if value.tzinfo else text


def _decimal_bound(value: object) -> Json:
    """Return a decimal as a number where a double holds its digits, else nothing."""
    digits = str(value)
    if len(digits.replace("-", "").replace(".", "")) > _SAFE_DECIMAL_DIGITS:
        return None
    number: Json = json.loads(digits)
    return number


def nan_observer() -> tuple[Callable[[pl.DataFrame], None], set[str]]:
    """Return a function that looks at frames as they pass, and the set of what it saw NaN in: columns and fields."""
    seen: set[str] = set()

    def look(frame: pl.DataFrame) -> None:
        names = [name for name, dtype in frame.schema.items() if _has_floats(dtype)]
        leaves = (leaf for name in names for leaf in _float_leaves(frame.get_column(name), name))
        seen.update(path for path, leaf in leaves if path not in seen and leaf.is_nan().any())

    return look, seen


def _has_floats(dtype: pl.DataType) -> bool:
    import polars as pl

    if isinstance(dtype, pl.Struct):
        return any(_has_floats(field.dtype) for field in dtype.fields)  # type: ignore[arg-type]
    return dtype.is_float()


def _float_leaves(column: pl.Series, path: str) -> Iterator[tuple[str, pl.Series]]:
    """Give a column, or the fields of a struct at any depth, where they are floats, with their dotted paths."""
    import polars as pl

    if isinstance(column.dtype, pl.Struct):
        for name in column.struct.fields:
            yield from _float_leaves(column.struct.field(name), f"{path}.{name}")
    elif column.dtype.is_float():
        yield path, column
