"""Which columns of its sources each column of a pipeline's result is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from etl.chains import MAIN, steps_of_chain
from etl.flow_schema import FlowColumns
from etl.intake import without
from etl.operations.looking import look
from etl.schema import format_type, from_polars
from etl.widening import has_columns

if TYPE_CHECKING:
    import polars as pl

    from etl.flow import Flow
    from etl.model import Schema
    from etl.pipeline import Pipeline
    from etl.seam import Seam

_FUNCTIONS = ("python", "map_batches", "stateful")
"""Transforms into which nobody can see: any column may come from any."""


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """A column of a source, or, where there is no ``source``, of a static table, by the table's place."""

    source: str
    column: str
    static: str = ""


Traced: TypeAlias = "dict[str, frozenset[Origin]]"


@dataclass(frozen=True, slots=True)
class Lineage:
    """Columns with their types, as text: of each source, and of the result; and where those come from."""

    sources: Mapping[str, Mapping[str, str]]
    result: Mapping[str, str]
    origins: Mapping[str, tuple[Origin, ...]]


def lineage_of(pipeline: Pipeline, seam: Seam) -> Lineage | None:
    """Return the lineage by the schemas that the checkpoint keeps, None where those are not known yet.

    Changes nothing and reads no rows. Raises EtlError where the pipeline cannot be looked at.
    """
    known = look(pipeline, seam).known
    schemas = {name: survey.schema for name, survey in known.items() if survey is not None}
    if pipeline.flow.source_name not in schemas or not has_columns(schemas[pipeline.flow.source_name]):
        return None
    missing = {name for name in known if name not in schemas or not has_columns(schemas[name])}
    return trace(without(pipeline.flow, missing), schemas)


def trace(flow: Flow, schemas: Mapping[str, Schema]) -> Lineage:
    """Return the lineage of what rows pass through, for given schemas of the sources. Raises ConfigError."""
    columns = FlowColumns(flow, schemas)
    result = columns.result()
    traced = _after(flow, columns, schemas, MAIN)
    return Lineage(
        {name: _texts(schema) for name, schema in schemas.items()},
        _texts(from_polars(result)),
        {name: tuple(sorted(traced.get(name, ()))) for name in result},
    )


def _texts(schema: Schema) -> dict[str, str]:
    return {name: format_type(tree) for name, tree in schema.items()}


def _after(flow: Flow, columns: FlowColumns, schemas: Mapping[str, Schema], chain: str) -> Traced:
    """Return the columns behind a chain, with their origins; system columns have none."""
    source = chain or flow.source_name
    traced: Traced = {name: frozenset((Origin(source, name),)) for name in schemas[source]}
    for step in steps_of_chain(flow, chain):
        others = [_after(flow, columns, schemas, name) for name in getattr(step, "inputs", ())]
        traced = _through(step, columns.inputs_of(step), traced, others)
    return traced


def _through(step: Any, given: tuple[pl.Schema, ...], traced: Traced, others: list[Traced]) -> Traced:  # noqa: ANN401
    found = [name for name in step.output_schema(*given) if not name.startswith("_")]
    if step.label in _FUNCTIONS:
        every = frozenset[Origin]().union(*traced.values())
        return dict.fromkeys(found, every)
    traced = dict(traced)
    if hasattr(step, "static_origins"):
        place, added = step.static_origins(given[0])
        traced |= {name: frozenset((Origin("", column, place),)) for name, column in added.items()}
    if hasattr(step, "other_origins"):
        named = step.other_origins(*given)
        traced |= {name: others[0].get(column, frozenset()) for name, column in named.items()}
    else:
        for other in others:
            traced |= {name: traced.get(name, frozenset()) | origins for name, origins in other.items()}
    own = step.origins(given[0]) if hasattr(step, "origins") else {}
    computed = {
        name: frozenset[Origin]().union(*(traced.get(column, frozenset()) for column in columns))
        for name, columns in own.items()
    }
    return {name: computed.get(name, traced.get(name, frozenset())) for name in found}
