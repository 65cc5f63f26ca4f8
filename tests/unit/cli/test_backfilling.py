"""``etl backfill``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Etl = Callable[..., Result]


def change(shop: Path) -> None:
    (shop / "landing" / "1.ndjson").write_text('{"id": 1, "amount": 6.0}\n{"id": 2, "amount": 8.0}\n')


def test_a_dry_run_says_which_files_it_would_read(ran: Etl, shop: Path) -> None:
    change(shop)
    done = ran("backfill", "orders", "--files", "landing/1.ndjson", "--dry-run")

    assert done.exit_code == 0
    first, path = done.stdout.splitlines()
    assert first == "orders: would read 1 file again, 50 B"
    assert path.endswith("landing/1.ndjson")
    assert not (shop / "lake" / "_checkpoints" / "orders" / "backfills").exists()


def test_a_backfill_says_what_it_read_and_replaces_rows(ran: Etl, shop: Path) -> None:
    change(shop)
    done = ran("backfill", "orders", "--files", "landing/*.ndjson")

    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == "orders  2 of 2 files read again, 2 batches: 3 read, 3 written"
    rows = ran("query", "SELECT id, amount FROM silver.orders ORDER BY id", "--format", "csv").stdout
    assert rows.splitlines() == ["id,amount", "1,6.0", "2,8.0", "3,7.5"]
    assert "1 file read again, 1 of 2 with this batch" in ran("history", "orders", "--batch", "2").stdout


def test_a_backfill_is_one_json_document(ran: Etl, told: Any) -> None:
    found = told(ran("backfill", "orders", "--from", "2026-01-01", "--json"))

    assert {key: found[key] for key in ("pipeline", "files", "done")} == {"pipeline": "orders", "files": 2, "done": 2}
    assert [batch["batch_id"] for batch in found["batches"]] == [2, 3]


def test_nothing_chosen_by_its_time_is_told(ran: Etl) -> None:
    done = ran("backfill", "orders", "--to", "1999-12-31T23:59")

    assert (done.exit_code, done.stdout) == (0, "orders  no file to read again\n")


@pytest.mark.parametrize(
    ("arguments", "told_of"),
    [
        ((), "choose with --files"),
        (("--resume", "--abandon"), "choose with --files"),
        (("--resume", "--dry-run"), "--dry-run goes with"),
        (("--from", "yesterday"), "'yesterday' is no day and no moment"),
    ],
)
def test_what_is_meant_has_to_be_said(ran: Etl, arguments: tuple[str, ...], told_of: str) -> None:
    done = ran("backfill", "orders", *arguments)

    assert done.exit_code == 2
    assert told_of in done.stderr


@pytest.mark.parametrize("option", ["--resume", "--abandon"])
def test_there_has_to_be_one_to_go_on_with(ran: Etl, option: str) -> None:
    done = ran("backfill", "orders", option)

    assert done.exit_code == 2
    assert "no backfill was interrupted" in done.stderr


def test_a_file_that_is_not_there_is_told(ran: Etl) -> None:
    done = ran("backfill", "orders", "--files", "landing/9.ndjson")

    assert done.exit_code == 1
    assert "landing/9.ndjson" in done.stderr
