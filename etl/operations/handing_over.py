"""A definition as a service hands it to a child: what was read and judged, whatever its files say by now."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from etl.operations.workspace import Workspace
from etl.secrets import register_spellings, spellings

if TYPE_CHECKING:
    from etl.config.specification import PipelineSpec
    from etl.project import Project

HANDED = "ETL_DEFINITION_ON_STDIN"
"""Set for a child whose standard input begins with a definition."""

_HEAD_BYTES = 8


@dataclass(frozen=True)
class HandedWorkspace(Workspace):
    """A project of which the definition of one pipeline was handed over; all else is read from its files."""

    definition: tuple[Project, PipelineSpec] | None = None

    @cached_property
    def project(self) -> Project:
        """The project as it was when the definition was read."""
        return Workspace(self.folder, self.profile).project if self.definition is None else self.definition[0]

    def specs(self, names: Sequence[str] | None = None) -> list[PipelineSpec]:
        """Return the pipeline that was handed over where it alone is named, else what the files say."""
        if self.definition is not None and names is not None and list(names) == [self.definition[1].name]:
            return [self.definition[1]]
        return super().specs(names)


def handed_over(workspace: Workspace, spec: PipelineSpec) -> bytes:
    """Return a definition as bytes that only a process of ours may be given: they have its secrets in them."""
    content = pickle.dumps((workspace.folder, workspace.profile, workspace.project, spec, spellings()))
    return len(content).to_bytes(_HEAD_BYTES, "big") + content


def taken_over(handle: int) -> HandedWorkspace:
    """Return the project with the definition that an open file begins with. Raises EOFError for one that is cut."""
    content = _read(handle, int.from_bytes(_read(handle, _HEAD_BYTES), "big"))
    folder, profile, project, spec, secrets = pickle.loads(content)  # noqa: S301  from the parent, by a pipe of its own
    register_spellings(secrets)
    return HandedWorkspace(folder, profile, (project, spec))


def _read(handle: int, size_bytes: int) -> bytes:
    """Return so many bytes and leave what follows to others."""
    parts: list[bytes] = []
    while size_bytes:
        part = os.read(handle, size_bytes)
        if not part:
            raise EOFError("the definition is cut short")
        parts.append(part)
        size_bytes -= len(part)
    return b"".join(parts)
