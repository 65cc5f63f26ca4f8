"""What a start finds: the newest plan, manifest and commit entry, the table, and the step that follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.binding import is_beside
from etl.chains import clock_rules, state_names
from etl.checkpoint.commit_log import BESIDE, states_of
from etl.checkpoint.recovery import Found, Step, next_step, refresh_command, remake_advice
from etl.errors import CheckpointError, TableStateError
from etl.schema_contract import Survey
from etl.sources.again import is_chosen
from etl.states import States

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from etl.checkpoint.batch_log import BatchLog
    from etl.checkpoint.commit_log import CommitEntry, SideState
    from etl.checkpoint.folder import Checkpoint
    from etl.flow import Flow
    from etl.model import BatchPlan, Manifest, Offset
    from etl.sinks.contract import Sink


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a pipeline stands. Batch ids are -1 for none; ``plan`` and ``manifest`` are of batch ``planned``."""

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
        planned = self.plan.inputs.get(source)
        if planned is None:
            return None
        return (planned.span.end if self.step is Step.PLAN else planned.span.start) or None

    def known(self, source: str) -> Survey | None:
        """Return the reading schema of ``source`` after the newest committed batch, None before the first."""
        if self.plan is None:
            return None
        manifest = self.manifest
        if self.step is Step.PLAN and manifest is not None and source in manifest.source_schemas:
            return Survey(manifest.source_schemas[source], frozenset(manifest.wide.get(source, ())))
        schema = self.plan.schemas.get(source)
        return None if schema is None else Survey(schema, frozenset(self.plan.wide.get(source, ())))


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
    _refuse_unplanned(checkpoint, flow.name, max(manifests, default=-1), planned)
    if committed >= 0:
        entry = checkpoint.commits.read(committed)
        table = _table_batch(flow, entry)
        _refuse_other_sides(flow, entry, max(manifests, default=-1))
    else:
        table = _uncommitted_batch(flow, is_refresh=checkpoint.replaces is not None)
    plan = checkpoint.plans.read(planned, plans[planned]) if planned >= 0 else None
    revision = manifests.get(planned, 0)
    manifest = checkpoint.manifests.read(planned, revision) if revision else None
    must_be_whole = manifest is not None and planned > committed and table < planned
    missing = _missing(flow, manifest) if manifest is not None and must_be_whole else ()
    step = next_step(
        Found(planned, committed, table, manifest is not None, not missing), pipeline=flow.name, table=flow.sink.table
    )
    return Standing(step, planned, committed, plan, manifest, revision, missing, plans)


def newest_manifests(checkpoint: Checkpoint, flow: Flow, standing: Standing) -> list[Manifest]:
    """Return the manifests of the newest batches that state is kept of, oldest first; else what was read already."""
    if not (clock_rules(flow) or state_names(flow)):
        return [] if standing.manifest is None else [standing.manifest]
    revisions = checkpoint.manifests.log.revisions()
    newest = range(max(0, standing.committed + 1 - States.kept_batches), standing.committed + 1)
    return [checkpoint.manifests.read(each, revisions[each]) for each in newest]


def _missing(flow: Flow, manifest: Manifest) -> tuple[str, ...]:
    """Return the staged files that are lost, of tables that the batch is not in yet."""
    missing: list[str] = []
    for sink in flow.sinks.values():
        batch_id = sink.last_batch_id()
        if batch_id is None or batch_id < manifest.batch_id:
            missing += sink.missing(manifest)
    return tuple(missing)


def _refuse_other_sides(flow: Flow, entry: CommitEntry, staged: int) -> None:
    """Refuse side tables that are not as the newest commit entry left them. Raises TableStateError.

    One may have the batch that is ``staged`` and has no entry yet: the own table, which comes last, may have nothing
    of it to tell.
    """
    committed = entry.result.batch_id
    for role, sink in flow.sinks.items():
        side = entry.sides.get(role)
        if role == "main":
            continue
        batch = sink.last_batch_id(None if side is None else (side.batch_id, side.version))
        is_known = side is not None and batch == side.batch_id
        is_unknown = side is None and (batch is None or batch <= committed)
        if not (is_known or is_unknown or (batch is not None and batch == staged > committed)):
            _refuse_side(flow, sink, side, batch, is_ahead=batch is not None and batch > committed)


