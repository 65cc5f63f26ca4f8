"""Batches of rows by key, each against one version of a Delta table: what is to be written, and what is to go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.delta_types import stored
from etl.schema import to_polars
from etl.sinks.changes import changes_of, with_deletes
from etl.sinks.contract import Edit
from etl.sinks.delta_reading import FileReader
from etl.sinks.delta_revision import TableRevision

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from etl.balance import Tally
    from etl.sinks.contract import SinkSite
    from etl.sinks.delta_checks import Prepared
    from etl.sinks.delta_log import DeltaLog, Head
    from etl.sinks.delta_options import DeltaOptions

_BATCH = "_batch_id"
_HELD = "_etl_held_"


@dataclass(frozen=True, slots=True)
class Merge:
    """What an attempt at a batch does to the table once its rows are staged.

    ``head`` is the version that was looked at; ``revision`` is None where there was no table, or all of it goes.
    """

    attempt: str
    head: Head | None
    revision: TableRevision | None


class Merger:
    """Merges the rows of batches into one table by its key, and remembers the last merge until it is carried out."""

    def __init__(self, options: DeltaOptions, site: SinkSite, log: DeltaLog) -> None:
        self._keys = options.primary_key
        self._delete_when = options.delete_when
        self._site = site
        self._log = log
        self._last: Merge | None = None

    def merge_of(self, attempt: str) -> Merge | None:
        """Return what an attempt does, None where it is not the last one."""
        return self._last if self._last is not None and self._last.attempt == attempt else None

    def written(
        self, attempt: str, rows: pl.LazyFrame, prepared: Prepared, tally: Tally, *, takes_all: bool
    ) -> pl.LazyFrame:
        """Return the rows of a batch that are to be written; the batch is held in memory.

        Counts the others: earlier ones of a key as ``deduplicated``, deletes and rows that the table has as they are as
        ``written``. With ``takes_all`` nothing that the table holds counts.
        """
        if self._delete_when is not None:
            rows = with_deletes(rows, self._delete_when)
        changes = changes_of(rows.collect(engine="streaming"), self._keys, where=self._site.table)
        tally.count("deduplicated", changes.superseded)
        tally.count("written", changes.deletes)
        head = prepared.head
        if head is None or takes_all:
            self._last = Merge(attempt, head, None)
            return changes.upserts.lazy()
        types = to_polars(stored(prepared.schema))
        live = self._log.live_files(head)
        reader = FileReader(head, prepared.schema, self._site.storage, self._site.storage_options)

        def taking(keys: pl.DataFrame) -> TableRevision:
            return TableRevision(lambda: live, reader, Edit(prepared.schema, keys=keys))

        upserts, deletes = (_keys_of(frame, self._keys, types) for frame in (changes.upserts, changes.deletes))
        revision = taking(upserts.vstack(deletes))
        is_same = is_held(changes.upserts, revision, self._keys, types)
        if is_same.any():
            revision = taking(upserts.filter(~is_same).vstack(deletes))
        tally.count("written", changes.upserts.filter(is_same))
        self._last = Merge(attempt, head, revision)
        return changes.upserts.filter(~is_same).lazy()


def _keys_of(rows: pl.DataFrame, keys: Sequence[str], types: pl.Schema) -> pl.DataFrame:
    """Return the key columns of rows in the table's types."""
    import polars as pl

    return rows.select(pl.col(name).cast(types[name]) for name in keys)


def is_held(rows: pl.DataFrame, revision: TableRevision, keys: Sequence[str], types: pl.Schema) -> pl.Series:
    """Tell which rows the table has already, once and with the same values and origin; their batch alone may differ.

    None, where the table has more rows of these keys than the batch, which might not fit into memory.
    """
    import polars as pl

    held = revision.held() if revision.gone <= 2 * rows.height else pl.DataFrame(schema=types)
    if not held.height:
        return pl.Series([False] * rows.height, dtype=pl.Boolean)
    once = held.filter(~held.select(keys).is_duplicated()).with_columns(pl.lit(value=True).alias(_HELD))
    values = [name for name in types if name not in keys and name != _BATCH]
    new = rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(types[name]).alias(name)
        for name in (*keys, *values)
    )
    old = once.select(*keys, _HELD, pl.col(values).name.prefix(_HELD))
    both = new.join(old, on=keys, how="left", nulls_equal=True, maintain_order="left")
    same = [pl.col(name).eq_missing(pl.col(f"{_HELD}{name}")) for name in values]
    return both.select(pl.all_horizontal(pl.col(_HELD).fill_null(value=False), *same)).to_series()
