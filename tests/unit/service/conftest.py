from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from etl.model import Bounds
from etl.operations.running import Running, run_pipelines
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from tests.fleets import Stage

ORDERS = """\
source: {type: files, path: landing/orders/*.ndjson, batch: {max_files: 1}}
transforms:
  - filter: amount >= 0
sink: {type: delta, table: silver.orders}
sla: {max_age: 15m}
"""


@pytest.fixture
def stage() -> Stage:
    """Return a fleet with one pipeline."""
    found = Stage()
    found.put("orders", trigger="every 30s")
    return found


@pytest.fixture
def home(tmp_path: Path) -> Workspace:
    """Return a project with one pipeline and two files of orders."""
    folder = tmp_path / "shop"
    (folder / "pipelines").mkdir(parents=True)
    (folder / "pipelines" / "orders.yml").write_text(ORDERS)
    landing = folder / "landing" / "orders"
    landing.mkdir(parents=True)
    for name, amount in (("1", 5.0), ("2", 7.5)):
        (landing / f"{name}.ndjson").write_text(json.dumps({"order_id": int(name), "amount": amount}) + "\n")
    return Workspace(folder)


@pytest.fixture
def run_one(home: Workspace) -> Callable[[], None]:
    """Run one batch of every pipeline."""

    def run() -> None:
        for outcome in run_pipelines(home, None, Running(Seam(), Silent(), Bounds(max_batches=1))):
            assert outcome.error is None

    return run
