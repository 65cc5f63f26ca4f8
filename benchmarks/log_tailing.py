"""Tailing logs into Delta tables, beside bare Polars in the same run: throughput, latency, idle looks, memory.

    log_tailing.py [--megabytes 400] [--runs 3] [--appends 100] [--steady 2000] [--files 10000] [--work DIR]

Throughput is of whole processes. The bare loop reads pieces of whole lines, extracts the same columns by one regular
expression, notes file and offset of each line, and streams the rows into one commit.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from measure import environment, paired, script

PIECE_BYTES = 16_000_000
PATIENCE_S = 30
PIPELINE = """\
version: 1
source: {{type: logs, path: {log}, format: {format}}}
{trigger}sink: {{type: delta, table: bronze.log}}
"""


def write_log(path: Path, megabytes: int) -> int:
    """Write a log of a busy site; return its bytes."""
    from log_parsing import made_up

    block = b"".join(made_up())
    with open(path, "wb") as log:
        while log.tell() < megabytes * 1_000_000:
            log.write(block)
        return log.tell()


def project(folder: Path, log: Path, form: str, trigger: str = "") -> list[str]:
    """Write a project with one pipeline and return the command that runs it."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "pipelines").mkdir(parents=True)
    (folder / "etl.yml").write_text("version: 1\nlake: ./lake\n")
    (folder / "pipelines" / "log.yml").write_text(PIPELINE.format(log=log, format=form, trigger=trigger))
    return [sys.executable, "-m", "etl", "-C", str(folder), "run", "log"]


def bare(form: str, log: str, out: str) -> None:
    """Do the same with Polars and deltalake alone."""
    import polars as pl
    import pyarrow as pa
    from deltalake import write_deltalake
    from log_parsing import DASHED, NAMES, PATTERN

    def lines() -> Iterator[bytes]:
        rest = b""
        with open(log, "rb") as file:
            while block := file.read(PIECE_BYTES):
                text = rest + block
                cut = text.rfind(b"\n") + 1
                yield text[:cut]
                rest = text[cut:]

    def frames() -> Iterator[pl.DataFrame]:
        start = 0
        for text in lines():
            frame = pl.read_csv(
                text, has_header=False, new_columns=["line"], separator="\x01", quote_char=None,
                schema_overrides=[pl.String],
            )  # fmt: skip
            length = pl.col("line").str.len_bytes() + 1
            offset = (length.cum_sum() - length).cast(pl.Int64) + start
            places = frame.select(offset.alias("_source_offset"), _source_file=pl.lit(log))
            yield (frame if form == "lines" else parsed(frame)).hstack(places)
            start += len(text)

    def parsed(frame: pl.DataFrame) -> pl.DataFrame:
        fields = frame.select(pl.col("line").str.extract_groups(PATTERN).struct.rename_fields(NAMES)).unnest("line")
        return fields.with_columns(
            *(pl.when(pl.col(name) != "-").then(name).alias(name) for name in DASHED[:-2]),
            pl.col("time").str.to_datetime("%d/%b/%Y:%H:%M:%S %z", time_unit="us"),
            *(pl.when(pl.col(name) != "-").then(name).cast(pl.Int64).alias(name) for name in DASHED[-2:]),
        )

    found = frames()
    first = next(found).to_arrow()
    batches = (batch for table in (first, *()) for batch in table.to_batches())

    def all_batches() -> Iterator[pa.RecordBatch]:
        yield from batches
        for frame in found:
            yield from frame.to_arrow().cast(first.schema).to_batches()

    write_deltalake(out, pa.RecordBatchReader.from_batches(first.schema, all_batches()))


def throughput(work: Path, megabytes: int, runs: int) -> None:
    """Print the speed of whole runs over a backlog."""
    log = work / "access.log"
    size = write_log(log, megabytes)
    for form, least in (("lines", 150), ("combined", 60)):
        folder, out = work / f"ours-{form}", work / f"bare-{form}"
        ours = project(folder, log, form)
        other = script("log_tailing.py", "--bare", form, log, out)

        def prepare(folder: Path = folder, out: Path = out) -> None:
            for each in (folder / "lake", folder / "lake.checkpoints", out):
                shutil.rmtree(each, ignore_errors=True)

        mine, theirs = paired(ours, other, runs, prepare)
        ratio = statistics.median(a.wall_s / b.wall_s for a, b in zip(mine, theirs, strict=True))
        speed = size / 1e6 / statistics.median(run.wall_s for run in mine)
        peak = max(run.peak_mib for run in mine)
        print(
            f"{form}: {speed:.0f} MB/s (target {least}), {ratio:.2f} times the bare loop (target 1.2), "
            f"peak {peak:.0f} MiB (bare {max(run.peak_mib for run in theirs):.0f})",
            flush=True,
        )


