"""``etl repair``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import Result

Etl = Callable[..., Result]


def log_entry(shop: Path, version: int) -> Path:
    return shop / "lake" / "silver" / "orders" / "_delta_log" / f"{version:020d}.json"


def test_nothing_to_mend_is_told(ran: Etl) -> None:
    done = ran("repair", "orders")

    assert (done.exit_code, done.stdout) == (0, "orders: nothing to mend\n")


def test_a_dry_run_says_what_would_be_mended_and_a_repair_what_was(ran: Etl, shop: Path) -> None:
    log_entry(shop, 1).write_bytes(b"")
    intended = ran("repair", "orders", "--dry-run")

    assert log_entry(shop, 1).read_bytes() == b""
    assert intended.stdout.splitlines() == [
        "would mend: silver.orders: the torn version 1 is set aside",
        "would mend: silver.orders: batch 1 is committed again, as version 1 (main)",
    ]
    assert ran("repair", "orders").stdout == intended.stdout.replace("would mend", "mended")
    assert ran("verify", "orders").exit_code == 0


def test_what_cannot_be_mended_is_told_with_what_can(ran: Etl, shop: Path) -> None:
    log_entry(shop, 1).unlink()
    next((shop / "lake" / "silver" / "orders").glob("part-*-0000000001-*.parquet")).unlink()
    done = ran("repair", "orders")

    assert done.exit_code == 4
    assert done.stderr.startswith("not mended: silver.orders: table_behind: version 1 of batch 1 is lost")
    assert done.stderr.splitlines()[-1] == (
        "  or go back to the batch that the table holds: etl rewind orders --to-batch N"
    )


def test_a_repair_is_one_json_document(ran: Etl, told: Any) -> None:
    assert told(ran("repair", "orders", "--json")) == {"pipeline": "orders", "mended": [], "left": ""}
