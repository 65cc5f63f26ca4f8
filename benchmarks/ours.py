"""This library under the workloads: one subcommand each, the same arguments as the bare loops in ``bare.py``.

    ours.py w1 --src DIR --out DIR --ckpt DIR --fmt ndjson|csv|ndjson.gz --batch-files N
    ours.py w2 --src DIR --out DIR --ckpt DIR          prints READY, follows the folder until SIGTERM
    ours.py w3_serve (as w1)                           prints READY; one run per line on stdin, one JSON line each
    ours.py w4 --kind agg|dedup --src DIR --out DIR --ckpt DIR     one Parquet file, in name order, per batch
    ours.py w5 --src DIR --out DIR [--ckpt DIR]        upserts by id into the table, one file, in name order, per batch

Every run goes through a project folder with a YAML pipeline, as a user's does, and keeps its checkpoint in ``--ckpt``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from etl.pipeline import Pipeline
    from etl.seam import Seam

_STARTED = time.perf_counter()

NESTED = """
    event_id: string
    ts: timestamp(UTC)
    user_id: int64
    page: string
    country: string
    amount: float64
    device: "struct{os: string, browser: string, version: string, screen: struct{w: int64, h: int64}}"
    tags: list<string>
    referrer: string
"""
FLAT = """
    event_id: string
    ts: timestamp(UTC)
    user_id: int64
    page: string
    country: string
    amount: float64
    device_os: string
    device_browser: string
    device_version: string
    screen_w: int64
    screen_h: int64
    tags: string
    referrer: string
"""
COLUMNS = {
    "ndjson": ("CONCAT(device.os, '/', device.browser)", "ARRAY_LENGTH(tags)"),
    "csv": (
        "CONCAT(device_os, '/', device_browser)",
        "CASE WHEN COALESCE(tags, '') = '' THEN 0 ELSE ARRAY_LENGTH(STRING_TO_ARRAY(tags, '|')) END",
    ),
}
PIPELINE = """
version: 1
name: events
source:
  type: files
  path: {src}
  format: {format}
  batch: {{max_files: {batch_files}, max_bytes: 100GB}}
  schema: {schema}
transforms:
  - filter: amount >= 5.0
  - with_columns:
      event_time: ts
      event_date: CAST(ts AS DATE)
      device_key: LOWER({device})
      n_tags: CAST({tags} AS INT)
sink:
  type: delta
  path: {out}
  provenance: {provenance}
"""


EVENTS = """
version: 1
name: events
source:
  type: files
  path: {src}/*.parquet
  format: parquet
  order: name
  batch: {{max_files: 1, max_bytes: 100GB}}
  schema:
    event_id: string
    event_time: timestamp(UTC)
    user_id: int64
    page: string
    country: string
    amount: float64
transforms:
  - watermark: {{column: event_time, delay: 10m}}
{transforms}
sink:
  type: delta
  path: {out}
  provenance: false
"""
STATEFUL = {
    "agg": """
  - group_by:
      by: [country, page]
      window: {column: event_time, every: 5m}
      aggregate: {amount: SUM(amount), n: COUNT(*), users: APPROX_COUNT_DISTINCT(user_id)}
  - rename: {window_start: w}
""",
    "dedup": """
  - deduplicate: {keys: [event_id]}
""",
}


UPSERTS = """
version: 1
name: events
source:
  type: files
  path: {src}/*.parquet
  format: parquet
  order: name
  batch: {{max_files: 1, max_bytes: 100GB}}
sink:
  type: delta
  path: {out}
  write_mode: merge
  primary_key: [id]
  provenance: false
"""


def make_project(given: argparse.Namespace) -> Path:
    """Write the project folder beside the checkpoint; return it."""
    folder = Path(given.ckpt)
    (folder / "pipelines").mkdir(parents=True, exist_ok=True)
    name = given.fmt.removesuffix(".gz")
    device, tags = COLUMNS[name]
    values: dict[str, Any] = {
        "src": f"{given.src}/**/*",
        "format": name,
        "batch_files": given.batch_files,
        "schema": FLAT if name == "csv" else NESTED,
        "device": device,
        "tags": tags,
        "out": given.out,
        "provenance": "true" if given.provenance else "false",
    }
    (folder / "pipelines" / "events.yml").write_text(PIPELINE.format(**values))
    return folder


