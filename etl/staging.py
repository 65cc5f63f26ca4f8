"""One attempt at a batch: read, transform, stage, and the manifest that says what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from etl.balance import Tally, check_balance
from etl.chains import memory_name, sink_memories
from etl.culprits import culprit
from etl.errors import EtlError, SchemaDriftError, SinkError, UnreadableFileError
from etl.execution import Passage
from etl.flow import MAIN_ROLE, Flow, Outlet
from etl.intake import Intake, replaced_in_table
from etl.model import BatchPlan, Manifest
from etl.side_tables import Parts, stage_sides
from etl.sinks.contract import Edit
from etl.transforms.blame import is_failure_of_polars, reason
from etl.watermark import clocks_to_json, to_text

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Schema, StagedFile, StateRef
    from etl.schema_contract import Survey
    from etl.states import States


@dataclass(frozen=True, slots=True)
class Staged:
    """The manifest of an attempt, and whether earlier tries of it left files behind."""

    manifest: Manifest
    was_retried: bool


def stage_batch(flow: Flow, plan: BatchPlan, new_id: Callable[[], str], states: States | None = None) -> Staged:
    """Stage a planned batch, under a fresh attempt each time it is tried; without ``states`` nothing is remembered.

    Where the input has what the reading schema does not foresee and the contract lets evolve, or files that cannot be
    read as a whole, the whole batch is surveyed and read again, so that the result does not depend on which row came
    first. Raises SourceError, TransformError, QuarantineError, SinkError, BalanceError; nothing is published.
    """
    intake = Intake(flow, plan)
    known = intake.begun()
    was_retried = False
    while True:
        try:
            return Staged(_stage_once(Attempt(intake, new_id(), states), known), was_retried)
        except (SchemaDriftError, UnreadableFileError):
            found = intake.surveyed(known)
            if found == known:
                raise
            known, was_retried = found, True


def discard_strays(flow: Flow, states: States, plan: BatchPlan, manifest: Manifest) -> None:
    """Remove what other attempts at a batch staged. *Repeat*: safe. Only from the highest epoch."""
    for role, sink in flow.sinks.items():
        sink.discard(plan.batch_id, [file.path for file in manifest.tables.get(role, ())])
    states.discard(plan.batch_id, manifest.attempt)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a batch, by its name; what it stages lies under that name."""

    intake: Intake
    name: str
    states: States | None = None

    @property
    def flow(self) -> Flow:
        """The pipeline."""
        return self.intake.flow

    @property
    def plan(self) -> BatchPlan:
        """The plan of the batch."""
        return self.intake.plan

    def passage(self, flow: Flow, tally: Tally) -> Passage:
        """Return the walk of its rows through the transforms of ``flow``, the pipeline or a part of it."""
        return Passage(flow, self.plan, tally, None if self.states is None else self.states.opened)

    def open_memory(self, role: str, schema: Schema) -> None:
        """Give a sink, whose table has ``schema`` after the batch, what it remembers beside it."""
        name = memory_name(role)
        memory = sink_memories(self.flow).get(name)
        if memory is not None and self.states is not None:
            memory.begin(self.states.opened(name, memory, memory.layouts(schema)), self.plan.batch_at)

    def stage_states(self, passage: Passage) -> dict[str, StateRef]:
        """Stage what the transforms and the sinks remember after it."""
        if self.states is None:
            return {}
        learned = {name: memory.learned() for name, memory in sink_memories(self.flow).items()}
        return self.states.stage(self.plan.batch_id, self.name, {**passage.changes, **learned})


def _stage_once(attempt: Attempt, known: Mapping[str, Survey]) -> Manifest:
    flow, plan = attempt.flow, attempt.plan
    tally = _tally(flow)
    changes = attempt.intake.changes(known)
    readings = attempt.intake.read(known, tally)
    if readings.is_empty:
        manifest = _without_rows(attempt, known, tally)
        return replace(manifest, units=readings.units, bytes_read=readings.bytes_read)
    passage = attempt.passage(readings.flow, tally)
    try:
        rows = passage.rows(readings.rows)
        may_widen = any(change.before is not None for change in changes)
        own = _stage_own(attempt, rows, tally, may_widen=may_widen)
        counts, by_file = _balanced(flow, plan, tally)
        sides = stage_sides(flow, plan, attempt.name, tally)
        state = attempt.stage_states(passage)
    except BaseException as exc:
        if is_failure_of_polars(exc):
            raise _explained(exc, attempt, known) from exc
        raise
    after = passage.watermarks()
    return Manifest(
        batch_id=plan.batch_id,
        attempt=attempt.name,
        tables={**own.tables, **sides.tables},
        table_schemas={**own.schemas, **sides.schemas},
        source_schemas={name: survey.schema for name, survey in known.items()},
        rows=counts,
        units=readings.units,
        watermark=to_text(after.at_us),
        bytes_read=readings.bytes_read,
        revisions={**own.revisions, **sides.revisions},
        wide=readings.wide(known),
        schema_changes=changes,
        files=by_file,
        checks=tally.failed(),
        clocks=clocks_to_json(after.clocks),
        state=state,
        ends_refresh=plan.ends_refresh,
    )


