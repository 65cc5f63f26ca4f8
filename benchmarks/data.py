"""Input of the workloads: shop events with nested columns, the same bytes for the same arguments.

    data.py w1|w2|w3|w4|all --data DIR [--scale 1.0] [--fmt ndjson|csv|ndjson.gz]

At scale 1: W1 400 files of 8,360 rows (about 1 GiB as NDJSON), W2 240 files of 1,000 rows, W3 500,000 files of one row,
W4 20 Parquet files of 500,000 events, out of order, 1 in 100 twice, 1 in 2,000 hours late, then one event a day later.
"""

from __future__ import annotations

import argparse
import gzip
import io
import itertools
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

SEED = 20_260_101
TAGS = ("new", "sale", "gift", "b2b", "mobile", "returning", "coupon", "größer")
COUNTRIES = ("DE", "FR", "US", "GB", "NL", "PL", "ES", "IT", "SE", "BR")
PAGES = ("/", "/cart", "/checkout", "/account/orders", "/search?q=lamp", "/p/4711", "/p/815", "/help/returns")
SCREENS = ((390, 844), (1440, 900), (1920, 1080), (2560, 1440))
DEVICES = [
    {"os": system, "browser": browser, "version": version, "screen": {"w": width, "h": height}}
    for system, browser, version, (width, height) in itertools.product(
        ("Android", "iOS", "Linux", "macOS", "Windows"), ("Chrome", "Firefox", "Safari"), ("140.0.2", "139.1"), SCREENS
    )
]
TAG_LISTS = [list(tags) for count in range(4) for tags in itertools.combinations(TAGS, count)]


@dataclass(frozen=True)
class Sizes:
    """How much there is of each workload."""

    w1_files: int
    w1_rows: int
    w2_files: int
    w3_files: int
    w4_rows: int


def sizes(scale: float) -> Sizes:
    """Return the sizes at a scale; W2 has at least what a median needs."""
    return Sizes(
        max(8, round(400 * scale)),
        8_360,
        max(60, round(240 * scale)),
        max(1_000, round(500_000 * scale)),
        round(500_000 * scale),
    )


def events(first: int, rows: int, seed: int = SEED) -> pl.DataFrame:
    """Return the events numbered from ``first`` on."""
    import polars as pl

    chosen = random.Random(f"{seed}/{first}")

    def picks(values: list[object]) -> list[object]:
        return chosen.choices(values, k=rows)

    numbers = pl.int_range(first, first + rows, eager=True)
    moments = pl.Series([1_767_225_600_000 + (first + row) * 250 for row in range(rows)]).cast(pl.Datetime("ms"))
    return pl.DataFrame(
        {
            "event_id": pl.Series([f"{chosen.getrandbits(64):016x}-{number:010d}" for number in numbers]),
            "ts": moments.dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ"),
            "user_id": [chosen.randrange(1, 2_000_000) for _ in range(rows)],
            "page": picks([*PAGES]),
            "country": picks([*COUNTRIES]),
            "amount": [round(chosen.lognormvariate(3, 1.1), 2) for _ in range(rows)],
            "device": pl.Series(picks([*DEVICES])),
            "tags": pl.Series(picks([*TAG_LISTS]), dtype=pl.List(pl.String)),
            "referrer": picks([None, "https://search.example/?q=desk+lamp", "https://mail.example/campaign/42"]),
        }
    )


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the events without nesting, as CSV has them."""
    import polars as pl

    device = pl.col("device").struct
    screen = device.field("screen").struct
    return frame.select(
        pl.exclude("device", "tags", "referrer"),
        device.field("os").alias("device_os"),
        device.field("browser").alias("device_browser"),
        device.field("version").alias("device_version"),
        screen.field("w").alias("screen_w"),
        screen.field("h").alias("screen_h"),
        pl.col("tags").list.join("|"),
        "referrer",
    )


def encoded(frame: pl.DataFrame, fmt: str) -> bytes:
    """Return the bytes of a file."""
    out = io.BytesIO()
    if fmt == "csv":
        flat(frame).write_csv(out)
        return out.getvalue()
    frame.write_ndjson(out)
    return gzip.compress(out.getvalue(), 6, mtime=0) if fmt == "ndjson.gz" else out.getvalue()


def write_events(folder: Path, files: int, rows: int, fmt: str = "ndjson") -> Path:
    """Write ``files`` files of ``rows`` events each, unless they are there; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if len(os.listdir(folder)) == files:
        return folder
    for number in range(files):
        (folder / f"part-{number:06d}.{fmt}").write_bytes(encoded(events(number * rows, rows), fmt))
    return folder


