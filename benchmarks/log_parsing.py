"""Time ``combined`` logs read and parsed by ours, against a bare Polars loop that extracts the same by regex.

Run from the root of the repository, with real lines or with made-up ones::

    python benchmarks/log_parsing.py [--log FILE] [--megabytes 200] [--rounds 5]

Both take turns in one process, two threads each; the ratio of the medians is what counts.
"""

from __future__ import annotations

import argparse
import io
import random
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from etl.formats import FORMATS, FileOpener
from etl.formats.log_formats import format_from

PIECE = 4_000_000
NAMES = [
    *("remote_addr", "ident", "remote_user", "time", "request", "method", "path", "protocol"),
    *("status", "body_bytes", "referer", "user_agent"),
]
PATTERN = (
    r'^(\S+) (\S+) (.+?) \[([^\]]+)\] "((?:(\S+) (\S+) (\S+))|(?:[^"\\]|\\.)*)" (\d+|-) (\d+|-)'
    r' "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"$'
)
DASHED = ["remote_addr", "ident", "remote_user", "request", "referer", "user_agent", "status", "body_bytes"]


def made_up() -> Iterator[bytes]:
    """Yield lines such as a busy site has."""
    draw = random.Random(1)
    for number in range(20_000):
        day = f"{number // 1000 + 1:02}/May/2015:{number // 40 % 24:02}:{number // 7 % 60:02}:{number % 60:02} +0000"
        path = f"/presentations/{draw.randint(0, 300)}/images/picture-{draw.randint(0, 5000)}.png"
        yield (
            f'{draw.randint(1, 250)}.149.9.{draw.randint(1, 250)} - - [{day}] "GET {path} HTTP/1.1" '
            f'{draw.choice([200, 200, 304, 404])} {draw.randint(100, 300_000)} "http://example.com/presentations/" '
            f'"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1) AppleWebKit/537.36 Chrome/32.0.{draw.randint(1, 99)}"\n'
        ).encode()


def ours(name: object) -> Callable[[bytes], int]:
    """Return a reader of whole content: rows that were parsed."""
    form = FORMATS[name](None) if isinstance(name, str) else format_from(name)

    def run(content: bytes) -> int:
        file = FileOpener("access.log", len(content), lambda: io.BytesIO(content))
        schema = form.survey(file, None).schema
        with ThreadPoolExecutor(2) as pool:
            return sum(pool.map(lambda task: sum(chunk.rows for chunk in task()), list(form.tasks(file, schema))))

    return run


def bare(content: bytes) -> int:
    """Read and extract the same with Polars alone: rows that were parsed; a line that does not match is lost."""

    def part(first: int) -> int:
        start = content.find(b"\n", first - 1) + 1 if first else 0
        end = content.find(b"\n", min(first + PIECE, len(content)) - 1) + 1 or len(content)
        lines = pl.read_lines(io.BytesIO(content[start:end]))
        found = lines.select(pl.col("line").str.extract_groups(PATTERN).struct.rename_fields(NAMES)).unnest("line")
        typed = found.with_columns(pl.col(DASHED).replace("-", None)).with_columns(
            pl.col("time").str.to_datetime("%d/%b/%Y:%H:%M:%S %z", strict=False),
            pl.col("status", "body_bytes").cast(pl.Int64, strict=False),
        )
        return typed["remote_addr"].count()

    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(part, range(0, len(content), PIECE)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, help="a log in the combined format")
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    lines = options.log.read_bytes() if options.log else b"".join(made_up())
    content = lines * max(1, options.megabytes * 1_000_000 // len(lines))
    runs: dict[str, Callable[[bytes], int]] = {
        "bare Polars": bare,
        "combined": ours("combined"),
        "grok": ours({"grok": "%{COMBINEDAPACHELOG}"}),
        "lines": ours("lines"),
    }
    took: dict[str, list[float]] = {name: [] for name in runs}
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            begun, cpu_begun = time.perf_counter(), time.process_time()
            rows = run(content)
            took[name].append(time.perf_counter() - begun)
            cpu[name].append(time.process_time() - cpu_begun)
            print(f"{name:12} {rows:9} rows {len(content) / 1e6 / took[name][-1]:7.1f} MB/s")
    size_mb = len(content) / 1e6
    for name in runs:
        wall, busy = statistics.median(took[name]), statistics.median(cpu[name])
        ratios = wall / statistics.median(took["bare Polars"]), busy / statistics.median(cpu["bare Polars"])
        print(f"{name:12} {size_mb / wall:7.1f} MB/s ({ratios[0]:.2f} of bare Polars), ", end="")
        print(f"{size_mb / busy:7.1f} MB per CPU second ({ratios[1]:.2f})")


if __name__ == "__main__":
    main()
