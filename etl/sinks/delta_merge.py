"""Batches of rows by key, each against one version of a Delta table: what is to be written, and what is to go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.schema import to_polars
from etl.sinks.changes import Changes, changes_of, with_deletes
from etl.sinks.contract import Edit
from etl.sinks.delta_reading import FileReader
from etl.sinks.delta_revision import TableRevision
from etl.sinks.delta_types import stored
from etl.sinks.remembering import Memory, MemoryColumns
from etl.sinks.sequences import NEWEST, newest_of_each, without_overtaken
from etl.state.contract import Fingerprint

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


class HeldRows:
    """The rows that one version of a table has of the keys of a batch."""

    def __init__(self, site: SinkSite, log: DeltaLog, prepared: Prepared, head: Head) -> None:
        self._live = log.live_files(head)
        self._schema = prepared.schema
        self._reader = FileReader(head, prepared.schema, site.storage, site.storage_options)
        self.types = to_polars(stored(prepared.schema))

    def without(self, keys: Sequence[str], frames: Sequence[pl.DataFrame]) -> TableRevision:
        """Return what takes out the rows that have a key of one of the frames."""
        import polars as pl

        taken = pl.concat([_keys_of(frame, keys, self.types) for frame in frames])
        return TableRevision(lambda: self._live, self._reader, Edit(self._schema, keys=taken))


class Merger:
    """Merges the rows of batches into one table by its key, and remembers the last merge until it is carried out."""

    def __init__(self, options: DeltaOptions, site: SinkSite, log: DeltaLog) -> None:
        self._keys = options.primary_key
        self._delete_when = options.delete_when
        self._sequence = options.sequence_by
        self._site = site
        self._log = log
        self._last: Merge | None = None
        self.memory = None if options.sequence_by is None else tombstones(options, options.sequence_by)

    def merge_of(self, attempt: str) -> Merge | None:
        """Return what an attempt does, None where it is not the last one."""
        return self._last if self._last is not None and self._last.attempt == attempt else None

    def written(
        self, attempt: str, rows: pl.LazyFrame, prepared: Prepared, tally: Tally, *, takes_all: bool
    ) -> pl.LazyFrame:
        """Return the rows of a batch that are to be written; the batch is held in memory.

        Counts the others: those that a newer one of their key makes void as ``deduplicated``, deletes and rows that the
        table has as they are as ``written``. With ``takes_all`` nothing that the table holds counts.
        """
        if self._delete_when is not None:
            rows = with_deletes(rows, self._delete_when)
        frame = rows.collect(engine="streaming")
        changes = changes_of(frame, self._keys, where=self._site.table, sequence_by=self._sequence)
        head = prepared.head
        held = None if head is None or takes_all else HeldRows(self._site, self._log, prepared, head)
        revision = None if held is None else held.without(self._keys, [changes.upserts, changes.deletes])
        if self._sequence is not None:
            changes = self._in_sequence(changes, prepared, revision, self._sequence)
        tally.count("deduplicated", changes.superseded)
        tally.count("written", changes.deletes)
        if held is None or revision is None:
            self._last = Merge(attempt, head, None)
            return changes.upserts.lazy()
        is_same = is_held(changes.upserts, revision, self._keys, held.types)
        new = changes.upserts.filter(~is_same)
        if new.height + changes.deletes.height < frame.height:
            revision = held.without(self._keys, [new, changes.deletes])
        tally.count("written", changes.upserts.filter(is_same))
        self._last = Merge(attempt, head, revision)
        return new.lazy()

    def _in_sequence(
        self, changes: Changes, prepared: Prepared, revision: TableRevision | None, sequence_by: str
    ) -> Changes:
        """Return the changes that nothing newer is known of, with the deletes among them remembered."""
        import polars as pl

        types = to_polars(stored(prepared.schema))
        keys = _keys_of(changes.upserts, self._keys, types).vstack(_keys_of(changes.deletes, self._keys, types))
        deleted = self.memory.known(keys, prepared.schema) if self.memory is not None else keys.clear()
        newest = [deleted.select(*self._keys, pl.col(sequence_by).alias(NEWEST))]
        if revision is not None and revision.removes:
            newest.append(revision.newest(sequence_by))
        known = newest_of_each(pl.concat(newest).lazy(), self._keys, NEWEST).collect()
        found = without_overtaken(changes, known, sequence_by)
        if self.memory is not None:
            back = deleted.join(_keys_of(found.upserts, self._keys, types), on=self._keys, how="semi", nulls_equal=True)
            self.memory.learn(found.deletes, back)
        return found


def tombstones(options: DeltaOptions, sequence_by: str) -> Memory:
    """Return what a merging table remembers: of each key that is deleted, the sequence of the delete."""
    made_by = Fingerprint("merge", {"primary_key": options.primary_key, "sequence_by": sequence_by})
    columns = MemoryColumns(options.primary_key, values=[sequence_by])
    return Memory("deletes", made_by, columns, options.remember_for)


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
