"""A pipeline that reads files again, in a process whose children die, or fail, at a given effect."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.ipc  # noqa: F401  imported before the fork
import yaml  # noqa: F401

from etl.checkpoint.backfill_log import OPEN
from etl.checkpoint.folder import find_checkpoint
from etl.errors import EtlError
from etl.operations.backfilling import backfill, resume
from etl.operations.choosing import Wish
from etl.operations.quarantining import Listening
from etl.operations.workspace import Workspace
from etl.pipeline import Pipeline
from etl.progress import Silent
from etl.seam import Seam
from etl.sources.file_choosing import Choice
from tests.faults import crash_lab
from tests.faults.state_lab import project

FILE = """
version: 1
name: events
source: {type: files, path: in/*.ndjson, order: name, batch: {max_files: 2}}
expect: [{name: small, check: amount < 10}]
sink: {type: delta, table: t.events}
"""
Rows = list[tuple[int, float]]
BEFORE: Mapping[str, Rows] = {"1": [(1, 1.0), (1, 1.0), (2, 20.0)], "2": [(3, 3.0)], "3": [(4, 40.0)], "4": [(5, 5.0)]}
CHANGED: Mapping[str, Rows] = {"1": [(1, 1.5), (6, 60.0)], "2": [(3, 30.0)], "3": [(4, 4.0), (4, 4.0)]}
"""Three files are read again, two in the first batch: one loses a row, one leaves nothing in the table, one gains."""


class DoneError(EtlError):
    """The backfill is done, and nothing else is to be."""

    exit_code = 0


def put(folder: Path, files: Mapping[str, Rows]) -> None:
    for name, rows in files.items():
        text = "".join(json.dumps({"id": id_, "amount": amount}) + "\n" for id_, amount in rows)
        (folder / "in" / f"{name}.ndjson").write_text(text)


def lay_out(folder: Path) -> Path:
    """Return a project folder with four files."""
    (folder / "pipelines").mkdir(parents=True)
    (folder / "in").mkdir()
    (folder / "pipelines" / "events.yml").write_text(FILE)
    put(folder, BEFORE)
    return folder


def rows_of(files: Mapping[str, Rows]) -> Counter[Any]:
    """Return what the table and the quarantine are to hold of some files."""
    return Counter(
        (f"in/{name}.ndjson", id_, amount if amount < 10 else None)
        for name, rows in files.items()
        for id_, amount in rows
    )


def backfilled(folder: Path, seam: Seam) -> Pipeline:
    """Read three files again, or go on with what was begun, and run nothing."""
    workspace, listening = Workspace(folder), Listening(seam, Silent())
    pipeline = workspace.wired("events", seam)
    found = find_checkpoint(pipeline.checkpoint, seam, pipeline.generation)
    newest = None if found is None else found.backfills.newest()
    if newest is not None and newest.state == OPEN:
        resume(workspace, "events", listening)
    elif newest is None:
        backfill(workspace, "events", Wish(Choice(("in/[123].ndjson",)), "three"), listening)
    raise DoneError("done")


if __name__ == "__main__":
    crash_lab.PIPELINES["project"] = project
    crash_lab.PIPELINES["backfill"] = backfilled
    crash_lab.main()
