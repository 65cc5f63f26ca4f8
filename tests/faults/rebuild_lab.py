"""Pipelines whose lost checkpoint is made again, or put back, in a process whose children die at a given effect."""

from __future__ import annotations

from pathlib import Path

from etl.checkpoint.folder import find_checkpoint
from etl.errors import EtlError
from etl.operations.copying import bring_back, export
from etl.operations.rebuilding import rebuild
from etl.operations.workspace import Workspace
from etl.pipeline import Pipeline
from etl.seam import Seam
from tests.faults import crash_lab
from tests.faults.state_lab import project


class MadeError(EtlError):
    """It is done, and nothing else is to be."""

    exit_code = 0


def is_there(folder: Path) -> bool:
    """Tell whether the checkpoint counts."""
    pipeline = project(folder, Seam())
    return find_checkpoint(pipeline.checkpoint, Seam(), pipeline.generation) is not None


def rebuilt(folder: Path, seam: Seam) -> Pipeline:
    """Make the checkpoint again where it is not there, and run nothing."""
    rebuild(Workspace(folder), "events", seam)
    raise MadeError("done")


def exported(folder: Path, seam: Seam) -> Pipeline:
    """Copy the checkpoint, and run nothing."""
    export(Workspace(folder), "events", "copy", seam)
    raise MadeError("done")


def imported(folder: Path, seam: Seam) -> Pipeline:
    """Put the copy back, and run nothing."""
    bring_back(Workspace(folder), "events", "copy", seam)
    raise MadeError("done")


if __name__ == "__main__":
    crash_lab.PIPELINES |= {"project": project, "rebuild": rebuilt, "export": exported, "import": imported}
    crash_lab.main()
