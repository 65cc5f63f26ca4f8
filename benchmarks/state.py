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

BATCH, NEW, STRIDE = 100_000, 10_000, 7_368_787
MADE_BY = Fingerprint("benchmark")
MOMENT = pl.Datetime("us", "UTC")
LAYOUT = TableLayout({"key": pl.String()}, {"count": pl.Int64(), "sum": pl.Float64(), "last": pl.Int64()})
TIMED = TableLayout(LAYOUT.keys, {**LAYOUT.values, "at": MOMENT}, expires="at")
SMALL_MB = 150


def rows(numbers: np.ndarray, batch_id: int) -> pl.DataFrame:
    """Return the rows of some keys."""
    return pl.DataFrame({"number": numbers}).select(
        key=pl.format("user-{}", pl.col("number").cast(pl.String).str.zfill(10)),
        count=pl.lit(batch_id, pl.Int64),
        sum=pl.col("number") * 0.5,
        last=pl.col("number"),
    )


def scattered(begin: int, count: int, keys: int) -> np.ndarray:
    """Return different numbers below ``keys``, all over; ``keys`` and the stride have no common factor."""
    return (np.arange(begin, begin + count) * STRIDE) % keys


def batch(keys: int, number: int) -> pl.DataFrame:
    """Return a batch: known keys, and new ones."""
    known = scattered(number * (BATCH - NEW) + 7, BATCH - NEW, keys)
    return rows(np.concatenate([known, np.arange(NEW) + keys + number * NEW]), number)


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
        rows(scattered(0, BATCH, BATCH), 0).lazy().collect()  # what the libraries take by themselves is not counted
        self.idle_kib = self.peak_kib = proc("status", "RssAnon")

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
    bench = Bench(folder, LAYOUT, memory_bytes)
    for begin in range(0, keys, BATCH):
        bench.put(rows(scattered(begin, min(BATCH, keys - begin), keys), 0), bench.open())
    timed: list[tuple[float, float, int]] = []
    for number in range(batches):
        frame = batch(keys, number)
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
        "peak_anon_mb": round((bench.peak_kib - bench.idle_kib) / 1e3, 1),
    }


def bare(keys: int, batches: int, folder: Path) -> dict[str, float]:
    """Return the medians of the best candidate: two frames in memory, and a file of changes."""
    base = pl.concat([rows(scattered(begin, BATCH, keys), 0) for begin in range(0, keys, BATCH)], rechunk=True)
    recent, taken = base.clear(), []
    for number in range(batches):
        frame = batch(keys, number)
        begun = time.perf_counter()
        wanted = frame.select("key")
        new = recent.join(wanted, on="key", how="semi")
        old = base.join(wanted, on="key", how="semi").join(new, on="key", how="anti")
        recent = pl.concat([recent.join(frame, on="key", how="anti"), frame])
        path = folder / f"{number}.arrow"
        frame.write_ipc(path)
        with path.open("rb") as file:
            os.fsync(file)
        if number % 10 == 9:
            base, recent = pl.concat([base.join(recent, on="key", how="anti"), recent], rechunk=True), recent.clear()
        taken.append(time.perf_counter() - begun)
        assert new.height + old.height >= BATCH - NEW
    return {"keys": keys, "bare_ms": round(statistics.median(taken[len(taken) // 3 :]) * 1e3, 1)}


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
    parser.add_argument("--only", choices=["updates", "bare", "expiry"])
    given = parser.parse_args()
    if given.only:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            keys, memory_bytes = given.keys[0], given.memory_mb * 1_000_000
            if given.only == "updates":
                found = updates(keys, given.batches, memory_bytes, Path(folder))
            elif given.only == "bare":
                found = bare(keys, given.batches, Path(folder))
            else:
                found = expiry(keys, Path(folder))
        print(json.dumps(found))
        return
    more = ["--batches", str(given.batches), *(["--folder", str(given.folder)] if given.folder else [])]
    sizes = [measured(["--only", "updates", "--keys", str(keys), *more]) for keys in given.keys]
    bare_ms = measured(["--only", "bare", "--keys", str(given.keys[0]), *more])["bare_ms"]
    small = measured(["--only", "updates", "--keys", "8000000", "--memory-mb", str(SMALL_MB), *more])
    timed = measured(["--only", "expiry", "--keys", "1000000"])
    for each in (*sizes, small, timed):
        print(", ".join(f"{name} {value:,}" for name, value in each.items()))
    print(f"first size: {sizes[0]['batch_ms'] / bare_ms:.2f} times the best candidate, {bare_ms} ms in this run")
    print(f"last size: {sizes[-1]['batch_ms'] / sizes[0]['batch_ms']:.2f} times the first")
    print(
        f"memory of {SMALL_MB} MB: state {small['state_mb'] / SMALL_MB:.1f} times as large, {small['peak_anon_mb']} MB"
    )
    print(
        json.dumps({"sizes": sizes, "bare_ms": bare_ms, "small_memory": small, "expiry": timed, "cpus": os.cpu_count()})
    )


if __name__ == "__main__":
    main()
