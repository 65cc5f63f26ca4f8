"""What a start finds: the newest plan, manifest and commit entry, the table, and the step that follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.checkpoint.recovery import Found, Step, next_step, refresh_command
from etl.errors import CheckpointError, TableStateError

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


def bind_sink(checkpoint: Checkpoint, flow: Flow) -> None:
    """Tell the sink under which names its table remembers the batches of a checkpoint."""
    replaces = None if checkpoint.replaces is None else [_app_id(identity) for identity in checkpoint.replaces]
    flow.sink.bind(_app_id(checkpoint.identity), flow.name, replaces)


def _app_id(identity: str) -> str:
    return f"{identity}/main"


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
    _refuse_unplanned(checkpoint, max(manifests, default=-1), planned)
    table = (
        _table_batch(flow, checkpoint.commits.read(committed))
        if committed >= 0
        else _uncommitted_batch(flow, is_refresh=checkpoint.replaces is not None)
    )
    plan = checkpoint.plans.read(planned, plans[planned]) if planned >= 0 else None
    revision = manifests.get(planned, 0)
    manifest = checkpoint.manifests.read(planned, revision) if revision else None
    must_be_whole = manifest is not None and planned > committed and table < planned
    missing = tuple(flow.sink.missing(manifest)) if manifest is not None and must_be_whole else ()
    step = next_step(
        Found(planned, committed, table, manifest is not None, not missing), pipeline=flow.name, table=flow.sink.table
    )
    return Standing(step, planned, committed, plan, manifest, revision, missing, plans)


def _refuse_unplanned(checkpoint: Checkpoint, staged: int, planned: int) -> None:
    """Refuse a manifest without its plan: the batch would be planned anew and take over another plan's files."""
    if staged > planned:
        raise CheckpointError(
            f"the newest manifest is of batch {staged}, the newest plan of batch {planned}",
            where=checkpoint.url,
            hint="records were removed or copied; restore the checkpoint folder from a backup",
        )


def _sound(log: BatchLog, referred: int, *, mend: bool) -> dict[int, int]:
    """Return the revisions of a log; its newest record is set aside when it is torn and newer than ``referred``."""
    revisions = log.revisions()
    newest = max(revisions, default=-1)
    if not mend or newest <= referred or not log.is_torn(newest, revisions[newest]):
        return revisions
    log.set_aside(newest, revisions[newest])
    return log.revisions()


def _uncommitted_batch(flow: Flow, *, is_refresh: bool) -> int:
    """Return the newest batch that the table holds of a checkpoint without commit entries, -1 for none."""
    batch = flow.sink.last_batch_id()
    if batch is not None:
        return batch
    if not is_refresh:
        refuse_lost_checkpoint(flow)
    return -1


def refuse_lost_checkpoint(flow: Flow) -> None:
    """Refuse to begin where the table has batches of this pipeline, which would be ingested again.

    Raises TableStateError.
    """
    claimed = flow.sink.claimed_batch_id()
    if claimed is not None:
        raise TableStateError(
            "table_ahead",
            f"the table holds batches of this pipeline up to {claimed}, and there is no checkpoint of them",
            where=flow.sink.table,
            hint=f"put the checkpoint folder back, or build the table anew: {refresh_command(flow.name)}",
        )


def _table_batch(flow: Flow, entry: CommitEntry) -> int:
    """Return the newest batch that the table holds, -1 for none. Raises TableStateError for another or no table."""
    expected = (entry.result.batch_id, entry.result.tables[flow.sink.table])
    batch = flow.sink.last_batch_id(expected)
    if batch != expected[0]:
        _refuse_other_table(flow, entry)
    return -1 if batch is None else batch


def _refuse_other_table(flow: Flow, entry: CommitEntry) -> None:
    found = flow.sink.table_id()
    hint = f"put the table back, or build it anew: {refresh_command(flow.name)}"
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
