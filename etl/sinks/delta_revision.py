"""Rows that a Delta table holds already, written anew: other types, without those of some files, other marks.

Only files that hold such rows are rewritten, streaming. What is taken out and what is put in are one version, and rows
are counted on both sides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.balance import observed
from etl.errors import BalanceError, SinkError
from etl.sinks.contract import Edit
from etl.sinks.delta_files import nan_observer, partition_text
from etl.sinks.delta_reading import FileReader, LiveFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

_MARKED_BY = "row_id"
_FROM = "_source_file"
_TEXT_LENGTH = 32
_NEW = "_etl_new_"


class TableRevision:
    """What an edit takes out of one version of a table, and what it puts back.

    ``live`` gives the files of the version. ``gone`` is how many rows leave for good, those of replaced partitions
    aside.
    """

    def __init__(self, live: Callable[[], pl.DataFrame], reader: FileReader, edit: Edit) -> None:
        self._edit = edit
        self._replaced: list[LiveFile] = []
        self._reader = reader
        self.retypes = reader.retypes
        self._files, self.gone = self._touched(live()) if self._has_work else ([], 0)

    @property
    def _has_work(self) -> bool:
        return bool(self.retypes or self.is_data_change)

    @property
    def removes(self) -> tuple[str, ...]:
        """The files that are taken out, as the table's log writes them."""
        return tuple(file["path"] for file in (*self._replaced, *self._files))

    @property
    def puts_back(self) -> bool:
        """Whether rows have to be written."""
        return bool(self._files)

    @property
    def is_data_change(self) -> bool:
        """Whether rows go or change, and not only their types."""
        return bool(self._edit.files or self._edit.marks or self._edit.partitions)

    def _touched(self, live: pl.DataFrame) -> tuple[list[LiveFile], int]:
        """Return the files that hold rows to be changed (all for a type), and how many rows leave them for good.

        They are found by their statistics, then by looking.
        """
        if self._edit.partitions:
            every_file: list[LiveFile] = [*live.to_dicts()]
            self._replaced = [file for file in every_file if self._partition_of(file) in self._edit.partitions]
            return [file for file in every_file if self.retypes and file not in self._replaced], 0
        if self._edit.files and _FROM not in self._reader.before:
            raise SinkError(
                f"the table has no {_FROM}, by which the rows of a file are found",
                where=self._reader.url,
                hint="set `sink.provenance: true`, keep the column through the transforms and build the table anew",
            )
        if self.retypes:
            every: list[LiveFile] = [*live.to_dicts()]
            return every, self._gone(self._concerned(every))
        files: list[LiveFile] = [file for file in live.to_dicts() if self._may_touch(file)]
        rows = self._concerned(files)
        touched = [file for file, count in zip(files, rows, strict=True) if count]
        return touched, self._gone(rows)

    def _partition_of(self, file: LiveFile) -> tuple[str | None, ...]:
        values = file.get("partition") or {}
        named = ((name, values.get(name)) for name in self._reader.partition_by)
        return tuple(None if value is None else partition_text(value, name) for name, value in named)

    def _gone(self, concerned: Sequence[int]) -> int:
        """Return how many of the rows that go or change go."""
        return sum(concerned) if self._edit.files else 0

    def _may_touch(self, file: LiveFile) -> bool:
        column, wanted = (_FROM, self._edit.files) if self._edit.files else (_MARKED_BY, self._edit.marks)
        low, high = ((file.get(bound) or {}).get(column) for bound in ("min", "max"))
        if not isinstance(low, str) or not isinstance(high, str):
            return True
        return any(low <= each and each[:_TEXT_LENGTH] <= high for each in wanted)

    def _concerned(self, files: Sequence[LiveFile]) -> list[int]:
        """Return how many rows of each file go or change."""
        import polars as pl

        if not self.is_data_change:
            return []
        column, wanted = (_FROM, self._edit.files) if self._edit.files else (_MARKED_BY, self._edit.marks)
        is_concerned = pl.col(column).is_in(list(wanted))
        return [self._reader.read(file).filter(is_concerned).select(pl.len()).collect().item() for file in files]

    def written(self) -> tuple[list[pl.LazyFrame], set[str]]:
        """Return the rows that are put back, to be written together, and which columns hold NaN.

        The set is whole once the rows are written. Streaming raises SinkError where a value does not survive its new
        type.
        """
        import polars as pl

        if not self._files:
            return [], set()
        look, found = nan_observer()
        rows = pl.concat([self._reader.typed(file) for file in self._files])
        if self._edit.files:
            rows = rows.filter(~pl.col(_FROM).is_in(list(self._edit.files)).fill_null(value=False))
        return [observed(self._marked(rows) if self._edit.marks else rows, look)], found

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

    def check(self, written: int) -> None:
        """Refuse to put back fewer or more rows than were there. Raises BalanceError."""
        before = sum(self._reader.counts(self._files))
        if written != before - self.gone:
            raise BalanceError(
                f"{before} rows taken out, {self.gone} of them for good, {written} put back",
                where=self._reader.url,
            )
