"""What a batch does to the rows that a Delta table has already: the ways have this in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.delta_types import stored
from etl.schema import to_polars
from etl.sinks.changes import refuse_keys, with_deletes
from etl.sinks.contract import Edit
from etl.sinks.delta_hits import FILE, Hits, Search, look
from etl.sinks.delta_key_index import KeyIndex
from etl.sinks.delta_keys import may_hold
from etl.sinks.delta_reading import FileReader
from etl.sinks.delta_removal import Removal
from etl.sinks.delta_revision import TableRevision
from etl.sinks.sequences import refuse_sequence

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import polars as pl

    from etl.balance import Tally
    from etl.model import Schema, StagedFile
    from etl.sinks.contract import SinkSite
    from etl.sinks.delta_checks import Prepared
    from etl.sinks.delta_log import DeltaLog, Head
    from etl.sinks.delta_options import DeltaOptions
    from etl.sinks.delta_reading import LiveFile
    from etl.sinks.remembering import Memory


@dataclass(frozen=True, slots=True)
class Merge:
    """What an attempt at a batch does to the table once its rows are staged.

    ``head`` is the version that was looked at; ``revision`` is None where there was no table, or all of it goes.
    """

    attempt: str
    head: Head | None
    revision: TableRevision | Removal | None


class Mode(ABC):
    """A way to bring batches into a table; keeps what the last attempt does until it is carried out."""

    def __init__(self, options: DeltaOptions, site: SinkSite, log: DeltaLog) -> None:
        self.keys = options.primary_key
        self.options = options
        self.site = site
        self.log = log
        self.last: Merge | None = None
        self.memory: Memory | None = None

    def merge_of(self, attempt: str) -> Merge | None:
        """Return what an attempt does, None where it is not the last one."""
        return self.last if self.last is not None and self.last.attempt == attempt else None

    def refuse(self, rows: pl.Schema, kept: Collection[str]) -> None:
        """Refuse rows, of which ``kept`` columns are to be in the table, that it cannot take. Raises ConfigError."""
        refuse_keys(rows, [name for name in rows if name in kept], self.keys, self.site.table)
        if self.options.sequence_by is not None:
            refuse_sequence(rows, kept, self.keys, self.options.sequence_by, self.site.table)
        if self.options.delete_when is not None:
            with_deletes(rows.to_frame().lazy(), self.options.delete_when)

    def refuse_table(self, head: Head) -> None:  # noqa: B027  most take any
        """Refuse a table that it cannot change. Raises SinkError."""

    def added(self, _kept: Schema) -> Schema:
        """Return the columns that the table has beside those that are kept."""
        return {}

    @abstractmethod
    def written(
        self, attempt: str, rows: pl.LazyFrame, prepared: Prepared, tally: Tally, *, takes_all: bool
    ) -> pl.LazyFrame:
        """Return the rows of a batch that are to be written, and count the others.

        With ``takes_all`` nothing that the table holds counts.
        """

    def staged(self, files: Sequence[StagedFile]) -> None:  # noqa: B027  most have no use for them
        """Take the files that the rows of the last attempt became."""

    def changed(self, rows: pl.LazyFrame) -> pl.DataFrame:
        """Return the rows of a batch with what they do: it is held in memory."""
        if self.options.delete_when is not None:
            rows = with_deletes(rows, self.options.delete_when)
        return rows.collect(engine="streaming")

    def held(self, prepared: Prepared, *, takes_all: bool) -> HeldRows | None:
        """Return the rows of the table that a batch meets, None where there are none."""
        head = prepared.head
        return (
            None
            if head is None or takes_all
            else HeldRows(self.site, self.log, prepared, head, self.options.key_index_from)
        )


class HeldRows:
    """The rows that one version of a table has."""

    def __init__(self, site: SinkSite, log: DeltaLog, prepared: Prepared, head: Head, least_rows: int | None) -> None:
        self._live = log.live_files(head).with_row_index(FILE)
        self._files: Sequence[LiveFile] = self._live.to_dicts()
        self.schema = prepared.schema
        self._reader = FileReader(head, prepared.schema, site.storage, site.storage_options)
        self.types = to_polars(stored(prepared.schema))
        self._index = KeyIndex(site.storage, self._reader, self._files, least_rows)

    def of_partitions(self, partitions: frozenset[tuple[str | None, ...]]) -> TableRevision:
        """Return what takes out the rows of some partitions."""
        return TableRevision(lambda: self._live, self._reader, Edit(self.schema, partitions=partitions))

    def with_keys(
        self, frames: Sequence[pl.DataFrame], keys: Sequence[str], names: Sequence[str] = (), most: int | None = None
    ) -> Hits:
        """Return the rows that have a key of one of the frames, in the columns of the key and ``names``.

        Where there are more than ``most``, only where they stand.
        """
        import polars as pl

        wanted = pl.concat([keys_of(frame, keys, self.types) for frame in frames]).unique()
        search = Search(wanted, list(dict.fromkeys([*keys, *names])), most)
        candidates = self._index.may_hold(may_hold(self._live, wanted, self._reader.partition_by)[FILE], wanted)
        found = look(self._reader, self._files, candidates, search)
        self._index.learn(sorted({*candidates} - {*found[0][FILE].unique()}), wanted)
        return Hits(self._reader, self._files, search, found)

    def without(self, places: pl.DataFrame, more: pl.DataFrame | None = None) -> Removal:
        """Return what takes out the rows at some places, and puts ``more`` in."""
        return Removal(self._reader, self._files, places, more)


def keys_of(rows: pl.DataFrame, keys: Sequence[str], types: pl.Schema) -> pl.DataFrame:
    """Return the key columns of rows in the table's types."""
    import polars as pl

    return rows.select(pl.col(name).cast(types[name]) for name in keys)
