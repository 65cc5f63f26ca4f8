"""What a transform is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import polars as pl

    from etl.balance import Tally
    from etl.model import BatchPlan


class Transform(Protocol):
    """A pure step over the rows of a batch."""

    @property
    def label(self) -> str:
        """The key of the YAML file (``filter``)."""

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return the columns that ``apply`` will give. Called before any row flows, and again when the schema evolves.

        Raises ConfigError naming the unknown column or the wrong type.
        """

    def apply(self, rows: pl.LazyFrame, plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
        """Return the rows changed. Rows that leave or join are counted into ``tally`` where it happens. *Repeat*: the same result."""
