"""Rows of a file that has types, fitted into a reading schema: those that fit, those that are set aside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeAlias

from etl.errors import RowError, SchemaDriftError
from etl.formats.arrow_rescue import halve, to_json
from etl.formats.arrow_types import Difference, Evolution, difference
from etl.formats.arrow_values import NOT_TEXT, as_json, fit, may_hold
from etl.formats.contract import Chunk, numbers
from etl.rejects import rejects
from etl.schema import arrow_type
from etl.schema_contract import RESCUED

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from etl.model import Json, Schema, TypeTree
    from etl.rejects import Rule
    from etl.schema_contract import SchemaContract

Fault: TypeAlias = "tuple[Rule, str]"
Unfit: TypeAlias = "dict[int, dict[str, tuple[Json, Fault]]]"
"""Values that the file has and its own types cannot hold, by row and column; the array has null there."""


@dataclass(frozen=True)
class Layout:
    """One file's columns against a reading schema, under a contract."""

    schema: Schema
    found: Schema
    evolution: Evolution

    @property
    def contract(self) -> SchemaContract:
        """The policies."""
        return self.evolution.contract

    @cached_property
    def _difference(self) -> Difference:
        return difference(self.schema, self.found)

    @cached_property
    def fault(self) -> Fault | None:
        """Why no row of the file may pass: a name too many or too few."""
        if self.contract.new_columns in ("quarantine", "fail") and (new := self._difference.new):
            return "new_column", f"columns that the schema lacks: {', '.join(new)}"
        if self.contract.missing_columns != "null" and (missing := self._difference.missing):
            return "missing_column", f"columns that the file lacks: {', '.join(missing)}"
        return None

    @cached_property
    def rescued(self) -> list[str]:
        """The columns that go into ``_rescued_data``, all of them."""
        if self.contract.new_columns != "rescue":
            return []
        return [name for name in self.found if name not in self.schema or name == RESCUED]

    @cached_property
    def has_new_fields(self) -> frozenset[str]:
        """The columns with fields that go into ``_rescued_data``."""
        if self.contract.new_columns != "rescue":
            return frozenset()
        return frozenset(name for name in self.found if name in self.schema and difference(*self._alone(name)).new) - {
            RESCUED
        }

    def _alone(self, name: str) -> tuple[Schema, Schema]:
        return {name: self.schema[name]}, {name: self.found[name]}

    @property
    def columns(self) -> list[str]:
        """What is to be read of the file: not what the contract ignores."""
        if self.contract.new_columns == "ignore":
            return [name for name in self.found if name in self.schema]
        return list(self.found)

    def check_failing(self) -> None:
        """Refuse a file whose names the contract makes fail. Raises RowError."""
        if self.fault is not None:
            policy = self.contract.new_columns if self.fault[0] == "new_column" else self.contract.missing_columns
            if policy == "fail":
                hint = "correct the file, or the schema contract"
                raise RowError(self.fault[1], where=self.evolution.path, hint=hint)

    def check(self) -> None:
        """Refuse a file that the contract does not let pass, or that is to widen the schema first.

        Raises RowError, SchemaDriftError and, for a new type that no table keeps, UnreadableFileError.
        """
        self.check_failing()
        if self.fault is None and self.evolution.schema(self.schema, self.found) != self.schema:
            path = self.evolution.path
            raise SchemaDriftError("columns, fields or types that are not in the schema", where=path)

    def chunk(self, batch: pa.RecordBatch | pl.DataFrame, offset: int, unfit: Unfit | None = None) -> Chunk:
        """Return the rows of a batch, the first of which is the file's row ``offset``; a frame fits as it is.

        Raises RowError where the contract says ``fail``.
        """
        import polars as pl

        if isinstance(batch, pl.DataFrame):
            return Chunk(batch, batch.height, partial(numbers, offset, batch.height))
        return _Fitting(self, batch, offset, unfit or {}).chunk()


