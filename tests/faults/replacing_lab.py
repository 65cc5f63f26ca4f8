"""Files whose second versions take the place of the first ones, in a process whose children die at a given effect."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from etl.engine import run
from etl.model import PROVENANCE_COLUMNS, BatchResult, ReadLimit
from etl.pipeline import Pipeline
from etl.progress import Silent
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.delta import DeltaSink
from etl.sinks.delta_options import DeltaOptions
from etl.sinks.quarantine import ROLE, Quarantine
from etl.storage import LocalStorage
from etl.testing import memory_pipeline
from etl.transforms.expectations import ExpectationOptions, Expectations
from tests.faults import crash_lab
from tests.readers import table_rows

Rows = list[dict[str, Any]]
FIRST: dict[str, Rows] = {
    "a": [{"id": 1, "kind": "x", "amount": 1.5}, {"id": 2, "kind": "y", "amount": -2.0}],
    "b": [{"id": 3, "kind": "x", "amount": 3.0}, {"id": 3, "kind": "x", "amount": 3.0}],
    "c": [{"id": 4, "kind": "z", "amount": 4.0}, {"id": 5, "kind": None, "amount": -5.0}],
}
SECOND: dict[str, Rows] = {
    "a": [{"id": 1, "kind": "y", "amount": 1.75}, {"id": 6, "kind": "x", "amount": 6.0}],
    "c": [{"id": 4, "kind": "z", "amount": -4.0}],
    "d": [{"id": 7, "kind": "z", "amount": 7.0}],
}
"""``b`` has vanished, ``c`` leaves nothing in the table, ``d`` is new."""

NEWEST = {**FIRST, **SECOND}


def replaced_files(folder: Path, seam: Seam, **more: Any) -> Pipeline:
    """Return ``folder/in`` into a partitioned table; rows with a negative amount are rejected."""
    from etl.sources.contract import SourceSite
    from etl.sources.file_options import FileOptions
    from etl.sources.files import FileSource

    checkpoint = LocalStorage(folder / "checkpoint", seam)
    wanted = {"path": "in/*.ndjson", "identity": "path_and_version", "on_change": "replace_rows", "order": "name"}
    options = FileOptions.model_validate({**wanted, **more})
    source = FileSource(options, None, SourceSite("source", folder, checkpoint.at("sources/source"), seam))
    side = folder / "quarantine"
    site = SinkSite("quarantine", str(side), LocalStorage(side, seam), seam, provenance=PROVENANCE_COLUMNS, role=ROLE)
    return memory_pipeline(
        source,
        crash_lab.table_sink(folder, seam),
        checkpoint,
        system=PROVENANCE_COLUMNS,
        limit=ReadLimit(max_files=10),
        expectations=Expectations([ExpectationOptions(name="positive", check="amount > 0")]),
        quarantine=Quarantine(DeltaSink(DeltaOptions(path=str(side)), site)),
    )


def run_all(folder: Path) -> list[BatchResult]:
    return run(replaced_files(folder, Seam()), Seam(), Silent())


def put(folder: Path, files: dict[str, Rows], modified_s: float) -> None:
    (folder / "in").mkdir(parents=True, exist_ok=True)
    for name, rows in files.items():
        path = folder / "in" / f"{name}.ndjson"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        os.utime(path, (modified_s, modified_s))


def lay_out(folder: Path) -> Path:
    """Return a folder whose first versions are in the table and whose second ones wait."""
    put(folder, FIRST, 1000)
    run_all(folder)
    (folder / "in" / "b.ndjson").unlink()
    put(folder, SECOND, 2000)
    return folder


def accepted(files: dict[str, Rows]) -> Counter[str]:
    """Return the multiset of what the table must hold of some files."""
    return Counter(
        json.dumps([f"in/{name}.ndjson", row["id"], row["kind"], row["amount"]])
        for name, rows in files.items()
        for row in rows
        if row["amount"] > 0
    )


def rejected(files: dict[str, Rows]) -> Counter[str]:
    """Return the multiset of what the quarantine must hold of some files."""
    return Counter(
        json.dumps([f"in/{name}.ndjson", row["id"]])
        for name, rows in files.items()
        for row in rows
        if row["amount"] < 0
    )


def found(folder: Path) -> tuple[Counter[str], Counter[str]]:
    """Return what an independent reader finds in the table and in the quarantine."""
    rows = table_rows(folder / "table")
    # DuckDB needs another package for moments with a zone
    aside = DeltaTable(str(folder / "quarantine")).to_pyarrow_table(columns=["_source_file", "raw"]).to_pylist()
    for row in rows:
        if row["kind"] == "__HIVE_DEFAULT_PARTITION__":
            row["kind"] = None
    kept = Counter(json.dumps([row["_source_file"], row["id"], row["kind"], row["amount"]]) for row in rows)
    return kept, Counter(json.dumps([row["_source_file"], json.loads(row["raw"])["id"]]) for row in aside)


def stray_files(folder: Path) -> set[str]:
    """Return data files that no version of their table ever referred to, and temporary files of the checkpoint."""
    from tests.faults import refresh_lab

    strays = refresh_lab.stray_files(folder)
    (folder / "table").rename(folder / "main")
    (folder / "quarantine").rename(folder / "table")
    strays |= refresh_lab.stray_files(folder)
    (folder / "table").rename(folder / "quarantine")
    (folder / "main").rename(folder / "table")
    return strays


crash_lab.PIPELINES["replacing"] = replaced_files

if __name__ == "__main__":
    crash_lab.main()
