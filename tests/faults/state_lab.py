"""Pipelines that remember, in a process whose children die, or fail, at a given effect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.ipc  # noqa: F401  imported before the fork
import yaml  # noqa: F401

from etl.operations.workspace import Workspace
from etl.pipeline import Pipeline
from etl.seam import Seam
from tests.faults import crash_lab

Rows = list[dict[str, Any]]


def event(user: str | None, time: str | None, amount: float = 1.0) -> dict[str, Any]:
    """Return one event of 1 January 2026, at ``time`` (``10:05``)."""
    return {"user": user, "ts": None if time is None else f"2026-01-01T{time}:00Z", "amount": amount}


EVENTS: list[Rows] = [
    [event("a", "10:01"), event("b", "10:02", 2.5), event("a", "10:01"), event(None, "10:03")],
    [event("a", "10:14"), event("b", "10:02", 2.5), event("c", "09:58", 4.0), event("c", None)],
    [event("b", "10:31", 8.0), event("a", "10:04", 16.0), event("a", "10:29")],
    [event("b", "10:31", 8.0), event("d", "09:00", 32.0), event("a", "10:47")],
    [event("e", "12:00")],
]
"""Out of order, some twice, one without a time, two late, the last far enough to close what is before."""

SOURCE = """
version: 1
name: events
source:
  type: files
  path: in/*.ndjson
  format: ndjson
  order: name
  batch: {max_files: 1}
  schema: {user: string, ts: timestamp(UTC), amount: float64}
transforms:
  - watermark: {column: ts, delay: 10m}
"""
SOURCES = """
version: 1
name: events
sources:
  events:
    type: files
    path: in/*.ndjson
    format: ndjson
    order: name
    batch: {max_files: 1}
    schema: {user: string, ts: timestamp(UTC), amount: float64}
    transforms: [{watermark: {column: ts, delay: 10m}}]
  refunds:
    type: files
    path: refunds/*.ndjson
    format: ndjson
    order: name
    batch: {max_files: 1}
    schema: {user: string, paid_at: timestamp(UTC)}
    transforms: [{watermark: {column: paid_at, delay: 10m}}]
"""
SINK = """
sink: {type: delta, table: t.events}
"""
MERGE = """
sink: {type: delta, table: t.events, write_mode: merge, primary_key: [%s]}
"""
WINDOW = "window: {column: ts, every: 15m}"
AGGREGATE = "aggregate: {n: COUNT(*), total: SUM(amount), last: LAST(amount), seen: COUNT(DISTINCT amount)}"
PIPELINES = {
    "deduplicate": SOURCE + "  - deduplicate: {keys: [user, ts]}\n" + SINK,
    "last": SOURCE + "  - deduplicate: {keys: [user], keep: last, within: 5m}\n" + SINK,
    "stateful": SOURCE
    + "  - stateful: {python: users:spent, keys: [user], state_schema: {total: float64}, timeout: 20m}\n"
    + SINK,
    "windows": SOURCE + f"  - group_by: {{by: [user], {WINDOW}, {AGGREGATE}}}\n" + SINK,
    "sessions": SOURCE
    + f"  - group_by: {{by: [user], window: {{column: ts, session_gap: 10m}}, {AGGREGATE}}}\n"
    + SINK,
    "updates": SOURCE
    + f"  - group_by: {{by: [user], {AGGREGATE}, emit: updates}}\n"
    + "  - group_by: {by: {is_many: n > 2}, aggregate: {users: COUNT(*), total: SUM(total)}}\n"
    + MERGE % "is_many",
    "chain": SOURCE
    + "  - deduplicate: {keys: [user, ts]}\n"
    + f"  - group_by: {{by: [user], {WINDOW}, {AGGREGATE}}}\n"
    + "  - group_by: {by: [], window: {column: window_start, every: 1h}, aggregate: {n: SUM(n)}}\n"
    + SINK,
    "join": SOURCES
    + "transforms:\n"
    + "  - join_stream: {with: refunds, on: [user], how: full, within: {column: ts, other: paid_at, after: 20m}}\n"
    + SINK,
}
"""What each pipeline file says."""

FUNCTION = """
import polars as pl

def spent(rows, state, batch):
    known = pl.concat([state, rows.select("user", total="amount")]).group_by("user").agg(pl.col("total").sum())
    over = known.join(batch.expired, on="user", nulls_equal=True)
    return over, known.join(batch.expired, on="user", how="anti", nulls_equal=True)
"""


def lay_out(folder: Path, pipeline: str) -> Path:
    """Return a project folder with one pipeline and its input, one file a batch."""
    (folder / "pipelines").mkdir(parents=True)
    (folder / "in").mkdir()
    (folder / "transforms").mkdir()
    (folder / "transforms" / "users.py").write_text(FUNCTION)
    (folder / "refunds").mkdir()
    (folder / "pipelines" / "events.yml").write_text(PIPELINES[pipeline])
    for number, rows in enumerate(EVENTS):
        lines = [json.dumps(row) + "\n" for row in rows]
        (folder / "in" / f"{number}.ndjson").write_text("".join(lines))
        refunds = [json.dumps({"user": row["user"], "paid_at": row["ts"]}) + "\n" for row in rows[:2]]
        (folder / "refunds" / f"{number}.ndjson").write_text("".join(refunds))
    return folder


def project(folder: Path, seam: Seam) -> Pipeline:
    """Return the pipeline of a project folder."""
    return Workspace(folder).wired("events", seam)


if __name__ == "__main__":
    crash_lab.PIPELINES["project"] = project
    crash_lab.main()
