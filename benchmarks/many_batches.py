"""A table fed by many micro-batches against one written at once: ``many_batches.py [--batches 10000] [--rows 1000]``.

What is compared is how long a reader takes to open the table and to read all of it, with the same rows in both. The
pipeline looks after its table by its policy: every tenth batch it is idle for one step, in the end until nothing is
left to do. Each look is a process of its own that has read another table before.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from etl.engine import open_tenure
from etl.model import Schema
from etl.pipeline import Pipeline
from etl.progress import Silent
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.delta import DeltaSink
from etl.sinks.delta_options import DeltaOptions
from etl.storage import open_storage
from etl.testing import MemorySource, memory_pipeline

IDLE_EVERY = 10
SCHEMA: Schema = {"id": "int64", "user": "int64", "amount": "float64", "text": "string"}
READ = """
import sys, time
import polars as pl
from deltalake import DeltaTable
for path in sys.argv[:0:-1]:
    begun = time.perf_counter()
    table = DeltaTable(path)
    opened = time.perf_counter()
    found = pl.scan_delta(table).select(pl.len(), pl.sum("amount"), pl.col("text").str.len_bytes().sum()).collect()
    done = time.perf_counter()
print((opened - begun) * 1e3, (done - opened) * 1e3, found.row(0))
"""


def make_pipeline(folder: Path, source: MemorySource, seam: Seam, compact: str) -> Pipeline:
    """Return a pipeline from memory into a Delta table, its checkpoint beside it."""
    url = str(folder / "table")
    site = SinkSite("table", url, open_storage(url, seam), seam)
    options = DeltaOptions.model_validate({"path": url, "provenance": False, "maintain": {"compact": compact}})
    return memory_pipeline(source, DeltaSink(options, site), open_storage(str(folder / "checkpoint"), seam))


def rows_of(number: int, rows: int) -> pl.DataFrame:
    """Return the rows of a batch."""
    chosen = np.random.default_rng(number)
    users = chosen.integers(0, 50_000, rows)
    return pl.DataFrame(
        {
            "id": np.arange(number * rows, (number + 1) * rows),
            "user": users,
            "amount": chosen.random(rows).round(2),
            "text": [f"order of {user} at {user % 97}" for user in users],
        }
    )


def feed(folder: Path, batches: int, rows: int, compact: str) -> dict[str, float]:
    """Bring so many batches into a table; return the seconds of batches and of upkeep."""
    seam, source = Seam(), MemorySource(SCHEMA)
    upkeep_s = 0.0
    begun_s = time.perf_counter()
    with open_tenure(make_pipeline(folder, source, seam, compact), seam, Silent()) as tenure:
        tenure.runner.recover()
        for number in range(batches):
            source.add(rows_of(number, rows).to_dicts())
            assert tenure.runner.run_batch() is not None
            if number % IDLE_EVERY == 0 or number == batches - 1:
                idle_s = time.perf_counter()
                tenure.idle(3600.0 if number == batches - 1 else 0.0)
                upkeep_s += time.perf_counter() - idle_s
    return {"total_s": time.perf_counter() - begun_s, "upkeep_s": upkeep_s}


def write_at_once(folder: Path, batches: int, rows: int) -> None:
    """Write the same rows as one batch."""
    from deltalake import write_deltalake

    write_deltalake(folder / "warm", rows_of(0, 1))
    write_deltalake(folder / "once", pl.concat([rows_of(number, rows) for number in range(batches)]))


def read(table: Path, warm: Path) -> tuple[float, float, str]:
    """Open and read a table in a process of its own; return the milliseconds of both, and what was found."""
    told = subprocess.run([sys.executable, "-c", READ, table, warm], check=True, capture_output=True, text=True).stdout
    opened, scanned, found = told.split(maxsplit=2)
    return float(opened), float(scanned), found


def compared(folder: Path, runs: int) -> dict[str, Any]:
    """Return the medians of both tables, read in turn."""
    taken: dict[str, list[tuple[float, float]]] = {"table": [], "once": []}
    counts = set()
    for _ in range(runs):
        for name, times in taken.items():
            opened, scanned, found = read(folder / name, folder / "warm")
            times.append((opened, scanned))
            counts.add(found.split(",")[0])
    assert len(counts) == 1, counts
    ratios = [sum(ours) / sum(once) for ours, once in zip(taken["table"], taken["once"], strict=True)]
    medians = {
        name: {"open_ms": statistics.median(opened), "scan_ms": statistics.median(scanned)}
        for name, (opened, scanned) in ((name, zip(*times, strict=True)) for name, times in taken.items())
    }
    return {**medians, "ratio": statistics.median(ratios), "ratios": sorted(ratios)}


def main() -> None:
    """Print what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--compact", choices=["auto", "off"], default="auto")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        fed = feed(folder, given.batches, given.rows, given.compact)
        write_at_once(folder, given.batches, given.rows)
        files = {each: len(list((folder / each).glob("*.parquet"))) for each in ("table", "once")}
        print(json.dumps({"compact": given.compact, **fed, "files_lying": files, **compared(folder, given.runs)}))


if __name__ == "__main__":
    main()
