"""What the files of a project declare, read again only after they changed."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from etl.config.loader import load_pipelines
from etl.errors import EtlError
from etl.operations.editing import stamps_of_project

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.config.specification import PipelineSpec
    from etl.operations.editing import Stamps
    from etl.operations.workspace import Workspace

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
