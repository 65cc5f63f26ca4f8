"""From a manifest to tables: every table in its own transaction, the schema that the batch brings, the commit entry."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from etl.binding import is_beside
from etl.checkpoint.commit_log import BESIDE, CommitEntry, SideState, commit_info
from etl.checkpoint.schema_log import SchemaVersion
from etl.checkpoint.table_records import TableRecords
from etl.flow import MAIN_ROLE
from etl.model import BatchPlan, BatchResult, Manifest, Schema, change_to_json
from etl.sinks.quarantine import ROLE

if TYPE_CHECKING:
    from collections.abc import Collection

    from etl.checkpoint.folder import Checkpoint
    from etl.pipeline import Pipeline
    from etl.progress import Stopwatch
    from etl.seam import Seam


class Publication:
    """What makes the batches of one runner visible, and remembers what the next entry has to say of side tables.

    ``versions`` are those of the batch under way, by role: the tables that hold it already. ``recorded`` are the newest
    reading schemas that the checkpoint has a record of, by source.
    """

    def __init__(self, pipeline: Pipeline, checkpoint: Checkpoint, seam: Seam) -> None:
        self._pipeline = pipeline
        self._flow = pipeline.flow
        self._checkpoint = checkpoint
        self._seam = seam
        self._kept = TableRecords(checkpoint)
        self.sides: dict[str, SideState] = {}
        self.recorded: dict[str, Schema] = {}
        self.versions: dict[str, int] = {}

    def commit(self, plan: BatchPlan, manifest: Manifest, watch: Stopwatch) -> BatchResult:
        """Commit every table, the pipeline's own last, then write the entry. *Repeat*: safe.

        Raises TableMovedError where the manifest has to be made anew; ``versions`` says which tables hold it then.
        """
        epochs = self._checkpoint.epochs
        epochs.check()
        self._record_schemas(plan, manifest)
        info = commit_info(self._pipeline.name, self._checkpoint.identity, plan, manifest)
        seen = info | (self._kept.told(plan, manifest) if manifest.tables else {})
        for role, sink in self._flow.sinks.items():
            if role in manifest.tables:
                version = sink.commit(manifest, info if self._goes_beside(role, manifest) else seen)
                self.versions[BESIDE if self._goes_beside(role, manifest) else role] = version
        watch.lap("commit")
        entry = self._entry(plan, manifest, watch)
        epochs.check()
        self._checkpoint.commits.add(entry, epoch=epochs.current)
        self._kept.settle(plan, manifest, is_seen=bool(self.versions.keys() - {BESIDE}))
        self.sides = dict(entry.sides)
        self.versions = {}
        return entry.result

    def _goes_beside(self, role: str, manifest: Manifest) -> bool:
        """Tell whether a batch goes beside a table, where nobody sees it yet."""
        return role == MAIN_ROLE and not manifest.ends_refresh and is_beside(self._flow.sink)

    def _record_schemas(self, plan: BatchPlan, manifest: Manifest) -> None:
        """Keep the reading schemas that a batch brings, before anybody sees its rows. *Repeat*: safe."""
        for name, schema in manifest.source_schemas.items():
            if schema == self.recorded.get(name) or not schema:
                continue
            changes = tuple(change for change in manifest.schema_changes if change.source in ("", name))
            found = SchemaVersion(0, plan.batch_id, name, schema, changes)
            self._checkpoint.schemas.add(found, epoch=self._checkpoint.epochs.current, attempt=manifest.attempt)
            self.recorded[name] = schema

    def _entry(self, plan: BatchPlan, manifest: Manifest, watch: Stopwatch) -> CommitEntry:
        sinks = {**self._flow.sinks, BESIDE: self._flow.sink}
        result = BatchResult(
            pipeline=self._pipeline.name,
            batch_id=plan.batch_id,
            offsets={name: {"start": part.span.start, "end": part.span.end} for name, part in plan.inputs.items()},
            tables={sinks[role].table: self.versions[role] for role in reversed(self.versions) if role != BESIDE},
            rows=manifest.rows,
            watermark=manifest.watermark,
            bytes_read=manifest.bytes_read,
            seconds=watch.seconds(),
            schema_changes=tuple(change_to_json(change) for change in manifest.schema_changes),
            checks=manifest.checks,
            resolution=plan.resolution,
            state={name: {"rows": ref.rows, "bytes": ref.size_bytes} for name, ref in manifest.state.items()},
        )
        sides = {
            role: SideState(sinks[role].table_id() or "", plan.batch_id, version, self._open_rows(role, plan, manifest))
            for role, version in self.versions.items()
        }
        before = {role: side for role, side in self.sides.items() if role != BESIDE or MAIN_ROLE not in sides}
        return CommitEntry(
            result,
            manifest.attempt,
            self._pipeline.sink.table_id() or "",
            self._seam.now().isoformat(),
            plan.definition,
            before | sides,
        )

    def _open_rows(self, role: str, plan: BatchPlan, manifest: Manifest) -> int | None:
        """Return how many rejected rows wait after a batch, None where rows of whole files went with it.

        None too for the pipeline's own table, in which none wait.
        """
        if role != ROLE:
            return None
        before = self.sides[role].open_rows if role in self.sides else 0
        if before is None or any(part.replaces for part in plan.inputs.values()):
            return None
        resolved = 0 if plan.resolution is None else len(plan.resolution["rows"])
        return before + manifest.rows.get("quarantined", 0) - resolved


def with_settled(manifest: Manifest, settled: Manifest, roles: Collection[str]) -> Manifest:
    """Return a new manifest of a batch that some tables hold already: their part is that of the ``settled`` one."""
    return replace(
        manifest,
        tables={**manifest.tables, **{role: settled.tables[role] for role in roles}},
        table_schemas={**manifest.table_schemas, **{role: settled.table_schemas[role] for role in roles}},
        revisions={
            **{role: found for role, found in manifest.revisions.items() if role not in roles},
            **{role: found for role, found in settled.revisions.items() if role in roles},
        },
    )
