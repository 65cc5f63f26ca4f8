"""One attempt at a batch: read, transform, stage, and the manifest that says what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.balance import Tally, check_balance
from etl.errors import ConfigError, EtlError, SchemaDriftError, SinkError
from etl.model import BatchPlan, Manifest, PlannedInput, Schema
from etl.transforms.blame import blamed, is_failure_of_polars, reason

if TYPE_CHECKING:
    import polars as pl

    from etl.sinks.contract import Sink
    from etl.sources.contract import Reading, Source
    from etl.transforms.contract import Transform


@dataclass(frozen=True, slots=True)
class Flow:
    """What rows pass through. ``system`` are the system columns that they carry."""

    name: str
    source_name: str
    source: Source
    transforms: Sequence[Transform]
    sink: Sink
    system: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Staged:
    """The manifest of an attempt, and whether earlier tries of it left files behind."""

    manifest: Manifest
    was_retried: bool


def stage_batch(flow: Flow, plan: BatchPlan, new_id: Callable[[], str]) -> Staged:
    """Stage a planned batch, under a fresh attempt each time it is tried.

    Where the input has columns that the reading schema lacks, the schema is widened over the whole batch and the
    batch read again, so that the result does not depend on which row came first. Raises SourceError, TransformError,
    SinkError, BalanceError; nothing is published.
    """
    planned = plan.inputs[flow.source_name]
    schema = plan.schemas[flow.source_name] or flow.source.infer(planned, None)
    was_retried = False
    while True:
        try:
            return Staged(_stage_once(flow, plan, schema, new_id()), was_retried)
        except SchemaDriftError:
            widened = flow.source.infer(planned, schema)
            if widened == schema:
                raise
            schema, was_retried = widened, True


def _stage_once(flow: Flow, plan: BatchPlan, schema: Schema, attempt: str) -> Manifest:
    tally = Tally()
    planned = plan.inputs[flow.source_name]
    reading = flow.source.read(planned, schema, flow.system, tally)
    try:
        rows = transform(flow, reading.rows, plan, tally)
        table_schema = flow.sink.prepare(rows.collect_schema())
        files = flow.sink.stage(plan.batch_id, attempt, rows, tally)
    except BaseException as exc:
        if is_failure_of_polars(exc):
            raise _explained(exc, flow, plan, schema) from exc
        raise
    counts = tally.counts()
    check_balance(counts, where=f"{flow.name}, batch {plan.batch_id}")
    return Manifest(
        batch_id=plan.batch_id,
        attempt=attempt,
        tables={"main": files},
        table_schemas={"main": table_schema},
        source_schemas={flow.source_name: schema},
        rows=counts,
        units={flow.source_name: reading.units},
        watermark=plan.watermark,
        bytes_read=reading.bytes_read,
    )


def _explained(error: BaseException, flow: Flow, plan: BatchPlan, schema: Schema) -> EtlError:
    """Return a failure of the whole query as that of the transform it comes from, or of the sink."""

    def read() -> pl.LazyFrame:
        reading = flow.source.read(plan.inputs[flow.source_name], schema, flow.system, Tally())
        return _with_batch(flow, reading.rows, plan)

    found = blamed(error, flow.transforms, read, plan)
    if isinstance(found, EtlError):
        return found
    return SinkError(reason(found), where=flow.sink.table, hint="look at the rows: etl preview")


def transform(flow: Flow, rows: pl.LazyFrame, plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
    """Return ``rows`` with the batch's own system columns, passed through every transform."""
    rows = _with_batch(flow, rows, plan)
    for step in flow.transforms:
        rows = step.apply(rows, plan, tally)
    return rows


def _with_batch(flow: Flow, rows: pl.LazyFrame, plan: BatchPlan) -> pl.LazyFrame:
    import polars as pl

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
    return pl.Schema(given | {name: types[name] for name in flow.system})


def check_flow(flow: Flow, schema: Schema) -> pl.Schema:
    """Build every transform and the sink on empty frames; return the columns that reach the sink.

    Raises ConfigError with the transform's place in the list, SinkError.
    """
    given = source_frame(flow, schema)
    for index, step in enumerate(flow.transforms):
        try:
            given = step.output_schema(given)
        except ConfigError as exc:
            raise ConfigError(exc.message, where=f"transforms[{index}].{step.label}", hint=exc.hint) from exc
    return given


def first_rows(flow: Flow, planned: PlannedInput, plan: BatchPlan, schema: Schema) -> pl.LazyFrame:
    """Return the transformed rows of a plan for looking at; nothing is staged or counted."""
    tally = Tally()
    reading: Reading = flow.source.read(planned, schema, flow.system, tally)
    return transform(flow, reading.rows, plan, tally)
