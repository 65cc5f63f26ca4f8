"""``union``: the rows of other sources beneath those of this one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from etl.balance import Tally
from etl.errors import ConfigError
from etl.model import CHANGE, SOURCE_ROW, BatchPlan
from etl.options import Options
from etl.schema import from_polars, to_polars
from etl.transforms.columns import system_columns
from etl.transforms.contract import TransformSite
from etl.transforms.source_rows import as_merged, merged_type
from etl.widening import common_type

if TYPE_CHECKING:
    import polars as pl


class UnionOptions(Options):
    """Which sources are taken in."""

    with_: list[str] = Field(alias="with", min_length=1, description="names of sources; each is taken in once")


class Union:
    """Puts the rows of other sources beneath its own, columns by name.

    The result has the columns of all of them, null where a source lacks one. Of a column that several have, the type is
    the one that holds every value of all of them exactly.
    """

    label = "union"
    options_model: ClassVar[type[UnionOptions]] = UnionOptions

    def __init__(self, options: UnionOptions, site: TransformSite) -> None:
        self.inputs = tuple(options.with_)
        self._options = options
        self._site = site
        self._where = site.place(self.label)

    def without(self, names: Collection[str]) -> Union:
        """Return the union of those that are not among ``names``."""
        kept = [name for name in self.inputs if name not in names]
        return Union(self._options.model_copy(update={"with_": kept}), self._site)

    def output_schema(self, given: pl.Schema, *others: pl.Schema) -> pl.Schema:
        """Return the columns of all: the first source's in their order, then what others add, system columns last.

        Raises ConfigError where a column has types that nothing holds exactly, and for a changing result.
        """
        import polars as pl

        schemas = (given, *others)
        if any(CHANGE in schema for schema in schemas):
            raise ConfigError(
                "a changing result (emit: updates) cannot be part of a union",
                where=self._where,
                hint="say emit: final, or put the union before the group_by",
            )
        names = dict.fromkeys(name for schema in schemas for name in schema)
        system = system_columns(names)
        return pl.Schema(
            {name: self._type(name, schemas) for name in [*(each for each in names if each not in system), *system]}
        )

    def _type(self, name: str, schemas: Sequence[pl.Schema]) -> pl.DataType:
        kinds = [schema[name] for schema in schemas if name in schema]
        if name == SOURCE_ROW:
            return merged_type(kinds)
        found = kinds[0]
        for kind in kinds[1:]:
            merged = found if kind == found else _merged(found, kind)
            if merged is None:
                raise ConfigError(
                    f"column {name!r} is {kind} in one source and {found} in another",
                    where=self._where,
                    hint=f"make them one type: transforms: [{{cast: {{{name}: …}}}}] of one of the sources",
                )
            found = merged
        return found

    def apply(self, rows: pl.LazyFrame, _plan: BatchPlan, _tally: Tally) -> pl.LazyFrame:
        """Return ``rows``: what there is without other sources."""
        return self.combine(rows, ())

    def combine(self, rows: pl.LazyFrame, others: tuple[pl.LazyFrame, ...]) -> pl.LazyFrame:
        """Return the rows of all, in no particular order; ``others`` are those of ``inputs``."""
        import polars as pl

        frames = (rows, *others)
        schemas = [frame.collect_schema() for frame in frames]
        wanted = self.output_schema(*schemas)
        return pl.concat(
            [_as(frame, schema, wanted) for frame, schema in zip(frames, schemas, strict=True)], how="vertical"
        )


def _merged(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """Return the type that holds every value of both exactly, None where there is none."""
    import polars as pl

    try:
        trees = [from_polars(pl.Schema({"x": kind}))["x"] for kind in (one, other)]
    except ConfigError:
        return None
    found = common_type(*trees)
    return None if found is None else to_polars({"x": found})["x"]


def _as(rows: pl.LazyFrame, given: pl.Schema, wanted: pl.Schema) -> pl.LazyFrame:
    """Return ``rows`` in the columns of the union."""
    import polars as pl

    columns = []
    for name, kind in wanted.items():
        if name not in given:
            columns.append(pl.lit(None, dtype=kind).alias(name))
        elif given[name] == kind:
            columns.append(pl.col(name))
        else:
            columns.append(as_merged(given[name], kind) if name == SOURCE_ROW else pl.col(name).cast(kind))
    return rows.select(columns)
