"""The write modes of a Delta table that change rows which are there: which one, and the smaller ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.sinks.changes import last_of_each, refuse_changes
from etl.sinks.delta_history import History
from etl.sinks.delta_hits import nowhere
from etl.sinks.delta_merge import Merger
from etl.sinks.delta_mode import HeldRows, Merge, Mode, keys_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import polars as pl

    from etl.balance import Tally
    from etl.model import StagedFile
    from etl.sinks.contract import SinkSite
    from etl.sinks.delta_checks import Prepared
    from etl.sinks.delta_log import DeltaLog
    from etl.sinks.delta_options import DeltaOptions


def mode_of(options: DeltaOptions, site: SinkSite, log: DeltaLog) -> Mode | None:
    """Return how batches meet the rows of the table, None where they are added, or take the place of all."""
    modes: dict[str, type[Merger | Inserter | Partitions | History]] = {
        "merge": Merger,
        "insert_only": Inserter,
        "replace_partitions": Partitions,
        "scd2": History,
    }
    made = modes.get(options.write_mode)
    return None if made is None else made(options, site, log)


class Inserter(Mode):
    """Adds the rows whose keys the table does not have: ``insert_only``."""

    def refuse(self, rows: pl.Schema, kept: Collection[str]) -> None:
        """Refuse rows without the key, and a changing result: nothing is changed. Raises ConfigError."""
        refuse_changes(rows, self.site.table)
        super().refuse(rows, kept)

    def written(
        self, attempt: str, rows: pl.LazyFrame, prepared: Prepared, tally: Tally, *, takes_all: bool
    ) -> pl.LazyFrame:
        """Return the first row of each new key; the others are counted ``deduplicated``."""
        first, later = last_of_each(self.changed(rows), self.keys, keep="first")
        tally.count("deduplicated", later)
        held = self.held(prepared, takes_all=takes_all)
        if held is None:
            self.last = Merge(attempt, prepared.head, None)
            return first.lazy()
        known = held.with_keys([first], self.keys, most=first.height).stream(self.keys).unique().collect()
        known = known.with_columns(_etl_known=True)
        asked = keys_of(first, self.keys, held.types)
        found = asked.join(known, on=self.keys, how="left", nulls_equal=True, maintain_order="left")["_etl_known"]
        is_known = found.fill_null(value=False)
        tally.count("deduplicated", first.filter(is_known))
        self.last = Merge(attempt, prepared.head, held.without(nowhere()))
        return first.filter(~is_known).lazy()


class Partitions(Mode):
    """Replaces the partitions that occur in a batch, each as a whole: ``replace_partitions``."""

    _held: HeldRows | None = None

    def refuse(self, rows: pl.Schema, _kept: Collection[str]) -> None:
        """Refuse a changing result. Raises ConfigError."""
        refuse_changes(rows, self.site.table)

    def written(
        self, attempt: str, rows: pl.LazyFrame, prepared: Prepared, _tally: Tally, *, takes_all: bool
    ) -> pl.LazyFrame:
        """Return all rows, streaming."""
        self._held = self.held(prepared, takes_all=takes_all)
        self.last = Merge(attempt, prepared.head, None)
        return rows

    def staged(self, files: Sequence[StagedFile]) -> None:
        """Take note of the partitions that the rows of the last attempt are in."""
        if self.last is None or self._held is None:
            return
        partitions = frozenset(
            tuple(file.partition_values[name] for name in self.options.partition_by) for file in files
        )
        self.last = Merge(self.last.attempt, self.last.head, self._held.of_partitions(partitions))
