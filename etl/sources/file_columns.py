"""The columns of rows from files: those of the file, of its folders' names, and where each row came from."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from etl.errors import RowError
from etl.formats.contract import Chunk
from etl.model import Schema
from etl.rejects import reject_schema
from etl.schema import format_type, to_polars
from etl.schema_contract import RESCUED, Survey
from etl.sources.file_names import partitions
from etl.sources.file_units import UnitRow

if TYPE_CHECKING:
    import polars as pl

_EPOCH = datetime.fromtimestamp(0, UTC)


class FileColumns:
    """What every chunk of one reading is completed to: the columns of the schema, then the system columns asked for."""

    def __init__(self, known: Survey, system: tuple[str, ...], *, has_partitions: bool) -> None:
        import polars as pl

        self._schema = schema = known.schema
        self.unreadable = known.unreadable
        self.wide = known.wide
        self._has_partitions = has_partitions
        types = {
            "_source_file": pl.String(),
            "_source_offset": pl.Int64(),
            "_source_modified_at": pl.Datetime("us", "UTC"),
        }
        self._system = [name for name in system if name in types]
        self._types = to_polars(schema)
        self.polars_schema = pl.Schema({**self._types, **{name: types[name] for name in self._system}})

    def inside(self, unit: UnitRow) -> Schema:
        """Return the part of the schema that is to be found in the file."""
        keys = self._keys(unit)
        return {name: tree for name, tree in self._schema.items() if name not in keys}

    def complete(self, chunk: Chunk, unit: UnitRow) -> pl.DataFrame:
        """Return the chunk with all columns. Raises RowError for a folder's value that is not of the declared type."""
        import polars as pl

        found = {
            "_source_file": lambda: pl.lit(unit.path),
            "_source_offset": lambda: pl.lit(chunk.offsets),
            "_source_modified_at": lambda: pl.lit(_moment(unit.modified_ns), dtype=pl.Datetime("us", "UTC")),
        }
        added = {name: found[name]() for name in self._system}
        if RESCUED in chunk.frame.columns:
            added[RESCUED] = with_file(RESCUED, unit.path)
        for key, value in self._keys(unit).items():
            if key in self._types:
                added[key] = pl.lit(self._typed(key, value, unit).new_from_index(0, chunk.frame.height))
        if not added:
            return chunk.frame
        return chunk.frame.with_columns(**added).select(self.polars_schema.names())

    def located(self, rejects: pl.DataFrame, unit: UnitRow) -> pl.DataFrame:
        """Return rows that were set aside with the file that they come from."""
        import polars as pl

        return rejects.with_columns(_source_file=pl.lit(unit.path)).select(list(reject_schema()))

    def _keys(self, unit: UnitRow) -> dict[str, str | None]:
        return partitions(unit.path) if self._has_partitions else {}

    def _typed(self, key: str, value: str | None, unit: UnitRow) -> pl.Series:
        import polars as pl

        dtype = self._types[key]
        text = pl.Series(key, [value], dtype=pl.String)
        try:
            if dtype == pl.Boolean:
                return text.replace_strict({"true": True, "false": False}, return_dtype=pl.Boolean)
            return _parsed(text, dtype)
        except pl.exceptions.PolarsError as exc:
            reason = f"{value!r} of the folder {key}={value} is not a {format_type(self._schema[key])}"
            raise RowError(reason, where=unit.path, hint=f"declare `{key}: string`, or rename the folder") from exc


def _parsed(text: pl.Series, dtype: pl.DataType) -> pl.Series:
    import polars as pl

    if dtype == pl.Date:
        return text.str.to_date("%Y-%m-%d")
    if dtype == pl.Time:
        return text.str.to_time("%H:%M:%S")
    if isinstance(dtype, pl.Datetime):
        return text.str.to_datetime(time_unit="us").cast(dtype)
    if dtype == pl.String or dtype.is_integer() or dtype.is_float():
        return text.cast(dtype)
    raise pl.exceptions.InvalidOperationError("no such type can be made of a folder's name")


def with_file(column: str, path: str) -> pl.Expr:
    """Return JSON objects with the file that they come from as their last key; null stays null."""
    import polars as pl

    named = f', "_source_file": {json.dumps(path, ensure_ascii=False)}' + "}"
    return pl.col(column).str.strip_suffix("}") + pl.lit(named)


def _moment(modified_ns: int) -> datetime:
    """Return a moment without the rounding of floats; nanoseconds are cut."""
    return _EPOCH + timedelta(microseconds=modified_ns // 1000)
