"""``filter``: keeps the rows for which every predicate is true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, RootModel

from etl.balance import FILE, Tally, observed
from etl.errors import ConfigError
from etl.expressions import Columns, compile_columns
from etl.model import CHANGE, BatchPlan
from etl.transforms.columns import MASK, STRICT
from etl.transforms.contract import TransformSite

if TYPE_CHECKING:
    import polars as pl

    from etl.expressions import Formula


class FilterOptions(RootModel[str | Annotated[list[str], Field(min_length=1)]]):
    """A predicate, or a list of them that must all be true."""

    model_config = STRICT


class Filter:
    """Keeps a row when all predicates are true; false and null drop it.

    Of a changing result, a row that was there and is no longer among those kept becomes a delete.
    """

    label = "filter"
    options_model: ClassVar[type[FilterOptions]] = FilterOptions

    def __init__(self, options: FilterOptions, site: TransformSite) -> None:
        self._predicates = [options.root] if isinstance(options.root, str) else options.root
        self._site = site
        self._where = site.place(self.label)

    def parts(self) -> dict[str, Filter]:
        """Return a filter for each predicate."""
        return {text: Filter(FilterOptions(text), self._site) for text in self._predicates}

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return ``given``. Raises ConfigError for a predicate that is none."""
        predicate_mask(self._predicates, given, self._where)
        return given

    def kept_keys(self, keys: Sequence[str]) -> list[str]:
        """Return the keys of a changing result as they are."""
        return list(keys)

    def apply(self, rows: pl.LazyFrame, _plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
        """Return the rows that pass; the others are counted as ``filtered``."""
        return kept_rows(rows, predicate_mask(self._predicates, rows.collect_schema(), self._where), tally)


def predicate_mask(
    predicates: Sequence[Formula], given: pl.Schema, where: str, aliases: tuple[str, ...] = ()
) -> Columns:
    """Return ``given`` and a column that tells whether all predicates are true. Raises ConfigError."""
    import polars as pl

    for text in predicates:
        found = compile_columns({"predicate": text}, given, where=where, aliases=aliases).schema["predicate"]
        if found != pl.Boolean:
            raise ConfigError(f"{text}: gives {found}, not true or false", where=where, hint="compare it to something")
    all_true = predicates[0] if len(predicates) == 1 else " AND ".join(f"({text})" for text in predicates)
    return compile_columns({**dict.fromkeys(given), MASK: all_true}, given, where=where, aliases=aliases)


def kept_rows(rows: pl.LazyFrame, mask: Columns, tally: Tally) -> pl.LazyFrame:
    """Return the rows whose mask is true, counting those that are not, in the same pass.

    Of a changing result deletes stay, and an update that does not pass becomes one: whether the row passed before is
    not known here, and to delete what is not there changes nothing. An insert that does not pass was never there.
    """
    import polars as pl

    def count(frame: pl.DataFrame) -> None:
        if not frame[MASK].all(ignore_nulls=False):
            # Of the rows that go, their file alone is taken: the others of their columns may be large.
            narrow = frame.select(name for name in (FILE, MASK) if name in frame.columns)
            tally.count("filtered", narrow.filter(~pl.col(MASK).fill_null(value=False)))

    masked = mask.apply(rows)
    return observed(_with_deletes(masked) if CHANGE in mask.schema else masked, count).filter(pl.col(MASK)).drop(MASK)


def _with_deletes(masked: pl.LazyFrame) -> pl.LazyFrame:
    import polars as pl

    change, passes = pl.col(CHANGE), pl.col(MASK).fill_null(value=False)
    is_lost = ~passes & (change == "update")
    return masked.with_columns(
        pl.when(is_lost).then(pl.lit("delete")).otherwise(change).alias(CHANGE),
        (passes | (change != "insert")).alias(MASK),
    )
