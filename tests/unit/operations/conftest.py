from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etl.model import Bounds
from etl.operations.running import Outcome, Running, run_pipelines
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from etl.storage import LocalStorage
from etl.testing import MemorySink, MemorySource, memory_pipeline
from tests.unit.operations.resolving import edit

ORDERS = """\
version: 1
source:
  type: files
  path: landing/orders/*.ndjson
  batch: {max_files: 1}
transforms:
  - filter: amount >= 0
  - with_columns: {double: amount * 2}
sink: {type: delta, table: silver.orders}
quarantine: {max_fraction: 0}
"""
"""A row that is rejected fails the batch."""

BIG = """\
version: 1
source: {type: files, path: lake/silver/orders/*.parquet, schema: {order_id: int64, amount: float64}}
transforms:
  - filter: amount > 100
sink: {type: delta, table: gold.big}
"""


@pytest.fixture
def home(tmp_path: Path) -> Workspace:
    """Return a project with one pipeline and two files of orders."""
    folder = tmp_path / "shop"
    (folder / "pipelines").mkdir(parents=True)
    (folder / "pipelines" / "orders.yml").write_text(ORDERS)
    put(folder, "1", [{"order_id": 1, "amount": 5.0}, {"order_id": 2, "amount": -1.0}])
    put(folder, "2", [{"order_id": 3, "amount": 7.5}])
    return Workspace(folder)


def put(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    """Write rows into ``landing/orders/<name>.ndjson``."""
    path = folder / "landing" / "orders" / f"{name}.ndjson"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def put_orders(home: Workspace) -> Callable[[str, list[dict[str, Any]]], Path]:
    return lambda name, rows: put(home.folder, name, rows)


@pytest.fixture
def run_all() -> Callable[..., list[Outcome]]:
    def run(home: Workspace, *names: str, bounds: Bounds | None = None) -> list[Outcome]:
        running = Running(Seam(), Silent(), bounds or Bounds())
        return list(run_pipelines(home, names or None, running))

    return run


@pytest.fixture
def snapshot() -> Callable[[Path], dict[str, bytes | None]]:
    """Return a function that tells every path below a folder with its content, None for folders."""

    def take(folder: Path) -> dict[str, bytes | None]:
        return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}

    return take


@pytest.fixture
def memory(tmp_path: Path) -> tuple[MemorySource, MemorySink, Any]:
    """Return a source with one unit of rows, a sink, and a function that wires them."""
    source, sink = MemorySource(), MemorySink()
    source.add([{"id": 1}])

    def wired(**changes: Any) -> Any:
        return memory_pipeline(source, sink, LocalStorage(tmp_path / "checkpoint", Seam()), **changes)

    return source, sink, wired


@pytest.fixture
def shop(home: Workspace, run_all: Any, put_orders: Any) -> Workspace:
    """Return a project whose pipeline rejected one row of each of two files."""
    put_orders("2", [{"order_id": 3, "amount": -7.5}, {"order_id": 4, "amount": 1.0}])
    edit(home)
    (outcome,) = run_all(Workspace(home.folder))
    assert outcome.error is None
    return Workspace(home.folder)
