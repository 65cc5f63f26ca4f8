"""What a transform is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import polars as pl

    from etl.balance import Tally
    from etl.model import BatchPlan


@dataclass(frozen=True, slots=True)
class TransformSite:
    """Where a transform stands: ``folder`` is the project's, ``index`` its place in the list."""

    folder: Path
    index: int

    def place(self, label: str) -> str:
        """Return the ``where`` of its errors.

        >>> TransformSite(Path(), 1).place("filter")
        'transforms[1].filter'
        """
        return f"transforms[{self.index}].{label}"


class Transform(Protocol):
    """A pure step over the rows of a batch.

    One that may make several rows of one says ``adds_rows = True``, one that may set rows aside ``keeps_rows = True``.
    """

    @property
    def label(self) -> str:
        """The key of the YAML file (``filter``)."""

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return the columns that ``apply`` will give. Called before any row flows, and again when the schema evolves.

        Raises ConfigError naming the unknown column or the wrong type.
        """

    def apply(self, rows: pl.LazyFrame, plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
        """Return the rows changed, with those that leave or join counted into ``tally`` where it happens.

        *Repeat*: the same result.
        """
