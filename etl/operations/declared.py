"""What the files of a project declare, read again only after they changed."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from etl.config.loader import load_pipelines
from etl.errors import ConfigError, EtlError
from etl.operations.editing import stamps_of_project
from etl.operations.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.config.specification import PipelineSpec
    from etl.operations.editing import Stamps


class Declared:
    """The pipelines of a project by name. A file that became faulty leaves what was read of it before."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = Lock()
        self._seen: tuple[Stamps, tuple[str, ...]] | None = None
        self._specs: dict[str, PipelineSpec] = {}

    def specs(self, names: Sequence[str]) -> Mapping[str, PipelineSpec]:
        """Return those of the named pipelines whose files are right, or were once."""
        with self._lock:
            seen = (stamps_of_project(self._workspace.folder), tuple(names))
            if seen != self._seen:
                self._read(names)
                self._seen = seen
            return {name: self._specs[name] for name in names if name in self._specs}

    def known(self, names: Sequence[str]) -> Mapping[str, PipelineSpec]:
        """Return those of the named pipelines that were read already."""
        with self._lock:
            return {name: self._specs[name] for name in names if name in self._specs}

    def _read(self, names: Sequence[str]) -> None:
        try:
            found = load_pipelines(self._workspace.project, names)
        except EtlError:
            found = [spec for name in names for spec in self._one(name)]
        self._specs |= {spec.name: spec for spec in found}

    def _one(self, name: str) -> list[PipelineSpec]:
        try:
            return load_pipelines(self._workspace.project, [name])
        except EtlError:
            return []


@dataclass(frozen=True)
class DeclaredWorkspace(Workspace):
    """A project whose files are not read again for every question; for looking only."""

    declared: Declared | None = None

    def specs(self, names: Sequence[str] | None = None) -> list[PipelineSpec]:
        """Return the named pipelines as they were read. Raises ConfigError for one that is faulty or not there."""
        if names is None or self.declared is None:
            return super().specs(names)
        found = self.declared.known(names)
        lacking = next((name for name in names if name not in found), None)
        if lacking is not None:
            raise ConfigError("its file is faulty, or gone", where=lacking, hint="etl validate")
        return list(found.values())
