"""One attempt at a batch: read, transform, stage, and the manifest that says what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from etl.balance import Tally, check_balance
from etl.errors import ConfigError, EtlError, QuarantineError, SchemaDriftError, SinkError, UnreadableFileError
from etl.model import SOURCE_ROW, BatchPlan, Manifest, PlannedInput, Revision, Schema, StagedFile
from etl.rejects import PART
from etl.schema_changes import schema_changes
from etl.schema_contract import EVOLVE, SchemaContract, Survey
from etl.sinks.contract import Edit
from etl.sinks.quarantine import ROLE, most_frequent
from etl.transforms.blame import blamed, is_failure_of_polars, reason
from etl.transforms.expectations import with_source_row
from etl.widening import has_columns

if TYPE_CHECKING:
    import polars as pl

    from etl.sinks.contract import Sink
    from etl.sinks.quarantine import Quarantine
    from etl.sources.contract import Reading, Source
    from etl.transforms.contract import Transform
    from etl.transforms.expectations import Expectations


@dataclass(frozen=True, slots=True)
class Flow:
    """What rows pass through. ``system`` are the system columns that they carry.

    Rows that are rejected go to the ``quarantine``; where there is none, a rejected row fails the batch.
    """

    name: str
    source_name: str
    source: Source
    transforms: Sequence[Transform]
    sink: Sink
    system: tuple[str, ...]
    expectations: Expectations | None = None
    quarantine: Quarantine | None = None
    contract: SchemaContract = EVOLVE

    @property
    def sinks(self) -> Mapping[str, Sink]:
        """The tables that a batch may change, by role, in the order in which they are committed: the own one last."""
        sides = {} if self.quarantine is None else {ROLE: self.quarantine.sink}
        return {**sides, "main": self.sink}


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
        return _with_batch(flow, reading.rows, plan)

    found = blamed(error, steps_of(flow), read, plan)
    if isinstance(found, EtlError):
        return found
    return SinkError(reason(found), where=flow.sink.table, hint="look at the rows: etl preview")


def transform(flow: Flow, rows: pl.LazyFrame, plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
    """Return ``rows`` with the batch's own system columns, passed through every transform."""
    rows = _with_batch(flow, rows, plan)
    for step in steps_of(flow):
        rows = step.apply(rows, plan, tally)
        if getattr(step, "adds_rows", False):
            tally = tally.of_parts()
    return rows.drop(SOURCE_ROW, strict=False) if flow.expectations is None and _keeps_source_row(flow) else rows


def steps_of(flow: Flow) -> Sequence[Transform]:
    """Return everything that rows pass through, in order: the transforms, then what they must satisfy."""
    return flow.transforms if flow.expectations is None else [*flow.transforms, flow.expectations]


def _keeps_source_row(flow: Flow) -> bool:
    return any(getattr(step, "keeps_rows", False) for step in steps_of(flow))


def _with_batch(flow: Flow, rows: pl.LazyFrame, plan: BatchPlan) -> pl.LazyFrame:
    import polars as pl

    if _keeps_source_row(flow):
        own = [name for name in rows.collect_schema() if name not in flow.system]
        rows = with_source_row(rows, own)
    added: dict[str, pl.Expr] = {}
    if "_batch_id" in flow.system:
        added["_batch_id"] = pl.lit(plan.batch_id, dtype=pl.Int64)
    if "_ingested_at" in flow.system:
        added["_ingested_at"] = pl.lit(plan.batch_at, dtype=pl.Datetime("us", "UTC"))
    return rows.with_columns(**added) if added else rows


def source_frame(flow: Flow, schema: Schema) -> pl.Schema:
    """Return the columns that transforms are given when the source has ``schema``."""
    import polars as pl

    from etl.schema import to_polars

    types = {
        "_source_file": pl.String(),
        "_source_offset": pl.Int64(),
        "_source_modified_at": pl.Datetime("us", "UTC"),
        "_batch_id": pl.Int64(),
        "_ingested_at": pl.Datetime("us", "UTC"),
    }
    given = dict(to_polars({name: tree for name, tree in schema.items() if tree != "null"}))
    row = {SOURCE_ROW: pl.Struct(given)} if _keeps_source_row(flow) else {}
    return pl.Schema({**given, **{name: types[name] for name in flow.system}, **row})


def check_flow(flow: Flow, schema: Schema) -> pl.Schema:
    """Build every transform and the sink on empty frames; return the columns that reach the sink.

    Raises ConfigError with the transform's place in the list, SinkError.
    """
    import polars as pl

    given = source_frame(flow, schema)
    for index, step in enumerate(flow.transforms):
        try:
            given = step.output_schema(given)
        except ConfigError as exc:
            raise ConfigError(exc.message, where=f"transforms[{index}].{step.label}", hint=exc.hint) from exc
    if flow.expectations is not None:
        return flow.expectations.output_schema(given)
    return pl.Schema({name: kind for name, kind in given.items() if name != SOURCE_ROW})


def first_rows(
    flow: Flow, planned: PlannedInput, plan: BatchPlan, known: Survey, tally: Tally | None = None
) -> pl.LazyFrame:
    """Return the transformed rows of a plan for looking at; nothing is staged. The ``tally`` hears of rejected ones."""
    tally = tally or Tally()
    reading: Reading = flow.source.read(planned, known, flow.system, tally)
    return transform(flow, reading.rows, plan, tally)
