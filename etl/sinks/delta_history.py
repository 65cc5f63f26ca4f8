"""Batches of changes of keys, of which a Delta table keeps every version: ``write_mode: scd2``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.balance import FILE
from etl.delta_types import stored
from etl.errors import ConfigError, SinkError
from etl.model import SYSTEM_COLUMNS
from etl.schema import from_polars, to_polars
from etl.sinks.changes import changes_of
from etl.sinks.delta_mode import Merge, Mode
from etl.sinks.history import DELETED, IS_NEW, KEY, SHOWS, STARTS, VALID_FROM, VALIDITY, Timeline
from etl.sinks.remembering import Memory, MemoryColumns
from etl.state.contract import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Collection

    import polars as pl

    from etl.balance import Tally
    from etl.model import Json, Schema
    from etl.sinks.contract import SinkSite
    from etl.sinks.delta_checks import Prepared
    from etl.sinks.delta_log import DeltaLog, Head
    from etl.sinks.delta_options import DeltaOptions

_BATCH = "_batch_id"
_SAME = "_etl_same"


class History(Mode):
    """Puts changes into their place among the versions of their keys.

    ``memory`` has what the table does not show: changes that changed nothing, deletes of what was not there.
    """

    def __init__(self, options: DeltaOptions, site: SinkSite, log: DeltaLog) -> None:
        super().__init__(options, site, log)
        self.sequence_by = options.sequence_by or ""
        keys: list[Json] = [*self.keys]
        track: list[Json] = [*options.track]
        made_by = Fingerprint("scd2", {"primary_key": keys, "sequence_by": self.sequence_by, "track": track})
        self.hidden = Memory("changes", made_by, self._remembered, options.remember_for)
        self.memory = self.hidden

    def _remembered(self, schema: Schema) -> MemoryColumns:
        import polars as pl

        timeline = self._timeline(schema)
        shown = {*self.keys, self.sequence_by, *timeline.tracked, *VALIDITY}
        values = [name for name in stored(schema) if name not in shown]
        return MemoryColumns(self.keys, [self.sequence_by], values, {DELETED: pl.Boolean()})

    def _timeline(self, schema: Schema) -> Timeline:
        untracked = {*self.keys, self.sequence_by, *SYSTEM_COLUMNS, *VALIDITY}
        every = [name for name in stored(schema) if name not in untracked]
        return Timeline(self.keys, self.sequence_by, [name for name in every if name in (self.options.track or every)])

    def refuse(self, rows: pl.Schema, kept: Collection[str]) -> None:
        """Refuse rows without the columns that make versions, or with some of the table's own. Raises ConfigError."""
        super().refuse(rows, kept)
        for name in self.options.track:
            if name not in kept or name in (*self.keys, self.sequence_by):
                raise ConfigError(
                    f"track names {name!r}, which is not among the columns that can change: {', '.join(kept)}",
                    where=self.site.table,
                    hint="name kept columns beside the primary_key and sequence_by, or leave it out: all of them",
                )
        for name in VALIDITY:
            if name in rows:
                raise ConfigError(
                    f"the column {name!r} is one that `write_mode: scd2` makes",
                    where=self.site.table,
                    hint="rename it in a rename step before the sink",
                )

    def refuse_table(self, head: Head) -> None:
        """Refuse a table that has no versions. Raises SinkError."""
        if VALID_FROM not in {field["name"] for field in head.fields}:
            raise SinkError(
                "the table was not written by `write_mode: scd2`: its rows do not say since when they are valid",
                where=self.site.table,
                hint=f"build it anew: {self.log.refresh_command}",
            )

    def added(self, kept: Schema) -> Schema:
        """Return the columns that say when a version is valid."""
        import polars as pl

        kind = kept[self.sequence_by]
        return dict(zip(VALIDITY, (kind, kind, *from_polars(pl.Schema({"is": pl.Boolean()})).values()), strict=True))

    def written(
        self, attempt: str, rows: pl.LazyFrame, prepared: Prepared, tally: Tally, *, takes_all: bool
    ) -> pl.LazyFrame:
        """Return the versions that begin with a row of the batch; those that others begin are changed in the table.

        Counts the other rows: those with a later one of the same key and moment as ``deduplicated``, else ``written``.
        """
        import polars as pl

        changes = changes_of(self.changed(rows), [*self.keys, self.sequence_by], where=self.site.table)
        tally.count("deduplicated", changes.superseded)
        types = to_polars(stored(prepared.schema))
        puts, deletes = (_fitted(frame, types) for frame in (changes.upserts, changes.deletes))
        new = pl.concat(
            [puts.with_columns(_flag(DELETED, value=False)), deletes.with_columns(_flag(DELETED, value=True))]
        )
        numbers = new.select(self.keys).unique().with_row_index(KEY)
        asked = numbers.drop(KEY)
        held = self.held(prepared, takes_all=takes_all)
        hits = None if held is None else held.with_keys([asked], self.keys, list(types))
        old = pl.DataFrame(schema=types) if hits is None or hits.values is None else hits.values.select(list(types))
        old, hidden, new = (
            frame.join(numbers, on=self.keys, how="left", nulls_equal=True, maintain_order="left")
            for frame in (old, self.hidden.known(asked, prepared.schema), new)
        )
        timeline = self._timeline(prepared.schema)
        every = timeline.versions(timeline.known(old, hidden), new)
        self._learn(every, hidden)
        written, more, gone = self._difference(every, old, tally)
        revision = None if held is None or hits is None else held.without(hits.places.filter(gone), _in(more, types))
        self.last = Merge(attempt, prepared.head, revision)
        return written.lazy()

    def _learn(self, every: pl.DataFrame, hidden: pl.DataFrame) -> None:
        """Remember the changes that the table does not show."""
        import polars as pl

        at = [KEY, self.sequence_by]
        now = every.filter(~pl.col(SHOWS))
        is_known = ~pl.col(IS_NEW) & pl.col("_etl_hidden").is_not_null()
        self.hidden.learn(now.filter(~is_known), hidden.join(now, on=at, how="anti", nulls_equal=True))

    def _difference(
        self, every: pl.DataFrame, old: pl.DataFrame, tally: Tally
    ) -> tuple[pl.DataFrame, pl.DataFrame, pl.Series]:
        """Return the versions that the table lacks: those that rows of the batch begin, and others.

        And which of the old ones go.
        """
        import polars as pl

        at = [KEY, self.sequence_by]
        starts = every.filter(pl.col(STARTS))
        once = old.filter(~old.select(at).is_duplicated())
        columns = [name for name in once.columns if name not in (*at, *self.keys, _BATCH)]
        both = starts.select(*at, *columns).join(
            once.select(*at, _flag(_SAME, value=True), pl.col(columns).name.suffix(_SAME)),
            on=at, how="left", nulls_equal=True, maintain_order="left",
        )  # fmt: skip
        same = [pl.col(name).eq_missing(pl.col(f"{name}{_SAME}")) for name in columns]
        is_same = both.select(pl.all_horizontal(pl.col(_SAME).fill_null(value=False), *same)).to_series()
        changed = starts.filter(~is_same)
        written = changed.filter(pl.col(IS_NEW))
        tally.count("written", every.filter(pl.col(IS_NEW) & ~pl.col(STARTS)))
        tally.count("written", starts.filter(is_same & starts[IS_NEW]))
        stays = old.select(at).join(
            starts.filter(is_same).select(*at, _flag(_SAME, value=True)),
            on=at, how="left", nulls_equal=True, maintain_order="left",
        )[_SAME].fill_null(value=False)  # fmt: skip
        return written, changed.filter(~pl.col(IS_NEW)), ~stays


def _in(rows: pl.DataFrame, types: pl.Schema) -> pl.DataFrame:
    """Return rows in the columns and types of the table."""
    import polars as pl

    return rows.select(pl.col(name).cast(dtype) for name, dtype in types.items())


def _flag(name: str, *, value: bool) -> pl.Expr:
    import polars as pl

    return pl.lit(value=value).alias(name)


def _fitted(rows: pl.DataFrame, types: pl.Schema) -> pl.DataFrame:
    """Return rows in the columns and types of the table, without its own, and the file that they came from."""
    import polars as pl

    columns = [
        (pl.col(name).cast(dtype) if name in rows.columns else pl.lit(None, dtype).alias(name))
        for name, dtype in types.items()
        if name not in VALIDITY
    ]
    beside = [FILE] if FILE in rows.columns and FILE not in types else []
    return rows.select(*columns, *beside)
