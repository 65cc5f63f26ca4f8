from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from typer.testing import Result

STRICT = """\
version: 1
source: {type: files, path: landing/*.ndjson, schema: {id: int64, amount: float64}, batch: {max_files: 1}}
sink: {type: delta, table: silver.orders}
"""
EVOLVING = STRICT.replace("batch:", "schema_contract: evolve, batch:")


@pytest.fixture
def rejecting(shop: Path, etl: Callable[..., Result]) -> Callable[..., Result]:
    """Return the command line, after a run that rejected two rows of one file and one of the other."""
    (shop / "pipelines" / "orders.yml").write_text(STRICT)
    (shop / "landing" / "1.ndjson").write_text('{"id": 1, "amount": 5.0}\n{"id": 2, "more": 1}\nx\x1b\n')
    (shop / "landing" / "2.ndjson").write_text('{"id": 3, "more": 2}\n')
    assert etl("run", "--all").exit_code == 0
    return etl


def ids(etl: Callable[..., Result], told: Any) -> list[int]:
    return [row["id"] for row in told(etl("query", "SELECT id FROM silver.orders ORDER BY id", "--format", "json"))]


def test_list_counts_rows_by_rule_and_status(rejecting: Any, told: Any) -> None:
    lines = rejecting("quarantine", "list", "orders").stdout.splitlines()

    assert lines[0] == "orders → silver.orders__quarantine"
    assert lines[1].split() == ["rule", "status", "rows", "first", "batch", "last", "batch"]
    assert [line.split() for line in lines[3:]] == [
        ["new_column", "open", "2", "0", "1"],
        ["syntax", "open", "1", "0", "0"],
    ]
    assert told(rejecting("quarantine", "list", "orders", "--rule", "syntax", "--json")) == [
        {"rule": "syntax", "status": "open", "rows": 1, "first_batch": 0, "last_batch": 0}
    ]
    assert rejecting("quarantine", "list", "orders", "--status", "replayed").stdout == "no such rows\n"


def test_show_tells_what_a_row_was_and_where_it_stood(rejecting: Any, told: Any) -> None:
    done = rejecting("quarantine", "show", "orders", "--rule", "new_column", "--rows", "1")

    assert done.stdout == (
        "0-1  open  new_column: column more is not in the schema\n"
        "  landing/1.ndjson, line 2, offset 25\n"
        '  {"id": 2, "more": 1}\n'
    )
    (row,) = told(rejecting("quarantine", "show", "orders", "--file", "landing/2.ndjson", "--json"))
    assert (row["row_id"], row["raw"], row["raw_bytes"]) == ("1-1", '{"id": 3, "more": 2}', None)
    assert rejecting("quarantine", "show", "orders", "--batch", "9").stdout == "no such rows\n"


def test_what_a_row_was_cannot_move_the_cursor(rejecting: Any) -> None:
    assert "\n  x\\x1b\n" in rejecting("quarantine", "show", "orders", "--rule", "syntax").stdout


def test_replay_says_what_became_of_the_rows(rejecting: Any, told: Any, shop: Path) -> None:
    (shop / "pipelines" / "orders.yml").write_text(EVOLVING)

    dry = rejecting("quarantine", "replay", "orders", "--dry-run")
    done = rejecting("quarantine", "replay", "orders")

    assert dry.stdout == "would replay 3 rows in 1 batch\n  new_column: 2\n  syntax: 1\n"
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "orders  3 rows replayed: 2 written, 1 rejected again, batch 2"
    assert ids(rejecting, told) == [1, 2, 3]
    assert rejecting("quarantine", "replay", "orders", "--rule", "new_column").stdout == "no open rows\n"


def test_replay_as_json_is_one_document(rejecting: Any, told: Any, shop: Path) -> None:
    (shop / "pipelines" / "orders.yml").write_text(EVOLVING)

    dry = told(rejecting("quarantine", "replay", "orders", "--row", "1-1", "--dry-run", "--json"))
    done = told(rejecting("quarantine", "replay", "orders", "--row", "1-1", "--row", "0-1", "--json"))

    assert dry == {"action": "replay", "rules": {"new_column": 1}, "rows": 1, "batches": 1, "not_kept": 0}
    assert {name: done[name] for name in ("pipeline", "action", "rows", "written", "rejected_again", "not_kept")} == {
        "pipeline": "orders",
        "action": "replay",
        "rows": 2,
        "written": 2,
        "rejected_again": 0,
        "not_kept": 0,
    }
    (batch,) = done["batches"]
    assert (batch["batch_id"], batch["tables"]) == (2, {"silver.orders": 1, "silver.orders__quarantine": 2})


def test_a_dry_run_changes_nothing(rejecting: Any, shop: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted((shop / "lake").rglob("*"))}

    rejecting("quarantine", "replay", "orders", "--dry-run")
    rejecting("quarantine", "discard", "orders", "--all", "--dry-run")

    assert {path: path.stat().st_mtime_ns for path in sorted((shop / "lake").rglob("*"))} == before


