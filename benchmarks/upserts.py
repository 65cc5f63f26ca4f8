"""Rows merged by key into a Delta table, beside deltalake's MERGE: ``upserts.py [--rows 5000000] [--batches 20]``.

Every figure is of a whole process: ours with checkpoint, recovery and fsync (``ours.py w5``), then a loop of
``DeltaTable.merge``. Keys are spread evenly, or lie among the newest twentieth (``recent``); four in five are known.
Then 1,000 rows into a table of ``--large`` rows with random keys of text, of which a batch's lie in a few files. Both
results are compared row by row.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from measure import Figures, measure, script
from tables import Line, show

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Numbers = npt.NDArray[np.int64]

FILES, KNOWN = 10, 0.8
SMALL, SMALL_BATCHES, SKIPPED = 1_000, 12, 6


def rows(numbers: Numbers, seed: int, *, is_text: bool = False) -> pl.DataFrame:
    """Return rows with some keys: numbers, or texts in no order that the numbers have."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(seed)
    count = len(numbers)
    number = pl.Series(numbers.astype(np.uint64))
    text = pl.select(pl.format("{}-{}", number.hash(1), number.hash(2))).to_series()
    return pl.DataFrame(
        {
            "id": text if is_text else pl.Series(numbers),
            "at": pl.Series(1_750_000_000_000_000 + random.integers(0, 10**9, count)).cast(pl.Datetime("us", "UTC")),
            "user_id": random.integers(0, 50_000, count),
            "country": pl.Series(["DE", "FR", "IT", "US", "JP"])[random.integers(0, 5, count)],
            "page": pl.Series([f"/c/{each % 11}/item-{each:03d}" for each in range(125)])[
                random.integers(0, 125, count)
            ],
            "amount": np.round(random.lognormal(3.0, 1.1, count), 2),
            "note": pl.Series(random.integers(0, 2**32, count)).cast(pl.String),
        }
    )


def make(folder: Path, size: int, batch: int, batches: int, among: int, *, is_text: bool = False) -> None:
    """Make a table of ``size`` rows and batches of upserts, whose known keys lie among the newest ``among``."""
    import numpy as np
    from deltalake import write_deltalake

    (folder / "batches").mkdir(parents=True)
    part = size // FILES
    for number in range(FILES):
        keys = np.arange(number * part, (number + 1) * part)
        write_deltalake(str(folder / "table"), rows(keys, number, is_text=is_text), mode="append")
    top, known = size, round(batch * KNOWN)
    for number in range(batches):
        random = np.random.default_rng(1_000 + number)
        old = top - among + random.choice(among, known, replace=False)
        keys = random.permutation(np.concatenate([old, np.arange(top, top + batch - known)]))
        rows(keys, 2_000 + number, is_text=is_text).write_parquet(folder / "batches" / f"{number:03d}.parquet")
        top += batch - known


def merge(source: str, table: str) -> None:
    """Bring each batch into the table by deltalake's MERGE."""
    import polars as pl
    from deltalake import DeltaTable

    took: list[float] = []
    cpu: list[float] = []
    for path in sorted(Path(source).iterdir()):
        begun, cpu_begun = time.perf_counter(), time.process_time()
        merger = DeltaTable(table).merge(pl.read_parquet(path), "s.id = t.id", source_alias="s", target_alias="t")
        merger.when_matched_update_all().when_not_matched_insert_all().execute()
        took.append(round(time.perf_counter() - begun, 3))
        cpu.append(round(time.process_time() - cpu_begun, 3))
    print(json.dumps({"batch_s": took, "batch_cpu_s": cpu}))


def pair(folder: Path) -> tuple[Figures, Figures]:
    """Bring the batches into a copy of the table each; refuse results that differ."""
    import polars as pl

    found, tables = [], []
    for who in ("ours", "merge"):
        table = folder / who
        shutil.copytree(folder / "table", table)
        source = str(folder / "batches")
        command = (
            script("ours.py", "w5", "--src", source, "--out", table)
            if who == "ours"
            else [*script("upserts.py"), "--merge", source, str(table)]
        )
        found.append(measure(command))
        tables.append(pl.scan_delta(str(table)).sort("id").collect())
    if not tables[0].equals(tables[1].select(tables[0].columns)):
        raise SystemExit("the tables differ")
    shutil.rmtree(folder)
    return found[0], found[1]


def per_batch(figures: Figures, name: str) -> list[float]:
    """Return what batches took, without the first ones: by then files have an index of their keys."""
    values: list[float] = json.loads(figures.said)[name]
    return values[SKIPPED:]


def small(folder: Path, size: int) -> None:
    """Show what 1,000 rows cost."""
    make(folder, size, SMALL, SMALL_BATCHES, size // FILES // 5, is_text=True)
    ours, bare = pair(folder)
    lines = [
        Line(f"{what} of a batch", *([statistics.median(per_batch(each, name))] for each in (ours, bare)))
        for what, name in (("wall s", "batch_s"), ("CPU s", "batch_cpu_s"))
    ]
    lines.append(Line("peak MiB", [ours.peak_mib], [bare.peak_mib], 1.0))
    show(f"{SMALL:,} rows into {size:,}, random keys, known ones in one file of {FILES}", lines)


def main() -> None:
    """Measure, or be one of the measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--merge", nargs=2, metavar=("BATCHES", "TABLE"), help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--batch", type=int, default=100_000)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--large", type=int, default=10_000_000)
    parser.add_argument("--only", nargs="*", default=["even", "recent", "small"], choices=["even", "recent", "small"])
    parser.add_argument("--work", type=Path, default=None)
    given = parser.parse_args()
    if given.merge:
        merge(*given.merge)
        return
    work = Path(tempfile.mkdtemp(dir=given.work))
    for name, among, target in (("even", given.rows, 0.5), ("recent", given.rows // 20, 0.2)):
        if name in given.only:
            make(work / name, given.rows, given.batch, given.batches, among)
            ours, bare = pair(work / name)
            lines = [
                Line("wall s", [ours.wall_s], [bare.wall_s], target),
                Line("CPU s", [ours.cpu_s], [bare.cpu_s], target),
                Line("peak MiB", [ours.peak_mib], [bare.peak_mib], 1.0),
            ]
            show(f"{given.batches} batches of {given.batch:,} into {given.rows:,}, keys {name}", lines)
    if "small" in given.only:
        small(work / "small", given.large)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