def _refuse_side(flow: Flow, sink: Sink, side: SideState | None, batch: int | None, *, is_ahead: bool) -> None:
    found = sink.table_id()
    kind = "table_missing" if found is None else "table_replaced"
    if side is None or found == side.table_id:
        kind = "table_ahead" if is_ahead else "table_behind"
    mend = "restore the newer checkpoint folder" if kind == "table_ahead" else "put the table back"
    held, known = ("none" if each is None else each for each in (batch, None if side is None else side.batch_id))
    raise TableStateError(
        kind,
        f"the checkpoint says that the table holds batch {known}, it holds {held}",
        where=sink.table,
        hint=f"{mend}, or build both anew: {refresh_command(flow.name)}",
    )


def _refuse_unplanned(checkpoint: Checkpoint, pipeline: str, staged: int, planned: int) -> None:
    """Refuse a manifest without its plan: the batch would be planned anew and take over another plan's files."""
    if staged > planned:
        raise CheckpointError(
            f"the newest manifest is of batch {staged}, the newest plan of batch {planned}",
            where=checkpoint.url,
            hint=remake_advice(pipeline),
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
            hint="put the checkpoint folder back, make it again from the tables: etl checkpoint rebuild "
            f"{flow.name}, or build the table anew: {refresh_command(flow.name)}",
        )


def _table_batch(flow: Flow, entry: CommitEntry) -> int:
    """Return the newest batch that the table holds, -1 for none. Raises TableStateError for another or no table.

    Batches that had nothing for the table count as held. What a full refresh builds beside the table has to be there,
    or to have taken its place.
    """
    states = states_of(entry, flow.sink.table)
    state = states.get("main", states.get(BESIDE))
    if state is None:
        batch = flow.sink.last_batch_id()
        return entry.result.batch_id if batch is None else batch
    is_there = "main" in states or is_beside(flow.sink)
    batch = flow.sink.last_batch_id((state.batch_id, state.version) if is_there else None)
    if batch == state.batch_id:
        return entry.result.batch_id
    if is_there or batch is None:
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


def restore_sources(checkpoint: Checkpoint, flow: Flow, standing: Standing) -> None:
    """Hand every source the plans in which it has units and that its own ledger does not hold.

    Raises CheckpointError where a source seems to have been renamed.
    """
    if standing.plan is None:
        return
    refuse_renamed(flow, standing.plan, checkpoint.url)
    known = {standing.planned: standing.plan}

    def plan_of(batch_id: int) -> BatchPlan:
        return known.get(batch_id) or checkpoint.plans.read(batch_id, standing.plan_revisions[batch_id])

    for name, source in flow.sources.items():
        for batch_id in _batches_of(name, standing, source.folded_upto, plan_of):
            planned = plan_of(batch_id).inputs.get(name)
            is_undecided = batch_id > standing.committed and planned is not None and is_chosen(planned.units)
            if planned is not None and planned.units and not is_undecided:
                source.restore([(batch_id, planned)])


def _batches_of(
    name: str, standing: Standing, folded: int | None, plan_of: Callable[[int], BatchPlan]
) -> Iterable[int]:
    """Return the batches after ``folded`` in which a source may have units, oldest first.

    Where it has none in some of them, the plans say so, each of the one before: what is in between is not read.
    """
    first = -1 if folded is None else folded
    newest = None if standing.plan is None else standing.plan.inputs.get(name)
    if newest is not None and newest.units and newest.previous is None and standing.plan is not None:
        others = standing.plan.inputs.keys() - {name}
        if not others:
            return [batch_id for batch_id in standing.plan_revisions if batch_id > first]
    found: list[int] = []
    batch_id = -1 if standing.plan is None else newest_of(standing.plan, name)
    while batch_id > first:
        planned = plan_of(batch_id).inputs.get(name)
        if planned is None:
            break
        found.insert(0, batch_id)
        batch_id = batch_id - 1 if planned.previous is None else planned.previous
    return found


def newest_of(plan: BatchPlan, name: str) -> int:
    """Return the newest batch up to a plan in which a source has units, -1 for none."""
    planned = plan.inputs.get(name)
    if planned is None:
        return -1
    if planned.units:
        return plan.batch_id
    return plan.batch_id - 1 if planned.previous is None else planned.previous


def refuse_renamed(flow: Flow, plan: BatchPlan, url: str) -> None:
    """Refuse sources of which some are gone and some are new: one that was renamed would be read from its beginning.

    Raises CheckpointError.
    """
    gone = [name for name, planned in plan.inputs.items() if name not in flow.sources and not planned.is_retired]
    new = [name for name in flow.sources if name not in plan.inputs]
    if gone and new:
        raise CheckpointError(
            f"source {', '.join(gone)} is gone and {', '.join(new)} is new: if it was renamed, all of it would be read "
            "again",
            where=url,
            hint=f"keep the name `{gone[0]}` under `sources:`, or build the table anew: {refresh_command(flow.name)}",
        )
