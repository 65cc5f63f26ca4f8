"""``etl verify``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import Result

Etl = Callable[..., Result]


def test_a_sound_pipeline_is_told_check_by_check(ran: Etl) -> None:
    done = ran("verify", "orders", "--deep")

    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "orders → silver.orders  2 batches"
    assert [line.split()[:2] for line in lines[3:]] == [
        [check, "ok"] for check in ("plans", "manifests", "balance", "epochs", "tables", "files", "strays", "rows")
    ]


def test_what_disagrees_is_told_with_what_mends_it(ran: Etl, shop: Path) -> None:
    (file, _) = sorted((shop / "lake" / "silver" / "orders").glob("*.parquet"))
    file.unlink()
    done = ran("verify", "orders")

    assert done.exit_code == 4
    assert done.stdout.splitlines()[-3:] == [
        "files: 1 fault",
        f"  silver.orders: {file.name} of batch 0 is gone",
        "  etl run orders --full-refresh",
    ]


def test_what_could_not_be_proven_is_told(ran: Etl, shop: Path) -> None:
    (shop / "landing" / "1.ndjson").unlink()
    done = ran("verify", "orders", "--deep")

    assert done.exit_code == 0
    assert done.stdout.splitlines()[-2:] == [
        "not proven:",
        "  rows of files that are gone or have changed, such as landing/1.ndjson",
    ]


def test_a_verification_is_one_json_document(ran: Etl, told: Any) -> None:
    found = told(ran("verify", "orders", "--json"))

    assert (found["pipeline"], found["batches"], found["is_ok"]) == ("orders", 2, True)
    assert [check["check"] for check in found["checks"]][:2] == ["plans", "manifests"]


def test_a_pipeline_that_never_ran_is_told_so(etl: Etl) -> None:
    done = etl("verify", "orders")

    assert (done.exit_code, done.stdout) == (0, "orders: never run\n")