class _Fitting:
    """One batch on its way into the schema."""

    def __init__(self, layout: Layout, batch: pa.RecordBatch, offset: int, unfit: Unfit) -> None:
        self._layout = layout
        self._given = {name: batch.column(place) for place, name in enumerate(batch.schema.names)}
        self._rows = batch.num_rows
        self._offset = offset
        self._unfit = unfit
        self._bad: dict[int, Fault] = {}
        self._rest: dict[int, dict[str, Json]] = {}

    def chunk(self) -> Chunk:
        import polars as pl
        import pyarrow as pa

        if self._layout.fault is not None:
            self._bad = dict.fromkeys(range(self._rows), self._layout.fault)
        names = list(self._layout.schema)
        self._take_unfit()
        columns = [self._column(name, tree) for name, tree in self._layout.schema.items()]
        if RESCUED in names and self._layout.contract.rescues:
            columns[names.index(RESCUED)] = self._rescued()
        frame = pl.DataFrame(pa.table(columns, names=names))
        if not self._bad:
            return Chunk(frame, self._rows, partial(numbers, self._offset, self._rows))
        good = [row for row in range(self._rows) if row not in self._bad]
        frame = frame[good] if names else frame
        return Chunk(frame, len(good), partial(_places, self._offset, good), self._rejects())

    def _take_unfit(self) -> None:
        is_rescued = self._layout.contract.type_change == "rescue"
        for row, cells in self._unfit.items():
            for name, (value, fault) in cells.items():
                if is_rescued or name in self._layout.rescued:
                    self._rest.setdefault(row, {})[name] = value
                else:
                    self._refuse(row, fault)

    def _refuse(self, row: int, fault: Fault) -> None:
        if self._layout.contract.type_change == "fail":
            where = f"{self._layout.evolution.path}:{self._offset + row}"
            raise RowError(fault[1], where=where, hint="rows count from 0")
        self._bad.setdefault(row, fault)

    def _column(self, name: str, tree: TypeTree) -> pa.Array:
        import pyarrow as pa

        array = self._given.get(name)
        if array is None or len(self._bad) == self._rows or (name == RESCUED and self._layout.contract.rescues):
            return pa.nulls(self._rows, arrow_type(tree))
        if name in self._layout.has_new_fields:
            return self._halved(name, array, [row for row in range(self._rows) if array[row].is_valid])
        bad = self._unfit_in(array, tree)
        if not bad:
            return fit(array, tree)
        if self._layout.contract.type_change == "rescue":
            return self._halved(name, array, bad)
        for row in bad:
            self._set_aside(row, name, array)
        return fit(without(array, bad), tree)

    def _unfit_in(self, array: pa.Array, tree: TypeTree) -> list[int]:
        """Return the rows whose value is not one of the column's type."""
        import pyarrow as pa

        try:
            fit(array, tree)
        except pa.ArrowException:
            return list(_unfit_rows(array, tree, 0))
        return []

    def _set_aside(self, row: int, name: str, array: pa.Array) -> None:
        import pyarrow as pa

        try:
            fit(array.slice(row, 1), self._layout.schema[name])
        except pa.ArrowException as exc:
            rule: Rule = "encoding" if NOT_TEXT in str(exc) else "type"
            self._refuse(row, (rule, f"column {name}: {in_words(exc)}"))

    def _halved(self, name: str, array: pa.Array, rows: list[int]) -> pa.Array:
        import pyarrow as pa

        tree = self._layout.schema[name]
        pieces, order = [fit(without(array, rows), tree)], list(range(self._rows))
        for row in rows:
            try:
                half = halve(array.slice(row, 1), tree, self._layout.contract)
            except pa.ArrowException:
                self._set_aside(row, name, array)
                continue
            order[row] = self._rows + len(pieces) - 1
            pieces.append(half.kept)
            if not half.is_whole:
                self._rest.setdefault(row, {})[name] = half.rest
        return pa.concat_arrays(pieces).take(pa.array(order))

    def _rescued(self) -> pa.Array:
        import pyarrow as pa

        for name in self._layout.rescued:
            array = self._given[name]
            for row in range(self._rows) if array.null_count < self._rows else ():
                if array[row].is_valid:
                    self._rest.setdefault(row, {})[name] = as_json(array[row])
        texts = [to_json(self._rest[row]) if row in self._rest else None for row in range(self._rows)]
        return pa.array(texts, pa.string())

    def _rejects(self) -> pl.DataFrame:
        found = rejects(
            [
                {
                    "raw": to_json(self._row(row)).encode("utf-8", "backslashreplace"),
                    "form": "json",
                    "_source_offset": self._offset + row,
                    "rule": rule,
                    "reason": reason,
                }
                for row, (rule, reason) in sorted(self._bad.items())
            ]
        )
        return found.drop("_source_file")

    def _row(self, row: int) -> dict[str, Json]:
        cells = {name: value for name, (value, _) in self._unfit.get(row, {}).items()}
        return {name: as_json(array[row]) for name, array in self._given.items()} | cells


def without(array: pa.Array, rows: list[int]) -> pa.Array:
    """Return ``array`` with null in some of its rows."""
    import pyarrow as pa

    absent = set(rows)
    return array.take(pa.array([None if row in absent else row for row in range(len(array))], pa.int64()))


def _unfit_rows(array: pa.Array, tree: TypeTree, first: int) -> Iterator[int]:
    """Yield the rows of an array that does not fit as a whole which do not fit by themselves, by halving."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(tree, str) and not pa.types.is_dictionary(array.type) and not may_hold(array.type, tree):
        yield from (first + row for row in pc.indices_nonzero(array.is_valid()).to_pylist())
        return
    if len(array) == 1:
        yield first
        return
    middle = len(array) // 2
    for part, start in ((array.slice(0, middle), first), (array.slice(middle), first + middle)):
        try:
            fit(part, tree)
        except pa.ArrowException:
            yield from _unfit_rows(part, tree, start)


def in_words(error: Exception) -> str:
    """Return the message of a cast without what is of no use to a person."""
    return str(error).split(". If these timestamps")[0].removeprefix("Invalid: ").removesuffix(".")


def _places(offset: int, rows: list[int]) -> Any:  # noqa: ANN401  polars is imported late
    import polars as pl

    return pl.Series("_source_offset", [offset + row for row in rows], pl.Int64)
