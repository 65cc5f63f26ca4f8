"""The Delta table sink: append, exactly once; a refresh's first batch takes the place of what is there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from pydantic import Field, model_validator

from etl.balance import observed
from etl.errors import FencedError, SinkError, TableStateError
from etl.model import SYSTEM_COLUMNS, Manifest, Schema, StagedFile
from etl.options import Options, SizeBytes
from etl.schema import from_polars, to_polars
from etl.sinks.contract import SinkSite
from etl.sinks.delta_actions import SUPERSEDED, Identity, append_actions, remove_actions, replace_actions
from etl.sinks.delta_features import refuse_irreplaceable, refuse_unkept
from etl.sinks.delta_files import StagingPlan, describe_file, nan_observer, write_files
from etl.sinks.delta_log import Action, DeltaLog, Head
from etl.sinks.delta_types import from_delta_fields, merge_fields, to_delta_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from etl.balance import Tally
    from etl.model import Json

_LOG_CHECKPOINT_EVERY = 100
_PARTITION_TYPES = ("string", "byte", "short", "integer", "long", "boolean", "date")


class DeltaOptions(Options):
    """A Delta table, by name or by path."""

    type: Literal["delta"] = "delta"
    table: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$", description="schema.table under the lake"
    )
    path: str | None = Field(default=None, description="URL or folder of a table outside the lake's layout")
    write_mode: Literal["append"] = "append"
    partition_by: list[str] = Field(default_factory=list)
    target_file_size: SizeBytes = 128_000_000
    provenance: bool = Field(default=True, description="keep _source_file, _source_offset and _batch_id in the table")

    @model_validator(mode="after")
    def _is_named_once(self) -> DeltaOptions:
        if (self.table is None) == (self.path is None):
            raise ValueError("name the table by either 'table' or 'path'")
        return self


class DeltaSink:
    """Appends batches to one Delta table; made with the first batch where it does not exist."""

    options_model = DeltaOptions

    def __init__(self, options: DeltaOptions, site: SinkSite) -> None:
        self._options = options
        self._site = site
        self._log = DeltaLog(site.storage, site.storage_options, site.seam)
        self._replaces: tuple[str, ...] | None = None
        self._tended_at: int | None = None
        self._prepared: tuple[int | None, pl.Schema, Schema] | None = None
        self.table = site.table

    def bind(self, app_id: str, pipeline: str = "", replaces: Sequence[str] | None = None) -> None:
        """Take the names under which the table remembers this pipeline's batches."""
        self._log.app_id = app_id
        self._log.pipeline = pipeline
        self._replaces = None if replaces is None else tuple(replaces)

    def last_batch_id(self, expected: tuple[int, int] | None = None) -> int | None:
        """Return the newest batch that the table holds from this pipeline, None for none. Raises TableStateError."""
        if expected is not None and self._log.stands_at(*expected):
            return expected[0]
        head = self._log.head()
        if expected is not None:
            self._log.refuse_rollback_since(expected[1])
        if head is not None and head.batch_id == SUPERSEDED:
            raise TableStateError(
                "table_ahead",
                "a full refresh took the place of every batch that this checkpoint knows",
                where=self.table,
                hint=f"restore the newer checkpoint folder, or build the table anew: {self._log.refresh_command}",
            )
        return None if head is None else head.batch_id

    def claimed_batch_id(self) -> int | None:
        """Return the newest batch that the table holds from any checkpoint of this pipeline, None for none."""
        head = self._log.head()
        return None if head is None else head.claimed

    def table_id(self) -> str | None:
        """Return the identity of the table, None where there is none."""
        head = self._log.head()
        return None if head is None else head.table_id

    def prepare(self, rows: pl.Schema) -> Schema:
        """Return the columns that a batch of ``rows`` leaves the table with. Raises SinkError."""
        head = self._log.head()
        version = None if head is None else head.version
        if self._prepared is None or self._prepared[:2] != (version, rows):
            self._prepared = (version, rows, self._prepare(head, rows))
        return self._prepared[2]

    def _prepare(self, head: Head | None, rows: pl.Schema) -> Schema:
        if head is not None:
            self._refuse_unfit(head)
        before = [] if head is None or self._is_replaced(head) else head.fields
        fields = merge_fields(before, to_delta_fields(self._kept(rows)))
        if not fields:
            raise SinkError(
                "no column of the batch has a type yet: there are only nulls",
                where=self.table,
                hint="declare the columns under `schema:` of the source, or wait for input with values",
            )
        self._refuse_partition_types(fields)
        return from_delta_fields(fields)

    def _kept(self, rows: pl.Schema) -> Schema:
        """Return the columns of ``rows`` that the table is to have: all but system columns that are not kept."""
        dropped = set(SYSTEM_COLUMNS) - set(self._site.provenance)
        return {name: tree for name, tree in from_polars(rows).items() if name not in dropped}

    def _is_replaced(self, head: Head) -> bool:
        """Tell whether the next batch takes the place of all that the table holds."""
        return self._replaces is not None and head.batch_id is None

    def _refuse_unfit(self, head: Head) -> None:
        """Refuse a table that cannot take our next batch. Raises SinkError, FencedError, TableStateError."""
        self._refuse_other_checkpoint(head)
        refuse_unkept(head, self.table)
        if self._is_replaced(head):
            refuse_irreplaceable(head, self.table)
        else:
            self._refuse_other_partitions(head)

    def _refuse_other_partitions(self, head: Head) -> None:
        if head.partition_columns != self._options.partition_by:
            raise SinkError(
                f"the table is partitioned by {head.partition_columns}, the pipeline says {self._options.partition_by}",
                where=self.table,
                hint=f"a table's partitioning cannot change; set sink.partition_by to it, or build the table anew: "
                f"{self._log.refresh_command}",
            )

    def _refuse_partition_types(self, fields: list[Action]) -> None:
        types = {field["name"]: field["type"] for field in fields}
        for column in self._options.partition_by:
            if types.get(column) not in _PARTITION_TYPES:
                raise SinkError(
                    f"cannot be partitioned by a column of type {types.get(column, 'unknown')}",
                    where=f"{self.table}.{column}",
                    hint="use text, an integer, a boolean or a date: with_columns: {day: CAST(at AS DATE)}",
                )

    def stage(self, batch_id: int, attempt: str, rows: pl.LazyFrame, tally: Tally) -> tuple[StagedFile, ...]:
        """Write ``rows`` durably beside the table's files, unreferenced; count ``written`` from their own footers."""
        given = rows.collect_schema()
        target = self.prepare(given)
        names = [name for name in target if name in given]
        types = to_polars({name: target[name] for name in names})
        look, nan_columns = nan_observer()
        fitted = observed(_fit(rows.select(names), types), look)
        plan = StagingPlan(
            self._site.url,
            f"{self._prefix(batch_id)}{attempt[:16]}-",
            tuple(self._options.partition_by),
            self._options.target_file_size,
            dict(self._site.storage_options),
        )
        paths = self._site.seam.effect(
            "data.write", partial(write_files, fitted, plan), partial(write_files, fitted.head(1), plan)
        )
        self._site.storage.sync(paths, effect="data.sync")
        files = self._describe(paths, frozenset(nan_columns))
        for file in files:
            if not file.rows:
                self._site.storage.remove(file.path, effect="data.discard")
        tally.add("written", sum(file.rows for file in files))
        return tuple(file for file in files if file.rows)

    def _prefix(self, batch_id: int) -> str:
        return f"part-{self._log.app_id[:8]}-{batch_id:010d}-"

    def _describe(self, paths: list[str], nan_columns: frozenset[str]) -> list[StagedFile]:
        described = []
        for path in paths:
            size = self._site.storage.size(path)
            if size is None:
                raise SinkError("a data file vanished while it was staged", where=f"{self._site.url}/{path}")
            described.append(describe_file(path, size, partial(self._site.storage.open, path), nan_columns))
        return described

    def missing(self, manifest: Manifest) -> list[str]:
        """Return the staged files of the manifest that are not there with their size."""
        return [file.path for file in manifest.tables["main"] if self._site.storage.size(file.path) != file.size_bytes]

    def commit(self, manifest: Manifest, info: dict[str, Json]) -> int:
        """Make the manifest's files one table version; return it. *Repeat*: the version of the first time."""
        while True:
            head = self._log.head()
            if head is not None:
                self._refuse_other_checkpoint(head)
            if head is not None and head.batch_id is not None and head.batch_id >= manifest.batch_id:
                version = self._log.version_of(manifest.batch_id)
                self._log.refuse_rollback_since(version)
                return version
            after = self._log.commit(head, self._actions(head, manifest, info))
            if after is not None:
                return after.version

    def _refuse_other_checkpoint(self, head: Head) -> None:
        """Refuse to commit beside, or after, the batches of another checkpoint of the pipeline.

        Here once more, next to the compare-and-swap, because a runner may have slept since it looked. Raises
        FencedError, TableStateError.
        """
        if head.batch_id == SUPERSEDED:
            raise FencedError(
                "a full refresh took the place of this checkpoint's batches",
                where=self.table,
                hint="this runner stopped and deleted nothing; the refresh goes on",
            )
        if self._replaces is None and head.batch_id is None and head.claimed is not None:
            raise TableStateError(
                "table_ahead",
                "another checkpoint of this pipeline has written to the table meanwhile",
                where=self.table,
                hint="put that checkpoint back; nothing was committed",
            )

    def _actions(self, head: Head | None, manifest: Manifest, info: dict[str, Json]) -> list[Action]:
        """Return the actions of a batch's version."""
        if head is not None:
            self._refuse_unfit(head)
        now_ms = int(self._site.seam.now().timestamp() * 1000)
        identity = Identity(
            self._log.app_id,
            str(UUID(self._site.seam.new_id())),
            tuple(self._options.partition_by),
            self._log.claim,
            (self._replaces or ()) if manifest.batch_id == 0 else (),
        )
        if head is None or not self._is_replaced(head) or manifest.batch_id != 0:
            return append_actions(head, manifest, info, identity, now_ms)
        removed = remove_actions(self._log.live_paths(head), now_ms)
        return replace_actions(head, manifest, info, identity, now_ms) + removed

    def discard(self, batch_id: int, keep: str | None) -> None:
        """Remove staged files of ``batch_id`` from every attempt but ``keep``."""
        prefix = self._prefix(batch_id)
        kept = f"{prefix}{keep[:16]}-" if keep else None
        for path in self._site.storage.find():
            name = path.rsplit("/", 1)[-1]
            if name.startswith(prefix) and not (kept and name.startswith(kept)):
                self._site.storage.remove(path, effect="data.discard")

    def tend(self) -> None:
        """Summarise the table's log for readers every hundred versions."""
        head = self._log.head()
        if head is None:
            return
        if self._tended_at is None:
            self._tended_at = self._log.checkpoint_version()
        if head.version - self._tended_at >= _LOG_CHECKPOINT_EVERY:
            self._log.write_checkpoint()
            self._tended_at = head.version


def _fit(rows: pl.LazyFrame, types: pl.Schema) -> pl.LazyFrame:
    """Cast columns to the table's types, which hold every value of theirs."""
    import polars as pl

    given = rows.collect_schema()
    return rows.select(
        pl.col(name) if given[name] == dtype else pl.col(name).cast(dtype, strict=True) for name, dtype in types.items()
    )
