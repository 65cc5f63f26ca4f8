"""State on the command line, in processes of their own: while a run is under way, and after an edit."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PIPELINE

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def remembering(shop: Path, etl: Call) -> Path:
    """Return the project after one batch of a pipeline that remembers ids."""
    text = PIPELINE.replace("  - python: gate:wait\n", "  - python: gate:wait\n  - deduplicate: {keys: [id]}\n")
    (shop / "pipelines" / "orders.yml").write_text(text)
    (shop / "gate").unlink()
    assert etl("run", "orders", "--max-batches", "1").returncode == 0
    os.mkfifo(shop / "gate")
    return shop


def test_state_is_read_while_a_run_goes_on(
    remembering: Path, etl: Call, start: Callable[..., subprocess.Popen[str]]
) -> None:
    running = start("run", "orders")
    with (remembering / "gate").open("w"):  # opens when the batch is under way
        shown = etl("state", "show", "orders", "deduplicate", "--json")
        held = etl("run", "orders")
        (remembering / "gate").unlink()
    running.communicate(timeout=60)

    found: dict[str, Any] = json.loads(shown.stdout)
    assert (found["batch_id"], sorted(row["id"] for row in found["tables"]["seen"])) == (0, [0, 10])
    assert (held.returncode, running.returncode) == (3, 0)
    after = etl("state", "query", "orders", "SELECT COUNT(*) AS ids FROM deduplicate", "--format", "csv")
    assert after.stdout == "ids\n6\n"
    before = etl(
        "state", "query", "orders", "SELECT id FROM deduplicate ORDER BY id", "--batch", "1", "--format", "csv"
    )
    assert before.stdout == "id\n0\n1\n10\n11\n"


def test_an_edit_that_state_cannot_serve_is_told_by_plan_and_refused_by_run(remembering: Path, etl: Call) -> None:
    path = remembering / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("keys: [id]", "keys: [id, _source_offset]"))
    (remembering / "gate").unlink()

    planned, ran = etl("plan", "orders"), etl("run", "orders")

    assert planned.returncode == 0
    assert "deduplicate: refused: keys was (id) and is (id, _source_offset) now" in planned.stdout
    assert (ran.returncode, ran.stderr.splitlines()[-2:]) == (
        4,
        [
            "error: transforms[1].deduplicate: its definition changed: keys was (id) and is (id, _source_offset) now",
            "  undo the change, or build state and table anew from the first file on: etl run orders --full-refresh",
        ],
    )
    assert etl("run", "orders", "--full-refresh").returncode == 0
    assert json.loads(etl("state", "show", "orders", "--json").stdout)["tables"][0]["rows"] == 6
