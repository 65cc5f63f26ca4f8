"""One pipeline file -> PipelineSpec: each block is validated against the options of what it names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from etl.config.blocks import read_transforms
from etl.config.explanation import Place, validate
from etl.config.faults import Location, reason
from etl.config.schedule import ScheduleOptions
from etl.config.sink_blocks import check_removals, read_sinks
from etl.config.source_blocks import SOURCE_NAME, check_taken, read_sources
from etl.config.specification import (
    PipelineFile,
    PipelineSpec,
    QuarantineOptions,
    SourceSpec,
    TransformSpec,
)
from etl.config.trials import read_trials
from etl.config.yaml_reader import Document
from etl.errors import ConfigError
from etl.project import Project, check_id

if TYPE_CHECKING:
    from etl.transforms.expectations import ExpectationOptions


def read_pipeline(document: Document, path: Path, project: Project) -> PipelineSpec | None:
    """Return the pipeline that ``document`` declares, or None after noting every fault in it."""
    content = document.data
    fixed = validate(PipelineFile, content, Place(document))
    name = _name(document, path)
    sources = read_sources(document, project)
    transforms = read_transforms(document, content.get("transforms"))
    check_taken(document, sources, transforms)
    quarantine = fixed.quarantine if fixed is not None else QuarantineOptions()
    sinks = read_sinks(document, name, quarantine, project)
    _check_expectations(document, () if fixed is None else fixed.expect)
    if fixed is not None and fixed.sla.of == "data" and not _has_watermark(sources, transforms):
        document.fault(("sla", "of"), "`of: data` goes by the watermark; add a watermark transform, or say commit")
    if any(getattr(source.options, "needs_provenance", False) for source in sources):
        check_removals(document, sinks)
    several = content.get("sources")
    trials = read_trials(
        document,
        () if fixed is None else fixed.tests,
        list(several) if isinstance(several, dict) and several else [SOURCE_NAME],
    )
    joins = _joined_urls(document, [*(step for source in sources for step in source.transforms), *transforms], project)
    if document.faults or fixed is None or not sources or not sinks:
        return None
    return PipelineSpec(
        name=name,
        sources=sources,
        transforms=transforms,
        sink=sinks[0],
        further=sinks[1:],
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
