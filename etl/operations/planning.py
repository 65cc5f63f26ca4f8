"""What the next batch would read and write. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from etl.config.wiring import wire
from etl.errors import EtlError, StateError
from etl.flow_schema import check_flow
from etl.intake import is_known, without
from etl.operations.files import files_of
from etl.operations.looking import Onlooker, look, upcoming, with_current
from etl.operations.refreshing import look_at_refresh
from etl.redefinition import outlooks, refusal
from etl.resumption import newest_manifests
from etl.schema_changes import schema_changes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.model import PlannedInput, Schema, SchemaChange
    from etl.operations.files import InputFile
    from etl.operations.looking import Sight
    from etl.operations.workspace import Workspace
    from etl.pipeline import Pipeline
    from etl.redefinition import Outlook
    from etl.seam import Seam


@dataclass(frozen=True, slots=True)
class NextBatch:
    """What the next run would begin with.

    ``recovery`` says what must be done about an unfinished batch first, and ``files`` are then those of that batch.
    ``definition`` says how the pipeline differs from the one of the newest plan. ``trouble`` is why the batch would
    fail, as far as that shows before a row is transformed. ``is_replacing``: it takes the place of all that the table
    holds. ``state`` is what becomes of what its transforms remember. ``further`` are the sinks beside the table.
    ``notes`` tell of servers that do not answer: what a run does depends on what they hold.
    """

    pipeline: str
    table: str
    batch_id: int
    recovery: str | None
    files: tuple[InputFile, ...]
    size_bytes: int
    source_changes: tuple[SchemaChange, ...]
    table_changes: tuple[SchemaChange, ...]
    definition: str
    trouble: EtlError | None
    is_replacing: bool = False
    state: tuple[Outlook, ...] = ()
    further: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def plan_next(pipeline: Pipeline, seam: Seam) -> NextBatch:
    """Return what the next run would begin with. Raises CheckpointError, TableStateError, SourceError."""
    return batch_in_sight(look(pipeline, seam))


def plan_refresh(workspace: Workspace, name: str, seam: Seam) -> NextBatch:
    """Return what a full refresh would begin with. Raises SourceError where it would be refused, TableStateError."""
    spec = workspace.spec(name)
    present = wire(spec, workspace.project, seam)
    return batch_in_sight(look_at_refresh(wire(spec, workspace.project, seam, present.generation + 1)))


def batch_in_sight(sight: Sight) -> NextBatch:
    """Return what a run would begin with that sees this."""
    pipeline = sight.pipeline
    inputs = next_inputs(sight)
    sources: tuple[SchemaChange, ...] = ()
    tables: tuple[SchemaChange, ...] = ()
    state, trouble = _state(sight)
    if inputs and not sight.is_decided and trouble is None:
        try:
            sources, tables = with_current(sight, inputs, partial(_schema_changes, sight))
        except EtlError as exc:
            trouble = exc
    return NextBatch(
        pipeline=pipeline.name,
        table=pipeline.sink.table,
        batch_id=sight.next_id,
        recovery=sight.standing.step.value if sight.is_unfinished and sight.standing else None,
        files=tuple(file for planned in inputs.values() for file in files_of(planned)),
        size_bytes=sum(planned.size_bytes for planned in inputs.values()),
        source_changes=sources,
        table_changes=tables,
        definition=_definition(sight),
        trouble=trouble,
        is_replacing=sight.is_replacing,
        state=state,
        further=tuple(outlet.sink.table for outlet in pipeline.flow.further),
        notes=sight.notes,
    )


def _state(sight: Sight) -> tuple[tuple[Outlook, ...], EtlError | None]:
    """Return what becomes of what the newest batch remembers, and why the next run would stop at that."""
    if sight.checkpoint is None or sight.standing is None or sight.standing.committed < 0:
        return (), None
    flow = sight.pipeline.flow
    manifests = newest_manifests(sight.checkpoint, flow, sight.standing)
    if not manifests:
        return (), None
    known = {name: {} if survey is None else survey.schema for name, survey in sight.known.items()}
    try:
        found = outlooks(flow, sight.checkpoint.storage.at("state"), manifests[-1].state, known)
    except StateError as exc:
        return (), exc
    return found, refusal(flow, found)


def next_inputs(sight: Sight) -> Mapping[str, PlannedInput]:
    """Return the inputs of the unfinished batch, else of the next one; none when there is nothing new."""
    if sight.is_unfinished and sight.standing is not None and sight.standing.plan is not None:
        return sight.standing.plan.inputs
    return upcoming(sight, sight.pipeline.limits_of(is_replacing=sight.is_replacing))


def _schema_changes(
    sight: Sight, inputs: Mapping[str, PlannedInput]
) -> tuple[tuple[SchemaChange, ...], tuple[SchemaChange, ...]]:
    """Return what the batch would change of the reading schema and of the table. Raises EtlError."""
    import polars as pl

    flow = sight.pipeline.flow
    intake = sight.intake(inputs, Onlooker().now())
    found = intake.foreseen()
    unknown = {name for name, survey in found.items() if not is_known(survey)} - {flow.source_name}
    rows = check_flow(without(flow, unknown), {name: survey.schema for name, survey in found.items()})
    is_new = sight.is_replacing or flow.sink.table_id() is None
    sources = intake.changes(found)
    if not is_new and getattr(flow.sink, "past", None) is None:
        return sources, ()  # a receiver does not tell which columns it has
    table: Schema = {} if is_new else flow.sink.prepare(pl.Schema({}))
    may_widen = any(change.before is not None for change in sources)
    return sources, schema_changes(table, flow.outlets[-1].prepare(rows, may_widen=may_widen))


def _definition(sight: Sight) -> str:
    """Return ``new``, ``unchanged``, or from which batch on an edited pipeline holds."""
    if sight.standing is None or sight.standing.plan is None:
        return "new"
    if sight.standing.plan.definition == sight.pipeline.definition:
        return "unchanged"
    first = sight.next_id + 1 if sight.is_decided else sight.next_id
    return f"edited: holds from batch {first} on, rows already in the table stay as they are"
