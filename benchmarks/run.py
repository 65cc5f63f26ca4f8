"""All workloads, this library beside the bare libraries, one table each: ``make bench``.

    run.py [--full] [--only w1,bad,w2,w3,w4,w6,commits,logs] [--runs 3] [--work DIR]

By default at a scale that ends within about five minutes; ``--full`` takes the sizes that the targets speak of.
A target is judged by the median of the ratios, pair by pair. The exit code is 0 either way: this measures.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from measure import environment, measure, paired, reap, script
from tables import Line, process_lines, show

ROWS_OF_DROP = 1_000
SMALL = "; the targets speak of the sizes of --full: here the start of a process or batch weighs more"


@dataclass(frozen=True)
class Bench:
    """Where to work, how much to do."""

    work: Path
    is_full: bool
    runs: int

    def fresh(self, *names: str) -> None:
        """Remove folders of the last run."""
        for name in names:
            shutil.rmtree(self.work / name, ignore_errors=True)

    def data(self, workload: str, scale: float, fmt: str = "ndjson") -> Path:
        """Make the input of a workload, unless it is there; return its folder."""
        folder = self.work / f"data-{scale}"
        said = measure(script("data.py", workload, "--data", folder, "--scale", scale, "--fmt", fmt)).said
        return Path(said)

    def places(self, who: str, src: Path) -> list[object]:
        """Return the arguments that every runner takes."""
        return ["--src", src, "--out", self.work / f"out-{who}", "--ckpt", self.work / f"ckpt-{who}"]


def w1(bench: Bench) -> None:
    """Bulk: many files, batches of an eighth of them."""
    for fmt in ("ndjson", "csv", "ndjson.gz"):
        src = bench.data("w1", 1.0 if bench.is_full else 0.1, fmt)
        files = len(os.listdir(src))
        more = ["--fmt", fmt, "--batch-files", max(1, files // 8)]
        ours, bare = (script(f"{who}.py", "w1", *bench.places(who, src), *more) for who in ("ours", "bare"))
        runs = paired(ours, bare, bench.runs, lambda: bench.fresh("out-ours", "ckpt-ours", "out-bare"))
        size_mib = sum(entry.stat().st_size for entry in os.scandir(src)) / 2**20
        is_target = fmt in ("ndjson", "csv")
        lines = process_lines(*runs, 1.25 if is_target else None, 1.3 if fmt == "ndjson" else None)
        show(f"W1 {fmt}: {files} files, {size_mib:,.0f} MiB, 8 batches", lines, "" if bench.is_full else SMALL)


def bad(bench: Bench) -> None:
    """Bulk with one line in a hundred broken, beside the same input whole: what bad lines cost. Both are ours."""
    for fmt in ("ndjson", "csv"):
        clean = bench.data("w1", 1.0 if bench.is_full else 0.1, fmt)
        dirty = bench.work / f"dirty-{fmt}"
        broken = break_lines(clean, dirty)
        more = ["--fmt", fmt, "--batch-files", max(1, len(os.listdir(clean)) // 8)]
        commands = (
            script("ours.py", "w1", *bench.places(name, src), *more) for name, src in (("d", dirty), ("c", clean))
        )
        runs = paired(
            *commands, bench.runs, lambda: bench.fresh("out-d", "out-d__quarantine", "ckpt-d", "out-c", "ckpt-c")
        )
        title = f"Bad lines, {fmt}: {broken:,} of them, one in a hundred (ours: dirty; bare: ours over the clean input)"
        show(title, process_lines(*runs, 1.5, None), "" if bench.is_full else SMALL)


def break_lines(clean: Path, dirty: Path) -> int:
    """Copy files with every hundredth line cut in half; return how many lines were cut."""
    shutil.rmtree(dirty, ignore_errors=True)
    dirty.mkdir()
    broken = 0
    for file in sorted(clean.iterdir()):
        lines = file.read_bytes().splitlines(keepends=True)
        for number in range(50, len(lines), 100):
            lines[number] = lines[number][: len(lines[number]) // 2] + b"\n"
            broken += 1
        (dirty / file.name).write_bytes(b"".join(lines))
    return broken


def w2(bench: Bench) -> None:
    """Latency: a file of 1,000 rows is renamed into the folder; its rows are visible with the table's next version."""
    files = sorted(bench.data("w2", 1.0 if bench.is_full else 0.25).iterdir())
    found: dict[str, list[list[float]]] = {"ours": [], "bare": []}
    for _ in range(bench.runs):
        for who, runs in found.items():
            runs.append(latencies(bench, who, files))

    def quantile(who: str, share: float) -> list[float]:
        return [sorted(run)[int(len(run) * share)] for run in found[who]]

    lines = [
        Line("median ms", quantile("ours", 0.5), quantile("bare", 0.5), 2.5),
        Line("99th percentile ms", quantile("ours", 0.99), quantile("bare", 0.99), 4.0),
    ]
    show(f"W2: {len(files) - 20} files of {ROWS_OF_DROP:,} rows, one at a time", lines)


