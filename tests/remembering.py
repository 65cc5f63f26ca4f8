"""A project whose pipelines remember rows: visits in windows, and clicks that wait for their views."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SOURCE = """\
version: 1
source:
  type: files
  path: landing/visits/*.ndjson
  batch: {max_files: 1}
  schema: {id: string, at: timestamp(UTC), country: string, amount: float64}
"""

WATERMARK = "  - watermark: {column: at, delay: 5m}\n"
DEDUPLICATE = "  - deduplicate: {keys: [id]}\n"
GROUP_BY = """\
  - group_by:
      by: [country]
      window: {column: at, every: 5m}
      aggregate: {visits: COUNT(*), total: SUM(amount)}
"""
SINK = "sink: {type: delta, table: silver.visits}\n"

VISITS = f"{SOURCE}transforms:\n{WATERMARK}{DEDUPLICATE}{GROUP_BY}{SINK}"

CLICKS = """\
version: 1
sources:
  views:
    type: files
    path: landing/views/*.ndjson
    schema: {view: string, at: timestamp(UTC)}
    transforms: [watermark: {column: at, delay: 1m}]
  clicks:
    type: files
    path: landing/clicks/*.ndjson
    schema: {view: string, clicked_at: timestamp(UTC)}
    transforms: [watermark: {column: clicked_at, delay: 1m}]
transforms:
  - join_stream: {with: clicks, on: [view], how: left, within: {column: at, other: clicked_at, after: 10m}}
sink: {type: delta, table: silver.clicks}
"""


def make_visits(folder: Path, text: str = VISITS) -> None:
    """Write the pipeline, and four files: three with two rows each, one with a row that comes too late."""
    (folder / "pipelines").mkdir(parents=True, exist_ok=True)
    (folder / "pipelines" / "visits.yml").write_text(text)
    put_visits(folder, 0, ("a", "10:01", "DE", 1.0), ("b", "10:03", "FR", 2.0))
    put_visits(folder, 1, ("c", "10:11", "DE", 4.0), ("a", "10:01", "DE", 1.0))
    put_visits(folder, 2, ("d", "10:21", "DE", 8.0), ("e", "10:22", "DE", 16.0))
    put_visits(folder, 3, ("f", "10:00", "FR", 32.0))


def put_visits(folder: Path, number: int, *visits: tuple[str, str, str, float]) -> None:
    """Write a file of visits: id, time of day, country, amount."""
    rows = [
        {"id": key, "at": f"2026-01-01T{time}:00Z", "country": country, "amount": amount}
        for key, time, country, amount in visits
    ]
    put_rows(folder / "landing" / "visits" / f"{number:02}.ndjson", rows)


def make_clicks(folder: Path) -> None:
    """Write the pipeline, and a view that waits for its click, and a click without a view."""
    (folder / "pipelines").mkdir(parents=True, exist_ok=True)
    (folder / "pipelines" / "clicks.yml").write_text(CLICKS)
    put_rows(folder / "landing" / "views" / "0.ndjson", [{"view": "v", "at": "2026-01-01T10:00:00Z"}])
    put_rows(folder / "landing" / "clicks" / "0.ndjson", [{"view": "w", "clicked_at": "2026-01-01T10:00:30Z"}])


def put_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as lines of JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
