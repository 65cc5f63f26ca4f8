"""``etl checkpoint``."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import Result

Etl = Callable[..., Result]


def records(shop: Path) -> Path:
    return shop / "lake" / "_checkpoints" / "orders"


def test_what_a_checkpoint_holds_is_shown(ran: Etl, told: Any) -> None:
    shown = ran("checkpoint", "show", "orders").stdout
    found = told(ran("checkpoint", "show", "orders", "--json"))

    assert "2 committed" in shown
    assert "1 (first), begun" in shown
    assert (found["committed"], found["is_open"], found["generation"], found["kind"]) == (1, False, 1, "first")


def test_a_lost_checkpoint_is_made_again(ran: Etl, shop: Path) -> None:
    shutil.rmtree(records(shop))
    refused = ran("run", "orders")
    assert refused.exit_code == 4
    assert "etl checkpoint rebuild orders" in refused.stderr

    intended = ran("checkpoint", "rebuild", "orders", "--dry-run")
    assert intended.stdout.splitlines() == ["orders: would make: 2 batches", "  silver.orders: version 1"]
    assert not (records(shop) / "pipeline.json").exists()
    done = ran("checkpoint", "rebuild", "orders")

    assert done.stdout.splitlines() == [
        "orders: made again: 2 batches",
        "  silver.orders: version 1",
        "now: etl run orders",
    ]
    assert ran("run", "orders").stdout == "orders  nothing new\n"
    assert ran("verify", "orders", "--deep").exit_code == 0
    assert ran("history", "orders").exit_code == 0
    assert ran("checkpoint", "rebuild", "orders").exit_code == 2


def test_a_copy_is_put_back(ran: Etl, shop: Path, told: Any) -> None:
    assert ran("checkpoint", "export", "orders", "backup/orders").exit_code == 0
    shutil.rmtree(records(shop))
    assert ran("run", "orders").exit_code == 4

    done = told(ran("checkpoint", "import", "orders", "backup/orders", "--json"))

    assert done["committed"] == 1
    assert ran("run", "orders").stdout == "orders  nothing new\n"
    assert ran("checkpoint", "import", "orders", "backup/orders").exit_code == 2


def test_a_copy_from_before_the_newest_batch_is_refused(ran: Etl, shop: Path) -> None:
    assert ran("checkpoint", "export", "orders", "backup").exit_code == 0
    (shop / "landing" / "3.ndjson").write_text('{"id": 9, "amount": 1.0}\n')
    assert ran("run", "orders").exit_code == 0
    shutil.rmtree(records(shop))

    refused = ran("checkpoint", "import", "orders", "backup")

    assert (refused.exit_code, records(shop).exists()) == (4, False)
    assert "table_ahead" in refused.stderr


def test_a_folder_that_is_no_copy_is_refused(ran: Etl, shop: Path) -> None:
    shutil.rmtree(records(shop))

    assert ran("checkpoint", "import", "orders", "landing").exit_code == 4
    assert ran("checkpoint", "show", "orders").exit_code == 2


def test_a_copy_into_one_of_another_time_is_refused(ran: Etl, shop: Path) -> None:
    assert ran("checkpoint", "export", "orders", "backup").exit_code == 0
    (shop / "backup" / "offsets" / "0000000001.json").write_text("other")

    refused = ran("checkpoint", "export", "orders", "backup")

    assert (refused.exit_code, "is there already" in refused.stderr) == (2, True)
