"""PipelineSpec -> Pipeline, and its plan tried on empty frames."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.checkpoint.generations import newest_generation, records_of
from etl.config.building import built, fault_at, names
from etl.config.chain_wiring import wire_transforms
from etl.config.definition import definition_hash
from etl.config.faults import ConfigFaults, Location
from etl.config.interpolation import texts
from etl.config.registries import registered
from etl.config.specification import PipelineSpec, dumped
from etl.errors import ConfigError, EtlError
from etl.flow import Flow
from etl.flow_schema import check_flow
from etl.model import PROVENANCE_COLUMNS, SYSTEM_COLUMNS, Schema
from etl.pipeline import Pipeline
from etl.project import Project, scheme_of
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.delta import DeltaSink
from etl.sinks.delta_options import DeltaOptions
from etl.sinks.late import ROLE as LATE
from etl.sinks.late import Late
from etl.sinks.quarantine import ROLE, Quarantine
from etl.sources.contract import SourceSite
from etl.storage import Storage, object_store_options, open_storage
from etl.transforms.expectations import Expectations

if TYPE_CHECKING:
    import polars as pl

SOURCE_NAME = "source"


def wire(spec: PipelineSpec, project: Project, seam: Seam, generation: int | None = None) -> Pipeline:
    """Return the pipeline that ``spec`` declares. Writes nothing; reads which generation of its checkpoint counts.

    With a ``generation`` nothing is read at all. Raises ConfigFaults where a source, transform or sink refuses its
    options, at its place in the file, and StorageError where the checkpoint's folder cannot be listed.
    """
    checkpoint = open_storage(project.checkpoint_url(spec.name), seam, project.storage_options)
    generation = newest_generation(checkpoint) if generation is None else generation
    provenance = PROVENANCE_COLUMNS if getattr(spec.sink.options, "provenance", True) else ()
    transforms = wire_transforms(spec, project)
    flow = Flow(
        name=spec.name,
        source_name=SOURCE_NAME,
        source=_source(spec, project, seam, records_of(checkpoint, generation)),
        transforms=transforms,
        sink=_sink(spec, project, seam, provenance),
        system=_system_columns(spec, provenance),
        expectations=Expectations(spec.expect) if spec.expect else None,
        quarantine=_quarantine(spec, project, seam),
        contract=spec.source.contract,
        late=_late(spec, project, seam) if any(getattr(step, "keeps_late", False) for step in transforms) else None,
    )
    definition = definition_hash(spec, project)
    return Pipeline(
        flow,
        checkpoint,
        spec.source.limit,
        definition,
        project,
        spec.trigger,
        generation,
        spec.source.max_latency_s,
    )


def _source(spec: PipelineSpec, project: Project, seam: Seam, records: Storage) -> Any:  # noqa: ANN401  a Source
    site = SourceSite(
        name=SOURCE_NAME,
        folder=project.folder,
        ledger=records.at(f"sources/{SOURCE_NAME}"),
        seam=seam,
        storage_options=project.storage_options,
        memory_bytes=project.memory_bytes,
        contract=spec.source.contract,
    )
    return built(
        spec,
        ("source",),
        lambda: registered("sources", spec.source.type)(spec.source.options, spec.source.schema, site),
    )


def _sink(spec: PipelineSpec, project: Project, seam: Seam, provenance: tuple[str, ...]) -> Any:  # noqa: ANN401  a Sink
    site = SinkSite(
        table=spec.sink.table,
        url=spec.sink.url,
        storage=open_storage(spec.sink.url, seam, project.storage_options, is_shared=True),
        seam=seam,
        storage_options=object_store_options(scheme_of(spec.sink.url), project.options_for(spec.sink.url)),
        provenance=provenance,
    )
    return built(spec, ("sink",), lambda: registered("sinks", spec.sink.type)(spec.sink.options, site))


def _quarantine(spec: PipelineSpec, project: Project, seam: Seam) -> Quarantine:
    """Return where rejected rows go: a Delta table beside the pipeline's own."""
    sink = _side_table(SideTable(spec.sink.quarantine, spec.sink.quarantine_url, ROLE), project, seam)
    return Quarantine(sink, spec.quarantine.raw, spec.quarantine.max_fraction)


def _late(spec: PipelineSpec, project: Project, seam: Seam) -> Late:
    """Return where late rows go: another Delta table beside the pipeline's own."""
    return Late(_side_table(SideTable(spec.sink.late, spec.sink.late_url, LATE), project, seam))


@dataclass(frozen=True, slots=True)
class SideTable:
    """A table beside the pipeline's own: its name for people, its root, its role."""

    name: str
    url: str
    role: str


def _side_table(table: SideTable, project: Project, seam: Seam) -> DeltaSink:
    site = SinkSite(
        table=table.name,
        url=table.url,
        storage=open_storage(table.url, seam, project.storage_options),
        seam=seam,
        storage_options=object_store_options(scheme_of(table.url), project.options_for(table.url)),
        provenance=PROVENANCE_COLUMNS,
        role=table.role,
    )
    return DeltaSink(DeltaOptions(path=table.url), site)


def _system_columns(spec: PipelineSpec, provenance: tuple[str, ...]) -> tuple[str, ...]:
    """Return the system columns that rows carry: their origin, those kept in the table, those that a check names."""
    named = "\n".join(text for step in spec.transforms for text in texts(dumped(step.options)))
    named += "\n".join(each.check for each in spec.expect)
    carried = {*provenance, "_source_file", "_source_offset"}  # rows are counted by their file, and rejected with both
    return tuple(name for name in SYSTEM_COLUMNS if name in carried or re.search(rf"\b{name}\b", named))


def check_plan(spec: PipelineSpec, pipeline: Pipeline, schema: Schema | None = None) -> pl.Schema | None:
    """Return the columns that arrive at the sink, found on empty frames; None where the source's are not known yet.

    ``schema`` is the one that the checkpoint keeps; a declared one goes before it. Raises ConfigFaults with the first
    fault: what comes after it cannot be judged.
    """
    known = spec.source.schema or schema
    if known is None:
        return None
    try:
        rows = check_flow(pipeline.flow, {pipeline.flow.source_name: known})
        _refuse_lost_origin(spec, rows)
        pipeline.sink.prepare(rows)
    except EtlError as exc:
        raise ConfigFaults([fault_at(spec, _place_of(spec, exc), exc)]) from exc
    return rows


def _refuse_lost_origin(spec: PipelineSpec, rows: pl.Schema) -> None:
    """Refuse transforms after which nobody can tell which rows a file had. Raises ConfigError."""
    if getattr(spec.source.options, "needs_provenance", False) and "_source_file" not in rows:
        raise ConfigError(
            "a transform drops _source_file, by which `on_change: replace_rows` finds the rows of a file",
            hint="return it with the other columns",
        )


def _place_of(spec: PipelineSpec, exc: EtlError) -> Location:
    """Return the transform that an error names, else the sink."""
    places: list[Location] = [("transforms", step.index, step.key) for step in spec.transforms]
    places += [("expect", place, "check") for place in range(len(spec.expect))]
    return next((place for place in places if names(exc, place)), ("sink",))
