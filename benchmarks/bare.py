"""The best loops written by hand with the bare libraries: no checkpoint, no recovery, no fsync, no guarantee.

    bare.py w1|w2|w3_serve --src DIR --out DIR [--fmt F] [--batch-files N]     as ours.py
    bare.py w3_cold --src DIR        what a cold start cannot save: this library's imports and two listings
    bare.py w4 --kind agg|dedup --src DIR --out DIR       one pass over all files: group, or unique
    bare.py w6 --out DIR             imports polars and deltalake and opens the table

Mind that ``str.json_decode`` is fast and lossy (1.5 becomes 1 in an integer column): a limit, not a model.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable

COLUMNS = {"event_id": "String", "ts": "String", "user_id": "Int64", "page": "String", "country": "String"}
FLAT = {
    **COLUMNS,
    "amount": "Float64",
    **dict.fromkeys(("device_os", "device_browser", "device_version"), "String"),
    **dict.fromkeys(("screen_w", "screen_h"), "Int64"),
    **dict.fromkeys(("tags", "referrer"), "String"),
}


def parsed(paths: list[str], fmt: str) -> pl.LazyFrame:
    """Return the rows of some files, with the filter and the four derived columns of the workload."""
    import polars as pl

    if fmt == "csv":
        rows = pl.scan_csv(paths, schema=pl.Schema({name: getattr(pl, dtype)() for name, dtype in FLAT.items()}))
        device, tags = (pl.col("device_os"), pl.col("device_browser")), pl.col("tags")
        count = pl.when(tags.fill_null("") == "").then(0).otherwise(tags.str.count_matches("|", literal=True) + 1)
    else:
        screen = pl.Struct({"w": pl.Int64, "h": pl.Int64})
        nested = {
            **{name: getattr(pl, dtype)() for name, dtype in COLUMNS.items()},
            "amount": pl.Float64(),
            "device": pl.Struct({"os": pl.String, "browser": pl.String, "version": pl.String, "screen": screen}),
            "tags": pl.List(pl.String),
            "referrer": pl.String(),
        }
        lines = pl.scan_lines(paths, name="line").filter(pl.col("line") != "")
        rows = lines.select(pl.col("line").str.json_decode(pl.Struct(nested))).unnest("line")
        device = (pl.col("device").struct.field("os"), pl.col("device").struct.field("browser"))
        count = pl.col("tags").list.len()
    moment = pl.col("ts").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC")
    return (
        rows.filter(pl.col("amount") >= 5.0)
        .with_columns(ts=moment)
        .with_columns(
            event_time="ts",
            event_date=pl.col("ts").dt.date(),
            device_key=pl.concat_str(device, separator="/").str.to_lowercase(),
            n_tags=count.cast(pl.Int32),
        )
    )


def write(paths: list[str], given: argparse.Namespace, number: int) -> dict[str, Any]:
    """Write the rows of some files as one Parquet file of the table; return what a commit says of it."""
    import polars as pl

    name = f"part-{number:06d}.parquet"
    whole = f"{given.out}/{name}"
    parsed(paths, given.fmt).sink_parquet(whole, compression="snappy")
    rows = pl.scan_parquet(whole).select(pl.len()).collect().item()
    now_ms = int(time.time() * 1000)
    return {"path": name, "size": os.stat(whole).st_size, "modificationTime": now_ms, "numRecords": rows}


def new_table(given: argparse.Namespace, path: str) -> DeltaTable:
    """Return an empty table with the columns of the workload."""
    from deltalake import DeltaTable, Schema

    columns = parsed([path], given.fmt).collect_schema().to_frame()
    return DeltaTable.create(given.out, Schema.from_arrow(columns.to_arrow().schema))


def w1(given: argparse.Namespace) -> dict[str, Any]:
    """Turn the files into a table, ``batch_files`` at a time: lines, decode, Parquet, a transaction of deltalake."""
    from deltalake.transaction import AddAction

    paths = sorted(entry.path for entry in os.scandir(given.src))
    table = new_table(given, paths[0])
    rows = 0
    for number, first in enumerate(range(0, len(paths), given.batch_files)):
        file = write(paths[first : first + given.batch_files], given, number)
        rows += file["numRecords"]
        statistics = json.dumps({"numRecords": file["numRecords"]})
        action = AddAction(file["path"], file["size"], {}, file["modificationTime"], data_change=True, stats=statistics)
        table.create_write_transaction([action], mode="append", schema=table.schema(), partition_by=[])
    return {"rows": rows}


def commit_by_hand(out: str, version: int, file: dict[str, Any]) -> None:
    """Append a version to the table's log with one file."""
    add = {name: file[name] for name in ("path", "size", "modificationTime")}
    add |= {"partitionValues": {}, "dataChange": True, "stats": json.dumps({"numRecords": file["numRecords"]})}
    with open(f"{out}/_delta_log/.{version}.tmp", "w") as log:
        log.write(json.dumps({"add": add}) + "\n")
    os.rename(log.name, f"{out}/_delta_log/{version:020d}.json")


