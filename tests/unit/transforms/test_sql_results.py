"""What planned queries give, batch by batch: values written out."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError
from etl.flow import Flow
from etl.flow_schema import FlowColumns
from etl.model import CHANGE
from etl.schema import from_polars
from etl.testing import MemorySink, MemorySource
from etl.transforms import TRANSFORMS
from etl.transforms.contract import TransformSite
from etl.transforms.sql_expansion import expanded
from etl.transforms.sql_planning_parts import Scope
from tests.flowing import flow, planned_steps, watermark

START = datetime(2024, 3, 5)  # noqa: DTZ001  naive, as the columns
SCHEMA: dict[str, Any] = {"page": pl.String, "ms": pl.Int64, "at": pl.Datetime("us")}


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


def views(*rows: tuple[str | None, int, int]) -> dict[str, pl.DataFrame]:
    return {"source": pl.DataFrame([(page, ms, minute(at)) for page, ms, at in rows], schema=SCHEMA, orient="row")}


def test_having_takes_a_group_out_that_no_longer_satisfies_it() -> None:
    text = "SELECT page, SUM(ms) / COUNT(*) AS mean FROM input GROUP BY page HAVING SUM(ms) > 10 OR page = 'b'"

    found = flow(planned_steps(text), [views(("a", 11, 0), ("b", 1, 0), ("c", 2, 0)), views(("a", -3, 1)), views()])

    assert [sorted(batch.rows()) for batch in found.batches] == [
        [("a", 11.0, "insert"), ("b", 1.0, "insert")],
        [("a", 4.0, "delete")],
        [],
    ]
    assert found.keys == ["page"]
    assert found.counts[0] == {"read": 3, "added": 3, "written": 2, "filtered": 1, "folded": 3}
    assert found.counts[1] == {"read": 1, "added": 1, "written": 1, "folded": 1}


def test_a_window_is_given_once_with_the_batch_that_closes_it() -> None:
    text = """SELECT window_start AS since, page AS p, COUNT(*) AS n FROM input
    GROUP BY page, TUMBLE(at, INTERVAL '10 minutes')"""

    found = flow(planned_steps(text, clock="at", delay="2m"), [views(("a", 1, 1), ("b", 1, 9)), views(("a", 1, 12))])

    assert [sorted(batch.rows()) for batch in found.batches] == [[], [(START, "a", 1), (START, "b", 1)]]
    assert found.keys is None


def test_distinct_rows_come_once_and_for_ever_whatever_the_watermark() -> None:
    steps = planned_steps("SELECT DISTINCT UPPER(page) AS page FROM input", clock="at")

    found = flow(
        steps, [views(("a", 1, 1), ("A", 2, 2)), views(("b", 1, 9999)), views(("a", 1, 9)), views((None, 1, 9))]
    )

    assert [batch["page"].to_list() for batch in found.batches] == [["A"], ["B"], [], [None]]
    assert found.late == []


def test_distinct_rows_with_their_event_time_are_forgotten_with_the_watermark() -> None:
    steps = planned_steps("SELECT DISTINCT page, at FROM input", clock="at")

    found = flow(steps, [views(("a", 1, 1), ("a", 2, 1)), views(("a", 1, 9)), views(("a", 1, 1))])

    assert [batch.height for batch in found.batches] == [1, 1, 0]
    assert [late["page"].to_list() for late in found.late] == [["a"]]


def test_groups_of_groups_follow_every_change() -> None:
    text = """WITH pages AS (SELECT page, COUNT(*) AS n FROM input GROUP BY page)
    SELECT n, COUNT(*) AS pages FROM pages GROUP BY n"""

    found = flow(planned_steps(text), [views(("a", 1, 0), ("b", 1, 0)), views(("a", 1, 0)), views(("b", 1, 0))])

    assert sorted(found.batches[1].rows()) == [(1, 1, "update"), (2, 1, "insert")]
    assert found.result().rows() == [(2, 2)]


def orders(*rows: tuple[int, int]) -> pl.DataFrame:
    return pl.DataFrame([(key, minute(at), key * 10) for key, at in rows], schema=ORDERS, orient="row")


def refunds(*rows: tuple[int, int]) -> pl.DataFrame:
    return pl.DataFrame([(key, minute(at), key * 100) for key, at in rows], schema=REFUNDS, orient="row")


ORDERS: dict[str, Any] = {"id": pl.Int64, "at": pl.Datetime("us"), "amount": pl.Int64}
REFUNDS: dict[str, Any] = {"o": pl.Int64, "at": pl.Datetime("us"), "amount": pl.Int64}
BOUNDS = "orders.id = refunds.o AND refunds.at BETWEEN orders.at AND orders.at + INTERVAL '5 minutes'"


@pytest.mark.parametrize(
    ("join", "expected"),
    [
        ("JOIN", [[], [(1, 10, 100)], [(2, 20, 200)], []]),
        ("LEFT JOIN", [[], [(1, 10, 100)], [(2, 20, 200)], [(3, 30, None)]]),
    ],
)
def test_rows_of_two_sources_are_joined_within_their_bounds(join: str, expected: Any) -> None:
    text = f"SELECT orders.id, orders.amount AS paid, refunds.amount AS back FROM orders {join} refunds ON {BOUNDS}"
    batches = [
        {"source": orders((1, 0), (2, 1), (3, 2)), "refunds": refunds()},
        {"source": orders(), "refunds": refunds((1, 5), (3, 9))},
        {"source": orders((4, 4)), "refunds": refunds((2, 6))},
        {"source": orders((4, 20)), "refunds": refunds((9, 20))},
    ]
    steps = planned_steps(text, clock="at", delay="4m", sources=["refunds"], main="orders")

    found = flow(steps, batches, {"refunds": [watermark("at", "4m", "refunds")]})

    known = [sorted(row for row in batch.rows() if row[0] < 4) for batch in found.batches]
    assert known == expected


def test_a_union_of_sources_is_grouped_as_one() -> None:
    text = """SELECT at, SUM(amount) AS s FROM
    (SELECT at, amount FROM input UNION ALL SELECT at, amount FROM refunds) AS u GROUP BY at"""
    batches = [
        {"source": orders((1, 0)), "refunds": refunds((2, 0))},
        {"source": orders((3, 0), (4, 1)), "refunds": refunds()},
    ]

    found = flow(planned_steps(text, sources=["refunds"]), batches, {"refunds": []})

    assert sorted(found.result().rows()) == [(minute(0), 240), (minute(1), 40)]


def announced(text: str, schema: Any) -> Any:
    columns = FlowColumns(
        Flow("t", "source", MemorySource(), planned_steps(text), MemorySink(), ()), {"source": from_polars(schema)}
    )
    return columns.result()


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("SELECT page, COUNT(*) AS n FROM input WHERE mss > 1 GROUP BY page", "WHERE", "unknown column 'mss'"),
        ("SELECT pages, COUNT(*) AS n FROM input GROUP BY pages", "GROUP BY", "unknown column 'pages'"),
        ("SELECT page, SUM(page) AS n FROM input GROUP BY page", "GROUP BY", "SUM cannot take String"),
        ("SELECT page, COUNT(*) AS n FROM input GROUP BY page HAVING COUNT(*)", "HAVING", "not true or false"),
        ("SELECT page, COUNT(*) || 1 - page AS n FROM input GROUP BY page", "SELECT", ""),
        (
            "SELECT UPPER(page) AS ms, COUNT(*) AS n FROM input GROUP BY ms",
            "GROUP BY",
            "'ms' is a column and an item of SELECT",
        ),
        ("SELECT page FROM (SELECT page, x FROM input) AS q", "SELECT", "unknown column 'x'"),
        ("SELECT page FROM (SELECT page FROM input) AS q WHERE x = 1", "WHERE", "unknown column 'x'"),
    ],
)
def test_what_a_step_refuses_names_the_clause(text: str, where: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        announced(text, pl.Schema(SCHEMA))

    assert caught.value.where == f"transforms[0].sql ({where})"
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("SELECT page, MEDIAN(ms) AS m FROM input GROUP BY page", "transforms[3].sql (GROUP BY)", "MEDIAN"),
        ("SELECT page, SUM(DISTINCT ms) AS m FROM input GROUP BY page", "transforms[3].sql (GROUP BY)", "DISTINCT"),
        ("SELECT DISTINCT page FROM inptu", "transforms[3].sql", "reads from inptu"),
        ("SELECT page FROM input LIMIT 1", "transforms[3].sql", "LIMIT"),
    ],
)
def test_what_is_refused_at_once_names_the_place(text: str, where: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        expanded(text, TransformSite(Path(), 3), Scope(), lambda key: TRANSFORMS[key])

    assert caught.value.where == where
    assert message in caught.value.message


def test_steps_of_one_clause_are_told_apart_and_the_last_that_remembers_gives_the_whole() -> None:
    text = "SELECT n, COUNT(*) AS c FROM (SELECT page, COUNT(*) AS n FROM input GROUP BY page) AS g GROUP BY n"

    found = expanded(text, TransformSite(Path(), 0, is_whole=True), Scope(is_whole=True), lambda key: TRANSFORMS[key])

    assert [step.label for step in found] == ["group_by", "select", "group_by", "select"]
    assert [step._where for step in found] == [
        "transforms[0].sql (GROUP BY)",
        "transforms[0].sql (SELECT)",
        "transforms[0].sql (GROUP BY 2)",
        "transforms[0].sql (SELECT 2)",
    ]
    assert [CHANGE in given for given in columns_of(found, pl.Schema(SCHEMA))] == [False, True, True, False, False]


def columns_of(steps: Any, given: pl.Schema) -> list[pl.Schema]:
    """Return the columns before and behind each step."""
    found = [given]
    for step in steps:
        if step.label == "group_by" and CHANGE in found[-1]:
            step.take_keys(["page"])
        found.append(step.output_schema(found[-1]))
    return found
