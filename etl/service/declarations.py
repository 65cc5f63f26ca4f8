"""The files that declare the pipelines of a project, looked at again and again while a service runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from etl.config.faults import ConfigFaults
from etl.config.loader import survey_pipelines
from etl.errors import ConfigError
from etl.operations.editing import Stamps, stamps_of_project
from etl.operations.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.config.faults import Fault
    from etl.config.specification import PipelineSpec


@dataclass(frozen=True, slots=True)
class Reading:
    """What the files say: the sound pipelines by name, and what is wrong with the others.

    ``project_fault`` tells why ``etl.yml`` cannot be taken: then nothing else was read.
    """

    workspace: Workspace
    specs: Mapping[str, PipelineSpec] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    project_fault: str = ""


class Declarations:
    """The files of a project folder. ``look`` reads them where any of them changed."""

    def __init__(self, folder: Path, profile: str | None) -> None:
        self._folder = folder
        self._profile = profile
        self._seen: Stamps = {}

    def look(self) -> Reading | None:
        """Return what the files say, None where none was changed since the last look."""
        now = stamps_of_project(self._folder)
        if now == self._seen:
            return None
        self._seen = now
        return self._read()

    def _read(self) -> Reading:
        workspace = Workspace(self._folder, self._profile)
        try:
            project = workspace.project
        except ConfigError as exc:
            return Reading(workspace, project_fault=told(exc))
        specs, faults = survey_pipelines(project)
        return Reading(
            workspace,
            {spec.name: spec for spec in specs},
            {name: _listed(listed) for name, listed in faults.items() if listed},
        )


def told(exc: ConfigError) -> str:
    """Return what is wrong, each fault with its place on a line of its own."""
    return _listed(exc.faults) if isinstance(exc, ConfigFaults) else str(exc)


def _listed(faults: list[Fault] | tuple[Fault, ...]) -> str:
    return "\n".join(
        f"{each.file}:{each.line}:{each.column}: {each.path + ': ' if each.path else ''}{each.message}"
        for each in ConfigFaults(faults).faults
    )
