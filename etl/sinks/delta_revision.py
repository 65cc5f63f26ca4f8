"""Rows that a Delta table holds already, written anew: other types, without the rows of some files, with other marks.

Only files that hold such rows are rewritten, streaming. What is taken out and what is put in are one version, and rows
are counted on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from etl.errors import BalanceError, SinkError
from etl.schema import is_list, is_struct, to_polars
from etl.sinks.contract import Edit
from etl.sinks.delta_log import DeltaLog, Head
from etl.sinks.delta_types import from_delta_fields, stored

if TYPE_CHECKING:
    import polars as pl

    from etl.model import TypeTree
    from etl.storage import Storage

_MARKED_BY = "row_id"
_FROM = "_source_file"
_TEXT_LENGTH = 32
_NEW = "_etl_new_"
_DECLARE = "declare the column's type under `schema:` of the source"


class TableRevision:
    """What an edit takes out of one version of a table, and what it puts back.

    ``retypes`` tells whether columns change their type, so that every file has to be written anew.
    """

    def __init__(
        self, log: DeltaLog, head: Head, edit: Edit, storage: Storage, storage_options: Mapping[str, str]
    ) -> None:
        self._edit = edit
        self._storage = storage
        self._options = dict(storage_options)
        self._partition_by = head.partition_columns
        self._before = stored(from_delta_fields(head.fields))
        self._after = stored(edit.schema)
        self.retypes = any(has_other_type(tree, self._after.get(name, tree)) for name, tree in self._before.items())
        self._files = self._touched(log.live_files(head)) if self._has_work else []

    @property
    def _has_work(self) -> bool:
        return bool(self.retypes or self._edit.files or self._edit.marks)

    @property
    def removes(self) -> tuple[str, ...]:
        """The files that are taken out, as the table's log writes them."""
        return tuple(file["path"] for file in self._files)

    @property
    def is_data_change(self) -> bool:
        """Whether rows go or change, and not only their types."""
        return bool(self._edit.files or self._edit.marks)

    def _touched(self, live: pl.DataFrame) -> list[dict[str, Any]]:
        """Return the files that hold rows to be changed: all for a type, else by their statistics, then their rows."""
        if self._edit.files and _FROM not in self._before:
            raise SinkError(
                f"the table has no {_FROM}, by which the rows of a file are found",
                where=self._storage.url,
                hint="set `sink.provenance: true`, keep the column through the transforms and build the table anew",
            )
        rows = live.to_dicts()
        if self.retypes:
            return rows
        return [file for file in rows if self._may_touch(file) and self._touches(file)]

    def _may_touch(self, file: Mapping[str, Any]) -> bool:
        column, wanted = (_FROM, self._edit.files) if self._edit.files else (_MARKED_BY, self._edit.marks)
        low, high = ((file.get(bound) or {}).get(column) for bound in ("min", "max"))
        if not isinstance(low, str) or not isinstance(high, str):
            return True
        return any(low <= each and each[:_TEXT_LENGTH] <= high for each in wanted)

    def _touches(self, file: Mapping[str, Any]) -> bool:
        import polars as pl

        rows = self._read(file)
        column, wanted = (_FROM, self._edit.files) if self._edit.files else (_MARKED_BY, self._edit.marks)
        found = rows.filter(pl.col(column).is_in(list(wanted))).select(pl.len()).collect()
        return bool(found.item())

    def rows(self) -> pl.LazyFrame:
        """Return the rows that are put back. Streaming raises SinkError where a value does not survive its new type."""
        import polars as pl

        edited = [self._edited(self._typed(self._read(file))) for file in self._files]
        return pl.concat(edited)

    def _read(self, file: Mapping[str, Any]) -> pl.LazyFrame:
        """Return the rows of a file in the columns that the table has now, partition columns included."""
        import polars as pl

        url = f"{self._storage.url}/{unquote(file['path'])}"
        rows = pl.scan_parquet(
            url, glob=False, hive_partitioning=False, storage_options=self._options or None, missing_columns="insert"
        )
        given = rows.collect_schema()
        types = to_polars(self._before)
        keys = file.get("partition") or {}
        columns = []
        for name, dtype in types.items():
            if name in self._partition_by:
                columns.append(pl.lit(keys.get(name), pl.String).cast(dtype).alias(name))
            elif name in given:
                # Not strict where it is nested: fields that the file lacks are null then, found by name.
                is_strict = not dtype.is_nested()
                columns.append(pl.col(name) if given[name] == dtype else pl.col(name).cast(dtype, strict=is_strict))
            else:
                columns.append(pl.lit(None, dtype).alias(name))
        return rows.select(columns)

    def _typed(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return the rows in the types of the edit; columns that are new come last, null."""
        import polars as pl

        wanted, given = to_polars(self._after), to_polars(self._before)
        changed = [name for name in given if name in wanted and wanted[name] != given[name]]
        rows = rows.with_columns(pl.lit(None, wanted[name]).alias(name) for name in wanted if name not in given)
        if not changed:
            return rows.select(list(wanted))

        def retype(frame: pl.DataFrame) -> pl.DataFrame:
            return frame.with_columns(exactly(frame[name], wanted[name]) for name in changed).select(list(wanted))

        return rows.map_batches(retype, schema=wanted, streamable=True)

    def _edited(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        import polars as pl

        if self._edit.files:
            is_gone = pl.col(_FROM).is_in(list(self._edit.files)).fill_null(value=False)
            rows = rows.filter(~is_gone)
        return self._marked(rows) if self._edit.marks else rows

    def _marked(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return the rows with other values where there is a mark for their id."""
        import polars as pl

        types = rows.collect_schema()
        names = list(next(iter(self._edit.marks.values())))
        columns = {_MARKED_BY: list(self._edit.marks)} | {
            f"{_NEW}{name}": [marks[name] for marks in self._edit.marks.values()] for name in names
        }
        kinds = {column: types[column.removeprefix(_NEW)] for column in columns}
        new = pl.LazyFrame(columns, schema=kinds).with_columns(pl.lit(value=True).alias(_NEW))
        is_marked = pl.col(_NEW).fill_null(value=False)
        return (
            rows.join(new, on=_MARKED_BY, how="left")
            .with_columns(
                pl.when(is_marked).then(pl.col(f"{_NEW}{name}")).otherwise(pl.col(name)).alias(name) for name in names
            )
            .select(list(types))
        )

    @cached_property
    def gone(self) -> int:
        """How many rows leave the table."""
        import polars as pl

        if not self._edit.files:
            return 0
        is_gone = pl.col(_FROM).is_in(list(self._edit.files))
        counted = [self._read(file).filter(is_gone).select(pl.len()) for file in self._files]
        return int(pl.concat(counted).collect()["len"].sum())

    def check(self, written: int) -> None:
        """Refuse to put back fewer or more rows than were there. Raises BalanceError."""
        import polars as pl

        counted = [self._read(file).select(pl.len()) for file in self._files]
        before = int(pl.concat(counted).collect()["len"].sum())
        if written != before - self.gone:
            raise BalanceError(
                f"{before} rows taken out, {self.gone} of them for good, {written} put back", where=self._storage.url
            )


def has_other_type(before: TypeTree, after: TypeTree) -> bool:
    """Tell whether a column, or something in it, has another type ``after``; a struct with more fields alone has not."""
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
