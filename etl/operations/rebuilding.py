"""Making a checkpoint that is lost again, from what the tables' own logs tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from etl.binding import claim_of
from etl.checkpoint.commit_log import BESIDE, CommitEntry, SideState
from etl.checkpoint.folder import Checkpoint, choose_lease, find_checkpoint, held, publish_identity
from etl.checkpoint.generations import newest_generation
from etl.checkpoint.schema_log import SchemaVersion
from etl.errors import CheckpointError, ConfigError, RecordExistsError, StateError
from etl.model import BatchResult, change_to_json
from etl.operations.table_batches import TableBatches, batches_of_tables, joined
from etl.rewinding import has_state

if TYPE_CHECKING:
    from etl.checkpoint.table_records import KeptBatch
    from etl.model import Manifest
    from etl.operations.workspace import Workspace
    from etl.pipeline import Pipeline
    from etl.seam import Seam


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A checkpoint as it is made again. ``committed`` is the newest batch, ``is_open`` tells of one to be finished."""

    pipeline: str
    identity: str
    batches: int
    committed: int
    is_open: bool
    tables: Mapping[str, int]


def look_at_rebuild(workspace: Workspace, name: str, seam: Seam) -> Rebuilt:
    """Return what a rebuild would make; changes nothing. Raises as ``rebuild`` does."""
    return _Rebuild.of(workspace.wired(name, seam), seam).told()


def rebuild(workspace: Workspace, name: str, seam: Seam) -> Rebuilt:
    """Make the records of a pipeline again where none are left; the identity, which makes them count, comes last.

    *Repeat*: goes on after a crash; records of the same identity that are there stay. Raises ConfigError where a
    checkpoint is there, or where the tables do not tell all, StateError where transforms remembered what is lost,
    SourceError, LeaseHeldError.
    """
    found = _Rebuild.of(workspace.wired(name, seam), seam)
    found.carry_out()
    return found.told()


