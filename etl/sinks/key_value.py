"""The ``key_value`` sink: upserts and deletes by key, with the batch id in the same transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from etl.errors import ConfigError, SinkError
from etl.model import CHANGE, Manifest, Schema
from etl.schema import from_polars
from etl.sinks.changes import changes_of, refuse_keys, with_deletes
from etl.sinks.key_value_options import KeyValueOptions
from etl.sinks.receiver import Delivery, Receiver
from etl.sinks.sequences import refuse_sequence

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from etl.balance import Tally
    from etl.sinks.contract import SinkSite


@dataclass(frozen=True, slots=True)
class KeyedBatch:
    """What a transaction carries out: rows to be there, keys to be gone, and whose batch it is.

    ``schema`` are the columns of ``upserts``. ``superseded`` are the app ids that a full refresh takes the place of:
    with them, all rows go first; None for any other batch.
    """

    app_id: str
    pipeline: str
    batch_id: int
    schema: Schema
    upserts: pl.DataFrame
    deletes: pl.DataFrame
    superseded: tuple[str, ...] | None = None


class KeyValueStore(Protocol):
    """A server that holds rows by key, and beside them which batch it holds."""

    def refuse(self, rows: pl.Schema) -> None:
        """Refuse columns that the server cannot keep. Raises ConfigError."""

    def refuse_values(self, frame: pl.DataFrame) -> None:
        """Refuse values that the server would not keep as they are. Raises SinkError."""

    def held(self, app_id: str) -> int | None:
        """Return the newest batch under a name, None for none. Raises SinkError, FencedError."""

    def claimed(self, pipeline: str) -> int | None:
        """Return the newest batch of a pipeline under any name, None for none. Raises SinkError."""

    def apply(self, batch: KeyedBatch) -> None:
        """Carry out a batch in one transaction, unless it is there. *Repeat*: safe. Raises SinkError, FencedError."""


class KeyValueSink(Receiver):
    """Brings batches into a table of a database, or under keys of Redis; each is applied exactly once."""

    options_model = KeyValueOptions

    def __init__(self, options: KeyValueOptions, site: SinkSite) -> None:
        super().__init__(site)
        self._options = options
        self._store = _store(options, site)
        self._held: int | None = None

    def bind(self, app_id: str, pipeline: str = "", replaces: Sequence[str] | None = None) -> None:
        """Take the names under which batches are remembered, and ask the server anew."""
        super().bind(app_id, pipeline, replaces)
        self._held = None

    def refuse(self, rows: pl.Schema) -> None:
        """Refuse rows without the key, or with columns that the server cannot keep. Raises ConfigError."""
        options, kept = self._options, [name for name in rows if name != CHANGE]
        refuse_keys(rows, kept, options.primary_key, self.table)
        for name in options.primary_key:
            if rows[name].is_float():
                raise ConfigError(
                    f"the primary_key column {name!r} is a {rows[name]}",
                    where=self.table,
                    hint="fractions are not told apart alike everywhere; cast it to a decimal, a whole number or text",
                )
        if options.sequence_by is not None:
            refuse_sequence(rows, kept, options.primary_key, options.sequence_by, self.table)
        self._store.refuse(rows.__class__({name: rows[name] for name in kept}))

    def prepare(self, rows: pl.Schema, *, may_widen: bool = False) -> Schema:
        """Return the columns that rows have there. Raises ConfigError."""
        schema = super().prepare(rows, may_widen=may_widen)
        return {name: tree for name, tree in schema.items() if name != CHANGE}

    def arranged(self, rows: pl.LazyFrame, tally: Tally) -> pl.DataFrame:
        """Return one change of each key: of several rows the newest. Raises SinkError for a key without a value."""
        import polars as pl

        options = self._options
        if options.delete_when is not None:
            rows = with_deletes(rows, options.delete_when)
        frame = rows.collect(engine="streaming")
        self._refuse_nulls(frame)
        found = changes_of(frame, options.primary_key, where=self.table, sequence_by=options.sequence_by)
        tally.count("deduplicated", found.superseded)
        parts = {"update": found.upserts, "delete": found.deletes}
        arranged = pl.concat([part.with_columns(pl.lit(word).alias(CHANGE)) for word, part in parts.items()])
        self._store.refuse_values(found.upserts.select(self.kept(found.upserts.schema)))
        return arranged

    def _refuse_nulls(self, frame: pl.DataFrame) -> None:
        import polars as pl

        lacking = frame.filter(pl.any_horizontal(pl.col(self._options.primary_key).is_null())).height
        if lacking:
            raise SinkError(
                f"{lacking:,} rows have no value in the primary_key ({', '.join(self._options.primary_key)})",
                where=self.table,
                hint="keep them out with a filter, or set them aside: expect with otherwise: quarantine",
            )

    def held(self) -> int | None:
        """Return the newest batch that the server holds of this checkpoint. Raises SinkError."""
        if self._held is None and self.app_id:
            self._held = self._store.held(self.app_id)
        return self._held

    def claimed(self) -> int | None:
        """Return the newest batch that the server holds of any checkpoint of this pipeline. Raises SinkError."""
        return self._store.claimed(self.pipeline) if self.pipeline else None

    def deliver(self, delivery: Delivery) -> None:
        """Apply a batch. *Repeat*: safe."""
        import polars as pl

        frame = delivery.frame
        if CHANGE not in frame.columns:
            frame = frame.with_columns(pl.lit("update").alias(CHANGE))
        is_delete = pl.col(CHANGE) == "delete"
        upserts = frame.filter(~is_delete).drop(CHANGE)
        needed = [*self._options.primary_key, *([self._options.sequence_by] if self._options.sequence_by else [])]
        deletes = frame.filter(is_delete).select(needed)
        superseded = self.replaces if delivery.replaces_all else None
        batch = KeyedBatch(
            self.app_id,
            self.pipeline,
            delivery.batch_id,
            from_polars(upserts.schema),
            upserts,
            deletes,
            superseded,
        )
        self._held = None
        self._store.apply(batch)
        self._held = delivery.batch_id

    def record(self, manifest: Manifest) -> None:
        """Nothing: the batch id went with the rows."""


def _store(options: KeyValueOptions, site: SinkSite) -> KeyValueStore:
    if options.is_redis:
        from etl.sinks.key_value_redis import RedisStore

        return RedisStore(options, site)
    from etl.sinks.key_value_sql import SqlStore

    return SqlStore(options, site)
