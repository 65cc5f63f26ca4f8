"""Batches of rows by key, each against one version of a Delta table: what is to be written, and what is to go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.delta_types import stored
from etl.schema import to_polars
from etl.sinks.changes import Changes, changes_of
from etl.sinks.delta_mode import HeldRows, Merge, Mode, keys_of
from etl.sinks.remembering import Memory, MemoryColumns
from etl.sinks.sequences import NEWEST, newest_of_each, without_overtaken
from etl.state.contract import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from etl.balance import Tally
    from etl.model import Json
    from etl.sinks.contract import SinkSite
    from etl.sinks.delta_checks import Prepared
    from etl.sinks.delta_hits import Hits
    from etl.sinks.delta_log import DeltaLog
    from etl.sinks.delta_options import DeltaOptions

_BATCH = "_batch_id"
_HELD = "_etl_held_"
_PROBED = {"Datetime": 0, "Date": 1, "Int64": 2, "Float64": 3}
"""Types of columns that are likely to be another in another version of a row, and cheap to read."""


class Merger(Mode):
    """Merges the rows of batches into one table by its key."""

    def __init__(self, options: DeltaOptions, site: SinkSite, log: DeltaLog) -> None:
        super().__init__(options, site, log)
        self.memory = None if options.sequence_by is None else tombstones(options, options.sequence_by)

    def written(
        self, attempt: str, rows: pl.LazyFrame, prepared: Prepared, tally: Tally, *, takes_all: bool
    ) -> pl.LazyFrame:
        """Return the rows of a batch that are to be written; the batch is held in memory.

        Counts the others: those that a newer one of their key makes void as ``deduplicated``, deletes and rows that the
        table has as they are as ``written``. With ``takes_all`` nothing that the table holds counts.
        """
        import polars as pl

        frame, sequence_by = self.changed(rows), self.options.sequence_by
        changes = changes_of(frame, self.keys, where=self.site.table, sequence_by=sequence_by)
        held = self.held(prepared, takes_all=takes_all)
        hits = None if held is None else self._hits(held, changes)
        if sequence_by is not None:
            changes = self._in_sequence(changes, prepared, hits, sequence_by)
        tally.count("deduplicated", changes.superseded)
        tally.count("written", changes.deletes)
        if held is None or hits is None:
            self.last = Merge(attempt, prepared.head, None)
            return changes.upserts.lazy()
        is_same = is_held(changes.upserts, hits, self.keys, held.types)
        new = changes.upserts.filter(~is_same)
        places = hits.places
        if new.height + changes.deletes.height < frame.height:
            leaving = pl.concat([keys_of(each, self.keys, held.types) for each in (new, changes.deletes)])
            places = hits.places_of(leaving)
        tally.count("written", changes.upserts.filter(is_same))
        self.last = Merge(attempt, prepared.head, held.without(places))
        return new.lazy()

    def _hits(self, held: HeldRows, changes: Changes) -> Hits:
        """Return the rows that the table has of the keys of a batch, with the columns by which they are compared."""
        frames = [changes.upserts, changes.deletes]
        names = [probe_of(held.types, self.keys), self.options.sequence_by]
        most = 2 * sum(frame.height for frame in frames)
        return held.with_keys(frames, self.keys, [name for name in names if name is not None], most)

    def _in_sequence(self, changes: Changes, prepared: Prepared, hits: Hits | None, sequence_by: str) -> Changes:
        """Return the changes that nothing newer is known of, with the deletes among them remembered."""
        import polars as pl

        types = to_polars(stored(prepared.schema))
        keys = keys_of(changes.upserts, self.keys, types).vstack(keys_of(changes.deletes, self.keys, types))
        deleted = self.memory.known(keys, prepared.schema) if self.memory is not None else keys.clear()
        newest = [deleted.select(*self.keys, pl.col(sequence_by).alias(NEWEST))]
        if hits is not None and hits.places.height:
            held = hits.stream([*self.keys, sequence_by])
            newest.append(newest_of_each(held, self.keys, sequence_by).collect(engine="streaming"))
        known = newest_of_each(pl.concat(newest).lazy(), self.keys, NEWEST).collect()
        found = without_overtaken(changes, known, sequence_by)
        if self.memory is not None:
            back = deleted.join(keys_of(found.upserts, self.keys, types), on=self.keys, how="semi", nulls_equal=True)
            self.memory.learn(found.deletes, back)
        return found


def tombstones(options: DeltaOptions, sequence_by: str) -> Memory:
    """Return what a merging table remembers: of each key that is deleted, the sequence of the delete."""
    keys: list[Json] = [*options.primary_key]
    made_by = Fingerprint("merge", {"primary_key": keys, "sequence_by": sequence_by})
    columns = MemoryColumns(options.primary_key, values=[sequence_by])
    return Memory("deletes", made_by, lambda _: columns, options.remember_for)


def probe_of(types: pl.Schema, keys: Sequence[str]) -> str | None:
    """Return the column that is likely to be another in another version of a row, and cheap to read."""
    values = [name for name in types if name not in keys and name != _BATCH]
    return min(values, key=lambda name: _PROBED.get(types[name].base_type().__name__, len(_PROBED)), default=None)


def is_held(rows: pl.DataFrame, hits: Hits, keys: Sequence[str], types: pl.Schema) -> pl.Series:
    """Tell which rows the table has already, once and with the same values and origin; their batch alone may differ.

    None, where the table has many more rows of these keys than the batch, which might not fit into memory. One column
    is compared first: where it is another in every row, the rest of the table is not read.
    """
    import polars as pl

    if hits.values is None:
        return pl.Series([False] * rows.height, dtype=pl.Boolean)
    values = [name for name in types if name not in keys and name != _BATCH]
    probe = probe_of(types, keys)
    found = _is_same(rows, hits.values.select(*keys, *([] if probe is None else [probe])), keys, types)
    if not found.any() or len(values) <= 1:
        return found
    maybe = rows.filter(found)
    places = hits.places_of(keys_of(maybe, keys, types))
    rest = _is_same(maybe, hits.rows(places, [*keys, *values]), keys, types)
    return found.scatter(found.arg_true(), rest)


def _is_same(rows: pl.DataFrame, held: pl.DataFrame, keys: Sequence[str], types: pl.Schema) -> pl.Series:
    """Tell which rows are among those held, once and the same in all columns of these."""
    import polars as pl

    values = [name for name in held.columns if name not in keys]
    once = held.filter(~held.select(keys).is_duplicated()).with_columns(pl.lit(value=True).alias(_HELD))
    new = rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(types[name]).alias(name)
        for name in (*keys, *values)
    )
    old = once.select(*keys, _HELD, pl.col(values).name.prefix(_HELD))
    both = new.join(old, on=keys, how="left", nulls_equal=True, maintain_order="left")
    same = [pl.col(name).eq_missing(pl.col(f"{_HELD}{name}")) for name in values]
    return both.select(pl.all_horizontal(pl.col(_HELD).fill_null(value=False), *same)).to_series()
