"""What queries are planned as: steps as a pipeline file would have them."""

from __future__ import annotations

from typing import Any

import pytest

from etl.errors import ConfigError
from etl.transforms.sql_planning import planned, tables_in
from etl.transforms.sql_planning_parts import Scope

SCOPE = Scope(("orders",), ("refunds", "returns"))


def steps(text: str, **scope: Any) -> list[tuple[str, Any]]:
    return [(step.key, step.options) for step in planned(text, Scope(SCOPE.main, SCOPE.sources, **scope))]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM input",
        "select i.id + 1 as next from input as i where i.id = 1;",
        "SELECT * EXCLUDE (note) FROM input WHERE a IN (1, 2)",
        "SELECT id FROM input ORDER BY id",
        "DELETE FROM input",
    ],
)
def test_a_query_that_goes_row_by_row_stays_as_it_is(text: str) -> None:
    assert steps(text) == [("sql", text)]


def test_each_clause_becomes_a_step() -> None:
    text = """SELECT page, window_start, COUNT(*) AS views, SUM(i.ms) / COUNT(*) AS mean_ms FROM input AS i
    WHERE i.status = 200 GROUP BY page, TUMBLE(at, INTERVAL '5 minutes') HAVING COUNT(*) > 2"""

    assert steps(text) == [
        ("filter", "status = 200"),
        (
            "group_by",
            {
                "by": ["page"],
                "window": {"column": "at", "every": "5m"},
                "aggregate": {"views": "COUNT(*)", "SUM(ms)": "SUM(ms)"},
            },
        ),
        ("filter", "views > 2"),
        (
            "select",
            {"page": "page", "window_start": "window_start", "views": "views", "mean_ms": '"SUM(ms)" / views'},
        ),
    ]
    assert [step.clause for step in planned(text, SCOPE)] == ["WHERE", "GROUP BY", "HAVING", "SELECT"]


@pytest.mark.parametrize(
    ("window", "options"),
    [
        ("TUMBLE(at, INTERVAL '90 seconds')", {"column": "at", "every": "90s"}),
        ("TUMBLE(at, INTERVAL '1' DAY, INTERVAL '6 hours')", {"column": "at", "every": "1d", "offset": "6h"}),
        ("HOP(at, INTERVAL '1 minute', INTERVAL '5 minutes')", {"column": "at", "every": "1m", "period": "5m"}),
        ("SESSION(at, INTERVAL '1 week')", {"column": "at", "session_gap": "7d"}),
        ("TUMBLE(input.at, INTERVAL '1500 milliseconds')", {"column": "at", "every": "1500ms"}),
    ],
)
def test_a_window_in_group_by_is_that_of_group_by(window: str, options: dict[str, str]) -> None:
    found = steps(f"SELECT window_start AS w, COUNT(*) AS n FROM input GROUP BY {window}")

    assert found[0] == ("group_by", {"by": [], "window": options, "aggregate": {"n": "COUNT(*)"}})
    assert found[1] == ("select", {"w": "window_start", "n": "n"})


def test_a_window_over_an_expression_computes_it_first() -> None:
    found = steps("SELECT window_start, COUNT(*) AS n FROM input GROUP BY TUMBLE(CAST(t AS DATE), INTERVAL '1 day')")

    assert found[0] == ("with_columns", {"CAST(t AS DATE)": "CAST(t AS DATE)"})
    assert found[1][1]["window"] == {"column": "CAST(t AS DATE)", "every": "1d"}


@pytest.mark.parametrize("group", ["LOWER(page)", "p", "1", "ALL", "lower( page )"])
def test_a_group_is_meant_by_its_expression_its_name_or_its_number(group: str) -> None:
    assert steps(f"SELECT LOWER(page) AS p, MAX(ms) AS most FROM input GROUP BY {group}") == [
        ("with_columns", {"LOWER(page)": "LOWER(page)"}),
        ("group_by", {"by": ["LOWER(page)"], "aggregate": {"most": "MAX(ms)"}}),
        ("select", {"p": '"LOWER(page)"', "most": "most"}),
    ]


def test_a_name_in_group_by_must_not_be_a_column_as_well() -> None:
    text = "SELECT LOWER(page) AS p, COUNT(*) AS n FROM input GROUP BY p"

    assert [step.absent for step in planned(text, SCOPE)] == [(), ("p",), ()]


def test_a_name_in_group_by_that_its_item_reads_is_the_column() -> None:
    found = steps("SELECT LOWER(a) AS a, a AS raw, COUNT(*) AS n FROM input GROUP BY a")

    assert found == [
        ("group_by", {"by": ["a"], "aggregate": {"n": "COUNT(*)"}}),
        ("select", {"a": "LOWER(a)", "raw": "a", "n": "n"}),
    ]


@pytest.mark.parametrize(
    ("item", "aggregate", "selected"),
    [
        ("COUNT(DISTINCT v) AS x", {"x": "COUNT(DISTINCT v)"}, "x"),
        ("sum(v) FILTER (WHERE v > 0) AS x", {"x": "SUM(v) FILTER(WHERE v > 0)"}, "x"),
        ("COUNT(*) AS a", {"COUNT(*)": "COUNT(*)"}, '"COUNT(*)"'),
        ("MAX(v) - MIN(v) AS x", {"MAX(v)": "MAX(v)", "MIN(v)": "MIN(v)"}, '"MAX(v)" - "MIN(v)"'),
        ('AVG(i."two words") AS x', {"x": 'AVG("two words")'}, "x"),
    ],
)
def test_an_aggregate_has_the_name_of_its_item_or_its_text(item: str, aggregate: Any, selected: str) -> None:
    name = item.rsplit(" ", 1)[1]

    found = steps(f"SELECT a AS key, {item} FROM input AS i GROUP BY a")

    assert found == [
        ("group_by", {"by": ["a"], "aggregate": aggregate}),
        ("select", {"key": "a", name: selected}),
    ]


