"""Event time and state as the command line tells them: status, history, plan, and the late table in all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.remembering import make_visits, put_visits


@pytest.fixture
def ran(etl: Any, shop: Path) -> Any:
    """Return a function that runs a command in a project whose pipeline remembers rows, and has a late one."""
    (shop / "pipelines" / "orders.yml").unlink()
    make_visits(shop)
    assert etl("run", "visits").exit_code == 0
    return etl


def edit(shop: Path, before: str, after: str) -> None:
    path = shop / "pipelines" / "visits.yml"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))


def test_status_tells_the_watermark_and_what_is_remembered(ran: Any, told: Any) -> None:
    line = ran("status").stdout.splitlines()[3]
    (found,) = told(ran("status", "--json"))

    assert line.startswith("visits: watermark 2026-01-01 10:17:00 UTC; deduplicate, group_by remember 3 rows, ")
    assert (found["watermark"], found["remembered"]["rows"]) == ("2026-01-01T10:17:00+00:00", 3)
    assert found["remembered"]["bytes"] == sum(each["bytes"] for each in found["last_batch"]["state"].values())


def test_history_tells_watermark_state_and_late_rows_of_a_batch(ran: Any, told: Any) -> None:
    lines = ran("history", "visits", "--batch", "3").stdout.splitlines()
    (found,) = told(ran("history", "visits", "--batch", "3", "--json"))

    assert "  watermark    2026-01-01 10:17:00 UTC" in lines
    assert any(line.startswith("  remembered   deduplicate: 2 rows, ") for line in lines)
    assert any(line.startswith("               group_by: 1 row, ") for line in lines)
    assert (found["rows"]["late"], found["watermark"]) == (1, "2026-01-01T10:17:00+00:00")
    assert {name: each["rows"] for name, each in found["state"].items()} == {"deduplicate": 2, "group_by": 1}
    assert found["tables"] == {"silver.visits__late": 0}


def test_history_marks_the_first_batch_of_another_definition(
    ran: Any, shop: Path, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(shop, "total: SUM(amount)", "total: SUM(amount), most: MAX(amount)")
    put_visits(shop, 4, ("g", "10:24", "DE", 64.0))
    put_visits(shop, 5, ("h", "10:24", "DE", 64.0))
    assert ran("run", "visits").exit_code == 0

    monkeypatch.setenv("COLUMNS", "120")
    lines = ran("history", "visits").stdout.splitlines()
    definitions = [each["definition"] for each in told(ran("history", "visits", "--json"))]

    assert [line.endswith("new definition") for line in lines[3:]] == [False, False, False, False, True, False]
    assert [one == definitions[0] for one in definitions] == [True, True, True, True, False, False]


def test_plan_says_what_becomes_of_state(ran: Any, shop: Path, told: Any) -> None:
    put_visits(shop, 4, ("g", "10:24", "DE", 64.0))
    assert "  state " not in ran("plan", "visits").stdout

    edit(shop, "total: SUM(amount)", "total: SUM(amount), most: MAX(amount)")
    lines = ran("plan", "visits").stdout.splitlines()
    state = told(ran("plan", "visits", "--json"))["state"]

    assert lines[-2:] == [
        "  state        deduplicate: no effect",
        "               group_by: goes on: most is new and starts empty",
    ]
    assert [each["verdict"] for each in state] == ["same", "compatible"]


def test_plan_says_that_state_would_be_refused_also_where_nothing_is_new(ran: Any, shop: Path) -> None:
    edit(shop, "by: [country]", "by: [id]")

    lines = ran("plan", "visits").stdout.splitlines()

    assert lines[1:] == [
        "  next batch   4: nothing new to read",
        "  definition   edited: holds from batch 4 on, rows already in the table stay as they are",
        "  state        deduplicate: no effect",
        "               group_by: refused: by was (country) and is (id) now",
        "  would fail   transforms[2].group_by: its definition changed: by was (country) and is (id) now",
        "  undo the change, or build state and table anew from the first file on: etl run visits --full-refresh",
    ]
    done = ran("run", "visits")
    assert (done.exit_code, done.stderr.splitlines()[-2:]) == (4, [f"error: {lines[-2][15:]}", lines[-1]])


def test_the_late_table_is_traced_like_any_other(ran: Any) -> None:
    lines = ran("trace", "silver.visits__late").stdout.splitlines()

    assert lines[0] == "silver.visits__late version 0: WRITE"
    assert lines[2] == "  1 file; rows: 1 read, 1 late"
    assert ran("trace", "silver.visits__late", "--file", "landing/visits/03.ndjson").stdout.splitlines()[1:] == [
        "  batch 3: silver.visits__late version 0, 1 rows read, 1 in the table",
        "    1 read, 1 late",
    ]
    assert ran("trace", "silver.visits__late", "--row", "id=f").stdout.splitlines()[-1].split() == [
        "landing/visits/03.ndjson", "0", "3", "0",
    ]  # fmt: skip


def test_the_late_table_is_queried_by_name(ran: Any) -> None:
    done = ran("query", "SELECT id, amount FROM silver.visits__late", "--format", "csv")

    assert done.stdout == "id,amount\nf,32.0\n"
