"""Pipelines whose tables and records lost their ends and are mended, in a process whose children die at an effect."""

from __future__ import annotations

import json
from pathlib import Path

from etl.errors import EtlError
from etl.operations.repairing import repair
from etl.operations.workspace import Workspace
from etl.pipeline import Pipeline
from etl.seam import Seam
from tests.faults import crash_lab
from tests.faults.state_lab import project


class RepairedError(EtlError):
    """The repair is done, and nothing else is to be."""

    exit_code = 0


class LeftError(EtlError):
    """The repair left something."""

    exit_code = 4


def repaired(folder: Path, seam: Seam) -> Pipeline:
    """Mend what can be mended, tell what it was in ``mended.json``, and run nothing."""
    done = repair(Workspace(folder), "events", seam)
    (folder / "mended.json").write_text(json.dumps(done.mended))
    raise LeftError(done.left) if done.left else RepairedError("done")


if __name__ == "__main__":
    crash_lab.PIPELINES |= {"project": project, "repair": repaired}
    crash_lab.main()