def latencies(bench: Bench, who: str, files: list[Path]) -> list[float]:
    """Return the milliseconds from rename to visible rows; the first twenty files warm the process up."""
    drop, stage = bench.work / "drop", bench.work / "stage"
    bench.fresh("drop", "stage", f"out-{who}", f"ckpt-{who}")
    drop.mkdir()
    stage.mkdir()
    for file in files:
        shutil.copy(file, stage / file.name)
    log = bench.work / f"out-{who}" / "_delta_log"
    taken = []
    with serving(script(f"{who}.py", "w2", *bench.places(who, drop))) as process:
        version = 0
        for file in files:
            begun = time.perf_counter()
            os.rename(stage / file.name, drop / file.name)
            version = next_with_rows(log, version)
            taken.append((time.perf_counter() - begun) * 1e3)
        process.send_signal(signal.SIGTERM)
    return taken[20:]


@contextlib.contextmanager
def serving(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process and wait until it says READY; leaving the block closes its input and waits for its end."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
    assert process.stdin is not None
    assert process.stdout is not None
    while b"READY" not in process.stdout.readline():
        if process.poll() is not None:
            raise subprocess.CalledProcessError(process.returncode, command)
    try:
        yield process
        process.stdin.close()
        reap(process, begun)
    finally:
        process.kill()
        process.stdout.close()


def next_with_rows(log: Path, version: int, limit_s: float = 60.0) -> int:
    """Wait for the next version of a table that adds a file; return the one after it. Raises TimeoutError."""
    ends = time.monotonic() + limit_s
    while time.monotonic() < ends:
        try:
            text = (log / f"{version:020d}.json").read_text()
        except FileNotFoundError:
            time.sleep(0.0005)
            continue
        version += 1
        if '"add"' in text:
            return version
    raise TimeoutError(f"no new rows in {log} for {limit_s:.0f} s")


def w3(bench: Bench) -> None:
    """Discovery: many files that are known, ten that are new."""
    for count in (100_000, 500_000) if bench.is_full else (10_000,):
        src = bench.data("w3", count / 500_000)
        bench.fresh("out-ours", "ckpt-ours", "out-bare")
        primed = measure(script("ours.py", "w1", *bench.places("ours", src), "--batch-files", 5_000))
        warm = {who: warm_runs(bench, who, src) for who in ("ours", "bare")}
        cold_ours, cold_bare = [], []
        for _ in range(bench.runs):
            drop_ten(src)
            cold_ours.append(measure(script("ours.py", "w1", *bench.places("ours", src), "--batch-files", 5_000)))
            cold_bare.append(measure(script("bare.py", "w3_cold", "--src", src)))
        lines = [Line("warm trigger s", warm["ours"], warm["bare"], 1.5)]
        lines += [Line("cold process s", [run.wall_s for run in cold_ours], [run.wall_s for run in cold_bare], 1.5)]
        lines += [Line("cold peak MiB", [run.peak_mib for run in cold_ours], [300.0] * bench.runs, 1.0)]
        show(
            f"W3: {count:,} known files, 10 new (peak against the bound of 300 MiB)",
            lines,
            "" if bench.is_full else SMALL,
        )
        for path in src.glob("new-*"):
            path.unlink()
        print(f"first run over all of them: {primed.wall_s:.1f} s, {primed.cpu_s:.1f} CPU s, {primed.peak_mib:.0f} MiB")


def drop_ten(src: Path) -> None:
    """Put ten new files of one row into the folder."""
    event = {"event_id": "new", "ts": "2026-02-01T00:00:00.000Z", "amount": 9.5, "tags": [], "device": {"os": "iOS"}}
    for _ in range(10):
        (src / f"new-{time.time_ns()}.ndjson").write_text(json.dumps(event) + "\n")


def warm_runs(bench: Bench, who: str, src: Path) -> list[float]:
    """Return the seconds of triggers of a process that runs on; the first two are left out."""
    taken = []
    with serving(script(f"{who}.py", "w3_serve", *bench.places(who, src), "--batch-files", 5_000)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(bench.runs + 2):
            drop_ten(src)
            begun = time.perf_counter()
            process.stdin.write(b"go\n")
            process.stdin.flush()
            process.stdout.readline()
            taken.append(time.perf_counter() - begun)
    return taken[2:]


def w4(bench: Bench) -> None:
    """State: windows, and one row of each event, over events out of order; beside them one pass over all files."""
    src = bench.data("w4", 1.0 if bench.is_full else 0.1)
    for kind, most in (("agg", 1.6), ("dedup", 2.0)):
        ours, bare = (script(f"{who}.py", "w4", "--kind", kind, *bench.places(who, src)) for who in ("ours", "bare"))
        runs = paired(ours, bare, bench.runs, lambda: bench.fresh("out-ours", "ckpt-ours", "out-bare"))
        title = f"W4 {kind}: {len(os.listdir(src))} files, one a batch, against one pass"
        show(title, process_lines(*runs, most, None), "" if bench.is_full else SMALL)


def w6(bench: Bench) -> None:
    """Start: a process that finds nothing to do."""
    src = bench.work / "one"
    bench.fresh("one", "out-ours", "ckpt-ours")
    src.mkdir()
    drop_ten(src)
    ours = script("ours.py", "w1", *bench.places("ours", src))
    measure(ours)
    bare = script("bare.py", "w6", "--out", bench.work / "out-ours")
    runs = paired(ours, bare, max(7, bench.runs), lambda: None)
    show("W6: nothing to do", process_lines(*runs, 1.5, None))


def commits(bench: Bench) -> None:
    """Print the cost of one commit as the table grows; the target is that it does not."""
    count = 5_000 if bench.is_full else 1_000
    found = json.loads(measure(script("commit_cost.py", "--batches", count, "--folder", bench.work)).said)
    print(f"\n## Commit cost over {count:,} versions\n")
    print("| version | commit ms | batch ms | CPU ms | bytes written | commit against version 10 |\n|" + " --- |" * 6)
    for line in found:
        ratio = line["commit_ms"] / found[0]["commit_ms"]
        cells = [line["version"], line["commit_ms"], line["batch_ms"], line["cpu_ms"], f"{line['bytes']:,.0f}"]
        print(f"| {' | '.join(map(str, cells))} | {ratio:.2f} |")
    print(f"\nload {os.getloadavg()[0]:.1f}", flush=True)


def logs(bench: Bench) -> None:
    """Print what tailing logs takes: throughput, latency, idle looks, memory."""
    print("\n## Logs\n", flush=True)
    sizes = (400, 2_000) if bench.is_full else (100, 300)
    more = ("--megabytes", sizes[0], "--steady", sizes[1], "--runs", bench.runs, "--appends", 50, "--work", bench.work)
    subprocess.run(script("log_tailing.py", *more), env=environment(), check=True)


WORKLOADS = {"w6": w6, "w2": w2, "w1": w1, "bad": bad, "w3": w3, "w4": w4, "commits": commits, "logs": logs}


def main() -> None:
    """Run the workloads that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", default=",".join(WORKLOADS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", type=Path, help="a folder for data and tables, kept; else one that is removed")
    given = parser.parse_args()
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("polars", "deltalake", "pyarrow", "pydantic")]
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, Linux {platform.release()}"
    print(f"Python {platform.python_version()}, {', '.join(versions)}; {machine}; {time.strftime('%Y-%m-%d %H:%M')}")
    with contextlib.ExitStack() as stack:
        work = given.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        for name in given.only.split(","):
            WORKLOADS[name](Bench(work, given.full, given.runs))


if __name__ == "__main__":
    main()
