"""A pipeline with rejected rows, and a process whose forked children replay or discard them and die on the way."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import deltalake  # noqa: F401  imported before the fork, so that a child starts at once
import duckdb
import polars as pl
import pyarrow.parquet  # noqa: F401
from polars.io.partition import FileProviderArgs  # noqa: F401

from etl.engine import open_runner, run
from etl.errors import EtlError
from etl.model import PROVENANCE_COLUMNS
from etl.pipeline import Pipeline
from etl.progress import Silent
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.delta import DeltaSink
from etl.sinks.delta_options import DeltaOptions
from etl.sinks.quarantine import ROLE, Quarantine
from etl.sources.again import again_units
from etl.storage import LocalStorage
from etl.testing import FailingSeam, MemorySource, memory_pipeline
from etl.transforms.expectations import ExpectationOptions, Expectations
from tests.numbers_format import Numbers
from tests.readers import table_files, table_rows

REJECTED: list[dict[str, Any]] = [
    {"raw": b"n=70", "rule": "syntax", "reason": "more than 10", "_source_offset": 8, "line": 3},
    {"raw": b"x", "rule": "syntax", "reason": "no number", "_source_offset": 13, "line": 4},
]
IDS = ["0-1", "0-2", "0-3"]
"""What the first batch rejects: 50 by the expectation (kept as JSON), then 70 and x by the format (kept as text)."""

BEFORE = Counter({(1, 0): 1, (2, 0): 1})
AFTER = BEFORE + Counter({(50, 1): 1, (70, 1): 1})
"""Values and batches of the pipeline's own table; x is rejected once more."""


def numbers(folder: Path, seam: Seam, most: int) -> Pipeline:
    """Return a pipeline that takes numbers up to ``most``."""
    source = MemorySource(format_=Numbers(most))
    source.add([{"n": 1}, {"n": 2}, {"n": 50}], REJECTED)
    expectations = Expectations([ExpectationOptions(name="small", check=f"n <= {most}")])
    return memory_pipeline(
        source,
        _sink(folder, seam, "table", "main"),
        LocalStorage(folder / "checkpoint", seam),
        system=PROVENANCE_COLUMNS,
        expectations=expectations,
        quarantine=Quarantine(_sink(folder, seam, "rejected", ROLE)),
        definition=f"up to {most}",
    )


def _sink(folder: Path, seam: Seam, name: str, role: str) -> DeltaSink:
    url = folder / name
    site = SinkSite(name, str(url), LocalStorage(url, seam), seam, provenance=PROVENANCE_COLUMNS, role=role)
    return DeltaSink(DeltaOptions(path=str(url)), site)


def lay_out(folder: Path) -> Path:
    """Run the pipeline with the narrow bound: three rows are rejected."""
    folder.mkdir(parents=True)
    run(numbers(folder, Seam(), 10), Seam(), Silent())
    assert values(folder) == BEFORE
    assert statuses(folder) == Counter({("open", None): 3})
    return folder


def resolve(folder: Path, seam: Seam, action: str) -> None:
    """Deal with all rows that the first batch rejected, with the wide bound."""
    with open_runner(numbers(folder, seam, 100), seam, Silent()) as runner:
        runner.recover()
        rows = [row for row in rejected_rows(folder) if row["row_id"] in IDS and row["status"] == "open"]
        if rows:
            units = again_units(rows if action == "replay" else [])
            runner.run_resolution({"action": action, "rows": [row["row_id"] for row in rows]}, {"source": units})


def run_plainly(folder: Path) -> None:
    """Run the pipeline as somebody does who knows nothing of the replay."""
    run(numbers(folder, Seam(), 100), Seam(), Silent())


def values(folder: Path) -> Counter[tuple[int, int]]:
    """Return the values of the pipeline's own table with their batches."""
    return Counter((row["n"], row["_batch_id"]) for row in table_rows(folder / "table"))


def rejected_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the quarantine in the order of its ids, without moments."""
    wanted = "row_id, raw, raw_bytes, form, context, _source_file, _source_offset, line, status, resolved_in"
    with duckdb.connect() as connection:
        query = f"SELECT {wanted} FROM read_parquet($files) ORDER BY row_id"
        result = connection.execute(query, {"files": table_files(folder / "rejected")})
        return [dict(zip(wanted.split(", "), values, strict=True)) for values in result.fetchall()]


def statuses(folder: Path) -> Counter[tuple[str, int | None]]:
    """Return how many rows of the quarantine are of which status, and in which batch they were resolved."""
    return Counter((row["status"], row["resolved_in"]) for row in rejected_rows(folder))


def run_child(request: dict[str, Any]) -> int:
    """Fork a child that resolves the rows with a failing seam; return its wait status."""
    folder = Path(request["folder"])
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    code = 70
    try:
        seam = FailingSeam(request["at"], request["failure"])
        try:
            resolve(folder, seam, request["action"])
            code = 0
        except (EtlError, OSError) as exc:
            (folder / "error.txt").write_text(repr(exc))
            code = 1
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