def test_having_may_name_an_item() -> None:
    text = "SELECT a, COUNT(*) AS n, MAX(v) - MIN(v) AS spread FROM input GROUP BY a HAVING n > 1 AND spread * 2 < 9"

    assert steps(text)[1] == ("filter", 'n > 1 AND ("MAX(v)" - "MIN(v)") * 2 < 9')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "SELECT DISTINCT a, b AS c FROM input WHERE a > 1",
            [("filter", "a > 1"), ("select", {"a": "a", "c": "b"}), ("deduplicate", {"keys": ["a", "c"]})],
        ),
        ("SELECT a FROM input GROUP BY a, b", [("deduplicate", {"keys": ["a", "b"]}), ("select", {"a": "a"})]),
        (
            "SELECT id FROM orders UNION SELECT refunds.id FROM refunds",
            [("union", {"with": ["refunds"]}), ("select", {"id": "id"}), ("deduplicate", {"keys": ["id"]})],
        ),
    ],
)
def test_distinct_rows_are_those_whose_like_was_not_there(text: str, expected: Any) -> None:
    assert steps(text) == expected


@pytest.mark.parametrize(("time", "is_timeless"), [("at", [False, False]), ("", [False, True]), ("ts", [False, True])])
def test_distinct_rows_go_by_event_time_only_where_that_is_among_them(time: str, is_timeless: list[bool]) -> None:
    found = planned("SELECT DISTINCT a, at FROM input", Scope(time=time))

    assert [step.is_timeless for step in found] == is_timeless


def test_where_the_sink_takes_the_whole_result_the_last_groups_need_no_keys() -> None:
    inner = "FROM (SELECT page, COUNT(*) AS n FROM input GROUP BY page) AS g"

    assert steps(f"SELECT n {inner} SEMI JOIN silver.pages USING (page)", is_whole=True)[-1] == ("select", {"n": "n"})
    with pytest.raises(ConfigError, match="SELECT leaves out page"):
        steps(f"SELECT MAX(n) AS most FROM (SELECT n {inner}) AS h", is_whole=True)


def test_where_the_sink_takes_the_whole_result_distinct_rows_are_groups() -> None:
    assert steps("SELECT DISTINCT a FROM input", is_whole=True)[1:] == [
        ("group_by", {"by": ["a"], "aggregate": {"COUNT(*)": "COUNT(*)"}}),
        ("select", {"a": "a"}),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT n, COUNT(*) AS ks FROM (SELECT k, COUNT(*) AS n FROM input WHERE a > 1 GROUP BY k) AS g GROUP BY g.n",
        "WITH g AS (SELECT k, COUNT(*) AS n FROM input WHERE a > 1 GROUP BY k) SELECT n, COUNT(*) AS ks FROM g GROUP BY n",  # noqa: E501
    ],
)
def test_an_inner_query_comes_first(text: str) -> None:
    assert steps(text) == [
        ("filter", "a > 1"),
        ("group_by", {"by": ["k"], "aggregate": {"n": "COUNT(*)"}}),
        ("select", {"k": "k", "n": "n"}),
        ("group_by", {"by": ["n"], "aggregate": {"ks": "COUNT(*)"}}),
        ("select", {"n": "n", "ks": "ks"}),
    ]


def test_distinct_groups_that_change_are_distinct_already() -> None:
    assert steps("SELECT DISTINCT k, COUNT(*) AS n FROM input GROUP BY k") == [
        ("group_by", {"by": ["k"], "aggregate": {"n": "COUNT(*)"}}),
        ("select", {"k": "k", "n": "n"}),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "SELECT * FROM orders UNION ALL BY NAME SELECT * FROM refunds UNION ALL BY NAME (SELECT * FROM returns)",
            [("union", {"with": ["refunds", "returns"]})],
        ),
        (
            """SELECT COUNT(*) AS n FROM (SELECT id FROM orders o WHERE o.id > 1
            UNION ALL SELECT id FROM refunds r WHERE r.id > 1) AS u""",
            [
                ("union", {"with": ["refunds"]}),
                ("filter", "id > 1"),
                ("select", {"id": "id"}),
                ("group_by", {"by": [], "aggregate": {"n": "COUNT(*)"}}),
                ("select", {"n": "n"}),
            ],
        ),
    ],
)
def test_a_union_of_sources_comes_before_what_is_asked_of_all(text: str, expected: Any) -> None:
    assert steps(text) == expected


def test_an_expression_is_handed_on_as_it_was_meant() -> None:
    text = "SELECT TRY_CAST(a AS TINYINT) AS x, b ^@ 'x' AS y, place.city FROM (SELECT * EXCLUDE (c) FROM input) AS i"

    assert steps(text) == [
        ("sql", "SELECT * EXCLUDE (c) FROM input"),
        ("select", {"x": "TRY_CAST(a AS TINYINT)", "y": "b ^@ 'x'", "city": "place.city"}),
    ]


def test_the_tables_of_a_query_are_told_whatever_else_it_says() -> None:
    text = "WITH q AS (SELECT * FROM orders) SELECT a FROM q JOIN silver.users AS u USING (id) JOIN refunds ON TRUE"

    assert tables_in(text) == ["orders", "refunds", "silver.users"]
    assert tables_in("SELECT FROM WHERE") == []
