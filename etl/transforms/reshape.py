"""``explode``, ``unnest`` and ``unpivot``: lists into rows, structs into columns, columns into rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, RootModel

from etl.balance import Tally, observed
from etl.errors import ConfigError
from etl.model import BatchPlan
from etl.options import Options
from etl.transforms.columns import (
    STRICT,
    refuse_changes,
    refuse_reserved,
    refuse_twice,
    require,
    system_columns,
    try_on_empty,
)
from etl.transforms.contract import Origins, TransformSite

if TYPE_CHECKING:
    import polars as pl

Names = Annotated[list[str], Field(min_length=1)]


class ExplodeOptions(RootModel[Names]):
    """Names of list columns; several are opened side by side and must be of equal length in each row."""

    model_config = STRICT


class Explode:
    """Gives one row per element; an empty or missing list gives one row with null, so that no row is lost."""

    label = "explode"
    adds_rows: ClassVar[bool] = True
    options_model: ClassVar[type[ExplodeOptions]] = ExplodeOptions

    def __init__(self, options: ExplodeOptions, site: TransformSite) -> None:
        self._names = options.root
        self._where = site.place(self.label)
        refuse_twice(self._names, self._where)

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return ``given`` with elements for lists. Raises ConfigError."""
        import polars as pl

        refuse_changes(given, self._where)
        require(self._names, given, self._where)
        for name in self._names:
            if not isinstance(given[name], pl.List):
                raise ConfigError(
                    f"{name!r} is {given[name]}, not a list", where=self._where, hint="explode opens lists"
                )
        return try_on_empty(given, self._opened, self._where)

    def apply(self, rows: pl.LazyFrame, _plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
        """Return a row per element; the rows beyond the first of each are counted as ``added``."""

        def count(frame: pl.DataFrame) -> None:
            lengths = frame[self._names[0]].list.len().fill_null(1).clip(lower_bound=1)
            tally.count("added", frame, lengths - 1)

        return self._opened(observed(rows, count))

    def _opened(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.explode(self._names, empty_as_null=True, keep_nulls=True)


class UnnestOptions(RootModel[Names]):
    """Names of struct columns."""

    model_config = STRICT


class Unnest:
    """Puts the fields of structs in their place as columns; a missing struct gives nulls."""

    label = "unnest"
    options_model: ClassVar[type[UnnestOptions]] = UnnestOptions

    def __init__(self, options: UnnestOptions, site: TransformSite) -> None:
        self._names = options.root
        self._where = site.place(self.label)

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return ``given`` with fields for structs. Raises ConfigError where a field has the name of a column."""
        import polars as pl

        refuse_changes(given, self._where)
        require(self._names, given, self._where)
        found: list[str] = []
        for name, kind in given.items():
            if name not in self._names:
                found.append(name)
            elif isinstance(kind, pl.Struct):
                fields = [field.name for field in kind.fields]
                refuse_reserved(fields, self._where)
                found.extend(fields)
            else:
                raise ConfigError(f"{name!r} is {kind}, not a struct", where=self._where, hint="unnest opens structs")
        refuse_twice(found, self._where)
        return try_on_empty(given, self._opened, self._where)

    def apply(self, rows: pl.LazyFrame, _plan: BatchPlan, _tally: Tally) -> pl.LazyFrame:
        """Return ``rows`` with fields for structs."""
        return self._opened(rows)

    def origins(self, given: pl.Schema) -> Origins:
        """Return the struct that each field comes from."""
        kinds: dict[str, Any] = {name: given[name] for name in self._names}
        return {field.name: frozenset((name,)) for name, kind in kinds.items() for field in kind.fields}

    def _opened(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.unnest(self._names)


class UnpivotOptions(Options):
    """``on`` become rows; ``index`` (default: all others) stay beside them."""

    on: Names
    index: list[str] | None = None
    variable_name: str = "variable"
    value_name: str = "value"


class Unpivot:
    """Gives a row per column of ``on``, with its name and its value; all of them have one type."""

    label = "unpivot"
    adds_rows: ClassVar[bool] = True
    options_model: ClassVar[type[UnpivotOptions]] = UnpivotOptions

    def __init__(self, options: UnpivotOptions, site: TransformSite) -> None:
        self._options = options
        self._where = site.place(self.label)
        refuse_reserved([*options.on, options.variable_name, options.value_name], self._where)

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return index, variable and value. Raises ConfigError for mixed types and for names that come twice."""
        refuse_changes(given, self._where)
        on, index = self._options.on, self._index(given)
        require([*on, *index], given, self._where)
        refuse_twice([*on, *index], self._where)
        refuse_twice([*index, self._options.variable_name, self._options.value_name], self._where)
        kinds = {str(given[name]) for name in on}
        if len(kinds) > 1:
            raise ConfigError(
                f"the columns of `on` have different types: {', '.join(sorted(kinds))}",
                where=self._where,
                hint="cast them to one type first",
            )
        return try_on_empty(given, self._turned, self._where)

    def apply(self, rows: pl.LazyFrame, _plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
        """Return a row per column of ``on``; those beyond the first are counted as ``added``."""
        more = len(self._options.on) - 1

        return self._turned(observed(rows, lambda frame: tally.count("added", frame, _each(frame, more))))

    def origins(self, _given: pl.Schema) -> Origins:
        """Return the columns that became rows, for names and values."""
        on = frozenset(self._options.on)
        return {self._options.variable_name: on, self._options.value_name: on}

    def _turned(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        options = self._options
        return rows.unpivot(
            options.on,
            index=self._index(rows.collect_schema()),
            variable_name=options.variable_name,
            value_name=options.value_name,
        )

    def _index(self, given: pl.Schema) -> list[str]:
        named = self._options.index
        if named is None:
            return [name for name in given if name not in self._options.on]
        return [*named, *(name for name in system_columns(given) if name not in named)]


def _each(frame: pl.DataFrame, number: int) -> pl.Series:
    import polars as pl

    return pl.repeat(number, frame.height, dtype=pl.Int64, eager=True)
