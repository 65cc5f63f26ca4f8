"""The plain Parquet sink: batches that add files to a folder, each exactly once, by records beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from etl.balance import observed, rows_by_file
from etl.delta_types import from_delta_fields, stored, to_delta_fields
from etl.errors import FencedError, SinkError, TableMovedError, TableStateError
from etl.model import SYSTEM_COLUMNS, Manifest, Revision, Schema, StagedFile
from etl.schema import from_polars, to_polars
from etl.sinks.changes import refuse_changes
from etl.sinks.delta_actions import SUPERSEDED
from etl.sinks.delta_checks import refuse_partition_types
from etl.sinks.delta_files import nan_observer
from etl.sinks.delta_staging import fit
from etl.sinks.parquet_commits import Commit, Commits, Standing, merged
from etl.sinks.parquet_files import ParquetFiles
from etl.sinks.parquet_options import ParquetOptions
from etl.sinks.parquet_past import ParquetPast
from etl.sinks.parquet_schema import grown

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import polars as pl

    from etl.balance import Tally
    from etl.model import Json, TypeTree
    from etl.sinks.contract import Edit, SinkSite
    from etl.sinks.past import Past


class ParquetSink:
    """Brings batches into one folder of Parquet files; made with the first batch where it does not exist."""

    options_model = ParquetOptions
    is_append_only = True
    memory = None

    def __init__(self, options: ParquetOptions, site: SinkSite) -> None:
        self._options = options
        self._site = site
        self._commits = Commits(site.storage, site.seam)
        self._files = ParquetFiles(options, site)
        self._app_id = self._pipeline = ""
        self._replaces: tuple[str, ...] | None = None
        self._prepared: tuple[pl.Schema, Schema] | None = None
        self.table = site.table

    def bind(self, app_id: str, pipeline: str = "", replaces: Sequence[str] | None = None) -> None:
        """Take the names under which the table remembers this pipeline's batches."""
        self._app_id = self._files.app_id = app_id
        self._pipeline = pipeline
        self._replaces = None if replaces is None else tuple(replaces)

    @property
    def past(self) -> Past:
        """What the table has been."""
        return self._past

    @property
    def _past(self) -> ParquetPast:
        return ParquetPast(self._commits, self._files, self._app_id, self._pipeline)

    def last_batch_id(self, expected: tuple[int, int] | None = None) -> int | None:
        """Return the newest batch that the table holds from this pipeline, None for none. Raises TableStateError."""
        del expected  # one listing answers it
        standing = self._commits.standing()
        found = None if standing is None else standing.batch_id(self._app_id)
        if found == SUPERSEDED:
            raise TableStateError(
                "table_ahead",
                "a full refresh took the place of every batch that this checkpoint knows",
                where=self.table,
                hint=f"restore the newer checkpoint folder, or build the table anew: {self._refresh_command}",
            )
        return found

    @property
    def _refresh_command(self) -> str:
        return f"etl run {self._pipeline or 'PIPELINE'} --full-refresh"

    def claimed_batch_id(self) -> int | None:
        """Return the newest batch that the table holds from any checkpoint of this pipeline, None for none."""
        standing = self._commits.standing()
        if standing is None or not self._pipeline:
            return None
        own = (commit for commit in standing.every.values() if commit.pipeline == self._pipeline)
        return max(((each.version, each.batch_id) for each in own), default=(0, None))[1]

    def table_id(self) -> str | None:
        """Return the identity of the table, None where there is none."""
        standing = self._commits.standing()
        return None if standing is None else standing.table_id

    @property
    def is_to_be_replaced(self) -> bool:
        """Whether the next commit takes the place of all that the table holds of this pipeline."""
        standing = self._commits.standing()
        return standing is not None and bool(self._replaced(standing))

    def _replaced(self, standing: Standing | None) -> tuple[str, ...]:
        """Return the app ids of this pipeline whose place the next batch takes."""
        if standing is None or self._replaces is None or standing.batch_id(self._app_id) is not None:
            return ()
        own = {each.app_id for each in standing.every.values() if self._pipeline and each.pipeline == self._pipeline}
        return tuple(sorted({*self._replaces, *own} - {self._app_id}))

    def _left(self, standing: Standing | None) -> tuple[Commit, ...]:
        """Return the batches that stay in the table beside the next one."""
        replaced = self._replaced(standing)
        live = () if standing is None else standing.live
        return tuple(each for each in live if each.app_id not in replaced)

    def prepare(self, rows: pl.Schema, *, may_widen: bool = False) -> Schema:
        """Return the columns that a batch of ``rows`` leaves the table with. Raises SinkError."""
        refuse_changes(rows, self.table)
        standing = self._commits.standing()
        self._refuse_unfit(standing)
        dropped = set(SYSTEM_COLUMNS) - set(self._site.provenance)
        kept = {name: tree for name, tree in from_polars(rows).items() if name not in dropped}
        schema = grown(self._left(standing), kept, may_widen=may_widen, table=self.table)
        fields = to_delta_fields(schema)
        if not fields:
            raise SinkError(
                "no column of the batch has a type yet: there are only nulls",
                where=self.table,
                hint="declare the columns under `schema:` of the source, or wait for input with values",
            )
        refuse_partition_types(fields, self._options.partition_by, self.table)
        self._prepared = (rows, from_delta_fields(fields))
        return self._prepared[1]

    def _refuse_unfit(self, standing: Standing | None) -> None:
        """Refuse a table that cannot take our next batch. Raises SinkError, FencedError, TableStateError."""
        self._refuse_other_checkpoint(standing)
        wanted = tuple(self._options.partition_by)
        other = next((each for each in self._left(standing) if each.partition_by != wanted), None)
        if other is not None:
            raise SinkError(
                f"the table is partitioned by {list(other.partition_by)}, the pipeline says {list(wanted)}",
                where=self.table,
                hint=f"set sink.partition_by to it, or build the table anew: {self._refresh_command}",
            )

    def _refuse_other_checkpoint(self, standing: Standing | None) -> None:
        found = None if standing is None else standing.batch_id(self._app_id)
        if found == SUPERSEDED:
            raise FencedError(
                "a full refresh took the place of this checkpoint's batches",
                where=self.table,
                hint="this runner stopped and deleted nothing; the refresh goes on",
            )
        if self._replaces is None and found is None and self.claimed_batch_id() is not None:
            raise TableStateError(
                "table_ahead",
                "another checkpoint of this pipeline has written to the table meanwhile",
                where=self.table,
                hint="put that checkpoint back; nothing was committed",
            )

    def stage(self, batch_id: int, attempt: str, rows: pl.LazyFrame, tally: Tally) -> tuple[StagedFile, ...]:
        """Write ``rows`` durably beside the table's files, unseen; count ``written`` from their own footers.

        The last call of ``prepare`` says which types the table has afterwards.
        """
        given = rows.collect_schema()
        if self._prepared is None or self._prepared[0] != given:
            self.prepare(given)
        target = {} if self._prepared is None else self._prepared[1]
        names = [name for name in target if name in given]
        look, nan_columns = nan_observer()

        def see(frame: pl.DataFrame) -> None:
            tally.add_of_files("written", rows_by_file(frame))
            look(frame)

        fitted = fit(observed(rows, see).select(names), to_polars(stored({name: target[name] for name in names})))
        files = self._files.stage(batch_id, attempt, fitted, nan_columns)
        tally.add("written", sum(file.rows for file in files))
        return files

    def revise(self, batch_id: int, attempt: str, edit: Edit) -> tuple[tuple[StagedFile, ...], Revision | None]:
        """Change nothing: files keep their rows and types. Raises SinkError where rows would have to go."""
        del batch_id, attempt
        if edit.files:
            raise SinkError(
                "a plain Parquet table can only be added to: rows of changed files cannot be taken out",
                where=self.table,
                hint="say `on_change: reingest` at the source, or `type: delta` at the sink",
            )
        return (), None

    def is_left_alone(self, files: Sequence[StagedFile], schema: Schema, revision: Revision | None) -> bool:
        """Tell whether a batch would change neither rows nor columns of a table that has batches of ours."""
        standing = self._commits.standing()
        if files or revision is not None or standing is None or standing.batch_id(self._app_id) is None:
            return False
        return schema == standing.schema

    def missing(self, manifest: Manifest) -> list[str]:
        """Return the files of the manifest that are not there with their size."""
        return self._files.missing(manifest.tables.get(self._site.role, ()))

    def commit(self, manifest: Manifest, info: dict[str, Json]) -> int:
        """Give the files their names, then write the record; return its version. *Repeat*: that of the first time."""
        return self._commit(manifest, info, None)

    def commit_as(self, manifest: Manifest, info: dict[str, Json], version: int, table_id: str) -> int:
        """Commit as that version which a batch had before its record was lost."""
        del table_id  # has a file of its own
        return self._commit(manifest, info, version)

    def _commit(self, manifest: Manifest, info: dict[str, Json], version: int | None) -> int:
        standing = self._commits.standing()
        done = {} if standing is None else {each.batch_id: each for each in standing.of(self._app_id)}
        if manifest.batch_id in done:
            return self._same(done[manifest.batch_id], manifest).version
        self._refuse_unfit(standing)
        if version is None:
            self._refuse_narrow(standing, manifest.table_schemas[self._site.role])
        replaces = self._replaced(standing)
        self._files.publish(manifest.tables[self._site.role])
        self._commits.identify()
        commit = Commit(
            self._app_id,
            self._pipeline,
            manifest.batch_id,
            self._next_version(standing) if version is None else version,
            replace(manifest, revisions={}),
            self._site.role,
            tuple(self._options.partition_by),
            replaces,
            {"operation": "WRITE", "timestamp": int(self._site.seam.now().timestamp() * 1000), **info},
        )
        made = self._same(self._commits.add(commit), manifest).version
        if replaces:
            self._past.sweep()
        return made

    def _refuse_narrow(self, standing: Standing | None, schema: Mapping[str, TypeTree]) -> None:
        """Refuse a batch in types that the table's columns have no longer. Raises TableMovedError, SinkError."""
        wanted = merged([*(each.schema for each in self._left(standing)), dict(schema)])
        other = next((name for name, tree in schema.items() if wanted[name] != tree), None)
        if other is not None:
            raise TableMovedError(
                f"another pipeline widened the type of {other} meanwhile",
                where=self.table,
                hint="the batch is staged again",
            )

    def _next_version(self, standing: Standing | None) -> int:
        return 0 if standing is None else standing.version + 1

    def _same(self, found: Commit, manifest: Manifest) -> Commit:
        """Return the record of a batch. Raises FencedError where it is another attempt's."""
        if found.manifest.attempt != manifest.attempt:
            raise FencedError(
                f"another attempt at batch {manifest.batch_id} is committed",
                where=self.table,
                hint="another runner has this checkpoint too; this one stopped and deleted nothing",
            )
        return found

    def discard(self, batch_id: int, keep: Collection[str]) -> None:
        """Remove files of ``batch_id`` but those named."""
        self._files.discard(batch_id, keep)

    def tend(self) -> None:
        """Remove what a crash left behind: temporary records, and files whose place others have taken."""
        self._past.sweep()
