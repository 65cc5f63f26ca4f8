"""The Delta table sink: batches that add rows, change rows by key or take the place of all rows, each exactly once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from etl.balance import ARRIVED, observed, rows_by_file
from etl.delta_types import from_delta_fields, merge_fields, stored, to_delta_fields
from etl.errors import SinkError
from etl.model import CHANGE, SYSTEM_COLUMNS, Manifest, Revision, Schema, StagedFile
from etl.schema import from_polars, to_polars
from etl.sinks.changes import refuse_changes
from etl.sinks.contract import Edit, SinkSite
from etl.sinks.delta_actions import Identity, append_actions, remove_actions, replace_actions
from etl.sinks.delta_checks import (
    Prepared,
    refuse_grown,
    refuse_moved,
    refuse_other_checkpoint,
    refuse_other_partitions,
    refuse_partition_types,
    refuse_untyped_keys,
)
from etl.sinks.delta_features import refuse_irreplaceable, refuse_unkept
from etl.sinks.delta_files import nan_observer
from etl.sinks.delta_modes import mode_of
from etl.sinks.delta_options import DeltaOptions
from etl.sinks.delta_reading import FileReader
from etl.sinks.delta_recipient import Recipient
from etl.sinks.delta_revision import TableRevision
from etl.sinks.delta_staging import StagingArea, fit
from etl.sinks.delta_upkeep import TableUpkeep

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import polars as pl

    from etl.balance import Tally
    from etl.model import Json
    from etl.sinks.delta_log import Action, DeltaLog, Head


class DeltaSink(Recipient):
    """Brings batches into one Delta table; made with the first batch where it does not exist."""

    options_model = DeltaOptions

    def __init__(self, options: DeltaOptions, site: SinkSite) -> None:
        super().__init__(site)
        self._options = options
        self.upkeep = TableUpkeep(options, site, self._logs.own)
        self._staging = StagingArea(options, site)
        self._prepared: Prepared | None = None
        self._mode = mode_of(options, site, self._logs.own)
        self.memory = None if self._mode is None else self._mode.memory
        self._is_idle = False
        self._former_id = ""

    def bind(self, app_id: str, pipeline: str = "", replaces: Sequence[str] | None = None) -> None:
        """Take the names under which the table remembers this pipeline's batches."""
        super().bind(app_id, pipeline, replaces)
        self._staging.app_id = app_id

    def prepare(self, rows: pl.Schema, *, may_widen: bool = False) -> Schema:
        """Return the columns that a batch of ``rows`` leaves the table with. Raises SinkError."""
        head = self._log.head()
        known = self._prepared
        if known is None or not known.answers(head, rows, may_widen=may_widen):
            self._prepared = known = self._prepare(head, rows, may_widen=may_widen)
        return known.schema

    def _prepare(self, head: Head | None, rows: pl.Schema, *, may_widen: bool) -> Prepared:
        self._refuse_rows(rows)
        for each in (head, self._logs.own.head() if self._logs.is_beside else None):
            if each is not None:
                self._refuse_unfit(each)
        before = [] if head is None or self._replaces_all(head) else head.fields
        kept = self._kept(rows)
        if self._mode is not None:
            kept |= self._mode.added(kept)
        fields = merge_fields(before, to_delta_fields(kept), may_widen=may_widen)
        if not fields:
            raise SinkError(
                "no column of the batch has a type yet: there are only nulls",
                where=self.table,
                hint="declare the columns under `schema:` of the source, or wait for input with values",
            )
        refuse_partition_types(fields, self._options.partition_by, self.table)
        refuse_untyped_keys(fields, self._options.primary_key, self._options.sequence_by, self.table)
        return Prepared(head, rows, may_widen, from_delta_fields(fields))

    def _refuse_rows(self, rows: pl.Schema) -> None:
        """Refuse rows that the write mode cannot take. Raises ConfigError."""
        if self._mode is not None:
            self._mode.refuse(rows, self._kept(rows))
        elif self._site.role == "main":  # side tables keep what a row was
            refuse_changes(rows, self.table)

    def _kept(self, rows: pl.Schema) -> Schema:
        """Return the columns of ``rows`` that the table is to have: all but system columns that are not kept."""
        dropped = set(SYSTEM_COLUMNS) - set(self._site.provenance) | ({CHANGE} if self._options.primary_key else set())
        return {name: tree for name, tree in from_polars(rows).items() if name not in dropped}

    def _replaces_all(self, head: Head) -> bool:
        return self._is_replaced(head) or self._options.write_mode == "overwrite"

    def _refuse_unfit(self, head: Head) -> None:
        """Refuse a table that cannot take our next batch. Raises SinkError, FencedError, TableStateError."""
        self._refuse_other_checkpoint(head)
        refuse_unkept(head, self.table)
        if self._is_replaced(head) or self._options.write_mode != "append":
            refuse_irreplaceable(head, self.table)
        if not self._replaces_all(head):
            if self._mode is not None:
                self._mode.refuse_table(head)
            refuse_other_partitions(head, self._options.partition_by, self.table, self._log.refresh_command)

    def _refuse_other_checkpoint(self, head: Head) -> None:
        refuse_other_checkpoint(head, self.table, is_refresh=self._replaces is not None)

    def stage(self, batch_id: int, attempt: str, rows: pl.LazyFrame, tally: Tally) -> tuple[StagedFile, ...]:
        """Write ``rows`` durably beside the table's files, unreferenced; count ``written`` from their own footers.

        The last call of ``prepare`` says which types the table has afterwards.
        """
        given = rows.collect_schema()
        prepared = self._prepared
        if prepared is None or prepared.rows != given:
            prepared = self._prepare(self._log.head(), given, may_widen=False)
        target = prepared.schema
        if self._mode is not None:
            self._mode.log = self._log
            takes_all = prepared.head is not None and self._is_replaced(prepared.head)
            rows = self._mode.written(attempt, rows, prepared, tally, takes_all=takes_all)
            given = rows.collect_schema()
        names = [name for name in target if name in given]
        types = to_polars(stored({name: target[name] for name in names}))
        look, nan_columns = nan_observer()

        def see(frame: pl.DataFrame) -> None:
            tally.add_of_files("written", rows_by_file(frame))
            look(frame)

        fitted = fit(observed(rows, see).select(names), types)
        files = self._staging.write(batch_id, f"{attempt[:16]}-", [fitted], nan_columns)
        tally.add("written", sum(file.rows for file in files))
        if self._mode is not None:
            self._mode.staged(files)
        self._is_idle = not any(tally.counts()[fate] for fate in ARRIVED)
        return files

    def revise(self, batch_id: int, attempt: str, edit: Edit) -> tuple[tuple[StagedFile, ...], Revision | None]:
        """Write the rows that an edit touches anew, beside the table. Raises SinkError."""
        if edit.files and self._options.write_mode != "append":
            raise SinkError(
                f"write_mode {self._options.write_mode} replaces rows by their key or all of them, not those of a file",
                where=self.table,
                hint="say `on_change: reingest` at the source, or `write_mode: append`",
            )
        merge = None if self._mode is None else self._mode.merge_of(attempt)
        head = self._log.head() if merge is None else merge.head
        if self._options.write_mode == "overwrite" or (merge is not None and head is None):
            return (), self._replacement(head)
        if head is None or self._is_replaced(head):
            return (), None
        self._refuse_unfit(head)  # a runner that slept may find what a refresh has made of the table
        revision = None if merge is None else merge.revision
        if revision is None:
            revision = self._revision(head, edit)
        if not revision.puts_back:
            found = Revision(revision.removes, head.version, revision.is_data_change and bool(revision.removes))
            return (), found if revision.retypes or merge is not None else None
        parts, nan_columns = revision.written()
        is_ordered = merge is not None  # rows that stay keep their order, and files the bounds that readers skip by
        files = self._staging.write(batch_id, f"{attempt[:16]}-old", parts, nan_columns, keeps_order=is_ordered)
        revision.check(sum(file.rows for file in files))
        found = Revision(revision.removes, head.version, revision.is_data_change)
        return tuple(replace(file, is_rewrite=True) for file in files), found

    def _revision(self, head: Head, edit: Edit) -> TableRevision:
        refuse_grown(head, edit.schema, self.table)
        reader = FileReader(head, edit.schema, self._site.storage, self._site.storage_options)
        return TableRevision(partial(self._log.live_files, head), reader, edit)

    def _replacement(self, head: Head | None) -> Revision | None:
        """Return what says that a batch is put in place of all rows, or that nobody has made the table meanwhile.

        None for a batch to which nothing came: the table stays.
        """
        return None if self._is_idle else Revision((), -1 if head is None else head.version, is_data_change=True)

    def is_left_alone(self, files: Sequence[StagedFile], schema: Schema, revision: Revision | None) -> bool:
        """Tell whether a batch would change neither rows nor columns of a table that has batches of ours."""
        head = self._log.head()
        is_revised = revision is not None and (revision.removes or revision.is_data_change)
        if files or is_revised or head is None or head.batch_id is None:
            return False
        return self._options.write_mode == "overwrite" or schema == from_delta_fields(head.fields)

    def gathered(self, files: Sequence[StagedFile], revision: Revision | None) -> tuple[StagedFile, ...] | None:
        """Return all files of the table beside as a batch leaves it, None where none is built; it ends the refresh.

        Raises SinkError where one of them is gone.
        """
        if not self._logs.is_beside:
            return None
        if revision is not None and self._options.write_mode == "overwrite":
            return tuple(files)
        return (*self._logs.files(() if revision is None else revision.removes), *files)

    def missing(self, manifest: Manifest) -> list[str]:
        """Return the staged files of the manifest that are not there with their size."""
        return self._staging.missing(manifest.tables.get(self._site.role, ()))

    def commit(self, manifest: Manifest, info: dict[str, Json]) -> int:
        """Make the manifest's files one table version; return it. *Repeat*: the version of the first time."""
        if manifest.ends_refresh:
            version = self._commit(self._logs.own, manifest, info)
            self._logs.arrive()
            return version
        return self._commit(self._log, manifest, info)

    def _commit(self, log: DeltaLog, manifest: Manifest, info: dict[str, Json]) -> int:
        while True:
            head = log.head()
            if head is not None:
                self._refuse_other_checkpoint(head)
            if head is not None and head.batch_id is not None and head.batch_id >= manifest.batch_id:
                version = log.version_of(manifest.batch_id)
                log.refuse_rollback_since(version)
                return version
            if self._options.write_mode != "overwrite":
                refuse_moved(log, head, manifest.revisions.get(self._site.role), self.table)
            after = log.commit(head, self._actions(log, head, manifest, info))
            if after is not None:
                return after.version

    def commit_as(self, manifest: Manifest, info: dict[str, Json], version: int, table_id: str) -> int:
        """Commit a batch whose version was lost; a table that lost its first one too keeps its identity."""
        del version  # follows from the log
        self._former_id = table_id
        return self.commit(manifest, info)

    def _actions(self, log: DeltaLog, head: Head | None, manifest: Manifest, info: dict[str, Json]) -> list[Action]:
        """Return the actions of a batch's version."""
        if head is not None:
            self._refuse_unfit(head)
        now_ms = int(self._site.seam.now().timestamp() * 1000)
        identity = Identity(
            log.app_id,
            self._former_id or str(UUID(self._site.seam.new_id())),
            tuple(self._options.partition_by),
            log.claim,
            (self._replaces or ()) if head is None or self._is_replaced(head) else (),
            self._site.role,
        )
        is_idle = self._options.write_mode == "overwrite" and self._site.role not in manifest.revisions
        if head is not None and is_idle and not self._is_replaced(head):
            as_it_is = {**manifest.table_schemas, self._site.role: from_delta_fields(head.fields)}
            return append_actions(head, replace(manifest, table_schemas=as_it_is), info, identity, now_ms)
        if head is None or not self._replaces_all(head):
            return append_actions(head, manifest, info, identity, now_ms)
        removed = remove_actions(log.live_paths(head), now_ms)
        return replace_actions(head, manifest, info, identity, now_ms) + removed

    def discard(self, batch_id: int, keep: Collection[str]) -> None:
        """Remove staged files of ``batch_id`` but those named."""
        self._staging.discard(batch_id, keep)

    def tend(self) -> None:
        """Summarise the table's log for readers every hundred versions."""
        self.upkeep.summarise()
