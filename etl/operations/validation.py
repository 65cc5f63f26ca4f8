"""Are the files of a project right: every name resolved, every plan built on empty frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.chains import stateful_steps
from etl.config.faults import ConfigFaults, Fault
from etl.config.lineage import overlaps
from etl.config.wiring import check_plan, wire
from etl.errors import EtlError, MissingTableError, StorageError
from etl.operations.looking import Onlooker, look
from etl.operations.planning import next_inputs

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
    warnings: tuple[str, ...] = ()


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
    schemas, note = _schemas(pipeline)
    try:
        rows = check_plan(spec, pipeline, schemas)
    except ConfigFaults as exc:
        note = _why_unchecked(workspace, exc)
        if not note:
            raise
        rows = None
    columns = None if rows is None else {name: str(dtype) for name, dtype in rows.items()}
    return Verdict(spec.name, spec.sink.table, len(spec.transforms), columns, note, _warnings(pipeline))


def _warnings(pipeline: Pipeline) -> tuple[str, ...]:
    """Return what people should know of transforms before they run them: state that grows without end."""
    found = []
    for step in stateful_steps(pipeline.flow).values():
        warnings: Callable[[], list[str]] = getattr(step, "warnings", list)
        found += warnings()
    return tuple(found)


def _why_unchecked(workspace: Workspace, faults: ConfigFaults) -> str:
    """Return why columns cannot be known yet: a static table that another pipeline is to write; else nothing."""
    cause: BaseException | None = faults
    while cause is not None and not isinstance(cause, MissingTableError):
        cause = cause.__cause__
    if cause is None:
        return ""
    with suppress(ConfigFaults):
        writer = next((spec.name for spec in workspace.specs() if overlaps(cause.url, spec.sink.url)), None)
        return f"columns not checked: {cause.message} yet, {writer} writes it" if writer else ""
    return ""


def _wired(spec: PipelineSpec, workspace: Workspace) -> Pipeline:
    """Return the pipeline, also where its checkpoint cannot be reached: its file may be right all the same."""
    try:
        return wire(spec, workspace.project, Onlooker())
    except StorageError:
        return wire(spec, workspace.project, Onlooker(), generation=1)


def _schemas(pipeline: Pipeline) -> tuple[dict[str, Schema], str]:
    """Return the schemas that the next batch would be read with, as far as they are known, and why one is not."""
    declared = {name: source.declared_schema for name, source in pipeline.sources.items()}
    known = {name: schema for name, schema in declared.items() if schema is not None}
    if len(known) == len(declared):
        return known, ""
    try:
        sight = look(pipeline, Onlooker())
        inputs = next_inputs(sight)
        if not inputs and not any(sight.known.values()):
            return known, "there is no input yet"
        found = sight.intake(inputs, Onlooker().now()).foreseen()
    except EtlError as exc:
        return known, f"columns not checked: {exc}".splitlines()[0]
    else:
        seen = {name for name in found if name in inputs or sight.known[name] is not None}
        known = {name: found[name].schema for name in found if name in seen} | known
        lacking = [name for name in declared if name not in known]
        return known, f"there is no input of {', '.join(lacking)} yet" if lacking else ""