def make_pipeline(folder: Path) -> tuple[Pipeline, Seam]:
    """Return the wired pipeline of the project, and its seam."""
    from etl.config.loader import load
    from etl.config.wiring import wire
    from etl.seam import Seam

    seam = Seam()
    project, specs = load(folder, None, ["events"])
    return wire(specs[0], project, seam), seam


def w1(given: argparse.Namespace) -> dict[str, Any]:
    """Take what is available, then stop."""
    return run_all(make_project(given))


def run_all(folder: Path) -> dict[str, Any]:
    """Take what is available of a project, then stop."""
    from etl.engine import run
    from etl.progress import Silent

    pipeline, seam = make_pipeline(folder)
    results = run(pipeline, seam, Silent())
    return {"batches": len(results), "rows": sum(result.rows["written"] for result in results)}


def w2(given: argparse.Namespace) -> dict[str, Any]:
    """Follow the folder, looking each millisecond, one batch per find."""
    from etl.engine import open_runner
    from etl.progress import Silent

    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    pipeline, seam = make_pipeline(make_project(given))
    with open_runner(pipeline, seam, Silent()) as runner:
        runner.recover()
        print("READY", flush=True)
        is_tended = True
        while not stopped:
            if runner.run_batch() is not None:
                is_tended = False
                continue
            if not is_tended:
                runner.idle()
                is_tended = True
            time.sleep(0.001)
    return {}


def w3_serve(given: argparse.Namespace) -> dict[str, Any]:
    """Answer each line of input with one incremental run."""
    from etl.engine import open_runner
    from etl.progress import Silent

    pipeline, seam = make_pipeline(make_project(given))
    with open_runner(pipeline, seam, Silent()) as runner:
        runner.recover()
        print("READY", flush=True)
        for _ in sys.stdin:
            begun = time.perf_counter()
            result = runner.run_batch()
            found = result.rows["read"] if result else 0
            print(json.dumps({"run_s": round(time.perf_counter() - begun, 4), "rows": found}), flush=True)
    return {}


def w4(given: argparse.Namespace) -> dict[str, Any]:
    """Keep windows, or the first row of each event, up to date over out-of-order events."""
    folder = Path(given.ckpt)
    (folder / "pipelines").mkdir(parents=True, exist_ok=True)
    for side in ("late", "quarantine"):  # whoever runs this again removes the table alone
        shutil.rmtree(f"{given.out}__{side}", ignore_errors=True)
    text = EVENTS.format(src=given.src, out=given.out, transforms=STATEFUL[given.kind])
    (folder / "pipelines" / "events.yml").write_text(text)
    return run_all(folder)


def w5(given: argparse.Namespace) -> dict[str, Any]:
    """Bring each file of upserts into the table."""
    from etl.engine import open_runner
    from etl.progress import Silent

    folder = Path(given.ckpt)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "pipelines").mkdir(parents=True)
    shutil.rmtree(f"{given.out}__quarantine", ignore_errors=True)
    (folder / "pipelines" / "events.yml").write_text(UPSERTS.format(src=given.src, out=given.out))
    pipeline, seam = make_pipeline(folder)
    took: list[float] = []
    cpu: list[float] = []
    with open_runner(pipeline, seam, Silent()) as runner:
        runner.recover()
        begun, cpu_begun = time.perf_counter(), time.process_time()
        while runner.run_batch() is not None:
            took.append(round(time.perf_counter() - begun, 3))
            cpu.append(round(time.process_time() - cpu_begun, 3))
            begun, cpu_begun = time.perf_counter(), time.process_time()
        runner.idle()
    return {"batch_s": took, "batch_cpu_s": cpu}


def main() -> None:
    """Run one workload and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", choices=["w1", "w2", "w3_serve", "w4", "w5"])
    for name in ("src", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--ckpt", help="default: beside the table")
    parser.add_argument("--fmt", default="ndjson", choices=["ndjson", "csv", "ndjson.gz"])
    parser.add_argument("--batch-files", type=int, default=50)
    parser.add_argument("--kind", default="agg", choices=["agg", "dedup"])
    parser.add_argument("--provenance", action="store_true")
    given = parser.parse_args()
    given.ckpt = given.ckpt or f"{given.out}.ckpt"
    begun = time.perf_counter()
    more = {"w1": w1, "w2": w2, "w3_serve": w3_serve, "w4": w4, "w5": w5}[given.workload](given)
    took = {"import_s": round(begun - _STARTED, 3), "work_s": round(time.perf_counter() - begun, 4)}
    print(json.dumps(took | more), flush=True)


if __name__ == "__main__":
    main()
