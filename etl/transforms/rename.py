"""``rename`` and ``drop``: columns under another name, or gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, RootModel

from etl.balance import Tally
from etl.errors import ConfigError
from etl.model import BatchPlan
from etl.transforms.columns import STRICT, kept_keys, refuse_reserved, refuse_twice, require
from etl.transforms.contract import Origins, TransformSite

if TYPE_CHECKING:
    import polars as pl


class RenameOptions(RootModel[Annotated[dict[str, str], Field(min_length=1)]]):
    """Old name to new name."""

    model_config = STRICT


class Rename:
    """Gives columns new names, all at once, so that two may change places."""

    label = "rename"
    options_model: ClassVar[type[RenameOptions]] = RenameOptions

    def __init__(self, options: RenameOptions, site: TransformSite) -> None:
        self._names = options.root
        self._where = site.place(self.label)
        refuse_reserved([*self._names, *self._names.values()], self._where)

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return the columns under their new names. Raises ConfigError where two would have one name."""
        import polars as pl

        require(self._names, given, self._where)
        refuse_twice([self._names.get(name, name) for name in given], self._where)
        return pl.Schema({self._names.get(name, name): kind for name, kind in given.items()})

    def origins(self, given: pl.Schema) -> Origins:
        """Return the former name of each column."""
        return {self._names.get(name, name): frozenset((name,)) for name in given}

    def kept_keys(self, keys: Sequence[str]) -> list[str]:
        """Return the new names of the keys of a changing result."""
        return [self._names.get(name, name) for name in keys]

    def apply(self, rows: pl.LazyFrame, _plan: BatchPlan, _tally: Tally) -> pl.LazyFrame:
        """Return ``rows`` under the new names."""
        return rows.rename(self._names)


class DropOptions(RootModel[Annotated[list[str], Field(min_length=1)]]):
    """Names of columns."""

    model_config = STRICT


class Drop:
    """Leaves columns out; system columns stay."""

    label = "drop"
    options_model: ClassVar[type[DropOptions]] = DropOptions

    def __init__(self, options: DropOptions, site: TransformSite) -> None:
        self._names = options.root
        self._where = site.place(self.label)
        refuse_reserved(self._names, self._where)

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return the other columns. Raises ConfigError for an unknown one, or when none is left."""
        import polars as pl

        require(self._names, given, self._where)
        left = {name: kind for name, kind in given.items() if name not in self._names}
        if not left:
            raise ConfigError("drops every column", where=self._where, hint="keep at least one")
        return pl.Schema(left)

    def kept_keys(self, keys: Sequence[str]) -> list[str]:
        """Return the keys of a changing result. Raises ConfigError for one that is left out."""
        return kept_keys(keys, {name: name for name in keys if name not in self._names}, self._where)

    def apply(self, rows: pl.LazyFrame, _plan: BatchPlan, _tally: Tally) -> pl.LazyFrame:
        """Return ``rows`` without the columns."""
        return rows.drop(self._names)
