"""The rows of a data file of a Delta table, in the columns and types of the reading schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from etl.delta_types import stored
from etl.errors import SourceError
from etl.model import CHANGE
from etl.schema import to_polars
from etl.sources.delta_units import REMOVE, TableFile
from etl.sources.delta_upstream import Upstream

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from etl.model import Schema

BATCH_ROWS = 131_072
CHANGE_TYPE = "_change_type"
"""The column of a change data file that says what its row is."""
_EPOCH = datetime.fromtimestamp(0, UTC)


class LostFileError(SourceError):
    """A file of a version that the table no longer has."""


class DeltaRows:
    """Reads files in the columns of ``schema`` and the ``system`` columns. Called from several threads."""

    def __init__(self, upstream: Upstream, schema: Schema, system: Sequence[str]) -> None:
        import polars as pl

        self._upstream = upstream
        self._types = to_polars(stored({name: tree for name, tree in schema.items() if name != CHANGE}))
        origin = {
            "_source_file": pl.String(),
            "_source_offset": pl.Int64(),
            "_source_modified_at": pl.Datetime("us", "UTC"),
        }
        self._origin = {name: kind for name, kind in origin.items() if name in system}
        self.schema = pl.Schema({**self._types, **self._origin})

    def frames(self, file: TableFile, wanted: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield the rows of a file in the ``wanted`` columns, in order.

        Raises SourceError where the file is gone or its values are not those that the table declares.
        """
        import polars as pl
        import pyarrow as pa

        start = 0
        try:
            for batch in self._batches(file, wanted):
                yield self._completed(batch, file, wanted, start)
                start += batch.num_rows
        except FileNotFoundError as exc:
            raise self._lost(file) from exc
        except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as exc:
            reason = str(exc).split("\n", 1)[0]
            raise SourceError(
                f"{file.path} of version {file.version} cannot be read: {reason}",
                where=self._upstream.name,
                hint="look at the file; if it is damaged, restore it from a copy",
            ) from exc

    def _lost(self, file: TableFile) -> SourceError:
        taken_out = " took out" if file.kind == REMOVE else ""
        return LostFileError(
            f"version {file.version} of {self._upstream.name}{taken_out} needs {file.path}, which is gone: VACUUM "
            "removes files that the table no longer refers to",
            where=self._upstream.name,
            hint="put the file back, or read the table as it is now: etl run --full-refresh; a longer retention than "
            "the reader may lag behind prevents this",
        )

    def _batches(self, file: TableFile, wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
        import pyarrow.parquet as pq

        with self._upstream.storage.open(file.path) as opened:
            parquet = pq.ParquetFile(opened, pre_buffer=False, arrow_extensions_enabled=False)
            given = parquet.schema_arrow.names
            kept = [name for name in given if name in wanted or name == CHANGE_TYPE]
            columns = None if any("." in name for name in given) else kept
            yield from parquet.iter_batches(batch_size=BATCH_ROWS, columns=columns, use_threads=False)

    def _completed(self, batch: pa.RecordBatch, file: TableFile, wanted: Sequence[str], start: int) -> pl.DataFrame:
        import polars as pl

        rows = batch.num_rows
        given = pl.DataFrame(batch) if batch.num_columns else pl.DataFrame()
        columns: dict[str, pl.Series] = {}
        for name in wanted:
            if name in self._origin:
                columns[name] = self._placed(name, file, start, rows)
            elif file.partition is not None and name in file.partition:
                columns[name] = partition_value(file.partition[name], self._types[name]).new_from_index(0, rows)
            elif name in given.columns:
                columns[name] = _typed(given[name], self._types[name])
            else:
                columns[name] = pl.Series([None], dtype=self._types[name]).new_from_index(0, rows)
        if CHANGE_TYPE in given.columns:
            columns[CHANGE_TYPE] = given[CHANGE_TYPE]
        return pl.DataFrame([values.alias(name) for name, values in columns.items()], height=rows)

    def _placed(self, name: str, file: TableFile, start: int, rows: int) -> pl.Series:
        import polars as pl

        if name == "_source_offset":
            return pl.int_range(start, start + rows, dtype=pl.Int64, eager=True)
        modified_at = _EPOCH + timedelta(microseconds=file.modified_ns // 1000)
        value: Any = file.path if name == "_source_file" else modified_at
        return pl.Series([value], dtype=self._origin[name]).new_from_index(0, rows)


def _typed(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Return values of a file as the type that the table has now, which holds all of them."""
    import polars as pl

    given = values.dtype
    if given == dtype:
        return values
    if isinstance(dtype, pl.Datetime) and isinstance(given, pl.Datetime) and given.time_zone is None:
        return values.dt.replace_time_zone(dtype.time_zone).cast(dtype)  # INT96 has no zone, and means UTC
    return values.cast(dtype, strict=not dtype.is_nested())


def partition_value(text: str | None, dtype: pl.DataType) -> pl.Series:
    """Return a value of a partition, from the text that the log has: empty text is null, as None is.

    *Source*: Delta protocol, "Partition Value Serialization".
    """
    import polars as pl

    if not text:
        return pl.Series([None], dtype=dtype)
    values = pl.Series([text], dtype=pl.String)
    if dtype == pl.Boolean:
        return values.str.to_lowercase() == "true"
    if dtype == pl.Date:
        return values.str.to_date("%Y-%m-%d")
    if isinstance(dtype, pl.Datetime):
        at = datetime.fromisoformat(text)
        return pl.Series([at if dtype.time_zone is None else at.replace(tzinfo=at.tzinfo or UTC)], dtype=dtype)
    if dtype == pl.Binary:
        return pl.Series([text.encode("utf-8", "surrogateescape")], dtype=dtype)
    return values.cast(dtype)
