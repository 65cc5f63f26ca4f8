"""Pipelines that go back to an earlier batch, in a process whose children die, or fail, at a given effect."""

from __future__ import annotations

from pathlib import Path

from etl.errors import EtlError
from etl.operations.rewinding import Target, rewind
from etl.operations.workspace import Workspace
from etl.pipeline import Pipeline
from etl.seam import Seam
from tests.faults import crash_lab
from tests.faults.state_lab import project

UPTO = 1


class RewoundError(EtlError):
    """The rewind is done, and nothing else is to be."""

    exit_code = 0


def rewound(folder: Path, seam: Seam) -> Pipeline:
    """Go back to the end of batch 1, and run nothing."""
    rewind(Workspace(folder), "events", Target(batch=UPTO), seam)
    raise RewoundError("done")


if __name__ == "__main__":
    crash_lab.PIPELINES["project"] = project
    crash_lab.PIPELINES["rewind"] = rewound
    crash_lab.main()
