"""What a start finds: the newest plan, manifest and commit entry, the table, and the step that follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.checkpoint.recovery import Found, Step, next_step
from etl.errors import TableStateError

if TYPE_CHECKING:
    from etl.checkpoint.batch_log import BatchLog
    from etl.checkpoint.commit_log import CommitEntry
    from etl.checkpoint.folder import Checkpoint
    from etl.model import BatchPlan, Manifest, Offset, Schema
    from etl.staging import Flow


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a pipeline stands. Batch ids are -1 where there is none.

    ``plan`` and ``manifest`` are of batch ``planned``.
    """

    step: Step
    planned: int
    committed: int
    plan: BatchPlan | None
    manifest: Manifest | None
    manifest_revision: int
    missing: tuple[str, ...]
    plan_revisions: dict[int, int]

    def offset(self, source: str) -> Offset | None:
        """Return where ``source`` stands after the newest committed batch, None before the first."""
        if self.plan is None:
            return None
        span = self.plan.inputs[source].span
        return span.end if self.step is Step.PLAN else span.start

    def schema(self, source: str) -> Schema | None:
        """Return the reading schema of ``source`` after the newest committed batch, None before the first."""
        if self.plan is None:
            return None
        if self.step is Step.PLAN and self.manifest is not None:
            return self.manifest.source_schemas[source]
        return self.plan.schemas[source]


def take_stock(checkpoint: Checkpoint, flow: Flow, *, mend: bool) -> Standing:
    """Look at checkpoint and table and say what to do.

    With ``mend``, the newest record of a log is set aside when it is torn and nothing refers to it; without,
    nothing is changed. Raises CheckpointError, TableStateError where they disagree.
    """
    commits = _sound(checkpoint.commits.log, -1, mend=mend)
    committed = max(commits, default=-1)
    manifests = _sound(checkpoint.manifests.log, committed, mend=mend)
    plans = _sound(checkpoint.plans.log, max([committed, *manifests]), mend=mend)
    planned = max(plans, default=-1)
    table = _table_batch(flow, checkpoint.commits.read(committed) if committed >= 0 else None)
    plan = checkpoint.plans.read(planned, plans[planned]) if planned >= 0 else None
    revision = manifests.get(planned, 0)
    manifest = checkpoint.manifests.read(planned, revision) if revision else None
    must_be_whole = manifest is not None and planned > committed and table < planned
    missing = tuple(flow.sink.missing(manifest)) if manifest is not None and must_be_whole else ()
    step = next_step(
        Found(planned, committed, table, manifest is not None, not missing), where=f"{flow.name}: {flow.sink.table}"
    )
    return Standing(step, planned, committed, plan, manifest, revision, missing, plans)


def _sound(log: BatchLog, referred: int, *, mend: bool) -> dict[int, int]:
    """Return the revisions of a log; its newest record is set aside when it is torn and newer than ``referred``."""
    revisions = log.revisions()
    newest = max(revisions, default=-1)
    if not mend or newest <= referred or not log.is_torn(newest, revisions[newest]):
        return revisions
    log.set_aside(newest, revisions[newest])
    return log.revisions()


def _table_batch(flow: Flow, entry: CommitEntry | None) -> int:
    """Return the newest batch that the table holds, -1 for none. Raises TableStateError for another or no table."""
    if entry is None:
        batch = flow.sink.last_batch_id()
        return -1 if batch is None else batch
    expected = (entry.result.batch_id, entry.result.tables[flow.sink.table])
    batch = flow.sink.last_batch_id(expected)
    if batch != expected[0]:
        _refuse_other_table(flow, entry)
    return -1 if batch is None else batch


def _refuse_other_table(flow: Flow, entry: CommitEntry) -> None:
    found = flow.sink.table_id()
    hint = "put the table back, or start it anew with etl run --full-refresh"
    if found is None:
        raise TableStateError(
            "table_missing", "the table that earlier batches went to is gone", where=flow.sink.table, hint=hint
        )
    if found != entry.table_id:
        raise TableStateError(
            "table_replaced",
            f"the table is another ({found}) than that of earlier batches ({entry.table_id})",
            where=flow.sink.table,
            hint=hint,
        )


def restore_source(checkpoint: Checkpoint, flow: Flow, standing: Standing) -> None:
    """Hand the source every plan that its own ledger does not hold."""
    folded = flow.source.folded_upto
    known = {standing.planned: standing.plan}
    for batch_id, revision in standing.plan_revisions.items():
        if folded is not None and batch_id <= folded:
            continue
        plan = known.get(batch_id) or checkpoint.plans.read(batch_id, revision)
        flow.source.restore([(batch_id, plan.inputs[flow.source_name])])
