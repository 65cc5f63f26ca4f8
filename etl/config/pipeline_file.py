"""One pipeline file -> PipelineSpec: each block is validated against the options of what it names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from etl.config.blocks import read_transforms, typed_options
from etl.config.explanation import Place, validate
from etl.config.faults import Location, reason
from etl.config.schedule import ScheduleOptions
from etl.config.source_blocks import SOURCE_NAME, check_taken, read_sources
from etl.config.specification import (
    PipelineFile,
    PipelineSpec,
    QuarantineOptions,
    SinkCommon,
    SinkSpec,
    SourceSpec,
    TransformSpec,
)
from etl.config.trials import read_trials
from etl.config.yaml_reader import Document
from etl.errors import ConfigError
from etl.options import Options
from etl.project import Project, check_id

if TYPE_CHECKING:
    from etl.transforms.expectations import ExpectationOptions

QUARANTINE_SUFFIX = "__quarantine"
LATE_SUFFIX = "__late"


def read_pipeline(document: Document, path: Path, project: Project) -> PipelineSpec | None:
    """Return the pipeline that ``document`` declares, or None after noting every fault in it."""
    content = document.data
    fixed = validate(PipelineFile, content, Place(document))
    name = _name(document, path)
    sources = read_sources(document, project)
    transforms = read_transforms(document, content.get("transforms"))
    check_taken(document, sources, transforms)
    quarantine = fixed.quarantine if fixed is not None else QuarantineOptions()
    sink = _sink(document, content.get("sink"), quarantine, project)
    _check_expectations(document, () if fixed is None else fixed.expect)
    if fixed is not None and fixed.sla.of == "data" and not _has_watermark(sources, transforms):
        document.fault(("sla", "of"), "`of: data` goes by the watermark; add a watermark transform, or say commit")
    if sink is not None:
        _check_provenance(document, sources, sink.options)
    several = content.get("sources")
    trials = read_trials(
        document,
        () if fixed is None else fixed.tests,
        list(several) if isinstance(several, dict) and several else [SOURCE_NAME],
    )
    joins = _joined_urls(document, [*(step for source in sources for step in source.transforms), *transforms], project)
    if document.faults or fixed is None or not sources or sink is None:
        return None
    return PipelineSpec(
        name=name,
        sources=sources,
        transforms=transforms,
        sink=sink,
        path=path,
        description=fixed.description,
        trigger="available_now" if isinstance(fixed.trigger, ScheduleOptions) else fixed.trigger,
        schedule=fixed.trigger if isinstance(fixed.trigger, ScheduleOptions) else None,
        is_isolated=fixed.isolation == "process",
        joins=joins,
        expect=tuple(fixed.expect),
        quarantine=fixed.quarantine,
        sla=fixed.sla,
        trials=trials,
        document=document,
    )


def declared_name(document: Document, path: Path) -> str:
    """Return the name of a pipeline, whether or not it is a good one."""
    name = document.data.get("name")
    return name if isinstance(name, str) else path.stem


def _name(document: Document, path: Path) -> str:
    name = declared_name(document, path)
    try:
        return check_id(name)
    except ConfigError as exc:
        document.fault(("name",), reason(exc))
        return name


def _check_expectations(document: Document, expected: Sequence[ExpectationOptions]) -> None:
    names = [each.name for each in expected]
    for place, name in enumerate(names):
        if name in names[:place]:
            document.fault(("expect", place, "name"), f"'{name}' is the name of expectation {names.index(name)} too")


def _has_watermark(sources: Sequence[SourceSpec], transforms: Sequence[TransformSpec]) -> bool:
    steps = [*transforms, *(step for source in sources for step in source.transforms)]
    return any(step.key == "watermark" for step in steps)


def _check_provenance(document: Document, sources: Sequence[SourceSpec], sink: Options) -> None:
    """Refuse a table that does not keep what a source finds its earlier rows by, or finds them in another way."""
    if not any(getattr(source.options, "needs_provenance", False) for source in sources):
        return
    write_mode = getattr(sink, "write_mode", "append")
    if write_mode != "append":
        document.fault(
            ("sink", "write_mode"),
            f"`on_change: replace_rows` takes out rows by their file, {write_mode} by itself; say "
            "`write_mode: append`, or `on_change: reingest` at the source",
        )
    if not getattr(sink, "provenance", True):
        document.fault(
            ("sink", "provenance"), "`on_change: replace_rows` finds rows by their _source_file; leave it true"
        )


def _sink(document: Document, content: object, quarantine: QuarantineOptions, project: Project) -> SinkSpec | None:
    if not isinstance(content, dict):
        return None
    place = Place(document, ("sink",))
    common = validate(SinkCommon, {key: content[key] for key in ("type",) if key in content}, place)
    options = typed_options(place, "sinks", content, ("type",))
    if common is None or options is None:
        return None
    table, path = getattr(options, "table", None), getattr(options, "path", None)
    if (table is None) == (path is None):
        document.fault(place.location, "give either table or path", key=True)
        return None
    try:
        url = project.table_url(table) if table is not None else project.url(str(path))
    except ConfigError as exc:
        document.fault(("sink", "table"), reason(exc))
        return None
    name = str(table or path)
    side = quarantine.table or f"{name}{QUARANTINE_SUFFIX}"
    try:
        side_url = f"{url}{QUARANTINE_SUFFIX}" if quarantine.table is None else project.table_url(quarantine.table)
    except ConfigError as exc:
        document.fault(("quarantine", "table"), reason(exc))
        return None
    late, late_url = f"{name}{LATE_SUFFIX}", f"{url}{LATE_SUFFIX}"
    return SinkSpec(common.type, options, name, url, side, side_url, late, late_url)


def _joined_urls(
    document: Document, transforms: Sequence[TransformSpec], project: Project
) -> tuple[tuple[Location, str], ...]:
    """Return what transforms read beside their rows (options with ``read_urls``), whole; a wrong name is noted."""
    found: list[tuple[Location, str]] = []
    for step in transforms:
        try:
            found += [(step.location, url) for url in getattr(step.options, "read_urls", lambda _: ())(project)]
        except ConfigError as exc:
            listed_at = (*step.location, "table")
            document.fault(listed_at if listed_at in document.values else step.location, reason(exc))
    return tuple(found)