def write_tiny(folder: Path, files: int, first: int = 0) -> Path:
    """Write ``files`` files of one event each, numbered from ``first`` on; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if len(os.listdir(folder)) == files:
        return folder
    lines = encoded(events(first, min(files, 10_000)), "ndjson").splitlines(keepends=True)
    for number in range(files):
        (folder / f"event-{first + number:09d}.ndjson").write_bytes(lines[number % len(lines)])
    return folder


HOURS = 20
"""Files of W4 before the one that closes all windows; each has the events of an hour."""


def moving(hour: int, rows: int) -> pl.DataFrame:
    """Return the events of an hour, up to five minutes out of order; some were there before, some are hours late."""
    import numpy as np
    import polars as pl

    chosen = np.random.default_rng([SEED, hour])
    begin_us = (1_767_225_600 + hour * 3600) * 1_000_000
    times = begin_us + chosen.integers(0, 3_600_000_000, rows) - chosen.integers(0, 300_000_000, rows)
    late = chosen.random(rows) < 0.0005
    times[late] -= 4 * 3_600_000_000
    numbers = hour * rows + np.arange(rows)
    again = chosen.random(rows) < 0.01
    sources = np.maximum(np.arange(rows) - chosen.integers(1, 1000, rows), 0)
    numbers[again], times[again] = numbers[sources[again]], times[sources[again]]
    return pl.DataFrame(
        {
            "event_id": pl.Series(numbers).cast(pl.String).str.zfill(24),
            "event_time": pl.Series(times).cast(pl.Datetime("us", "UTC")),
            "user_id": chosen.integers(1, 2_000_000, rows),
            "page": pl.Series([f"{page}/{number}" for page in PAGES for number in range(25)]).gather(
                chosen.integers(0, 25 * len(PAGES), rows)
            ),
            "country": pl.Series([*COUNTRIES]).gather(chosen.integers(0, len(COUNTRIES), rows)),
            "amount": np.round(chosen.lognormal(3, 1.1, rows), 2),
        }
    )


def write_moving(folder: Path, rows: int) -> Path:
    """Write the files of W4, unless they are there; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if len(os.listdir(folder)) == HOURS + 1:
        return folder
    for hour in range(HOURS):
        moving(hour, rows).write_parquet(folder / f"part-{hour:05d}.parquet", compression="snappy")
    moving(HOURS + 24, 1).write_parquet(folder / f"part-{HOURS:05d}.parquet", compression="snappy")
    return folder


def main() -> None:
    """Write the input of one workload or of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", choices=["w1", "w2", "w3", "w4", "all"])
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--fmt", default="ndjson", choices=["ndjson", "csv", "ndjson.gz"])
    given = parser.parse_args()
    size = sizes(given.scale)
    if given.workload in ("w1", "all"):
        print(write_events(given.data / "w1" / given.fmt, size.w1_files, size.w1_rows, given.fmt))
    if given.workload in ("w2", "all"):
        print(write_events(given.data / "w2", size.w2_files, 1_000))
    if given.workload in ("w3", "all"):
        print(write_tiny(given.data / "w3" / str(size.w3_files), size.w3_files))
    if given.workload in ("w4", "all"):
        print(write_moving(given.data / "w4", size.w4_rows))


if __name__ == "__main__":
    main()
