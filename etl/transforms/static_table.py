"""What a static table is: rows that are joined whole, in a version that can be named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from etl.errors import ConfigError
from etl.model import CHANGE, SOURCE_ROW, SYSTEM_COLUMNS
from etl.schema_contract import RESCUED
from etl.vocabulary import nearest

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Json, Schema
    from etl.project import Project

_OURS = (*SYSTEM_COLUMNS, SOURCE_ROW, CHANGE, RESCUED)


@dataclass(frozen=True, slots=True)
class TablePlace:
    """What is read of a static table, and for whom.

    ``wanted`` are its columns that are read, None for all but those that the engine itself keeps in tables.
    ``declared`` are the types of its columns, where they are told; ``where`` is the place of the transform.
    """

    project: Project
    where: str
    wanted: tuple[str, ...] | None = None
    declared: Schema | None = None

    def chosen(self, known: Sequence[str]) -> list[str]:
        """Return the columns to read of those that there are. Raises ConfigError for one that is missing."""
        if self.wanted is None:
            return [name for name in known if name not in _OURS]
        for name in self.wanted:
            if name not in known:
                raise ConfigError(
                    f"the static table has no column {name!r}{nearest(name, known)}",
                    where=self.where,
                    hint=f"its columns are {', '.join(known)}",
                )
        return list(self.wanted)


class StaticTable(Protocol):
    """A table that is loaded whole and joined with the rows of a batch."""

    def pin(self) -> Json:
        """Return what names its present version. Looks at as little as it can.

        Raises MissingTableError, ConfigError, TransformError.
        """

    def schema(self) -> pl.Schema:
        """Return the columns that ``load`` gives of its present version. Raises as ``pin``."""

    def load(self, pin: Json) -> pl.DataFrame:
        """Return the rows of exactly this version. Raises PinChangedError where it is no longer to be had."""
