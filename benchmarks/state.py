"""What a batch costs as state grows: ``state.py [--keys 1000000 10000000] [--folder DIR]``.

A text key and three numbers; each batch looks up 100,000 keys, of which nine in ten are known, and puts them back
changed. Each size runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from measure import environment

from etl.model import StateRef
from etl.seam import Seam
from etl.state.contract import Fingerprint, StateChange, TableLayout
from etl.state.store import OpenState, StateStore
from etl.storage import LocalStorage

BATCH, NEW = 100_000, 10_000
MADE_BY = Fingerprint("benchmark")
MOMENT = pl.Datetime("us", "UTC")
LAYOUT = TableLayout({"key": pl.String()}, {"count": pl.Int64(), "sum": pl.Float64(), "last": pl.Int64()})
TIMED = TableLayout(LAYOUT.keys, {**LAYOUT.values, "at": MOMENT}, expires="at")
CANDIDATE_MS = 128
"""The best candidate at 1 M keys: ../shared/reference/library-facts.md, section C."""


def rows(numbers: np.ndarray, batch_id: int) -> pl.DataFrame:
    """Return the rows of some keys."""
    return pl.DataFrame({"number": numbers}).select(
        key=pl.format("user-{}", pl.col("number").cast(pl.String).str.zfill(10)),
        count=pl.lit(batch_id, pl.Int64),
        sum=pl.col("number") * 0.5,
        last=pl.col("number"),
    )


def proc(name: str, key: str) -> int:
    """Return a number that the kernel keeps of this process."""
    with open(f"/proc/self/{name}") as file:
        return int(next(line for line in file if line.startswith(key)).split()[1])


class Bench:
    """A store on disk, and its newest version."""

    def __init__(self, folder: Path, layout: TableLayout, memory_bytes: int) -> None:
        self.layout = layout
        self.store = StateStore(LocalStorage(folder, Seam()), Seam(), memory_bytes)
        self.ref: StateRef | None = None
        self.batch_id = 0
        self.peak_kib = 0

    def open(self) -> OpenState:
        """Open the newest version."""
        return self.store.open(self.ref, {"t": self.layout}, MADE_BY)

    def put(self, frame: pl.DataFrame, before: OpenState) -> None:
        """Stage a batch, and remove what is not needed for the two newest versions."""
        former = self.ref
        self.ref = self.store.stage(self.batch_id, "a", before, {"t": StateChange(put=frame)})
        self.store.collect([ref for ref in (former, self.ref) if ref is not None])
        self.batch_id += 1
        self.peak_kib = max(self.peak_kib, proc("status", "RssAnon"))


def updates(keys: int, batches: int, memory_bytes: int, folder: Path) -> dict[str, float]:
    """Return the medians of batches over a state of ``keys``."""
    bench, generator = Bench(folder, LAYOUT, memory_bytes), np.random.default_rng(1)
    order = generator.permutation(keys)
    for begin in range(0, keys, 500_000):
        bench.put(rows(order[begin : begin + 500_000], 0), bench.open())
    timed: list[tuple[float, float, int]] = []
    for number in range(batches):
        known = generator.choice(keys, BATCH - NEW, replace=False)
        frame = rows(np.concatenate([known, np.arange(NEW) + keys + number * NEW]), number)
        begun, written = time.perf_counter(), proc("io", "wchar")
        state = bench.open()
        found = state.tables["t"].lookup(frame.select("key"))
        looked_up = time.perf_counter()
        bench.put(frame, state)
        timed.append((looked_up - begun, time.perf_counter() - looked_up, proc("io", "wchar") - written))
        assert found.height == BATCH - NEW
    return _figures(keys, timed[len(timed) // 3 :], bench)


def _figures(keys: int, timed: list[tuple[float, float, int]], bench: Bench) -> dict[str, float]:
    lookup_s, stage_s, size = (list(column) for column in zip(*timed, strict=True))
    total_s = [one + other for one, other in zip(lookup_s, stage_s, strict=True)]
    assert bench.ref is not None
    return {
        "keys": keys,
        "batch_ms": round(statistics.median(total_s) * 1e3, 1),
        "max_ms": round(max(total_s) * 1e3, 1),
        "lookup_ms": round(statistics.median(lookup_s) * 1e3, 1),
        "stage_ms": round(statistics.median(stage_s) * 1e3, 1),
        "written_mb": round(statistics.mean(size) / 1e6, 1),
        "state_mb": round(bench.ref.size_bytes / 1e6, 1),
        "peak_anon_mb": round(bench.peak_kib / 1e3, 1),
    }


def expiry(keys: int, folder: Path) -> dict[str, float]:
    """Return what it takes to see that nothing expires."""
    bench = Bench(folder, TIMED, 1 << 30)
    for begin in range(0, keys, 100_000):
        numbers = np.arange(begin, min(begin + 100_000, keys))
        at = (pl.col("last") * 1_000 + 1_800_000_000_000_000).cast(MOMENT)
        bench.put(rows(numbers, 0).with_columns(at=at), bench.open())
    state, taken = bench.open(), []
    for _ in range(20):
        begun = time.perf_counter()
        assert state.tables["t"].expired(1_700_000_000_000_000).height == 0
        taken.append(time.perf_counter() - begun)
    return {"keys": keys, "nothing_expires_ms": round(statistics.median(taken) * 1e3, 3)}


def measured(arguments: list[str]) -> dict[str, float]:
    """Run this script in a process of its own, and return what it says."""
    command = [sys.executable, __file__, *arguments]
    said = subprocess.run(command, env=environment(), check=True, stdout=subprocess.PIPE).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


def main() -> None:
    """Print figures and ratios, and all of it as JSON on the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--batches", type=int, default=45)
    parser.add_argument("--memory-mb", type=int, default=1_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", choices=["updates", "expiry"])
    given = parser.parse_args()
    if given.only:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            keys, memory_bytes = given.keys[0], given.memory_mb * 1_000_000
            found = (
                updates(keys, given.batches, memory_bytes, Path(folder))
                if given.only == "updates"
                else expiry(keys, Path(folder))
            )
        print(json.dumps(found))
        return
    more = ["--batches", str(given.batches), *(["--folder", str(given.folder)] if given.folder else [])]
    sizes = [measured(["--only", "updates", "--keys", str(keys), *more]) for keys in given.keys]
    small = measured(["--only", "updates", "--keys", "4000000", "--memory-mb", "64", *more])
    timed = measured(["--only", "expiry", "--keys", "1000000"])
    for each in (*sizes, small, timed):
        print(", ".join(f"{name} {value:,}" for name, value in each.items()))
    print(f"first size: {sizes[0]['batch_ms'] / CANDIDATE_MS:.2f} times the best candidate of {CANDIDATE_MS} ms")
    print(f"last size: {sizes[-1]['batch_ms'] / sizes[0]['batch_ms']:.2f} times the first")
    print(f"memory: state {small['state_mb'] / 64:.1f} times as large, peak {small['peak_anon_mb']} MB")
    print(json.dumps({"sizes": sizes, "small_memory": small, "expiry": timed, "cpus": os.cpu_count()}))


if __name__ == "__main__":
    main()