def test_discard_wants_a_selection_or_all(rejecting: Any) -> None:
    refused = rejecting("quarantine", "discard", "orders")
    one = rejecting("quarantine", "discard", "orders", "--file", "landing/2.ndjson")
    rest = rejecting("quarantine", "discard", "orders", "--all")

    assert refused.exit_code == 2
    assert "or say --all for every one" in refused.stderr
    assert rejecting("quarantine", "discard", "orders", "--all", "--rule", "syntax").exit_code == 2
    assert one.stdout.splitlines()[-1] == "orders  1 row discarded, batch 2"
    assert rest.stdout.splitlines()[-1] == "orders  2 rows discarded, batch 3"


def test_a_status_that_is_none_is_refused(rejecting: Any) -> None:
    done = rejecting("quarantine", "list", "orders", "--status", "closed")

    assert (done.exit_code, "one of open, replayed, discarded" in done.stderr) == (2, True)


def test_a_row_that_is_not_there_is_refused(rejecting: Any) -> None:
    done = rejecting("quarantine", "replay", "orders", "--row", "7-7")

    assert done.exit_code == 2
    assert done.stderr == (
        "error: silver.orders__quarantine: there is no row 7-7 among them\n  etl quarantine show orders\n"
    )


def test_status_tells_how_many_rows_wait_in_the_quarantine(rejecting: Any, told: Any) -> None:
    header, _, line = rejecting("status").stdout.splitlines()
    (found,) = told(rejecting("status", "--json"))

    assert (header.split()[-1], line.split()[-1]) == ("quarantined", "3")
    assert found["quarantine"] == {"open": 3}


def test_history_notes_replays_and_changes_of_the_schema(rejecting: Any, told: Any, shop: Path) -> None:
    (shop / "pipelines" / "orders.yml").write_text(EVOLVING)
    rejecting("quarantine", "replay", "orders")

    lines = rejecting("history", "orders").stdout.splitlines()
    batch = rejecting("history", "orders", "--batch", "2").stdout
    (document,) = told(rejecting("history", "orders", "--batch", "2", "--json"))

    assert lines[0] == "orders → silver.orders"
    assert lines[1].split()[-1] == "note"
    note = lines[-1].split("  ")[-1].strip()
    assert (note[:9], note[-8:]) == ("new defin", ", replay")
    assert "  tables       silver.orders version 1, silver.orders__quarantine version 2\n" in batch
    assert "  schema       new column more int64\n" in batch
    assert "  quarantine   3 rows replayed\n" in batch
    assert [line.split() for line in batch.splitlines()[-4:]] == [
        ["file", "read", "written", "quarantined"],
        ["────────────────", "────", "───────", "───────────"],
        ["landing/1.ndjson", "2", "1", "1"],
        ["landing/2.ndjson", "1", "1", "0"],
    ]
    assert document["files"]["landing/1.ndjson"] == {"read": 2, "written": 1, "quarantined": 1}
    assert document["resolution"] == {"action": "replay", "rows": ["0-1", "0-2", "1-1"]}


def test_trace_of_a_file_tells_all_fates_of_its_rows(rejecting: Any, told: Any) -> None:
    (passage,) = told(rejecting("trace", "silver.orders", "--file", "landing/1.ndjson", "--json"))

    assert rejecting("trace", "silver.orders", "--file", "landing/1.ndjson").stdout == (
        "landing/1.ndjson\n"
        "  batch 0: silver.orders version 0, 3 rows read, 1 in the table\n"
        "    3 read, 1 written, 2 quarantined\n"
        "    2 rows wait in the quarantine\n"
    )
    assert (passage["fates"], passage["open_rows"]) == ({"read": 3, "written": 1, "quarantined": 2}, 2)
    assert "silver.orders__quarantine version 1" in rejecting("trace", "silver.orders__quarantine").stdout


def test_plan_and_run_name_the_file_that_brings_a_column(rejecting: Any, shop: Path) -> None:
    (shop / "pipelines" / "orders.yml").write_text(EVOLVING)
    (shop / "landing" / "3.ndjson").write_text('{"id": 4, "new": "x"}\n')

    planned = rejecting("plan", "orders").stdout
    rejecting("run", "orders")

    assert "  input        1 new column from landing/3.ndjson: new string\n" in planned
    assert (
        "  schema       new column new string from landing/3.ndjson\n"
        in rejecting("history", "orders", "--batch", "2").stdout
    )


def test_preview_tells_what_would_be_rejected_beside_the_rows(etl: Any, shop: Path) -> None:
    (shop / "pipelines" / "orders.yml").write_text(STRICT)
    (shop / "landing" / "1.ndjson").write_text('{"id": 1, "amount": 5.0}\n' + "x\n" * 7)
    (shop / "landing" / "2.ndjson").unlink()

    done = etl("preview", "orders", "--json")

    assert [row["id"] for row in json.loads(done.stdout)] == [1]
    lines = done.stderr.splitlines()
    assert lines[0] == "7 rows rejected, which a run takes into the quarantine:"
    assert lines[1].startswith("  landing/1.ndjson:2: syntax: ")
    assert (len(lines), lines[-1]) == (7, "  … and 2 more rows")
