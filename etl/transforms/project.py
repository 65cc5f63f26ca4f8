"""``select`` and ``with_columns``: columns computed from the row's own columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, RootModel

from etl.balance import Tally
from etl.expressions import Columns, column_name, compile_columns
from etl.model import BatchPlan
from etl.sql_writer import quoted
from etl.transforms.columns import STRICT, kept_keys, refuse_reserved, refuse_twice, require, system_columns
from etl.transforms.contract import Origins, TransformSite

if TYPE_CHECKING:
    import polars as pl

    from etl.expressions import Formula


class SelectOptions(
    RootModel[Annotated[list[str], Field(min_length=1)] | Annotated[dict[str, str], Field(min_length=1)]]
):
    """A list of columns, or name to expression."""

    model_config = STRICT


class Select:
    """Gives the columns named, in that order, then the system columns that are present and not named."""

    label = "select"
    options_model: ClassVar[type[SelectOptions]] = SelectOptions

    def __init__(self, options: SelectOptions, site: TransformSite) -> None:
        self._wanted = options.root
        self._site = site
        self._where = site.place(self.label)

    def parts(self) -> dict[str, Select]:
        """Return a step for each computed column."""
        computed = self._wanted if isinstance(self._wanted, dict) else {}
        return {f"{name}: {text}": Select(SelectOptions({name: text}), self._site) for name, text in computed.items()}

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return the columns. Raises ConfigError."""
        return self._columns(given).schema

    def origins(self, given: pl.Schema) -> Origins:
        """Return what each column is computed from."""
        return self._columns(given).origins()

    def apply(self, rows: pl.LazyFrame, _plan: BatchPlan, _tally: Tally) -> pl.LazyFrame:
        """Return the columns of ``rows``."""
        return self._columns(rows.collect_schema()).apply(rows)

    def kept_keys(self, keys: Sequence[str]) -> list[str]:
        """Return the names of the keys of a changing result. Raises ConfigError for one that is left out."""
        wanted = self._wanted if isinstance(self._wanted, dict) else {name: quoted(name) for name in self._wanted}
        return kept_keys(keys, names_after(wanted), self._where)

    def _columns(self, given: pl.Schema) -> Columns:
        if isinstance(self._wanted, list):
            refuse_twice(self._wanted, self._where)
            require(self._wanted, given, self._where)
            wanted: dict[str, str | None] = dict.fromkeys(self._wanted)
        else:
            refuse_reserved(self._wanted, self._where)
            wanted = dict(self._wanted)
        kept = dict.fromkeys(system_columns(given))
        return compile_columns(wanted | {name: None for name in kept if name not in wanted}, given, where=self._where)


class WithColumnsOptions(RootModel[Annotated[dict[str, str], Field(min_length=1)]]):
    """Name to expression."""

    model_config = STRICT


class WithColumns:
    """Adds columns, or replaces them in place; every expression sees the row as it came."""

    label = "with_columns"
    options_model: ClassVar[type[WithColumnsOptions]] = WithColumnsOptions

    def __init__(self, options: WithColumnsOptions, site: TransformSite) -> None:
        self._added = options.root
        self._site = site
        self._where = site.place(self.label)

    def parts(self) -> dict[str, WithColumns]:
        """Return a step for each column."""
        return {
            f"{name}: {text}": WithColumns(WithColumnsOptions({name: text}), self._site)
            for name, text in self._added.items()
        }

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return ``given`` with the columns. Raises ConfigError."""
        return self._columns(given).schema

    def origins(self, given: pl.Schema) -> Origins:
        """Return what each column is computed from."""
        return self._columns(given).origins()

    def apply(self, rows: pl.LazyFrame, _plan: BatchPlan, _tally: Tally) -> pl.LazyFrame:
        """Return ``rows`` with the columns."""
        return self._columns(rows.collect_schema()).apply(rows)

    def kept_keys(self, keys: Sequence[str]) -> list[str]:
        """Return the keys of a changing result. Raises ConfigError for one that is computed anew."""
        return kept_keys(keys, {name: name for name in keys if name not in self._added}, self._where)

    def _columns(self, given: pl.Schema) -> Columns:
        refuse_reserved(self._added, self._where)
        return compile_columns({**dict.fromkeys(given), **self._added}, given, where=self._where)


def names_after(wanted: Mapping[str, Formula]) -> dict[str, str]:
    """Return what a column is called afterwards, of those that ``wanted`` lets through as they are."""
    found: dict[str, str] = {}
    for name, formula in wanted.items():
        before = column_name(formula)
        if before is not None:
            found.setdefault(before, name)
    return found
