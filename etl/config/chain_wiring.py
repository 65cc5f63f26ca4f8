"""The transforms of a pipeline file, made in order, each told what stands before it."""

from __future__ import annotations

from typing import Any

from etl.config.building import built, fault_at
from etl.config.faults import ConfigFaults
from etl.config.registries import registered
from etl.config.specification import PipelineSpec, TransformSpec
from etl.errors import ConfigError
from etl.project import Project
from etl.transforms.contract import TransformSite
from etl.transforms.watermark import Watermark


def wire_transforms(spec: PipelineSpec, project: Project) -> tuple[Any, ...]:
    """Return the transforms, each told what stands before it."""
    made: list[Any] = []
    stateful = [step.index for step in spec.transforms if is_stateful(registered("transforms", step.key))]
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
        made.append(_transform(spec, step, site))
    return tuple(made)


def is_stateful(step: Any) -> bool:  # noqa: ANN401  a transform, or its class
    """Tell whether a transform remembers something from batch to batch."""
    return bool(getattr(step, "is_stateful", False))


def _is_whole(spec: PipelineSpec) -> bool:
    return getattr(spec.sink.options, "write_mode", "append") == "overwrite"


def _transform(spec: PipelineSpec, step: TransformSpec, site: TransformSite) -> Any:  # noqa: ANN401  a Transform
    location = ("transforms", step.index, step.key)
    return built(spec, location, lambda: registered("transforms", step.key)(step.options, site))
