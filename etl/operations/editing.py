"""A pipeline that is edited while it runs: what its files say now, checked before anything is done by it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from etl.config.definition import files_of
from etl.config.faults import ConfigFaults
from etl.config.loader import pipeline_files
from etl.config.project_file import PROJECT_FILE
from etl.config.wiring import wire
from etl.errors import ConfigError
from etl.operations.validation import validate
from etl.operations.workspace import Workspace
from etl.user_functions import FOLDER

if TYPE_CHECKING:
    from etl.config.specification import PipelineSpec
    from etl.pipeline import Pipeline
    from etl.seam import Seam

Stamps: TypeAlias = Mapping[Path, "tuple[int, int, int] | None"]
"""What a look at files shows of each: inode, size, time of the last change; None for one that is not there."""


def stamps_of(paths: Iterable[Path]) -> Stamps:
    """Look at files: one stat each."""
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def stamps_of_project(folder: Path) -> Stamps:
    """Look at every file that may declare something of a project. To be asked before the files are read."""
    root = Path(os.path.abspath(folder))  # as a project names its files
    return stamps_of([root / PROJECT_FILE, *pipeline_files(root), *sorted((root / FOLDER).rglob("*.py"))])


class Edits:
    """The files that declare a running pipeline, watched for edits. ``seen`` is what they were when they were read."""

    def __init__(self, workspace: Workspace, spec: PipelineSpec, pipeline: Pipeline, seen: Stamps) -> None:
        self._workspace = workspace
        self._pipeline = pipeline
        self._files = files_of(spec, pipeline.project)
        self._seen = seen

    def taken(self, seam: Seam) -> Pipeline | None:
        """Return the pipeline as its files declare it now, None where none was edited since the last call.

        It keeps trigger and generation. Raises ConfigError, once for each edit, with the place of everything that is
        wrong in a file.
        """
        now = stamps_of(self._files)
        if all(self._seen.get(path) == stamp for path, stamp in now.items()):
            return None
        self._seen = now  # what is edited from here on is another edit
        try:
            return self._read(seam)
        except ConfigFaults as exc:
            told = [f"{each.file}:{each.line}:{each.column}: {_what(each.path, each.message)}" for each in exc.faults]
            raise ConfigError("\n".join(told)) from exc

    def _read(self, seam: Seam) -> Pipeline:
        workspace = Workspace(self._workspace.folder, self._workspace.profile)
        name = self._pipeline.name
        spec = workspace.spec(name)
        self._files = files_of(spec, workspace.project)
        self._seen = {**stamps_of(self._files), **self._seen}
        validate(workspace, [name])
        found = wire(spec, workspace.project, seam, self._pipeline.generation)
        if found.url != self._pipeline.url:
            raise ConfigError(
                f"the lake is another, with a checkpoint at {found.url}",
                where=PROJECT_FILE,
                hint="end the run and start it anew",
            )
        return replace(found, trigger=self._pipeline.trigger, edited=partial(self.taken, seam))


def _what(path: str, message: str) -> str:
    return f"{path}: {message}" if path else message
