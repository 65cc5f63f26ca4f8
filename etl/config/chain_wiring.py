"""The transforms of a pipeline file and of its sources, made in order, each told what stands before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from etl.config.building import built, fault_at
from etl.config.faults import ConfigFaults
from etl.config.registries import registered
from etl.config.source_blocks import names_taken
from etl.config.specification import PipelineSpec, SinkSpec, TransformSpec
from etl.errors import ConfigError
from etl.project import Project
from etl.transforms.contract import TransformSite
from etl.transforms.sql import SqlOptions
from etl.transforms.sql_expansion import expanded
from etl.transforms.sql_planning_parts import Scope
from etl.transforms.watermark import Watermark


def wire_transforms(spec: PipelineSpec, project: Project) -> tuple[tuple[Any, ...], list[tuple[Any, ...]]]:
    """Return the transforms that the main rows pass through, and the own ones of each source, the main one first."""
    names = [source.name for source in spec.sources]
    scope = Scope((names[0],), tuple(names[1:]), is_whole=True)  # which refuses least: it asks for no keys
    stateful = [step.index for step in spec.transforms if _remembers(step, scope)]
    chains = _Chains(spec, project, max(stateful, default=-1) if _is_whole(spec) else -1)
    own = [chains.wired(source.transforms, is_main=source is spec.source) for source in spec.sources]
    chains.clocks = {source.name: _clocks(made) for source, made in zip(spec.sources, own, strict=True)}
    made = chains.wired(spec.transforms, own[0], is_main=True)
    _refuse_partial(spec, made)
    return made, own


@dataclass(slots=True)
class _Chains:
    """The lists of transforms of a pipeline file. ``whole`` is the place of the one whose whole result the sink takes.

    ``clocks`` are the columns of the watermarks of each source's own transforms, once they are wired.
    """

    spec: PipelineSpec
    project: Project
    whole: int
    clocks: Mapping[str, list[str]] = field(default_factory=dict)

    def wired(
        self, steps: Sequence[TransformSpec], before: tuple[Any, ...] = (), *, is_main: bool = False
    ) -> tuple[Any, ...]:
        """Return transforms that come behind ``before``, each told what stands before it, and those before it."""
        made = list(before)
        taken: list[str] = []
        for step in steps:
            if step.key == "watermark" and any(is_stateful(each) for each in made):
                fault = ConfigError("stands behind a stateful transform", hint="put it before the first of them")
                raise ConfigFaults([fault_at(self.spec, step.location, fault)])
            taken += [column for name in names_taken(step, self.beside) for column in self.clocks.get(name, ())]
            clocks = [*taken, *_clocks(made)]
            site = TransformSite(
                self.project.folder,
                step.index,
                step.source,
                has_watermark=bool(clocks),
                is_whole=not step.source and step.index == self.whole,
                time_column=clocks[-1] if clocks else "",
                is_main=is_main,
                project=self.project,
            )
            made += self._made(step, site)
        return tuple(made)

    @property
    def beside(self) -> tuple[str, ...]:
        """The names of the sources beside the main one."""
        return tuple(source.name for source in self.spec.sources[1:])

    def _made(self, step: TransformSpec, site: TransformSite) -> list[Any]:
        """Return the transforms that an entry becomes: a query may become several."""
        options, kinds = step.options, partial(registered, "transforms")
        if not isinstance(options, SqlOptions):
            return [built(self.spec, step.location, lambda: kinds(step.key)(options, site))]
        main = (self.spec.source.name,) if self.beside else ()
        scope = Scope(main, self.beside, site.time_column, site.is_whole)
        found: list[Any] = built(self.spec, step.location, lambda: expanded(options.root, site, scope, kinds))
        return found


def _refuse_partial(spec: PipelineSpec, made: Sequence[Any]) -> None:
    """Refuse to replace partitions by what a stateful transform gives: new rows only. Raises ConfigFaults."""
    remembering = [step.label for step in made if is_stateful(step)]
    modes = {sink.location: _mode(sink) for sink in spec.sinks}
    for location, mode in modes.items() if remembering else ():
        if mode == "replace_partitions":
            fault = ConfigError(
                f"{remembering[0]} gives new rows only, and `write_mode: replace_partitions` drops the other ones",
                hint="write_mode: merge with a primary_key, or append",
            )
            raise ConfigFaults([fault_at(spec, location, fault)])
        if (mode == "overwrite") != _is_whole(spec):
            fault = ConfigError(
                f"{remembering[0]} gives all sinks either its whole result (`write_mode: overwrite`) or what is new",
                hint="say overwrite at all of them or at none, or read the table in a second pipeline",
            )
            raise ConfigFaults([fault_at(spec, location, fault)])


def _mode(sink: SinkSpec) -> str:
    return str(getattr(sink.options, "write_mode", "append"))


def _remembers(step: TransformSpec, scope: Scope) -> bool:
    """Tell whether an entry becomes transforms of which one is stateful."""
    keys = step.options.keys(scope) if isinstance(step.options, SqlOptions) else (step.key,)
    return any(is_stateful(registered("transforms", key)) for key in keys)


def _clocks(made: Sequence[Any]) -> list[str]:
    return [each.column for each in made if isinstance(each, Watermark)]


def is_stateful(step: Any) -> bool:  # noqa: ANN401  a transform, or its class
    """Tell whether a transform remembers something from batch to batch."""
    return bool(getattr(step, "is_stateful", False))


def _is_whole(spec: PipelineSpec) -> bool:
    return _mode(spec.sink) == "overwrite"