class Live:
    """A continuous run over a log, and what its table shows."""

    def __init__(self, work: Path) -> None:
        self.log = work / "live.log"
        self.log.write_bytes(b"first\n")
        command = project(work / "live", self.log, "lines", "trigger: continuous\n")
        self.versions = work / "live" / "lake" / "bronze" / "log" / "_delta_log"
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
        )
        self.version = -1
        self.wait()

    def wait(self) -> None:
        """Wait until the next version is there. Raises TimeoutError."""
        self.version += 1
        until = time.perf_counter() + PATIENCE_S
        while not (self.versions / f"{self.version:020d}.json").exists():
            if time.perf_counter() > until:
                raise TimeoutError(f"version {self.version} did not come")
            time.sleep(0.0005)

    def append(self, number: int) -> float:
        """Append a line and return after how many seconds its version was there."""
        begun = time.perf_counter()
        with open(self.log, "ab", buffering=0) as log:
            log.write(f"line {number}\n".encode())
        self.wait()
        return time.perf_counter() - begun

    def resident_mib(self) -> float:
        """Return how much memory the run holds."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def end(self) -> None:
        """Have it end."""
        self.process.terminate()
        self.process.wait()


def latency(work: Path, appends: int) -> None:
    """Print how long a line takes until it is visible, beside a bare append."""
    import polars as pl
    from deltalake import write_deltalake

    out = work / "bare-appends"
    shutil.rmtree(out, ignore_errors=True)
    live = Live(work)
    ours, theirs = [], []
    try:
        for number in range(appends):
            ours.append(live.append(number))
            begun = time.perf_counter()
            write_deltalake(
                out, pl.DataFrame({"line": [f"line {number}"], "offset": [number]}).to_arrow(), mode="append"
            )
            theirs.append(time.perf_counter() - begun)
            time.sleep(0.05)
    finally:
        live.end()
    mine, bare_s = statistics.median(ours), statistics.median(theirs)
    print(
        f"append to visible: median {mine * 1000:.0f} ms, 95 % {statistics.quantiles(ours, n=20)[-1] * 1000:.0f} ms, "
        f"{mine / bare_s:.2f} times a bare append of {bare_s * 1000:.0f} ms (target 3)",
        flush=True,
    )


def steady(work: Path, appends: int) -> None:
    """Print how memory goes over many appends, each a batch."""
    live = Live(work)
    held: list[float] = []
    try:
        for number in range(appends):
            live.append(number)
            if number % max(1, appends // 10) == 0:
                held.append(live.resident_mib())
        held.append(live.resident_mib())
    finally:
        live.end()
    print(f"memory over {appends} batches: {' '.join(f'{each:.0f}' for each in held)} MiB", flush=True)


def idle(work: Path, files: int) -> None:
    """Print what a look at many logs costs of which one grows."""
    from etl.model import ReadLimit
    from etl.seam import Seam
    from etl.sources.contract import SourceSite
    from etl.sources.log_options import LogOptions
    from etl.sources.log_source import LogSource
    from etl.storage import LocalStorage

    folder, seam = work / "many", Seam()
    folder.mkdir()
    for number in range(files):
        (folder / f"{number}.log").write_bytes(b"a\n")
        os.utime(folder / f"{number}.log", (1e9, 1e9))
    site = SourceSite("source", work, LocalStorage(work / "many-ledger", seam), seam)
    source = LogSource(LogOptions(path="many"), None, site)
    batch, taken = 0, []
    planned = source.latest(None, ReadLimit())
    while planned is not None:
        source.accept(batch, planned)
        batch += 1
        planned = source.latest(planned.span.end, ReadLimit())
    for number in range(30):
        with open(folder / "7.log", "ab") as log:
            log.write(b"more\n")
        begun = time.perf_counter()
        planned = source.latest(None, ReadLimit())
        taken.append(time.perf_counter() - begun)
        assert planned is not None
        source.accept(batch + number, planned)
    print(
        f"{files} logs of which one grew: a look takes {statistics.median(taken) * 1000:.0f} ms (target 50)", flush=True
    )


def main() -> None:
    """Measure all."""
    if sys.argv[1:2] == ["--bare"]:
        bare(*sys.argv[2:5])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--appends", type=int, default=100)
    parser.add_argument("--steady", type=int, default=2000)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--work", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="etl-logs-", dir=asked.work) as folder:
        work = Path(folder)
        throughput(work, asked.megabytes, asked.runs)
        latency(work, asked.appends)
        idle(work, asked.files)
        steady(work, asked.steady)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
