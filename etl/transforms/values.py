"""``cast`` and ``fill_null``: other types, and values for the missing ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, RootModel, StrictBool, StrictFloat, StrictInt, StrictStr

from etl.balance import Tally
from etl.errors import ConfigError, TransformError
from etl.expressions import plain_message
from etl.model import BatchPlan
from etl.schema import to_polars
from etl.transforms.casting import check_cast, exact_cast
from etl.transforms.columns import STRICT, kept_keys, refuse_reserved, require, system_columns
from etl.transforms.contract import TransformSite
from etl.type_text import parse_type

if TYPE_CHECKING:
    import polars as pl

Literal = StrictBool | StrictInt | StrictFloat | StrictStr


class CastOptions(RootModel[Annotated[dict[str, str], Field(min_length=1)]]):
    """Column to type."""

    model_config = STRICT


class Cast:
    """Gives columns other types; a value that would change on the way fails the batch."""

    label = "cast"
    options_model: ClassVar[type[CastOptions]] = CastOptions

    def __init__(self, options: CastOptions, site: TransformSite) -> None:
        self._where = site.place(self.label)
        refuse_reserved(options.root, self._where)
        self._trees = {name: parse_type(text, where=self._where) for name, text in options.root.items()}

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return ``given`` with the types. Raises ConfigError for a cast that no value survives."""
        import polars as pl

        require(self._trees, given, self._where)
        targets = to_polars(self._trees)
        for name, target in targets.items():
            try:
                check_cast(given[name], target)
            except ConfigError as exc:
                raise ConfigError(f"{name}: {exc.message}", where=self._where, hint=exc.hint) from exc
        return pl.Schema({name: targets.get(name, kind) for name, kind in given.items()})

    def kept_keys(self, keys: Sequence[str]) -> list[str]:
        """Return the keys of a changing result: two values stay two, whatever their type."""
        return list(keys)

    def apply(self, rows: pl.LazyFrame, _plan: BatchPlan, _tally: Tally) -> pl.LazyFrame:
        """Return ``rows`` with the types. Raises TransformError, while the rows flow, naming column and value."""
        targets = to_polars(self._trees)
        schema = self.output_schema(rows.collect_schema())

        def cast(frame: pl.DataFrame) -> pl.DataFrame:
            return frame.with_columns(self._column(frame[name], target) for name, target in targets.items())

        return rows.map_batches(cast, schema=schema, streamable=True)

    def _column(self, values: pl.Series, target: pl.DataType) -> pl.Series:
        import polars as pl

        try:
            found, is_lost = exact_cast(values, target)
        except pl.exceptions.PolarsError as exc:
            raise TransformError(
                f"{values.name}: {plain_message(exc)}", where=self._where, hint="look at the types of the column"
            ) from exc
        if is_lost.any():
            lost = values.filter(is_lost)
            raise TransformError(
                f"{values.name}: {len(lost)} of {len(values)} values cannot become {target} unchanged, "
                f"the first is {lost[0]!r}",
                where=self._where,
                hint="filter these rows, or say in with_columns what is to become of them",
            )
        return found


class FillNullOptions(RootModel[Literal | Annotated[dict[str, Literal], Field(min_length=1)]]):
    """A value for every column of its type, or column to value."""

    model_config = STRICT


class FillNull:
    """Puts a value where there is none; types stay as they are."""

    label = "fill_null"
    options_model: ClassVar[type[FillNullOptions]] = FillNullOptions

    def __init__(self, options: FillNullOptions, site: TransformSite) -> None:
        self._value = options.root
        self._where = site.place(self.label)
        if isinstance(self._value, dict):
            refuse_reserved(self._value, self._where)

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return ``given``. Raises ConfigError for a value that is not of its column's type."""
        self._fillers(given)
        return given

    def kept_keys(self, keys: Sequence[str]) -> list[str]:
        """Return the keys of a changing result. Raises ConfigError for one that may be filled: null is a key, too."""
        filled = self._value if isinstance(self._value, dict) else keys
        return kept_keys(keys, {name: name for name in keys if name not in filled}, self._where)

    def apply(self, rows: pl.LazyFrame, _plan: BatchPlan, _tally: Tally) -> pl.LazyFrame:
        """Return ``rows`` with the gaps filled."""
        import polars as pl

        return rows.with_columns(
            pl.col(name).fill_null(pl.lit(value)) for name, value in self._fillers(rows.collect_schema()).items()
        )

    def _fillers(self, given: pl.Schema) -> dict[str, pl.Series]:
        """Return a one-value series of the column's own type, by column."""
        if isinstance(self._value, dict):
            require(self._value, given, self._where)
            return {name: self._filler(name, value, given[name]) for name, value in self._value.items()}
        value = self._value
        chosen = [name for name in given if name not in system_columns(given) and _is_of(value, given[name])]
        if not chosen:
            raise ConfigError(
                f"no column takes {value!r}", where=self._where, hint="name the columns: fill_null: {column: value}"
            )
        return {name: self._filler(name, value, given[name]) for name in chosen}

    def _filler(self, name: str, value: Literal, kind: pl.DataType) -> pl.Series:
        import polars as pl

        fault = ConfigError(f"{name}: {value!r} is no {kind}", where=self._where, hint="write a value of that type")
        if isinstance(value, bool) != (kind == pl.Boolean):
            raise fault
        try:
            found, is_lost = exact_cast(pl.Series(name, [value]), kind)
        except pl.exceptions.PolarsError as exc:
            raise fault from exc
        if is_lost.any():
            raise fault
        return found


def _is_of(value: Literal, kind: pl.DataType) -> bool:
    """Tell whether a value for every column is meant for one of ``kind``."""
    import polars as pl

    if isinstance(value, bool):
        return kind == pl.Boolean
    if isinstance(value, int):
        return kind.is_numeric()
    return kind.is_float() if isinstance(value, float) else kind == pl.String
