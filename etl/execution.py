"""The walk of rows through the transforms of a pipeline, stateful ones among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from etl.balance import Tally
from etl.errors import ConfigError
from etl.flow import Flow
from etl.model import SOURCE_ROW, BatchPlan, PlannedInput, Schema
from etl.transforms.expectations import with_source_row

if TYPE_CHECKING:
    import polars as pl

    from etl.schema_contract import Survey
    from etl.sources.contract import Reading
    from etl.transforms.contract import Transform


def transform(flow: Flow, rows: pl.LazyFrame, plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
    """Return ``rows`` with the batch's own system columns, passed through every transform."""
    rows = with_batch(flow, rows, plan)
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


def with_batch(flow: Flow, rows: pl.LazyFrame, plan: BatchPlan) -> pl.LazyFrame:
    """Return ``rows`` with the system columns that the batch gives, and the source's own row where one may need it."""
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
