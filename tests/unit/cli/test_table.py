from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typer.testing import Result


def test_info_says_what_a_table_is(ran: Callable[..., Result]) -> None:
    lines = ran("table", "info", "silver.orders").stdout.splitlines()
    assert lines[0].startswith("silver.orders  ")
    told = {line[2:15].strip(): line[16:] for line in lines[1:]}
    assert told["written by"] == "orders"
    assert told["version"] == "1"
    assert told["rows"] == "2"
    assert told["a scan opens"] == "5 files; 2 would do"
    assert lines[-1] == "  newest batch of orders: 1"


def test_history_says_who_made_each_version(ran: Callable[..., Result], told: Any) -> None:
    lines = ran("table", "history", "silver.orders").stdout.splitlines()
    assert lines[0].split() == [
        *("version", "at", "operation", "pipeline", "batch", "rows", "files", "+", "files", "-", "data")
    ]
    assert [line.split()[0] for line in lines[2:]] == ["1", "0"]
    versions = told(ran("table", "history", "silver.orders", "--json", "--limit", "1"))
    assert [(each["version"], each["pipeline"], each["batch_id"], each["rows"]) for each in versions] == [
        (1, "orders", 1, 1)
    ]


def test_compact_says_what_it_would_do_and_did(ran: Callable[..., Result], told: Any) -> None:
    assert "would make about 1 file of 2" in ran("table", "compact", "silver.orders", "--dry-run").stdout
    assert told(ran("table", "history", "silver.orders", "--json"))[0]["version"] == 1
    assert "2 files became 1" in ran("table", "compact", "silver.orders").stdout
    assert ran("table", "compact", "silver.orders").stdout == "silver.orders: no small files that belong together\n"
    assert told(ran("table", "history", "silver.orders", "--json"))[0]["is_data_change"] is False
    assert told(ran("status", "--json"))[0]["health"]["files"] == 1


def test_vacuum_deletes_nothing_in_a_dry_run_and_what_is_old_without(
    ran: Callable[..., Result], told: Any, shop: Path
) -> None:
    ran("table", "compact", "silver.orders")
    dry = ran("table", "vacuum", "silver.orders", "--retain", "0s", "--dry-run")
    assert "would delete 1 file" in dry.stdout
    refused = ran("table", "vacuum", "silver.orders", "--retain", "0s")
    assert refused.exit_code == 2
    assert "say --force" in refused.output
    assert len(list((shop / "lake" / "silver" / "orders").glob("*.parquet"))) == 3
    assert len(told(ran("table", "vacuum", "silver.orders", "--retain", "0s", "--force", "--json"))["files"]) == 1
    assert len(list((shop / "lake" / "silver" / "orders").glob("*.parquet"))) == 2


def test_an_unknown_table_is_told_with_those_that_there_are(ran: Callable[..., Result]) -> None:
    found = ran("table", "info", "silver.orderz")
    assert found.exit_code == 2
    assert "unknown table 'silver.orderz'; did you mean 'silver.orders'?" in found.output


def test_status_of_one_pipeline_tells_how_its_table_stands(ran: Callable[..., Result]) -> None:
    (line,) = [line for line in ran("status", "orders").stdout.splitlines() if line.startswith("silver.orders:")]
    assert (
        line == "silver.orders: 2 files (50% small), 2 log versions (2 since its summary); a scan opens 5, 2 would do"
    )
    assert "a scan opens" not in ran("status").stdout