def _stage_own(attempt: Attempt, rows: pl.LazyFrame, tally: Tally, *, may_widen: bool) -> Parts:
    """Stage what the batch has for the pipeline's sinks; several take the same rows, which are computed once."""
    flow = attempt.flow
    if not flow.further:
        return _stage_outlet(attempt, flow.outlets[0], rows, tally, may_widen=may_widen)
    frame = rows.collect(engine="streaming")
    found = Parts({}, {}, {})
    for outlet in flow.outlets:
        own = tally if outlet.role == MAIN_ROLE else _tally_of(frame.height)
        found = found.beside(_stage_outlet(attempt, outlet, frame.lazy(), own, may_widen=may_widen))
        if own is not tally:
            check_balance(own.counts(), where=f"{flow.name}, batch {attempt.plan.batch_id}, {outlet.sink.table}")
    return found


def _tally_of(rows: int) -> Tally:
    """Return the tally of a sink beside the own one, at which so many rows arrive."""
    tally = Tally()
    tally.add("read", rows)
    return tally


def _stage_outlet(attempt: Attempt, outlet: Outlet, rows: pl.LazyFrame, tally: Tally, *, may_widen: bool) -> Parts:
    """Stage what the batch has for one sink: nothing at all where it would be left as it is."""
    sink, plan, role = outlet.sink, attempt.plan, outlet.role
    rows = outlet.picked(rows)
    schema = sink.prepare(rows.collect_schema(), may_widen=may_widen)
    attempt.open_memory(role, schema)
    files = sink.stage(plan.batch_id, attempt.name, rows, tally)
    old, revision = sink.revise(plan.batch_id, attempt.name, Edit(schema, replaced_in_table(plan)))
    gathered: Callable[..., tuple[StagedFile, ...] | None] | None = getattr(sink, "gathered", None)
    if plan.ends_refresh and role == MAIN_ROLE and gathered is not None:
        whole = gathered((*files, *old), revision)
        if whole is not None:
            return Parts({role: whole}, {role: schema}, {})
    if sink.is_left_alone((*files, *old), schema, revision):
        return Parts({}, {}, {})
    return Parts({role: (*files, *old)}, {role: schema}, {} if revision is None else {role: revision})


def _tally(flow: Flow) -> Tally:
    tally = Tally()
    tally.late.keeps = flow.late is not None
    return tally


def _without_rows(attempt: Attempt, known: Mapping[str, Survey], tally: Tally) -> Manifest:
    """Return the manifest of a batch without a row, and before any column is known: nothing for the table to have."""
    flow, plan = attempt.flow, attempt.plan
    counts, by_file = _balanced(flow, plan, tally)
    sides = stage_sides(flow, plan, attempt.name, tally)
    return Manifest(
        batch_id=plan.batch_id,
        attempt=attempt.name,
        tables=sides.tables,
        table_schemas=sides.schemas,
        source_schemas={name: survey.schema for name, survey in known.items()},
        wide={name: sorted(survey.wide) for name, survey in known.items() if survey.wide},
        rows=counts,
        watermark=plan.watermark,
        revisions=sides.revisions,
        files=by_file,
        checks=tally.failed(),
        clocks=plan.clocks,
        state={} if attempt.states is None else attempt.states.refs,
        ends_refresh=plan.ends_refresh,
    )


def _balanced(flow: Flow, plan: BatchPlan, tally: Tally) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Return the counts of the batch and of each file. Raises BalanceError where one of them does not add up."""
    if flow.expectations is not None:
        flow.expectations.check(tally, is_again=plan.settles_rejects)
    counts, by_file = tally.counts(), tally.by_file()
    check_balance(counts, where=f"{flow.name}, batch {plan.batch_id}")
    if sum(fates.get("read", 0) for fates in by_file.values()) == counts["read"] and "_source_file" in flow.system:
        for file, fates in by_file.items():
            check_balance(fates, where=f"{flow.name}, batch {plan.batch_id}, {file}")
    return counts, by_file


def _explained(error: BaseException, attempt: Attempt, known: Mapping[str, Survey]) -> EtlError:
    """Return a failure of the whole query as that of the transform it comes from, or of the sink."""

    def flowed(flow: Flow) -> pl.LazyFrame:
        return attempt.passage(flow, Tally()).rows(attempt.intake.read(known, Tally()).rows)

    readings = attempt.intake.read(known, Tally())
    found = culprit(error, readings.flow, [name for name in readings.rows if name != attempt.flow.source_name], flowed)
    if isinstance(found, EtlError):
        return found
    return SinkError(reason(found), where=attempt.flow.sink.table, hint="look at the rows: etl preview")
