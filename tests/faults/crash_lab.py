"""A process that runs a small pipeline in forked children which die, or fail, at a given effect.

Forking needs a parent that has imported everything and started nothing: so this runs in a process of its own, reads one
JSON request a line and answers each with the child's exit status.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import deltalake  # noqa: F401  imported before the fork, so that a child starts at once
import polars as pl
import pyarrow.parquet  # noqa: F401
import sqlglot  # noqa: F401
from polars.io.partition import FileProviderArgs  # noqa: F401

from etl.checkpoint.generations import newest_generation, records_of
from etl.engine import run
from etl.errors import EtlError
from etl.flow import Branch
from etl.model import PROVENANCE_COLUMNS, Bounds, ReadLimit
from etl.operations.refreshing import begin_refresh
from etl.pipeline import Pipeline
from etl.progress import Silent
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.delta import DeltaSink
from etl.sinks.delta_options import DeltaOptions
from etl.sinks.quarantine import ROLE, Quarantine
from etl.sources.contract import Source
from etl.storage import LocalStorage, Storage
from etl.testing import FailingSeam, MemorySource, memory_pipeline
from etl.transforms.contract import TransformSite
from etl.transforms.expectations import ExpectationOptions, Expectations
from etl.transforms.filter import Filter, FilterOptions
from etl.transforms.union import Union, UnionOptions

KNOWN_ROWS: list[list[dict[str, Any]]] = [
    [{"id": 1, "kind": "a", "amount": 1.5}, {"id": 2, "kind": "b", "amount": None}],
    [{"id": 3, "kind": "a", "amount": 3.5}, {"id": 3, "kind": "a", "amount": 3.5}],
    [{"id": 4, "kind": "b", "amount": 4.5, "note": "new"}],
]
SIZES: list[list[float]] = [[1, 2], [3, 3], [4.5]]
"""A column of the rows in memory, of whole numbers until the last batch: then every file of the table is rewritten."""

ROWS_BESIDE: list[list[dict[str, Any]]] = [
    [{"id": 11, "kind": "a", "amount": 1.5}, {"id": 12, "kind": "b", "amount": -1.0}],
    [{"id": 13, "kind": "b", "amount": 2.5, "note": "beside"}, {"id": 99, "kind": "z", "amount": 9.5}],
]
"""What a second source has: two batches, of which its own filter drops a row, and the expectation refuses another."""

FAILING_ROWS: list[dict[str, Any]] = [{"id": 91 + number, "kind": "z", "amount": None} for number in range(3)]
"""A row of each batch that no expectation lets pass."""

REJECTED_ROWS: list[list[dict[str, Any]]] = [
    [{"raw": b'{"id": 5,', "_source_offset": 99, "line": 3, "rule": "syntax", "reason": "cut off"}],
    [],
    [{"raw": b"\xff", "_source_offset": number, "rule": "encoding", "reason": "no text"} for number in (98, 99)],
]
"""What the source in memory rejects by itself, batch by batch."""


EXPECTED = ExpectationOptions(name="known_kind", check="kind <> 'z'")


def table_sink(folder: Path, seam: Seam, partition_by: Sequence[str] = ("kind",)) -> DeltaSink:
    """Return the Delta table ``folder/table``."""
    table = folder / "table"
    site = SinkSite("table", str(table), LocalStorage(table, seam), seam, provenance=PROVENANCE_COLUMNS)
    return DeltaSink(DeltaOptions(path=str(table), partition_by=list(partition_by)), site)


def quarantine_sink(folder: Path, seam: Seam) -> DeltaSink:
    """Return the Delta table ``folder/quarantine``."""
    table = folder / "quarantine"
    site = SinkSite("quarantine", str(table), LocalStorage(table, seam), seam, {}, PROVENANCE_COLUMNS, ROLE)
    return DeltaSink(DeltaOptions(path=str(table)), site)


def watched_pipeline(folder: Path, seam: Seam, source: Source, checkpoint: Storage, **changes: Any) -> Pipeline:
    """Return a source into ``folder/table``, what is rejected into ``folder/quarantine``, one unit a batch.

    ``changes`` are those of ``memory_pipeline``.
    """
    return memory_pipeline(
        source,
        table_sink(folder, seam),
        checkpoint,
        system=PROVENANCE_COLUMNS,
        expectations=Expectations([EXPECTED]),
        quarantine=Quarantine(quarantine_sink(folder, seam)),
        **changes,
    )


def archived_files(folder: Path, seam: Seam, name: str, read_from: str) -> Source:
    """Return NDJSON files in a folder, each archived once it is committed."""
    from etl.sources.contract import SourceSite
    from etl.sources.file_options import ArchiveTo, FileOptions
    from etl.sources.files import FileSource

    ledger = LocalStorage(folder / "checkpoint", seam).at(f"sources/{name}")
    options = FileOptions(path=f"{read_from}/*.ndjson", after_commit=ArchiveTo(archive=f"archive/{name}"))
    return FileSource(options, None, SourceSite(name, folder, ledger, seam))


def ndjson_files(folder: Path, seam: Seam) -> Pipeline:
    """Return NDJSON files in ``folder/in`` into the Delta table ``folder/table``, one file a batch, each archived."""
    source = archived_files(folder, seam, "source", "in")
    return watched_pipeline(folder, seam, source, LocalStorage(folder / "checkpoint", seam))


def two_sources(folder: Path, seam: Seam) -> Pipeline:
    """Return the same beside ``folder/beside``, whose rows pass a filter of their own before the union."""
    own = Filter(FilterOptions("amount >= 0"), TransformSite(folder, 0, "beside"))
    union = Union(UnionOptions.model_validate({"with": ["beside"]}), TransformSite(folder, 0))
    beside = Branch("beside", archived_files(folder, seam, "beside", "beside"), (own,), limit=ReadLimit(max_files=1))
    source = archived_files(folder, seam, "source", "in")
    checkpoint = LocalStorage(folder / "checkpoint", seam)
    return watched_pipeline(folder, seam, source, checkpoint, transforms=(union,), branches=(beside,))


def memory_rows(folder: Path, seam: Seam) -> Pipeline:
    """Return three batches of known and of rejected rows, the last with a new column and a type that is wider."""
    source = MemorySource()
    for number, rows in enumerate(KNOWN_ROWS):
        sized = [{**row, "size": size} for row, size in zip(rows, SIZES[number], strict=True)]
        source.add([*sized, FAILING_ROWS[number]], rejected=REJECTED_ROWS[number])
    return watched_pipeline(folder, seam, source, LocalStorage(folder / "checkpoint", seam))


def refreshed_files(folder: Path, seam: Seam) -> Pipeline:
    """Return ``folder/old`` into partitions; from the first full refresh on ``folder/new``, into a table without.

    One file a batch. The column ``amount`` is a number in the old files and text in the new ones.
    """
    from etl.sources.contract import SourceSite
    from etl.sources.file_options import FileOptions
    from etl.sources.files import FileSource

    checkpoint = LocalStorage(folder / "checkpoint", seam)
    generation = newest_generation(checkpoint)
    ledger = records_of(checkpoint, generation).at("sources/source")
    is_old = generation == 1
    options = FileOptions(path="old/*.ndjson" if is_old else "new/*.ndjson")
    source = FileSource(options, None, SourceSite("source", folder, ledger, seam))
    sink = table_sink(folder, seam, ["kind"] if is_old else [])
    return memory_pipeline(source, sink, checkpoint, system=PROVENANCE_COLUMNS)


PIPELINES = {
    "memory": memory_rows,
    "files": ndjson_files,
    "two": two_sources,
    "refreshed": refreshed_files,
    "refresh": refreshed_files,
}
REFRESHED = {"refresh": refreshed_files}
"""Those that begin with a full refresh: ``refreshed`` only runs."""


def run_once(folder: Path, seam: Seam, pipeline: str, max_batches: int | None = None) -> int:
    """Run a pipeline; return 0, or the exit code of the error that it ended with."""
    try:
        if pipeline in REFRESHED:
            begin_refresh(REFRESHED[pipeline](folder, seam), seam)
        run(PIPELINES[pipeline](folder, seam), seam, Silent(), Bounds(max_batches))
    except EtlError as exc:
        (folder / "error.txt").write_text(str(exc))
        return exc.exit_code
    except OSError as exc:
        (folder / "error.txt").write_text(repr(exc))
        return 1
    return 0


def run_child(request: dict[str, Any]) -> int:
    """Fork a child that runs the pipeline with a failing seam; return its wait status."""
    folder = Path(request["folder"])
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    code = 70
    try:
        seam = FailingSeam(request["at"], request["failure"])
        code = run_once(folder, seam, request["pipeline"])
        (folder / "effects.json").write_text(json.dumps(seam.names))
    finally:
        sys.stdout.flush()
        os._exit(code)


def main() -> None:
    """Answer requests until the input ends."""
    pl.DataFrame  # noqa: B018  only imported, not used: a fork after the first query would hang
    for line in sys.stdin:
        status = run_child(json.loads(line))
        killed_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        sys.stdout.write(json.dumps({"signal": killed_by, "exit": os.waitstatus_to_exitcode(status)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
