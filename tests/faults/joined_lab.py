"""Rows joined with a static table, in a process whose children die at a given effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from etl.model import PROVENANCE_COLUMNS
from etl.pipeline import Pipeline
from etl.seam import Seam
from etl.storage import LocalStorage
from etl.testing import MemorySource, memory_pipeline
from etl.transforms.contract import TransformSite
from etl.transforms.join import Join
from etl.transforms.join_options import JoinOptions
from tests.faults import crash_lab

VISITS: list[list[dict[str, Any]]] = [
    [{"visit": 1, "user": 10}, {"visit": 2, "user": 20}],
    [{"visit": 3, "user": 20}, {"visit": 4, "user": 30}],
    [{"visit": 5, "user": 10}, {"visit": 5, "user": 10}],
]


def joined_rows(folder: Path, seam: Seam, path: str) -> Pipeline:
    """Return three batches of visits, joined with the static table ``folder/path``, into ``folder/table``."""
    source = MemorySource()
    for rows in VISITS:
        source.add(rows)
    join = Join(JoinOptions.model_validate({"path": path, "on": "user", "how": "inner"}), TransformSite(folder, 0))
    sink, checkpoint = crash_lab.table_sink(folder, seam, []), LocalStorage(folder / "checkpoint", seam)
    return memory_pipeline(source, sink, checkpoint, system=PROVENANCE_COLUMNS, transforms=(join,))


crash_lab.PIPELINES["delta"] = lambda folder, seam: joined_rows(folder, seam, "users")
crash_lab.PIPELINES["file"] = lambda folder, seam: joined_rows(folder, seam, "users.ndjson")

if __name__ == "__main__":
    crash_lab.main()
