"""A chain of pipelines, each over the table of the one before, in a process whose children die at a given effect."""

from __future__ import annotations

import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.ipc  # noqa: F401  imported before the fork
import yaml  # noqa: F401
from deltalake import DeltaTable

import etl.sources.delta_source
import etl.sources.files
import etl.transforms.deduplicate
import etl.transforms.group_by
import etl.transforms.watermark  # noqa: F401
from etl.operations.workspace import Workspace
from etl.pipeline import Pipeline
from etl.seam import Seam
from tests.faults import crash_lab

DELAY_M = 10
FILES = 4
CHAIN = {
    "bronze": """
source: {type: files, path: in/*.ndjson, order: name, batch: {max_files: 1},
         schema: {id: int64, user: string, ts: timestamp(UTC), amount: int64}}
sink: {type: delta, table: bronze.events}
""",
    "silver": """
source: {type: delta, table: bronze.events, batch: {max_files: 2}}
transforms:
  - watermark: {column: ts, delay: 10m}
  - deduplicate: {keys: [id, ts]}
sink: {type: delta, table: silver.events}
""",
    "windows": """
source: {type: delta, table: silver.events}
transforms:
  - watermark: {column: ts, delay: 10m}
  - group_by: {by: [user], window: {column: ts, every: 15m}, aggregate: {n: COUNT(*), total: SUM(amount)}}
sink: {type: delta, table: gold.windows}
""",
    "users": """
source: {type: delta, table: silver.events, batch: {max_files: 1}}
transforms:
  - group_by: {by: [user], aggregate: {n: COUNT(*), total: SUM(amount)}, emit: updates}
sink: {type: delta, table: silver.users, write_mode: merge, primary_key: [user]}
""",
    "sizes": """
source: {type: delta, table: silver.users, read: changes, primary_key: [user], batch: {max_files: 1}}
transforms:
  - group_by: {by: {is_many: n > 4}, aggregate: {users: COUNT(*), total: SUM(total)}, emit: updates}
sink: {type: delta, table: gold.sizes, write_mode: merge, primary_key: [is_many]}
""",
}
"""What each pipeline file says, in the order in which they read one another's tables."""


def events_of(number: int) -> list[dict[str, Any]]:
    """Return the rows of a file: half an hour of events, out of order by less than the delay, a third of them twice."""
    chosen = random.Random(number)
    rows = []
    for place in range(30):
        minute = number * 30 + place + chosen.randrange(-4, 5)
        rows.append(
            {
                "id": number * 100 + place,
                "user": chosen.choice(["ann", "bob", "cy", None, f"u{number}"]),
                "ts": f"2026-01-01T{10 + minute // 60:02}:{minute % 60:02}:00Z",
                "amount": chosen.randrange(100),
            }
        )
    return [*rows, *rows[::3]]


def lay_out(folder: Path) -> Path:
    """Return a project folder with the chain, and no input yet."""
    (folder / "pipelines").mkdir(parents=True)
    (folder / "in").mkdir()
    for name, text in CHAIN.items():
        (folder / "pipelines" / f"{name}.yml").write_text(f"version: 1\nname: {name}{text}")
    return folder


def arrive(folder: Path, number: int) -> None:
    """Let a file arrive."""
    lines = [json.dumps(row) + "\n" for row in events_of(number)]
    (folder / "in" / f"{number}.ndjson").write_text("".join(lines))


def tidy(folder: Path, table: str) -> None:
    """Compact a table by another engine."""
    path = folder / "lake" / table
    if any((path / "_delta_log").glob("*.json")):
        DeltaTable(path).optimize.compact()


def wired(name: str, folder: Path, seam: Seam) -> Pipeline:
    """Return a pipeline of the chain."""
    return Workspace(folder).wired(name, seam)


if __name__ == "__main__":
    crash_lab.PIPELINES |= {name: partial(wired, name) for name in CHAIN}
    crash_lab.main()
