"""The ``memory`` sink: rows kept in this process, for tests of whole projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from etl.errors import ConfigError
from etl.options import Options
from etl.sinks.receiver import Delivery, Receiver

if TYPE_CHECKING:
    import polars as pl

    from etl.sinks.contract import SinkSite

_BATCHES: dict[str, dict[int, pl.DataFrame]] = {}


class MemoryOptions(Options):
    """Rows in the memory of the process that runs the pipeline."""

    type: Literal["memory"] = "memory"
    table: str = Field(default="rows", min_length=1, description="the name to ask for them by")

    @property
    def target(self) -> str:
        """What people call it."""
        return f"memory:{self.table}"


def rows_in_memory(table: str = "rows") -> pl.DataFrame:
    """Return the rows that ``memory`` sinks of this process took under a name, batch after batch.

    Raises ConfigError where none did.
    """
    import polars as pl

    if table not in _BATCHES:
        raise ConfigError(f"no pipeline of this process has put rows into memory:{table}")
    batches = _BATCHES[table]
    return pl.concat([batches[number] for number in sorted(batches)], how="diagonal_relaxed")


class MemoryRows(Receiver):
    """Keeps the rows of every batch until the process ends."""

    options_model = MemoryOptions

    def __init__(self, options: MemoryOptions, site: SinkSite) -> None:
        super().__init__(site)
        self._table = options.table

    def deliver(self, delivery: Delivery) -> None:
        """Keep the rows. *Repeat*: safe."""
        if delivery.replaces_all:
            _BATCHES.pop(self._table, None)
        _BATCHES.setdefault(self._table, {})[delivery.batch_id] = delivery.frame
