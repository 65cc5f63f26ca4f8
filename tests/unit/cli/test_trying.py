"""``etl test``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import Result

Etl = Callable[..., Result]
GOOD = """
  - name: negative amounts are dropped
    given: [{id: 1, amount: -1}, {id: 2, amount: 2}]
    expect: [{id: 2, amount: 2}]
"""
BAD = """
  - name: all amounts are kept
    given: [{id: 1, amount: -1}, {id: 2, amount: 2}]
    expect: [{id: 1, amount: -1}, {id: 2, amount: 5}]
  - name: a column is misspelt
    given: [{id: 1, amount: 1}]
    expect: [{id: 1, amuont: 1}]
"""


def add_tests(shop: Path, tests: str) -> None:
    with (shop / "pipelines" / "orders.yml").open("a") as file:
        file.write(f"tests:{tests}")


def test_tests_that_succeed_are_listed(etl: Etl, shop: Path) -> None:
    add_tests(shop, GOOD)
    done = etl("test")

    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "pipeline  test",
        "────────  ────────────────────────────  ──",
        "orders    negative amounts are dropped  ok",
        "1 test, 0 failed",
    ]
    assert not (shop / "lake").exists()


def test_tests_that_fail_say_what_differs(etl: Etl, shop: Path) -> None:
    add_tests(shop, GOOD + BAD)
    done = etl("test", "orders")

    assert done.exit_code == 1
    assert done.stdout.splitlines()[3:] == [
        "orders    all amounts are kept          failed",
        "orders    a column is misspelt          failed",
        "",
        "orders: all amounts are kept",
        "  silver.orders: 2 rows missing, 1 not expected",
        '    - {"id": 1, "amount": -1}',
        '    + {"id": 2, "amount": 2}',
        '    - {"id": 2, "amount": 5}',
        "",
        "orders: a column is misspelt",
        "  silver.orders: the table has no column 'amuont'; did you mean 'amount'?",
        "3 tests, 2 failed",
    ]


def test_tests_are_told_as_json(etl: Etl, shop: Path, told: Any) -> None:
    add_tests(shop, GOOD)

    assert told(etl("test", "--json")) == [
        {
            "pipeline": "orders",
            "name": "negative amounts are dropped",
            "error": "",
            "differences": [],
            "aside": [],
            "is_ok": True,
        }
    ]


def test_an_error_and_what_was_set_aside_are_told(etl: Etl, shop: Path) -> None:
    add_tests(shop, "\n  - {name: one, given: [{id: 1, amount: 1}], expect_error: gone}\n")
    done = etl("test")

    assert done.exit_code == 1
    assert "  the run did not fail; expected was: gone" in done.stdout


def test_no_tests_are_no_failure(etl: Etl) -> None:
    done = etl("test")

    assert (done.exit_code, done.stdout) == (0, "no tests: write some under `tests:` in a pipeline file\n")


def test_a_fault_in_a_test_is_a_fault_of_the_file(etl: Etl, shop: Path) -> None:
    add_tests(shop, "\n  - {name: one, given: [{id: 1}]}\n")
    done = etl("test")

    assert done.exit_code == 2
    assert "tests[0]: expects nothing; say `expect`" in done.stderr
