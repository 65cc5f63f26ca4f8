"""A pipeline with rules, through the commands: what passes, what is set aside, and what is told of both."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

Etl = Callable[..., CompletedProcess[str]]
RULES = """\
version: 1
source: {type: files, path: landing/*.ndjson, order: name, batch: {max_files: 1}}
transforms:
  - filter: id <> 9
  - with_columns: {double: amount * 2}
expect:
  - {name: paid, check: amount >= 0}
  - {name: known, check: kind IN ('a'), otherwise: drop}
  - {name: small, check: double < 10, otherwise: warn}
sink: {type: delta, table: silver.orders}
"""
FILES: list[list[dict[str, Any]]] = [
    [
        {"id": 1, "amount": 1.5, "kind": "a"},
        {"id": 2, "amount": -1.0, "kind": "z"},
        {"id": 3, "amount": 2.0, "kind": "z"},
        {"id": 9, "amount": 0.0, "kind": "a"},
    ],
    [{"id": 4, "amount": 50.0, "kind": "a"}, {"id": 5, "amount": None, "kind": "a", "note": "é"}],
    [{"id": 6, "amount": 3.0, "kind": "a"}],
]


@pytest.fixture
def rules(shop: Path) -> Path:
    """Return the project with rules in its pipeline and other files."""
    (shop / "gate").unlink()
    (shop / "pipelines" / "orders.yml").write_text(RULES)
    for number, rows in enumerate(FILES):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (shop / "landing" / f"{number}.ndjson").write_text(text, "utf-8")
    return shop


def told(done: CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.usefixtures("rules")
def test_rows_are_kept_dropped_set_aside_and_counted(etl: Etl) -> None:
    done = etl("run", "orders", "--json")
    assert (done.returncode, done.stderr) == (0, "")

    history = told(etl("history", "orders", "--json"))

    nothing = dict.fromkeys(["added", "deduplicated", "late", "folded"], 0)
    assert [batch["rows"] for batch in history] == [
        nothing | {"read": 4, "written": 1, "filtered": 2, "quarantined": 1},
        nothing | {"read": 2, "written": 1, "filtered": 0, "quarantined": 1},
        nothing | {"read": 1, "written": 1, "filtered": 0, "quarantined": 0},
    ]
    assert [batch["checks"] for batch in history] == [
        {"paid": 1, "known": 2, "small": 0},
        {"paid": 1, "known": 0, "small": 2},
        {"paid": 0, "known": 0, "small": 0},
    ]
    assert [batch["tables"] for batch in history] == [
        {"silver.orders": 0, "silver.orders__quarantine": 0},
        {"silver.orders": 1, "silver.orders__quarantine": 1},
        {"silver.orders": 2},
    ]
    assert [[change["column"] for change in batch["schema_changes"]] for batch in history] == [
        ["id", "amount", "kind"],
        ["note"],
        [],
    ]
    assert history[1]["schema_changes"][0]["file"] == "landing/1.ndjson"


@pytest.mark.usefixtures("rules")
def test_both_tables_are_there_to_be_asked(etl: Etl) -> None:
    assert etl("run", "orders").returncode == 0

    kept = told(etl("query", "SELECT id, double, note FROM silver.orders ORDER BY id", "--json"))
    columns = "row_id, rule, reason, raw, _source_file, _source_offset, status"
    query = f"SELECT {columns} FROM silver.orders__quarantine ORDER BY row_id"
    aside = told(etl("query", query, "--json"))

    assert kept == [
        {"id": 1, "double": 3.0, "note": None},
        {"id": 4, "double": 100.0, "note": None},
        {"id": 6, "double": 6.0, "note": None},
    ]
    first = len(json.dumps(FILES[0][0])) + 1
    second = len(json.dumps(FILES[1][0])) + 1
    assert [tuple(row.values()) for row in aside] == [
        ("0-1", "paid", "paid: amount >= 0", '{"id": 2, "amount": -1, "kind": "z"}', "landing/0.ndjson", first,
         "open"),
        ("1-1", "paid", "paid: amount >= 0", '{"id": 5, "kind": "a", "note": "é"}',
         "landing/1.ndjson", second, "open"),
    ]  # fmt: skip


def test_a_batch_with_too_many_rejected_rows_fails_and_commits_nothing(rules: Path, etl: Etl) -> None:
    (rules / "pipelines" / "orders.yml").write_text(RULES + "quarantine: {max_fraction: 0.3}\n")

    done = etl("run", "orders", "--json")

    assert done.returncode == 1
    assert [json.loads(line)["batch_id"] for line in done.stdout.splitlines()] == [0]
    assert "1 of 2 rows were rejected, more than 0.3 of them; most often (1): paid, paid: amount >= 0" in done.stderr
    assert told(etl("query", "SELECT COUNT(*) AS n FROM silver.orders__quarantine", "--json")) == [{"n": 1}]


def test_a_row_that_must_not_fail_ends_the_run_with_its_place(rules: Path, etl: Etl) -> None:
    (rules / "pipelines" / "orders.yml").write_text(RULES.replace("otherwise: drop", "otherwise: fail"))

    done = etl("run", "orders")

    assert done.returncode == 1
    assert "known: a row does not satisfy kind IN ('a'): id 2, amount -1.0, kind 'z' (landing/0.ndjson:" in done.stderr
    assert not (rules / "lake" / "silver" / "orders" / "_delta_log").exists()


def test_a_check_that_cannot_be_asked_is_told_before_anything_runs(rules: Path, etl: Etl) -> None:
    text = RULES.replace("order: name", "order: name, schema: {id: int64, amount: float64, kind: string}")
    (rules / "pipelines" / "orders.yml").write_text(text.replace("amount >= 0", "amont >= 0"))

    done = etl("validate")

    assert done.returncode == 2
    assert "expect[0].check" in done.stdout + done.stderr
    assert "did you mean" in done.stdout + done.stderr
