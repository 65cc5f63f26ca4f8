"""One attempt at a batch: read, transform, stage, and the manifest that says what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from etl.balance import Tally, check_balance
from etl.errors import EtlError, SchemaDriftError, SinkError, UnreadableFileError
from etl.execution import Passage, steps_of
from etl.flow import Flow
from etl.model import BatchPlan, Manifest
from etl.schema_changes import schema_changes
from etl.schema_contract import Survey
from etl.side_tables import stage_sides
from etl.sinks.contract import Edit
from etl.transforms.blame import blamed, is_failure_of_polars, reason
from etl.watermark import clocks_to_json, to_text
from etl.widening import has_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from etl.model import StateRef
    from etl.sources.contract import Reading
    from etl.states import States
    from etl.transforms.contract import Transform


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
    planned = plan.inputs[flow.source_name]
    known = known_at(flow, plan) or flow.source.survey(planned, None, plan.batch_at)
    was_retried = False
    while True:
        try:
            return Staged(_stage_once(Attempt(flow, plan, new_id(), states), known), was_retried)
        except (SchemaDriftError, UnreadableFileError):
            found = flow.source.survey(planned, known, plan.batch_at)
            if found == known:
                raise
            known, was_retried = found, True


def known_at(flow: Flow, plan: BatchPlan) -> Survey | None:
    """Return what the plan says of its source's schema, None where the batch is to infer it."""
    schema = plan.schemas[flow.source_name]
    return None if schema is None else Survey(schema, frozenset(plan.wide.get(flow.source_name, ())))


def as_planned(source: str, known: Survey | None) -> dict[str, Any]:
    """Return what a plan says of the schema of its source: the reverse of ``known_at``."""
    return {
        "schemas": {source: None if known is None else known.schema},
        "wide": {source: [] if known is None else sorted(known.wide)},
    }


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a batch, by its name; what it stages lies under that name."""

    flow: Flow
    plan: BatchPlan
    name: str
    states: States | None = None

    def passage(self, tally: Tally) -> Passage:
        """Return the walk of its rows through the transforms."""
        return Passage(self.flow, self.plan, tally, None if self.states is None else self.states.opened)

    def stage_states(self, passage: Passage) -> dict[str, StateRef]:
        """Stage what the transforms remember after it."""
        return {} if self.states is None else self.states.stage(self.plan.batch_id, self.name, passage.changes)


def _stage_once(attempt: Attempt, known: Survey) -> Manifest:
    flow, plan = attempt.flow, attempt.plan
    tally = _tally(flow)
    planned = plan.inputs[flow.source_name]
    changes = schema_changes(plan.schemas[flow.source_name] or {}, known.schema, known.origins)
    reading = flow.source.read(planned, known, flow.system, tally)
    if not has_columns(known.schema):
        if _is_empty(reading):
            manifest = _without_rows(attempt, known, tally)
            return replace(manifest, units={flow.source_name: reading.units}, bytes_read=reading.bytes_read)
        tally = _tally(flow)
        reading = flow.source.read(planned, known, flow.system, tally)
    passage = attempt.passage(tally)
    try:
        rows = passage.rows({flow.source_name: reading.rows})
        may_widen = any(change.before is not None for change in changes)
        table_schema = flow.sink.prepare(rows.collect_schema(), may_widen=may_widen)
        files = flow.sink.stage(plan.batch_id, attempt.name, rows, tally)
        old, revision = flow.sink.revise(plan.batch_id, attempt.name, Edit(table_schema, frozenset(planned.replaces)))
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
        tables={"main": (*files, *old), **sides.tables},
        table_schemas={"main": table_schema, **sides.schemas},
        source_schemas={flow.source_name: known.schema},
        rows=counts,
        units={flow.source_name: reading.units},
        watermark=to_text(after.at_us),
        bytes_read=reading.bytes_read,
        revisions={**({} if revision is None else {"main": revision}), **sides.revisions},
        wide={flow.source_name: sorted(known.wide | reading.wide)},
        schema_changes=changes,
        files=by_file,
        checks=tally.failed(),
        clocks=clocks_to_json(after.clocks),
        state=state,
    )


def _tally(flow: Flow) -> Tally:
    tally = Tally()
    tally.late.keeps = flow.late is not None
    return tally


def _is_empty(reading: Reading) -> bool:
    """Tell whether an input has no row that could be kept; reads it to its end."""
    import polars as pl

    return not reading.rows.select(pl.len()).collect().item()


def _without_rows(attempt: Attempt, known: Survey, tally: Tally) -> Manifest:
    """Return the manifest of a batch without a row, and before any column is known: nothing for the table to have."""
    flow, plan = attempt.flow, attempt.plan
    counts, by_file = _balanced(flow, plan, tally)
    sides = stage_sides(flow, plan, attempt.name, tally)
    return Manifest(
        batch_id=plan.batch_id,
        attempt=attempt.name,
        tables=sides.tables,
        table_schemas=sides.schemas,
        source_schemas={flow.source_name: known.schema},
        rows=counts,
        watermark=plan.watermark,
        revisions=sides.revisions,
        files=by_file,
        checks=tally.failed(),
        clocks=plan.clocks,
        state={} if attempt.states is None else attempt.states.refs,
    )


def _balanced(flow: Flow, plan: BatchPlan, tally: Tally) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Return the counts of the batch and of each file. Raises BalanceError where one of them does not add up."""
    if flow.expectations is not None:
        flow.expectations.check(tally, is_again=plan.resolution is not None)
    counts, by_file = tally.counts(), tally.by_file()
    check_balance(counts, where=f"{flow.name}, batch {plan.batch_id}")
    if sum(fates.get("read", 0) for fates in by_file.values()) == counts["read"] and "_source_file" in flow.system:
        for file, fates in by_file.items():
            check_balance(fates, where=f"{flow.name}, batch {plan.batch_id}, {file}")
    return counts, by_file


def _explained(error: BaseException, attempt: Attempt, known: Survey) -> EtlError:
    """Return a failure of the whole query as that of the transform it comes from, or of the sink."""
    flow = attempt.flow

    def rows_after(steps: Sequence[Transform]) -> pl.LazyFrame:
        reading = flow.source.read(attempt.plan.inputs[flow.source_name], known, flow.system, Tally())
        trimmed = replace(attempt, flow=replace(flow, transforms=steps, expectations=None))
        return trimmed.passage(Tally()).rows({flow.source_name: reading.rows})

    found = blamed(error, steps_of(flow), rows_after)
    if isinstance(found, EtlError):
        return found
    return SinkError(reason(found), where=flow.sink.table, hint="look at the rows: etl preview")
