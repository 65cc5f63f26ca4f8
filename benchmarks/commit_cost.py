"""What one batch costs as the table's log grows: ``commit_cost.py [--batches 5000] [--folder DIR]``."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from etl.engine import open_runner
from etl.pipeline import Pipeline
from etl.progress import Silent
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.delta import DeltaSink
from etl.sinks.delta_options import DeltaOptions
from etl.storage import open_storage
from etl.testing import MemorySource, memory_pipeline

MARKS = (10, 100, 1_000, 5_000)
WINDOW = 49
TEXT = "version {version:>5}: commit {commit_ms} ms, batch {batch_ms} ms, CPU {cpu_ms} ms, {bytes:,.0f} bytes"
Taken = tuple[float, float, float, int]


def make_pipeline(folder: Path, source: MemorySource, seam: Seam) -> Pipeline:
    """Return a pipeline from memory into a Delta table, its checkpoint beside it."""
    url = str(folder / "table")
    site = SinkSite("table", url, open_storage(url, seam), seam)
    sink = DeltaSink(DeltaOptions(path=url, provenance=False), site)
    return memory_pipeline(source, sink, open_storage(str(folder / "checkpoint"), seam))


def written_bytes() -> int:
    """Return how many bytes this process has written so far."""
    with open("/proc/self/io") as file:
        return int(next(line for line in file if line.startswith("wchar")).split()[1])


def cost(folder: Path, batches: int) -> list[dict[str, float]]:
    """Commit ``batches`` versions; return the medians of the last few before each mark."""
    seam, source = Seam(), MemorySource({"id": "int64", "text": "string"})
    taken: list[Taken] = []
    with open_runner(make_pipeline(folder, source, seam), seam, Silent()) as runner:
        runner.recover()
        for number in range(batches):
            source.add([{"id": number, "text": "a tiny batch"}])
            before, begun = written_bytes(), time.process_time()
            result = runner.run_batch()
            assert result is not None
            used_s = time.process_time() - begun
            taken.append((result.seconds["commit"], result.seconds["total"], used_s, written_bytes() - before))
            runner.idle()
    return [at(mark, taken) for mark in MARKS if mark <= batches]


def at(mark: int, taken: list[Taken]) -> dict[str, float]:
    """Return the medians of the batches that led to version ``mark``."""
    columns = zip(*taken[max(mark - WINDOW, mark // 2) : mark], strict=True)
    commit_s, batch_s, cpu_s, size = (statistics.median(column) for column in columns)
    times = {"commit_ms": commit_s, "batch_ms": batch_s, "cpu_ms": cpu_s}
    return {"version": mark, **{name: round(value * 1e3, 2) for name, value in times.items()}, "bytes": size}


def main() -> None:
    """Print one line per mark, and all of it as JSON on the last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=5_000)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        found = cost(Path(folder), given.batches)
    for line in found:
        print(TEXT.format(**line))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
