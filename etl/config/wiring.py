"""PipelineSpec -> Pipeline, and its plan tried on empty frames."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.chains import OF_WHOLE_BATCHES, clock_rules, stateful_steps
from etl.checkpoint.generations import newest_generation, records_of
from etl.config.building import built, fault_at, names
from etl.config.chain_wiring import wire_transforms
from etl.config.definition import definition_hash
from etl.config.faults import ConfigFaults, Location
from etl.config.interpolation import texts
from etl.config.registries import registered
from etl.config.sink_blocks import provenance_of
from etl.config.specification import PipelineSpec, SinkSpec, SourceSpec, dumped
from etl.errors import ConfigError, EtlError
from etl.flow import Branch, Flow, Outlet
from etl.flow_schema import check_flow
from etl.intake import without
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
from etl.widening import has_columns

if TYPE_CHECKING:
    import polars as pl


def wire(spec: PipelineSpec, project: Project, seam: Seam, generation: int | None = None) -> Pipeline:
    """Return the pipeline that ``spec`` declares. Writes nothing; reads which generation of its checkpoint counts.

    With a ``generation`` nothing is read at all. Raises ConfigFaults where a source, transform or sink refuses its
    options, at its place in the file, and StorageError where the checkpoint's folder cannot be listed.
    """
    checkpoint = open_storage(project.checkpoint_url(spec.name), seam, project.storage_options)
    generation = newest_generation(checkpoint) if generation is None else generation
    transforms, own = wire_transforms(spec, project)
    records = records_of(checkpoint, generation)
    sites = [_site(source, project, seam, records) for source in spec.sources]
    main, *branches = (_branch(spec, *each) for each in zip(spec.sources, sites, own, strict=True))
    every = [*transforms, *(step for branch in branches for step in branch.transforms)]
    make = _Sinks(spec, project, seam, records)
    flow = Flow(
        name=spec.name,
        source_name=main.name,
        source=main.source,
        transforms=transforms,
        sink=make.sink(spec.sink),
        system=_system_columns(spec),
        expectations=Expectations(spec.expect) if spec.expect else None,
        quarantine=_quarantine(spec, project, seam),
        contract=main.contract,
        late=_late(spec, project, seam) if any(getattr(step, "keeps_late", False) for step in every) else None,
        branches=tuple(branches),
        own=len(main.transforms),
        columns=spec.sink.columns,
        further=tuple(Outlet(each.role, make.sink(each), each.columns) for each in spec.further),
    )
    definition = definition_hash(spec, project)
    return Pipeline(
        flow,
        checkpoint,
        main.limit,
        definition,
        project,
        spec.trigger,
        generation,
        max(source.max_latency_s for source in spec.sources),
        refreshes_at_once=_is_refreshed_at_once(spec, flow),
    )


def _is_refreshed_at_once(spec: PipelineSpec, flow: Flow) -> bool:
    """Tell whether one batch may take all input: where it streams through, and how batches are cut decides nothing."""
    appends = spec.sink.type == "delta" and getattr(spec.sink.options, "write_mode", "") == "append"
    steps = [*flow.transforms, *(step for branch in flow.branches for step in branch.transforms)]
    remembers = stateful_steps(flow) or clock_rules(flow) or any(step.label in OF_WHOLE_BATCHES for step in steps)
    return appends and spec.trigger != "once" and not (flow.further or remembers)


def _branch(spec: PipelineSpec, source: SourceSpec, site: SourceSite, transforms: tuple[Any, ...]) -> Branch:
    """Return a source and what is its own; ``site`` is where it lives."""
    made = built(spec, source.location, lambda: registered("sources", source.type)(source.options, source.schema, site))
    return Branch(source.name, made, transforms, source.contract, source.limit)


def _site(source: SourceSpec, project: Project, seam: Seam, records: Storage) -> SourceSite:
    return SourceSite(
        name=source.name,
        folder=project.folder,
        ledger=records.at(f"sources/{source.name}"),
        seam=seam,
        storage_options=project.storage_options,
        memory_bytes=project.memory_bytes,
        contract=source.contract,
        project=project,
    )


@dataclass(frozen=True, slots=True)
class _Sinks:
    """What sinks of a pipeline are made with. ``records`` are those of its checkpoint."""

    spec: PipelineSpec
    project: Project
    seam: Seam
    records: Storage

    def sink(self, sink: SinkSpec) -> Any:  # noqa: ANN401  a Sink
        """Return a sink. Raises ConfigFaults at its place in the file."""
        project, seam, url = self.project, self.seam, sink.url
        if sink.is_table:
            storage = open_storage(url, seam, project.storage_options, is_shared=True)
            options = object_store_options(scheme_of(url), project.options_for(url))
        else:
            storage, options = self.records.at(f"sinks/{sink.role}"), {}
        site = SinkSite(
            table=sink.table,
            url=url if sink.is_table else storage.url,
            storage=storage,
            seam=seam,
            storage_options=options,
            provenance=provenance_of(sink, PROVENANCE_COLUMNS, SYSTEM_COLUMNS),
            role=sink.role,
            project=project,
            pipeline=self.spec.name,
        )
        return built(self.spec, sink.location, lambda: registered("sinks", sink.type)(sink.options, site))


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


def _system_columns(spec: PipelineSpec) -> tuple[str, ...]:
    """Return the system columns that rows carry: their origin, those kept by sinks, those that a check names."""
    named = "\n".join(text for step in spec.steps for text in texts(dumped(step.options)))
    named += "\n".join(each.check for each in spec.expect)
    kept = [name for sink in spec.sinks for name in provenance_of(sink, PROVENANCE_COLUMNS, SYSTEM_COLUMNS)]
    carried = {*kept, "_source_file", "_source_offset"}  # rows are counted by their file, and rejected with both
    return tuple(name for name in SYSTEM_COLUMNS if name in carried or re.search(rf"\b{name}\b", named))


def check_plan(spec: PipelineSpec, pipeline: Pipeline, schemas: Mapping[str, Schema] | None = None) -> pl.Schema | None:
    """Return the columns that arrive at the sink, found on empty frames; None where those of a source are not known.

    ``schemas`` are those that the checkpoint keeps, by source; declared ones go before them. Raises ConfigFaults with
    the first fault: what comes after it cannot be judged.
    """
    known = {**(schemas or {}), **{each.name: each.schema for each in spec.sources if each.schema is not None}}
    if any(name not in known for name in pipeline.sources):
        return None
    try:
        unknown = {name for name, schema in known.items() if not has_columns(schema)} - {pipeline.flow.source_name}
        rows = check_flow(without(pipeline.flow, unknown), known)
        _refuse_lost_origin(spec, pipeline.flow, rows)
    except EtlError as exc:
        raise ConfigFaults([fault_at(spec, _place_of(spec, exc), exc)]) from exc
    _check_sinks(spec, pipeline.flow, rows)
    return rows


def _check_sinks(spec: PipelineSpec, flow: Flow, rows: pl.Schema) -> None:
    """Hand every sink the columns that arrive. Raises ConfigFaults with what they refuse, each at its sink."""
    places = {sink.role: sink.location for sink in spec.sinks}
    faults = []
    for outlet in flow.outlets:
        try:
            outlet.prepare(rows)
        except EtlError as exc:
            faults.append((fault_at(spec, places[outlet.role], exc), exc))
    if faults:
        raise ConfigFaults([fault for fault, _ in faults]) from faults[0][1]


def _refuse_lost_origin(spec: PipelineSpec, flow: Flow, rows: pl.Schema) -> None:
    """Refuse transforms after which nobody can tell, or take back, which rows a file had. Raises ConfigError."""
    if not any(getattr(source.options, "needs_provenance", False) for source in spec.sources):
        return
    if remembering := ", ".join(stateful_steps(flow)):
        raise ConfigError(
            f"{remembering} remembers rows, which `on_change: replace_rows` cannot take back",
            hint="use on_change: reingest or fail at the source, or do it in a second pipeline over the table",
        )
    if "_source_file" not in rows:
        raise ConfigError(
            "a transform drops _source_file, by which `on_change: replace_rows` finds the rows of a file",
            hint="return it with the other columns",
        )


def _place_of(spec: PipelineSpec, exc: EtlError) -> Location:
    """Return the transform that an error names, else the sink."""
    places: list[Location] = [step.location for step in spec.steps]
    places += [("expect", place, "check") for place in range(len(spec.expect))]
    return next((place for place in places if names(exc, place)), ("sink",))
