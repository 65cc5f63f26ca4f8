"""One attempt at a batch: read, transform, stage, and the manifest that says what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from etl.balance import Tally, check_balance
from etl.errors import EtlError, QuarantineError, SchemaDriftError, SinkError, UnreadableFileError
from etl.execution import steps_of, transform, with_batch
from etl.flow import Flow
from etl.model import BatchPlan, Manifest, Revision, Schema, StagedFile
from etl.rejects import PART
from etl.schema_changes import schema_changes
from etl.schema_contract import Survey
from etl.sinks.contract import Edit
from etl.sinks.quarantine import ROLE, most_frequent
from etl.transforms.blame import blamed, is_failure_of_polars, reason
from etl.widening import has_columns

if TYPE_CHECKING:
    import polars as pl

    from etl.sources.contract import Reading


@dataclass(frozen=True, slots=True)
class Staged:
    """The manifest of an attempt, and whether earlier tries of it left files behind."""

    manifest: Manifest
    was_retried: bool


def stage_batch(flow: Flow, plan: BatchPlan, new_id: Callable[[], str]) -> Staged:
    """Stage a planned batch, under a fresh attempt each time it is tried.

    Where the input has what the reading schema does not foresee and the contract lets evolve, or files that cannot be
    read as a whole, the whole batch is surveyed and read again, so that the result does not depend on which row came
    first. Raises SourceError, TransformError, QuarantineError, SinkError, BalanceError; nothing is published.
    """
    planned = plan.inputs[flow.source_name]
    known = known_at(flow, plan) or flow.source.survey(planned, None, plan.batch_at)
    was_retried = False
    while True:
        try:
            return Staged(_stage_once(flow, plan, known, new_id()), was_retried)
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


def _stage_once(flow: Flow, plan: BatchPlan, known: Survey, attempt: str) -> Manifest:
    tally = Tally()
    planned = plan.inputs[flow.source_name]
    changes = schema_changes(plan.schemas[flow.source_name] or {}, known.schema, known.origins)
    reading = flow.source.read(planned, known, flow.system, tally)
    if not has_columns(known.schema):
        if _is_empty(reading):
            manifest = _without_rows(flow, plan, known, attempt, tally)
            return replace(manifest, units={flow.source_name: reading.units}, bytes_read=reading.bytes_read)
        tally = Tally()
        reading = flow.source.read(planned, known, flow.system, tally)
    try:
        rows = transform(flow, reading.rows, plan, tally)
        may_widen = any(change.before is not None for change in changes)
        table_schema = flow.sink.prepare(rows.collect_schema(), may_widen=may_widen)
        files = flow.sink.stage(plan.batch_id, attempt, rows, tally)
        old, revision = flow.sink.revise(plan.batch_id, attempt, Edit(table_schema, frozenset(planned.replaces)))
        counts, by_file = _balanced(flow, plan, tally)
        sides = _stage_side(flow, plan, attempt, tally)
    except BaseException as exc:
        if is_failure_of_polars(exc):
            raise _explained(exc, flow, plan, known) from exc
        raise
    return Manifest(
        batch_id=plan.batch_id,
        attempt=attempt,
        tables={"main": (*files, *old), **sides.tables},
        table_schemas={"main": table_schema, **sides.schemas},
        source_schemas={flow.source_name: known.schema},
        rows=counts,
        units={flow.source_name: reading.units},
        watermark=plan.watermark,
        bytes_read=reading.bytes_read,
        revisions={**({} if revision is None else {"main": revision}), **sides.revisions},
        wide={flow.source_name: sorted(known.wide | reading.wide)},
        schema_changes=changes,
        files=by_file,
        checks=tally.failed(),
    )


def _is_empty(reading: Reading) -> bool:
    """Tell whether an input has no row that could be kept; reads it to its end."""
    import polars as pl

    return not reading.rows.select(pl.len()).collect().item()


def _without_rows(flow: Flow, plan: BatchPlan, known: Survey, attempt: str, tally: Tally) -> Manifest:
    """Return the manifest of a batch without a row, and before any column is known: nothing for the table to have."""
    counts, by_file = _balanced(flow, plan, tally)
    sides = _stage_side(flow, plan, attempt, tally)
    return Manifest(
        batch_id=plan.batch_id,
        attempt=attempt,
        tables=sides.tables,
        table_schemas=sides.schemas,
        source_schemas={flow.source_name: known.schema},
        rows=counts,
        watermark=plan.watermark,
        revisions=sides.revisions,
        files=by_file,
        checks=tally.failed(),
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


@dataclass(frozen=True, slots=True)
class _Sides:
    """What an attempt staged for side tables, by role."""

    tables: Mapping[str, tuple[StagedFile, ...]]
    schemas: Mapping[str, Schema]
    revisions: Mapping[str, Revision]


def _stage_side(flow: Flow, plan: BatchPlan, attempt: str, tally: Tally) -> _Sides:
    """Stage the rejected rows of an attempt, and what becomes of earlier ones. Raises QuarantineError."""
    rejected = _without_siblings(tally)
    quarantine = flow.quarantine
    if quarantine is None:
        if rejected.height:
            raise QuarantineError(f"rows were rejected; {most_frequent(rejected)}", where=flow.name)
        return _Sides({}, {}, {})
    if plan.resolution is None:  # rows of the quarantine may go back to it, however many they are
        quarantine.check(tally.counts(), rejected)
    staged = quarantine.stage(plan, attempt, rejected, frozenset(plan.inputs[flow.source_name].replaces))
    if staged is None:
        return _Sides({}, {}, {})
    files, schema, revision = staged
    return _Sides({ROLE: files}, {ROLE: schema}, {} if revision is None else {ROLE: revision})


def _without_siblings(tally: Tally) -> pl.DataFrame:
    """Return the rejected rows; where no transform made several rows of one, none of them is only a part of its row."""
    import polars as pl

    rejected = tally.rejected.take()
    if tally.counts()["added"]:
        return rejected
    context = pl.col("context")
    return rejected.with_columns(context=pl.when(context.ne_missing(PART)).then(context))


def _explained(error: BaseException, flow: Flow, plan: BatchPlan, known: Survey) -> EtlError:
    """Return a failure of the whole query as that of the transform it comes from, or of the sink."""

    def read() -> pl.LazyFrame:
        reading = flow.source.read(plan.inputs[flow.source_name], known, flow.system, Tally())
        return with_batch(flow, reading.rows, plan)

    found = blamed(error, steps_of(flow), read, plan)
    if isinstance(found, EtlError):
        return found
    return SinkError(reason(found), where=flow.sink.table, hint="look at the rows: etl preview")
