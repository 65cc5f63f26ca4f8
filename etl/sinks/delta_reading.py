"""The rows of a Delta table's files, in the columns and types that the table has, or is to have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from etl.delta_types import from_delta_fields, stored
from etl.errors import SinkError
from etl.schema import is_list, is_struct, to_polars

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Schema, TypeTree
    from etl.sinks.delta_log import Head
    from etl.storage import Storage

_DECLARE = "declare the column's type under `schema:` of the source"

LiveFile = Mapping[str, Any]
"""A data file, as ``DeltaLog.live_files`` has it in a row."""


class FileReader:
    """Reads the files of one version. ``before`` are its columns, ``after`` those that it is to have.

    ``retypes`` tells whether columns change their type, so that every file has to be written anew.
    """

    def __init__(self, head: Head, after: Schema, storage: Storage, storage_options: Mapping[str, str]) -> None:
        self._storage = storage
        self._options = dict(storage_options)
        self.partition_by = head.partition_columns
        self.before = stored(from_delta_fields(head.fields))
        self.after = stored(after)
        self.retypes = any(has_other_type(tree, self.after.get(name, tree)) for name, tree in self.before.items())

    @property
    def url(self) -> str:
        """The table's root."""
        return self._storage.url

    def read(self, file: LiveFile, number: str | None = None) -> pl.LazyFrame:
        """Return the rows of a file in the columns that the table has now, partition columns included.

        The column ``number`` is put beside them: the place of each row in its file, from 0.
        """
        import polars as pl

        rows = self._scan(file, number)
        given = rows.collect_schema()
        types = to_polars(self.before)
        keys = file.get("partition") or {}
        columns = []
        for name, dtype in types.items():
            if name in self.partition_by:
                columns.append(pl.lit(keys.get(name)).cast(dtype).alias(name))
            elif name in given:
                # Not strict where it is nested: fields that the file lacks are null then, found by name.
                is_strict = not dtype.is_nested()
                columns.append(pl.col(name) if given[name] == dtype else pl.col(name).cast(dtype, strict=is_strict))
            else:
                columns.append(pl.lit(None, dtype).alias(name))
        return rows.select([*([] if number is None else [number]), *columns])

    def _scan(self, file: LiveFile, number: str | None = None) -> pl.LazyFrame:
        import polars as pl

        return pl.scan_parquet(
            f"{self._storage.url}/{unquote(file['path'])}",
            glob=False,
            hive_partitioning=False,
            storage_options=self._options or None,
            missing_columns="insert",
            row_index_name=number,
        )

    def counts(self, files: Sequence[LiveFile]) -> list[int]:
        """Return how many rows each file has, by its footer."""
        import polars as pl

        if not files:
            return []
        return list(pl.concat([self._scan(file).select(pl.len()) for file in files]).collect()["len"])

    def typed(self, file: LiveFile, number: str | None = None) -> pl.LazyFrame:
        """Return the rows of a file in the columns that the table is to have; those that are new come last, null.

        The column ``number`` is put before them: the place of each row in its file. Streaming raises SinkError where a
        value does not survive its new type.
        """
        import polars as pl

        rows = self.read(file, number)
        wanted, given = to_polars(self.after), to_polars(self.before)
        if number is not None:
            wanted = pl.Schema({number: rows.collect_schema()[number], **wanted})
            given = pl.Schema({number: wanted[number], **given})
        changed = [name for name in given if name in wanted and wanted[name] != given[name]]
        rows = rows.with_columns(pl.lit(None, wanted[name]).alias(name) for name in wanted if name not in given)
        if not changed:
            return rows.select(list(wanted))

        def retype(frame: pl.DataFrame) -> pl.DataFrame:
            return frame.with_columns(exactly(frame[name], wanted[name]) for name in changed).select(list(wanted))

        return rows.map_batches(retype, schema=wanted, streamable=True)


def has_other_type(before: TypeTree, after: TypeTree) -> bool:
    """Tell whether a column, or something in it, has another type ``after``; more fields in a struct are none."""
    if is_list(before) and is_list(after):
        return has_other_type(before["list"], after["list"])
    if is_struct(before) and is_struct(after):
        return any(has_other_type(tree, after["struct"].get(name, tree)) for name, tree in before["struct"].items())
    return before != after


def exactly(values: pl.Series, target: pl.DataType) -> pl.Series:
    """Return ``values`` as ``target``, nested too. Raises SinkError where one of them would change."""
    import polars as pl

    try:
        found = values.cast(target, strict=False)
    except pl.exceptions.PolarsError as exc:
        raise SinkError(f"the column cannot become {target}", where=values.name, hint=_DECLARE) from exc
    if not found.cast(values.dtype, strict=False).equals(values, null_equal=True):
        back = found.cast(values.dtype, strict=False)
        changed = pl.DataFrame({"before": values, "back": back}).filter(pl.col("before").ne_missing(pl.col("back")))
        raise SinkError(
            f"the column cannot become {target}: it holds {changed['before'][0]}",
            where=values.name,
            hint=_DECLARE,
        )
    return found
