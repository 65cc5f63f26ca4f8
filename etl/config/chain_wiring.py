"""The transforms of a pipeline file, made in order, each told what stands before it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from etl.config.building import built, fault_at
from etl.config.faults import ConfigFaults
from etl.config.registries import registered
from etl.config.specification import PipelineSpec, TransformSpec
from etl.errors import ConfigError
from etl.project import Project
from etl.transforms.contract import TransformSite
from etl.transforms.sql import SqlOptions
from etl.transforms.sql_expansion import expanded
from etl.transforms.sql_planning_parts import Scope
from etl.transforms.watermark import Watermark

_SCOPE = Scope()
"""What queries know of the sources of a pipeline that has one."""


def wire_transforms(spec: PipelineSpec, project: Project) -> tuple[Any, ...]:
    """Return the transforms, each told what stands before it."""
    made: list[Any] = []
    stateful = [step.index for step in spec.transforms if _remembers(step)]
    for step in spec.transforms:
        clocks = [each.column for each in made if isinstance(each, Watermark)]
        if step.key == "watermark" and any(is_stateful(each) for each in made):
            fault = ConfigError("stands behind a stateful transform", hint="put it before the first of them")
            raise ConfigFaults([fault_at(spec, ("transforms", step.index, step.key), fault)])
        site = TransformSite(
            project.folder,
            step.index,
            has_watermark=bool(clocks),
            is_whole=_is_whole(spec) and step.index == max(stateful, default=-1),
            time_column=clocks[-1] if clocks else "",
        )
        made += _transforms(spec, step, site)
    return tuple(made)


def is_stateful(step: Any) -> bool:  # noqa: ANN401  a transform, or its class
    """Tell whether a transform remembers something from batch to batch."""
    return bool(getattr(step, "is_stateful", False))


def _is_whole(spec: PipelineSpec) -> bool:
    return getattr(spec.sink.options, "write_mode", "append") == "overwrite"


def _remembers(step: TransformSpec) -> bool:
    """Tell whether an entry becomes transforms of which one is stateful."""
    keys = step.options.keys(_SCOPE) if isinstance(step.options, SqlOptions) else (step.key,)
    return any(is_stateful(registered("transforms", key)) for key in keys)


def _transforms(spec: PipelineSpec, step: TransformSpec, site: TransformSite) -> list[Any]:
    """Return the transforms that an entry becomes: a query may become several."""
    location, options = ("transforms", step.index, step.key), step.options
    kinds = partial(registered, "transforms")
    if isinstance(options, SqlOptions):
        scope = replace(_SCOPE, time=site.time_column, is_whole=site.is_whole)
        found: list[Any] = built(spec, location, lambda: expanded(options.root, site, scope, kinds))
        return found
    return [built(spec, location, lambda: kinds(step.key)(options, site))]