def w2(given: argparse.Namespace) -> dict[str, Any]:
    """Follow the folder, looking each millisecond, one version per find."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    seen: set[str] = set()
    version = 0
    print("READY", flush=True)
    while not stopped:
        new = sorted(set(os.listdir(given.src)) - seen)
        if not new:
            time.sleep(0.001)
            continue
        paths = [f"{given.src}/{name}" for name in new]
        if version == 0:
            new_table(given, paths[0])
        version += 1
        commit_by_hand(given.out, version, write(paths, given, version))
        seen.update(new)
    return {}


def w3_serve(given: argparse.Namespace) -> dict[str, Any]:
    """Answer each line of input with one listing, a set difference, and a version with what is new."""
    from deltalake import DeltaTable

    seen = {entry.name for entry in os.scandir(given.src)}
    version = DeltaTable(given.out).version() if os.path.exists(f"{given.out}/_delta_log") else 0
    if version == 0:
        new_table(given, f"{given.src}/{min(seen)}")
    print("READY", flush=True)
    for _ in sys.stdin:
        begun = time.perf_counter()
        names = {entry.name for entry in os.scandir(given.src)}
        listed = time.perf_counter()
        new = sorted(names - seen)
        version += 1
        file = write([f"{given.src}/{name}" for name in new], given, version)
        commit_by_hand(given.out, version, file)
        seen = names
        took = {"run_s": time.perf_counter() - begun, "list_s": listed - begun}
        print(json.dumps({"files": len(new)} | {name: round(value, 4) for name, value in took.items()}), flush=True)
    return {}


def w3_cold(given: argparse.Namespace) -> dict[str, Any]:
    """Import the libraries that such a run uses, none of ours, and list the folder twice."""
    import deltalake  # noqa: F401
    import polars as pl  # noqa: F401
    import pyarrow.compute
    import pyarrow.json
    import pyarrow.parquet  # noqa: F401
    import sqlglot  # noqa: F401

    counts = [len({entry.name for entry in os.scandir(given.src)}) for _ in range(2)]
    return {"files": counts[-1]}


def w4(given: argparse.Namespace) -> dict[str, Any]:
    """Scan all files at once; group them into windows, or keep one row of each event; write one Parquet file."""
    import polars as pl

    rows = pl.scan_parquet(f"{given.src}/*.parquet")
    if given.kind == "dedup":
        found = rows.unique("event_id", keep="any")
    else:
        found = rows.group_by(pl.col("event_time").dt.truncate("5m").alias("w"), "country", "page").agg(
            amount=pl.col("amount").sum(), n=pl.len().cast(pl.Int64), users=pl.col("user_id").approx_n_unique()
        )
    found.sink_parquet(f"{given.out}/part-0.parquet", compression="snappy")
    return {}


def w6(given: argparse.Namespace) -> dict[str, Any]:
    """Import the libraries and open the table."""
    import polars as pl  # noqa: F401
    from deltalake import DeltaTable

    return {"version": DeltaTable(given.out).version()}


def main() -> None:
    """Run one workload and print what it took."""
    begun = time.perf_counter()
    workloads = {"w1": w1, "w2": w2, "w3_serve": w3_serve, "w3_cold": w3_cold, "w4": w4, "w6": w6}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", choices=workloads)
    parser.add_argument("--src")
    parser.add_argument("--out")
    parser.add_argument("--ckpt", help="not used: there is no checkpoint")
    parser.add_argument("--fmt", default="ndjson", choices=["ndjson", "csv", "ndjson.gz"])
    parser.add_argument("--batch-files", type=int, default=50)
    parser.add_argument("--kind", default="agg", choices=["agg", "dedup"])
    given = parser.parse_args()
    if given.out:
        Path(given.out).mkdir(parents=True, exist_ok=True)
    result = workloads[given.workload](given)
    print(json.dumps({"work_s": round(time.perf_counter() - begun, 4)} | result), flush=True)


if __name__ == "__main__":
    main()
