"""Two generations of a pipeline to refresh, and what a reader may find in its table."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from etl.engine import run
from etl.model import BatchResult, Bounds
from etl.operations.refreshing import begin_refresh
from etl.progress import Silent
from etl.seam import Seam
from tests.faults.crash_lab import refreshed_files
from tests.readers import table_rows

OLD: list[list[dict[str, Any]]] = [[{"id": 1, "kind": "a", "amount": 1.5}], [{"id": 2, "kind": "b", "amount": 2.5}]]
NEW: list[list[dict[str, Any]]] = [
    [{"id": 1, "kind": "a", "amount": "1.50"}, {"id": 3, "kind": "b/é", "amount": "x"}],
    [{"id": 4, "kind": None, "amount": "y"}, {"id": 4, "kind": None, "amount": "y"}],
]


def multiset(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(json.dumps([row["id"], row["kind"], row["amount"]]) for row in rows)


OLD_ROWS = multiset([row for rows in OLD for row in rows])
NEW_ROWS = multiset([row for rows in NEW for row in rows])
VISIBLE = (OLD_ROWS, NEW_ROWS)
"""What a reader may see at any moment: all old rows, or all new ones."""


def found(folder: Path) -> Counter[str]:
    return multiset(table_rows(folder / "table"))


def run_all(folder: Path, max_batches: int | None = None) -> list[BatchResult]:
    return run(refreshed_files(folder, Seam()), Seam(), Silent(), Bounds(max_batches))


def refresh(folder: Path) -> list[BatchResult]:
    begin_refresh(refreshed_files(folder, Seam()), Seam())
    return run_all(folder)


def lay_out(folder: Path) -> Path:
    for name, batches in (("old", OLD), ("new", NEW)):
        (folder / name).mkdir(parents=True)
        for number, rows in enumerate(batches):
            (folder / name / f"{number}.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def with_late_file(template: Path, folder: Path) -> Path:
    """Return a copy in which the old generation has something to do."""
    shutil.copytree(template, folder)
    (folder / "old" / "late.ndjson").write_text('{"id": 9, "kind": "a", "amount": 9.5}\n')
    return folder


def is_begun(folder: Path) -> bool:
    return (folder / "checkpoint" / "pipeline.2.json").exists()


def stray_files(folder: Path) -> set[str]:
    """Return data files that no version ever referred to, and temporary files of the checkpoint."""
    commits = (folder / "table" / "_delta_log").glob("*.json")
    actions = [json.loads(line) for commit in commits for line in commit.read_text().splitlines()]
    referred = {unquote(action["add"]["path"]) for action in actions if "add" in action}
    lying = {str(path.relative_to(folder / "table")) for path in (folder / "table").rglob("*.parquet")}
    return (lying - referred) | {str(path) for path in (folder / "checkpoint").rglob(".tmp-*")}
