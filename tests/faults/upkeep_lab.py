"""The upkeep of a table between a merging pipeline and one that reads its changes, whose process dies at an effect."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import polars as pl
import pyarrow.ipc  # noqa: F401  imported before the fork
import yaml  # noqa: F401
from deltalake import write_deltalake

import etl.sources.delta_source
import etl.sources.files  # noqa: F401
from etl.errors import EtlError
from etl.maintenance import maintain
from etl.operations.table_upkeep import VacuumOrder, compact, vacuum
from etl.operations.workspace import Workspace
from etl.pipeline import Pipeline
from etl.seam import Seam
from tests.faults import crash_lab
from tests.readers import table_rows

T = TypeVar("T")
ORDERS = """
version: 1
source: {type: files, path: in/*.ndjson, order: name, batch: {max_files: 1}, schema: {id: int64, part: int64, v: int64}}
sink:
  type: delta
  table: silver.orders
  write_mode: merge
  primary_key: [id]
  partition_by: [part]
  z_order_by: [id, v]
  maintain: {compact: %s, vacuum: 1d, retain: 1d}
"""
COPY = """
version: 1
source: {type: delta, table: silver.orders, read: changes, primary_key: [id], batch: {max_files: 2}}
sink: {type: delta, table: gold.copy, write_mode: merge, primary_key: [id], maintain: {compact: off}}
"""
TABLE = "silver.orders"
KEYS = 40
THEIRS = 1000
"""From which id on rows are of another writer."""

Rows = Counter[tuple[int, int, int]]


class DoneError(EtlError):
    """The upkeep is done, and no batch is to be run."""

    exit_code = 0


class Later(Seam):
    """A seam whose clock is a month ahead: whatever was written is old."""

    def __init__(self, seam: Seam) -> None:
        self._seam = seam

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=30)

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        return self._seam.effect(name, act, torn)


def lay_out(folder: Path, policy: str = "off") -> Path:
    """Return a project of both pipelines, without input."""
    (folder / "pipelines").mkdir(parents=True)
    (folder / "in").mkdir()
    (folder / "pipelines" / "orders.yml").write_text(ORDERS % policy)
    (folder / "pipelines" / "copy.yml").write_text(COPY)
    return folder


def rows_of(number: int) -> list[tuple[int, int, int]]:
    """Return the rows of a batch: every key of its stripe with a new value."""
    return [(key, key % 2, number) for key in range(number % 4, KEYS, 1 + number % 3)]


def arrive(folder: Path, number: int) -> None:
    """Let the file of a batch arrive."""
    lines = [json.dumps({"id": key, "part": part, "v": v}) + "\n" for key, part, v in rows_of(number)]
    (folder / "in" / f"{number:03}.ndjson").write_text("".join(lines))


def append_theirs(folder: Path, number: int) -> None:
    """Append a row as another writer of the table does."""
    rows = pl.DataFrame({"id": [THEIRS + number], "part": [number % 2], "v": [number]})
    write_deltalake(folder / "lake" / "silver" / "orders", rows, mode="append", schema_mode="merge")


def expected(batches: int, theirs: int = 0) -> Rows:
    """Return what the table must hold after so many batches, and rows of another writer."""
    held = {key: (key, part, v) for number in range(batches) for key, part, v in rows_of(number)}
    return Counter([*held.values(), *((THEIRS + number, number % 2, number) for number in range(theirs))])


def found(folder: Path, table: str = TABLE) -> Rows:
    """Return what an independent reader finds in a table."""
    rows = table_rows(folder / "lake" / table.replace(".", "/"))
    return Counter((row["id"], int(row["part"]), row["v"]) for row in rows)


def run_of(name: str, folder: Path, seam: Seam) -> Pipeline:
    """Return a pipeline, to be run."""
    return Workspace(folder).wired(name, seam)


def compacted(folder: Path, seam: Seam) -> Pipeline:
    """Compact the table by hand, run nothing."""
    compact(Workspace(folder), TABLE, seam)
    raise DoneError("done")


def vacuumed(folder: Path, seam: Seam) -> Pipeline:
    """Rid the table of what is old, a month later; run nothing."""
    vacuum(Workspace(folder), TABLE, Later(seam), VacuumOrder())
    raise DoneError("done")


def maintained(folder: Path, seam: Seam) -> Pipeline:
    """Keep the table by its policy, a month later; run nothing."""
    done = maintain(Workspace(folder).wired("orders", Later(seam)), Later(seam), budget_s=3600)
    raise DoneError("done") if not done.failure else OSError(done.failure)


crash_lab.PIPELINES |= {
    "orders": partial(run_of, "orders"),
    "copy": partial(run_of, "copy"),
    "compact": compacted,
    "vacuum": vacuumed,
    "maintain": maintained,
}

if __name__ == "__main__":
    crash_lab.main()
