"""What the sources give now against what the tables hold."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from etl.operations.workspace import Workspace
from tests.unit.operations.conftest import ORDERS
from tests.unit.operations.proving import BY_KEY, WINDOWS, check_of, define, failed, proven, records, table

GONE = "rows of files that are gone or have changed, such as landing/orders/1.ndjson"


def rows_check(home: Workspace) -> Any:
    return check_of(proven(home, is_deep=True), "rows")


def landed(home: Workspace, name: str) -> Path:
    return home.folder / "landing" / "orders" / f"{name}.ndjson"


def test_rows_that_the_input_gives_again_are_proven_and_nothing_changes(shop: Workspace, snapshot: Any) -> None:
    before = snapshot(shop.folder)
    found = proven(shop, is_deep=True)

    assert failed(found) == {}
    assert check_of(found, "rows").looked_at == {"batches": 2, "rows": 2}
    assert found.unproven == []
    assert snapshot(shop.folder) == before


def test_a_value_that_was_changed_in_the_table_is_found(home: Workspace, run_all: Any) -> None:
    run_all(home)
    DeltaTable(table(home)).update(updates={"amount": "9.0"}, predicate="order_id = 3")

    assert failed(proven(home, is_deep=True)) == {
        "rows": ["batch 1, landing/orders/2.ndjson: the table has 1 rows with other values"]
    }


def test_a_row_that_was_deleted_from_the_table_is_found(home: Workspace, run_all: Any) -> None:
    run_all(home)
    DeltaTable(table(home)).delete("order_id = 3")

    assert rows_check(home).faults == ["batch 1, landing/orders/2.ndjson: the table has 0 rows, its input gives 1"]


def test_rows_of_files_that_are_gone_are_told_and_the_others_compared(home: Workspace, run_all: Any) -> None:
    define(home, ORDERS.replace("max_files: 1", "max_files: 2"))
    run_all(home)
    landed(home, "1").unlink()
    check = rows_check(home)

    assert (check.faults, check.unproven) == ([], [GONE])
    assert check.looked_at == {"batches": 1, "rows": 1}

    DeltaTable(table(home)).delete("order_id = 3")
    assert rows_check(home).faults == ["batch 0, landing/orders/2.ndjson: the table has 0 rows, its input gives 1"]


def test_a_file_that_has_changed_since_is_told_like_one_that_is_gone(home: Workspace, run_all: Any) -> None:
    run_all(home)
    landed(home, "1").write_text('{"order_id": 1, "amount": 6.25}\n')
    check = rows_check(home)

    assert (check.faults, check.unproven) == ([], [GONE])


def test_batches_of_an_earlier_definition_are_told_and_not_compared(
    home: Workspace, run_all: Any, put_orders: Any
) -> None:
    run_all(home)
    put_orders("3", [{"order_id": 4, "amount": 1.0}])
    home = define(home, ORDERS.replace("amount * 2", "amount * 3"))
    run_all(home)
    check = rows_check(home)

    assert check.faults == []
    assert check.looked_at == {"batches": 1, "rows": 1}
    assert check.unproven == [
        "rows of 2 batches of an earlier definition of the pipeline, up to batch 1",
        "2 rows of other writers, or of batches that were not read again",
    ]


def test_rows_of_a_file_that_was_read_anew_count_once(home: Workspace, run_all: Any) -> None:
    define(home, ORDERS.replace("batch: {max_files: 1}", "on_change: replace_rows\n  identity: path_and_version"))
    run_all(home)
    landed(home, "1").write_text('{"order_id": 1, "amount": 6.25}\n')
    os.utime(landed(home, "1"), ns=(2_000_000_000_000_000_000, 2_000_000_000_000_000_000))
    run_all(home)
    check = rows_check(home)

    assert check.faults == []
    assert check.looked_at == {"batches": 2, "rows": 2}


def test_a_column_that_came_later_is_null_in_earlier_rows(home: Workspace, run_all: Any, put_orders: Any) -> None:
    run_all(home)
    put_orders("3", [{"order_id": 4, "amount": 1.0, "note": "x"}])
    run_all(home)

    assert rows_check(home).faults == []
    assert rows_check(home).looked_at == {"batches": 3, "rows": 3}


def test_nothing_is_compared_while_something_else_disagrees(home: Workspace, run_all: Any) -> None:
    run_all(home)
    (records(home) / "epochs" / "0000000001.json").unlink()
    check = rows_check(home)

    assert check.unproven == ["any row: the tables are not compared with their input while something else disagrees"]


@pytest.fixture
def windows(home: Workspace, run_all: Any, put_orders: Any) -> Workspace:
    for number in range(4):
        put_orders(str(number), [{"at": f"2026-01-01T0{number}:10:00Z", "kind": "a", "amount": 1.0 + number}] * 2)
    home = define(home, WINDOWS)
    (outcome,) = run_all(home)
    assert outcome.error is None
    return home


def test_a_pipeline_with_state_is_run_again_as_a_whole(windows: Workspace, snapshot: Any) -> None:
    before = snapshot(windows.folder)
    check = rows_check(windows)

    assert (check.faults, check.unproven) == ([], [])
    assert check.looked_at == {"batches": 4, "tables": 1, "rows": 3}
    assert snapshot(windows.folder) == before


def test_a_result_of_state_that_was_changed_is_found(windows: Workspace) -> None:
    DeltaTable(table(windows)).update(updates={"total": "0.5"}, predicate="total = 4.0")

    assert rows_check(windows).faults == ["silver.orders, rows of batch 2: the table has 1 rows with other values"]


def test_a_pipeline_with_state_cannot_do_without_any_of_its_input(windows: Workspace) -> None:
    landed(windows, "1").unlink()
    check = rows_check(windows)

    assert check.faults == []
    assert check.unproven == ["any row: input that later rows build on is gone or has changed: landing/orders/1.ndjson"]


def test_a_pipeline_with_state_is_not_compared_once_it_was_edited(windows: Workspace) -> None:
    define(windows, WINDOWS.replace("delay: 0s", "delay: 1s"))
    check = rows_check(windows)

    assert (check.faults, check.looked_at) == ([], {})
    assert check.unproven == ["any row: some batches are of an earlier definition, on whose rows later ones build"]


def test_rows_by_key_are_run_again_as_a_whole(home: Workspace, run_all: Any, put_orders: Any) -> None:
    put_orders("2", [{"order_id": 1, "amount": 7.5}, {"order_id": 3, "amount": 1.5}])
    home = define(home, BY_KEY)
    run_all(home)
    check = rows_check(home)

    assert (check.faults, check.unproven) == ([], [])
    assert check.looked_at == {"batches": 2, "tables": 1, "rows": 3}

    DeltaTable(table(home)).delete("order_id = 3")
    assert rows_check(home).faults == ["silver.orders, rows of batch 1: the table has 1 rows, its input gives 2"]
