"""``map_batches``: a function of the project's own, DataFrame to DataFrame, for models and calls to other services."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, RootModel

from etl.balance import Tally
from etl.errors import ConfigError, TransformError
from etl.model import BatchPlan
from etl.options import Options
from etl.schema import to_polars
from etl.transforms.columns import refuse_reserved, system_columns
from etl.transforms.contract import TransformSite
from etl.transforms.python import Difference
from etl.type_text import parse_type
from etl.user_functions import UserFunction

if TYPE_CHECKING:
    import polars as pl

DEFAULT_MAX_ROWS = 50_000


class MapBatchesCall(Options):
    """The function, how much it is given at a time, and what it adds."""

    function: str = Field(description="module:function, or module:Class whose instances can be called")
    max_rows: int = Field(default=DEFAULT_MAX_ROWS, ge=1, description="the most rows of one call")
    declared: dict[str, str] | None = Field(
        default=None,
        alias="schema",
        min_length=1,
        description="columns that are added or changed, with their types; default: found by a call without rows",
    )


class MapBatchesOptions(RootModel[Annotated[str, Field(min_length=1)] | MapBatchesCall]):
    """``module:function``, or the same with how it is called."""

    model_config = Options.model_config | {"extra": None}

    @property
    def call(self) -> MapBatchesCall:
        """How the function is called."""
        return MapBatchesCall(function=self.root) if isinstance(self.root, str) else self.root


class MapBatches:
    """Calls the function with one frame after the other, in order; the difference in rows is counted."""

    label = "map_batches"
    adds_rows: ClassVar[bool] = True
    options_model: ClassVar[type[MapBatchesOptions]] = MapBatchesOptions

    def __init__(self, options: MapBatchesOptions, site: TransformSite) -> None:
        call = options.call
        self._where = site.place(self.label)
        self._max_rows = call.max_rows
        self._declared = {name: parse_type(text, where=self._where) for name, text in (call.declared or {}).items()}
        refuse_reserved(self._declared, self._where)
        self._function = UserFunction(call.function, site.folder, self._where)

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return the columns that the function gives for no rows, or those that are declared. Raises ConfigError."""
        import polars as pl

        if self._declared:
            return pl.Schema({**given, **to_polars(self._declared)})
        try:
            schema = self._called(pl.DataFrame(schema=given)).schema
        except TransformError as exc:
            hint = f"{exc.hint}; one that cannot be called without rows needs `schema`"
            raise ConfigError(exc.message, where=exc.where, hint=hint) from exc
        lost = [name for name in system_columns(given) if name not in schema]
        if lost:
            raise ConfigError(
                f"{self._function.name} drops the system columns {', '.join(lost)}",
                where=self._where,
                hint="keep them: frame.with_columns(…) instead of select",
            )
        return schema

    def apply(self, rows: pl.LazyFrame, _plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
        """Return what the function makes of ``rows``. Raises ConfigError; while rows flow TransformError."""
        from polars.io.plugins import register_io_source

        schema = self.output_schema(rows.collect_schema())
        difference = Difference(tally)

        def stream(
            wanted: list[str] | None, predicate: pl.Expr | None, most: int | None, _: int | None
        ) -> Iterator[pl.DataFrame]:
            left = most
            for frame in rows.collect_batches(chunk_size=self._max_rows, maintain_order=True):
                difference.see(frame, -1)
                found = self._fitting(self._called(frame), schema)
                difference.see(found, 1)
                if left is not None:
                    found = found.head(left)
                    left -= found.height
                found = found if predicate is None else found.filter(predicate)
                yield found if wanted is None else found.select(wanted)
                if left == 0:
                    return

        return register_io_source(stream, schema=schema)

    def _called(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return what the function makes of a frame. Raises TransformError."""
        import polars as pl

        self._function.instantiate()
        found = self._function(frame)
        if not isinstance(found, pl.DataFrame):
            raise TransformError(
                f"{self._function.name} returned {type(found).__name__}, not a DataFrame",
                where=self._where,
                hint="return the frame; python: is for functions of a LazyFrame",
            )
        return found

    def _fitting(self, found: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
        """Return a frame with its columns in the order announced. Raises TransformError for any others."""
        if found.schema == schema:
            return found
        wrong = [
            f"{name} is {found.schema.get(name, 'missing')}, not {schema[name]}"
            for name in schema
            if found.schema.get(name) != schema[name]
        ]
        wrong += [f"{name} was not announced" for name in found.columns if name not in schema]
        if wrong:
            raise TransformError(
                f"{self._function.name} returned other columns than announced: {'; '.join(wrong)}",
                where=self._where,
                hint="give the same columns and types for every frame, or tell them in `schema`",
            )
        return found.select(list(schema))
