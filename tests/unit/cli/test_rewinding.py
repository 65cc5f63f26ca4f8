"""``etl rewind``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from etl.cli.app import app

Etl = Callable[..., Result]
TABLE = [
    "orders back to the end of batch 0: 1 batch undone",
    "table          is at version  back to  files out  files back",
    "─────────────  ─────────────  ───────  ─────────  ──────────",
    "silver.orders              1        0          1           0",
]


def test_a_dry_run_says_what_would_be_done(ran: Etl, shop: Path) -> None:
    done = ran("rewind", "orders", "--to-batch", "0", "--dry-run")

    assert (done.exit_code, done.stdout.splitlines()) == (0, TABLE)
    assert not (shop / "lake" / "_checkpoints" / "orders" / "pipeline.2.json").exists()


def test_a_rewind_says_what_it_did_and_what_comes_next(ran: Etl) -> None:
    done = ran("rewind", "orders", "--to-version", "0", "--yes")

    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        *TABLE,
        "orders stands at the end of batch 0; now: etl run orders",
    ]
    assert "batch 1" in ran("run", "orders").stdout


@pytest.mark.usefixtures("ran")
def test_a_rewind_asks_first(shop: Path) -> None:
    command = ["-C", str(shop), "rewind", "orders", "--to-batch", "0"]
    refused = CliRunner().invoke(app, command, input="n\n", prog_name="etl")

    assert refused.exit_code == 1
    assert not (shop / "lake" / "_checkpoints" / "orders" / "pipeline.2.json").exists()
    assert CliRunner().invoke(app, command, input="y\n", prog_name="etl").exit_code == 0
    assert (shop / "lake" / "_checkpoints" / "orders" / "pipeline.2.json").exists()


def test_a_rewind_is_one_json_document(ran: Etl, told: Any) -> None:
    found = told(ran("rewind", "orders", "--to-batch", "0", "--yes", "--json"))

    assert (found["batch_id"], found["undone"]) == (0, 1)
    assert found["tables"] == [{"table": "silver.orders", "head": 1, "version": 0, "files_out": 1, "files_back": 0}]


def test_one_target_is_wanted(ran: Etl) -> None:
    assert ran("rewind", "orders").exit_code == 2
    assert ran("rewind", "orders", "--to-batch", "0", "--to-version", "0").exit_code == 2
