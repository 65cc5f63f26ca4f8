"""Plain Parquet tables, in a process whose children die, or fail, at a given effect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from etl.checkpoint.generations import newest_generation
from etl.errors import EtlError
from etl.flow import Outlet
from etl.model import PROVENANCE_COLUMNS
from etl.operations.refreshing import begin_refresh
from etl.operations.rewinding import Target, rewind
from etl.operations.workspace import Workspace
from etl.pipeline import Pipeline
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.parquet import ParquetSink
from etl.sinks.parquet_options import ParquetOptions
from etl.sinks.quarantine import Quarantine
from etl.storage import LocalStorage
from etl.testing import MemorySource, memory_pipeline
from etl.transforms.expectations import ExpectationOptions, Expectations
from tests.faults import crash_lab

COLUMNS = ("id", "kind", "size", "note")
BATCHES: list[list[dict[str, Any]]] = [
    [{"id": 1, "kind": "a b", "size": 1}, {"id": 2, "kind": "c/d", "size": 2}, {"id": 1, "kind": "a b", "size": 1}],
    [{"id": 10 + at, "kind": kind, "size": at} for at, kind in enumerate(("a b", "..", "x%2F", None, "e\nf"))],
    [{"id": 20, "kind": "a b", "size": 2.5, "note": "new"}, {"id": 99, "kind": "a b", "size": 0.5}],
]
"""The second batch has five files, the third a new column, a wider type and a row that is refused."""

PROJECT = """
version: 1
name: events
source: {type: files, path: in/*.ndjson, format: ndjson, order: name, batch: {max_files: 1}}
expect: [{name: small, check: amount < 10}]
sink: {type: parquet, table: t.events, partition_by: [user]}
"""


class DoneError(EtlError):
    """What was asked for is done, and nothing else is to be."""

    exit_code = 0


def plain_sink(folder: Path, seam: Seam, name: str = "table", role: str = "main") -> ParquetSink:
    """Return the plain Parquet table ``folder/name``."""
    table = folder / name
    storage = LocalStorage(table, seam, is_shared=True)
    site = SinkSite(name, str(table), storage, seam, {}, PROVENANCE_COLUMNS, role)
    return ParquetSink(ParquetOptions(path=str(table), partition_by=["kind"]), site)


def plain(folder: Path, seam: Seam) -> Pipeline:
    """Return three batches into ``folder/table``, what is refused into ``folder/quarantine``."""
    checkpoint = LocalStorage(folder / "checkpoint", seam)
    source = MemorySource()
    for rows in BATCHES if newest_generation(checkpoint) == 1 else BATCHES[1:]:
        source.add(rows)
    return memory_pipeline(
        source,
        plain_sink(folder, seam),
        checkpoint,
        system=PROVENANCE_COLUMNS,
        expectations=Expectations([ExpectationOptions(name="known", check="id <> 99")]),
        quarantine=Quarantine(crash_lab.quarantine_sink(folder, seam)),
    )


def beside(folder: Path, seam: Seam) -> Pipeline:
    """Return the same batches into the Delta table ``folder/table`` and the plain one ``folder/plain``."""
    made = plain(folder, seam)
    outlet = Outlet("plain", plain_sink(folder, seam, "plain", "plain"))
    return replace(made, flow=replace(made.flow, sink=crash_lab.table_sink(folder, seam), further=(outlet,)))


def refresh(folder: Path, seam: Seam) -> Pipeline:
    """Begin a full refresh, which leaves out the first batch."""
    begin_refresh(plain(folder, seam), seam)
    return plain(folder, seam)


def project(folder: Path, seam: Seam) -> Pipeline:
    """Return the pipeline of a project folder."""
    return Workspace(folder).wired("events", seam)


def rewound(folder: Path, seam: Seam) -> Pipeline:
    """Go back to the end of batch 1 of that, and run nothing."""
    rewind(Workspace(folder), "events", Target(batch=1), seam)
    raise DoneError("done")


if __name__ == "__main__":
    crash_lab.PIPELINES |= {"plain": plain, "beside": beside, "anew": refresh, "project": project, "rewind": rewound}
    crash_lab.main()