@dataclass(frozen=True, slots=True)
class _Rebuild:
    pipeline: Pipeline
    seam: Seam
    checkpoint: Checkpoint
    tables: Mapping[str, TableBatches]
    batches: Mapping[int, KeptBatch] = field(default_factory=dict)

    @classmethod
    def of(cls, pipeline: Pipeline, seam: Seam) -> _Rebuild:
        """Look at what is left. Raises EtlError."""
        generation = next_place(pipeline, seam)
        flow = pipeline.flow
        for role, sink in flow.sinks.items():
            sink.bind("", claim_of(flow, role))
        tables = batches_of_tables(flow)
        if not tables:
            raise ConfigError(
                "no table holds a batch of this pipeline: there is nothing to make a checkpoint of",
                where=pipeline.name,
                hint=f"begin: etl run {pipeline.name}",
            )
        identity = next(iter(tables.values())).identity
        former = max((table.former for table in tables.values()), key=len) or None
        checkpoint = Checkpoint(pipeline.checkpoint, identity, seam, generation, former)
        found = cls(pipeline, seam, checkpoint, tables, joined(tables))
        found.refuse_gaps()
        found.refuse_refreshing()
        found.refuse_lost()
        return found

    @property
    def committed(self) -> int:
        """The newest batch that every table holds which it changes, -1 for none."""
        newest = max(self.batches)
        return newest if self._is_committed(newest) else newest - 1

    def _is_committed(self, batch: int) -> bool:
        manifest = self.batches[batch].manifest
        return all(role in self.tables and batch in self.tables[role].versions for role in manifest.tables)

    def refuse_gaps(self) -> None:
        """Refuse tables that do not tell every batch. Raises ConfigError."""
        newest = max([*self.batches, *(batch for table in self.tables.values() for batch in table.versions)])
        missing = [batch for batch in range(newest + 1) if batch not in self.batches]
        if missing:
            oldest = max(table.oldest for table in self.tables.values())
            why = f"its log begins with version {oldest}" if oldest else "its commits do not keep it"
            raise ConfigError(
                f"the tables do not tell all of batch {missing[0]}: {why}",
                where=self.pipeline.sink.table,
                hint="restore the checkpoint from a copy (etl checkpoint import), or build the table anew: "
                f"etl run {self.pipeline.name} --full-refresh",
            )

    def refuse_refreshing(self) -> None:
        """Refuse batches of a full refresh that has not ended: no table has what it built. Raises ConfigError."""
        ended = max((batch for batch, each in self.batches.items() if each.manifest.ends_refresh), default=-1)
        for batch in self.batches:
            if ended < batch <= self.committed and not self._is_committed(batch):
                raise ConfigError(
                    f"batch {batch} is of a full refresh that was under way: what it had built is lost",
                    where=self.pipeline.sink.table,
                    hint=f"restore the checkpoint from a copy (etl checkpoint import), or begin again: "
                    f"etl run {self.pipeline.name} --full-refresh",
                )

    def refuse_lost(self) -> None:
        """Refuse what no table tells: what transforms and sources remember. Raises StateError, SourceError."""
        newest = self.batches[max(self.committed, 0)].manifest
        if newest.state and not has_state(self.checkpoint, newest):
            raise StateError(
                f"what {', '.join(newest.state)} remembered was in the checkpoint alone, and is lost",
                where=self.pipeline.name,
                hint="put its folder state/ back, or build the table anew: "
                f"etl run {self.pipeline.name} --full-refresh",
            )
        for source in self.pipeline.sources.values():
            check: Callable[[], None] | None = getattr(source, "check_rebuild", None)
            if check is not None:
                check()

    def told(self) -> Rebuilt:
        """Return what is made."""
        versions = {table.table: max(table.versions.values(), default=-1) for table in self.tables.values()}
        committed = self.committed
        return Rebuilt(
            self.pipeline.name,
            self.checkpoint.identity,
            committed + 1,
            committed,
            max(self.batches) > committed,
            versions,
        )

    def carry_out(self) -> None:
        """Write the records, then the identity. Raises LeaseHeldError."""
        with held(self.checkpoint, choose_lease(self.checkpoint.storage, self.seam)):
            self.checkpoint.sweep()
            sides: dict[str, SideState] = {}
            for batch in self.batches.values():
                self._write_batch(batch, sides)
            publish_identity(self.checkpoint, self.pipeline.name, self.seam)

    def _write_batch(self, batch: KeptBatch, sides: dict[str, SideState]) -> None:
        checkpoint, plan = self.checkpoint, batch.plan
        epoch, manifest = checkpoint.epochs.current, self._with_state(batch.manifest)
        _put(lambda: checkpoint.plans.add(plan, epoch=epoch, attempt=manifest.attempt))
        checkpoint.manifests.add(manifest, epoch=epoch)
        for name, schema in manifest.source_schemas.items():
            changes = tuple(change for change in manifest.schema_changes if change.source in ("", name))
            if schema:
                version = SchemaVersion(0, plan.batch_id, name, schema, changes)
                checkpoint.schemas.add(version, epoch=epoch, attempt=manifest.attempt)
        if plan.batch_id <= self.committed:
            checkpoint.commits.add(self._entry(batch, sides), epoch=epoch)

    def _with_state(self, manifest: Manifest) -> Manifest:
        """Return a manifest without the state that is no longer there."""
        return manifest if has_state(self.checkpoint, manifest) else replace(manifest, state={})

    def _entry(self, batch: KeptBatch, sides: dict[str, SideState]) -> CommitEntry:
        """Return the outcome of a batch; ``sides`` are those before it, and those after it then."""
        plan, manifest, sinks = batch.plan, batch.manifest, self.pipeline.flow.sinks
        number = plan.batch_id
        tables: dict[str, int] = {}
        for role in reversed(list(sinks)):
            table = self.tables.get(role)
            if role not in manifest.tables or table is None:
                continue
            if number in table.versions:
                sides.pop(BESIDE, None)
                tables[sinks[role].table] = table.versions[number]
                sides[role] = SideState(table.table_id, number, table.versions[number])
            else:  # a batch of a full refresh, before it ended
                sides[BESIDE] = SideState(table.table_id, number, -1)
        for role, table in self.tables.items():
            if table.rewound is not None and table.rewound[0] == number and role in sides:
                sides[role] = replace(sides[role], version=table.rewound[1])
        known_ms = [table.committed_ms[number] for table in self.tables.values() if number in table.committed_ms]
        at = datetime.fromtimestamp(max(known_ms, default=int(plan.batch_at.timestamp() * 1000)) / 1000, UTC)
        result = BatchResult(
            pipeline=self.pipeline.name,
            batch_id=number,
            offsets={name: {"start": part.span.start, "end": part.span.end} for name, part in plan.inputs.items()},
            tables=tables,
            rows=manifest.rows,
            watermark=manifest.watermark,
            bytes_read=manifest.bytes_read,
            seconds={},
            schema_changes=tuple(change_to_json(change) for change in manifest.schema_changes),
            checks=manifest.checks,
            resolution=plan.resolution,
            state={name: {"rows": ref.rows, "bytes": ref.size_bytes} for name, ref in manifest.state.items()},
        )
        own = self.tables.get("main")
        table_id = own.table_id if own is not None else ""
        return CommitEntry(result, manifest.attempt, table_id, at.isoformat(), plan.definition, dict(sides))


def _put(add: Callable[[], Any]) -> None:
    """Write a record, unless one of the same identity is there."""
    try:
        add()
    except RecordExistsError:
        return


def next_place(pipeline: Pipeline, seam: Seam) -> int:
    """Return the generation that a checkpoint is made again as: the next one where an identity is there, and no more.

    Raises ConfigError where a checkpoint is there.
    """
    url, generation = pipeline.checkpoint.url, newest_generation(pipeline.checkpoint)
    hint = f"see what is wrong with it: etl verify {pipeline.name}; to make it again, move {url} away"
    try:
        found = find_checkpoint(pipeline.checkpoint, seam, generation)
    except CheckpointError:
        if generation > 1:
            raise ConfigError("parts of a checkpoint are there", where=url, hint=hint) from None
        found = None
    if found is None:
        return generation
    if found.plans.log.revisions() or found.commits.log.revisions() or found.rewind is not None:
        raise ConfigError("the checkpoint is there", where=url, hint=hint)
    return generation + 1
