"""Are the files of a project right: every name resolved, every plan built on empty frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.config.faults import ConfigFaults, Fault
from etl.config.wiring import check_plan, wire
from etl.errors import EtlError, StorageError
from etl.operations.looking import Onlooker, look
from etl.operations.planning import next_input

if TYPE_CHECKING:
    from etl.config.specification import PipelineSpec
    from etl.model import Schema
    from etl.operations.workspace import Workspace
    from etl.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Verdict:
    """A pipeline whose file is right. ``columns`` reach its table, None where they are not known, as ``note`` says."""

    pipeline: str
    table: str
    transforms: int
    columns: dict[str, str] | None
    note: str


def validate(workspace: Workspace, names: Sequence[str] | None = None) -> list[Verdict]:
    """Check the pipelines, or those named; changes nothing. Raises ConfigFaults with all faults of all of them.

    Where no schema is declared or kept, that of the next batch's files is taken.
    """
    verdicts: list[Verdict] = []
    faults: list[Fault] = []
    for spec in workspace.specs(names):
        try:
            verdicts.append(_verdict(workspace, spec))
        except ConfigFaults as exc:
            faults.extend(exc.faults)
    if faults:
        raise ConfigFaults(faults)
    return verdicts


def _verdict(workspace: Workspace, spec: PipelineSpec) -> Verdict:
    pipeline = _wired(spec, workspace)
    schema, note = _schema(pipeline)
    rows = check_plan(spec, pipeline, schema)
    columns = None if rows is None else {name: str(dtype) for name, dtype in rows.items()}
    return Verdict(spec.name, spec.sink.table, len(spec.transforms), columns, note)


def _wired(spec: PipelineSpec, workspace: Workspace) -> Pipeline:
    """Return the pipeline, also where its checkpoint cannot be reached: its file may be right all the same."""
    try:
        return wire(spec, workspace.project, Onlooker())
    except StorageError:
        return wire(spec, workspace.project, Onlooker(), generation=1)


def _schema(pipeline: Pipeline) -> tuple[Schema | None, str]:
    """Return the schema that the next batch would be read with, and why it is not known."""
    if pipeline.source.declared_schema is not None:
        return pipeline.source.declared_schema, ""
    try:
        sight = look(pipeline, Onlooker())
        planned = next_input(sight)
        if planned is None:
            return (None, "there is no input yet") if sight.known is None else (sight.known.schema, "")
        return pipeline.source.survey(planned, sight.known, Onlooker().now()).schema, ""
    except EtlError as exc:
        return None, f"columns not checked: {exc}".splitlines()[0]
