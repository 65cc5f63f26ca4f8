"""The tests of pipeline files, carried out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent

import pytest

from etl.errors import ConfigError
from etl.operations.trying import TrialResult, try_pipelines
from etl.operations.workspace import Workspace

Try = Callable[..., TrialResult]
ORDERS = """\
source: {type: files, path: landing/*.ndjson}
transforms:
  - filter: amount >= 0
expect: [{name: known, check: id <> 'x'}]
sink: {type: delta, table: silver.orders}
tests:
"""


@pytest.fixture
def tried(tmp_path: Path) -> Try:
    """Return a function that carries out the one test of a pipeline."""
    (tmp_path / "pipelines").mkdir()

    def carry_out(test: str, pipeline: str = ORDERS) -> TrialResult:
        text = indent(f"- name: one\n{indent(dedent(test).strip(chr(10)), '  ')}", "  ")
        (tmp_path / "pipelines" / "orders.yml").write_text(f"{pipeline}{text}\n")
        (result,) = try_pipelines(Workspace(tmp_path))
        return result

    return carry_out


def test_a_test_runs_the_pipeline_over_given_rows(tried: Try, tmp_path: Path) -> None:
    result = tried(
        """
        given: [{id: a, amount: -1}, {id: b, amount: 2}, {id: x, amount: 3}]
        expect: [{id: b, amount: 2}]
        expect_quarantine: [{rule: known}]
        """
    )

    assert result == TrialResult("orders", "one")
    assert result.is_ok
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pipelines"]


def test_a_test_that_fails_says_what_differs_and_what_was_set_aside(tried: Try) -> None:
    result = tried(
        """
        given: [{id: b, amount: 2}, {id: x, amount: 3}]
        expect: [{id: b, amount: 2}, {id: x, amount: 3}]
        """
    )

    assert not result.is_ok
    (found,) = result.differences
    assert (found.table, found.missing, found.unexpected) == ("silver.orders", ({"id": "x", "amount": 3},), ())
    assert result.aside == ("1 in the quarantine, the first: known, known: id <> 'x'",)


def test_nothing_given_is_nothing_expected(tried: Try) -> None:
    assert tried("given: []\nexpect: []").is_ok


def test_tables_are_expected_by_name(tried: Try) -> None:
    test = """
        given: [{id: x, amount: 2}]
        expect: {silver.orders: [], silver.orders__quarantine: [{rule: known}]}
    """

    assert tried(test).is_ok
    assert "no table 'silver.order'; did you mean 'silver.orders'?" in tried(test.replace("orders:", "order:")).error


def test_a_run_that_fails_is_an_error_of_the_test(tried: Try) -> None:
    pipeline = ORDERS.replace("sink:", "quarantine: {max_fraction: 0}\nsink:")
    given = "given: [{id: x, amount: 2}]\n"

    assert "1 of 1 rows were rejected" in tried(f"{given}expect: []", pipeline).error
    assert tried(f"{given}expect_error: 1 of 1 rows were rejected", pipeline).is_ok
    assert "too many" not in tried(f"{given}expect_error: too many", pipeline).error
    assert tried("given: []\nexpect_error: too many").error == "the run did not fail; expected was: too many"


def test_types_are_those_that_the_source_declares(tried: Try) -> None:
    pipeline = ORDERS.replace("*.ndjson}", "*.csv, schema: {id: string, amount: float64, at: timestamp(UTC)}}")
    test = """
        given: [{id: 7, amount: 2, at: "2026-03-01T10:00:00Z"}, {id: b, amount: much}]
        expect: [{id: "7", amount: 2, at: "2026-03-01T11:00:00+01:00"}]
        expect_quarantine: [{rule: type}]
    """

    assert tried(test, pipeline) == TrialResult("orders", "one")


def test_types_may_be_those_of_the_test(tried: Try) -> None:
    result = tried(
        """
        schema: {day: date}
        given: [{id: a, amount: 2, day: 2026-03-01}]
        expect: [{day: 2026-03-01}]
        """,
        ORDERS.replace("filter: amount >= 0", "filter: day > DATE '2026-02-01'"),
    )

    assert result == TrialResult("orders", "one")


def test_a_csv_without_a_schema_is_all_text(tried: Try) -> None:
    pipeline = ORDERS.replace("*.ndjson", "*.csv").replace("amount >= 0", "CAST(amount AS BIGINT) >= 0")

    assert tried("given: [{id: a, amount: 2}]\nexpect: [{id: a, amount: '2'}]", pipeline).is_ok
    assert tried("given: |\n  id,amount\n  a,2\nexpect: [{id: a, amount: '2'}]", pipeline).is_ok


def test_text_is_read_as_the_format_of_the_source(tried: Try) -> None:
    pipeline = ORDERS.replace("landing/*.ndjson", "landing/*.log, format: common").replace(
        "amount >= 0", "status >= 400"
    )
    result = tried(
        """
        given: |
          127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326
          127.0.0.1 - - [10/Oct/2000:13:55:37 -0700] "GET /b HTTP/1.0" 404 17
        expect: [{path: /b, status: 404, time: "2000-10-10T20:55:37Z"}]
        """,
        pipeline.replace("expect: [{name: known, check: id <> 'x'}]\n", ""),
    )

    assert result == TrialResult("orders", "one")


def test_rows_of_a_log_have_the_types_of_its_format(tried: Try) -> None:
    pipeline = ORDERS.replace("type: files, path: landing/*.ndjson", "type: logs, path: landing/a.log, format: common")
    result = tried(
        """
        given: [{path: /b, status: 404, time: "2000-10-10T20:55:37Z"}]
        expect: [{path: /b, status: 404, time: "2000-10-10T22:55:37+02:00"}]
        """,
        pipeline.replace("amount >= 0", "status >= 400").replace("id <> 'x'", "path <> 'x'"),
    )

    assert result == TrialResult("orders", "one")


def test_rows_of_a_static_table_are_given_by_its_name(tried: Try) -> None:
    result = tried(
        """
        given: {source: [{id: a, amount: 2}, {id: b, amount: 1}], silver.users: [{id: a, name: Ada}]}
        expect: [{id: a, name: Ada}, {id: b, name: null}]
        """,
        ORDERS.replace("filter: amount >= 0", "join: {table: silver.users, on: [id], how: left}"),
    )

    assert result == TrialResult("orders", "one")


def test_pipelines_that_are_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()

    with pytest.raises(ConfigError, match="unknown pipeline 'gone'"):
        list(try_pipelines(Workspace(tmp_path), ["gone"]))


REMINDERS = """\
source: {type: files, path: landing/*.ndjson}
transforms:
  - stateful:
      {python: carts:remind, keys: [cart], state_schema: {item: string}, timeout: 1h, timeout_by: processing_time}
sink: {type: delta, table: gold.reminders}
tests:
"""
CARTS = """
def remind(rows, state, batch):
    forgotten = state.join(batch.expired, on="cart")
    return forgotten, rows.select("cart", "item").unique("cart", keep="last")
"""


def test_the_clock_moves_between_batches(tried: Try, tmp_path: Path) -> None:
    (tmp_path / "transforms").mkdir()
    (tmp_path / "transforms" / "carts.py").write_text(CARTS)
    result = tried(
        """
        at: 2026-03-01T10:00:00Z
        given:
          - [{cart: a, item: shoes}, {cart: b, item: hat}]
          - {rows: [{cart: a, item: boots}], advance: 30m}
          - {rows: [], at: 2026-03-01T11:00:00Z}
        expect: [{cart: b, item: hat, _batch_id: 2}]
        """,
        REMINDERS,
    )

    assert result == TrialResult("orders", "one")


SALES = """\
sources:
  shop: {type: files, path: landing/shop/*.ndjson, schema: {id: string, amount: int64}}
  web: {type: files, path: landing/web/*.csv, schema: {id: string, amount: int64}}
transforms:
  - union: {with: [web]}
  - group_by: {by: [id], aggregate: {total: SUM(amount)}, emit: updates}
sink: {type: delta, table: gold.totals, write_mode: merge, primary_key: [id]}
tests:
"""


def test_rows_are_given_by_source_and_a_changing_result_is_compared_as_it_ends(tried: Try) -> None:
    result = tried(
        """
        given:
          - rows:
              shop: [{id: a, amount: 1}, {id: b, amount: 5}]
              web: "id,amount\\n7,2"
          - rows:
              shop: [{id: b, amount: -5}]
              web: |
                id,amount
                a,3
        expect: [{id: a, total: 4}, {id: b, total: 0}, {id: "7", total: 2}]
        """,
        SALES,
    )

    assert result == TrialResult("orders", "one")


WINDOWS = """\
source: {type: files, path: landing/*.ndjson, schema: {at: timestamp(UTC), amount: int64}}
transforms:
  - watermark: {column: at, delay: 10m}
  - group_by: {window: {column: at, every: 1h}, aggregate: {total: SUM(amount)}}
sink: {type: delta, table: gold.hours}
tests:
"""


def test_windows_close_and_rows_are_late(tried: Try) -> None:
    result = tried(
        """
        given:
          - [{at: "2026-03-01T10:00:00Z", amount: 1}, {at: "2026-03-01T10:59:00Z", amount: 2}]
          - [{at: "2026-03-01T11:10:00Z", amount: 4}]
          - [{at: "2026-03-01T10:30:00Z", amount: 8}, {at: "2026-03-01T11:30:00Z", amount: 16}]
        expect: [{window_start: "2026-03-01T10:00:00Z", total: 3, _batch_id: 1}]
        expect_late: [{at: "2026-03-01T10:30:00Z", amount: 8, _watermark: "2026-03-01T11:00:00Z"}]
        """,
        WINDOWS,
    )

    assert result == TrialResult("orders", "one")
