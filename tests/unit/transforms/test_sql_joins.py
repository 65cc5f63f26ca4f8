"""What JOIN is planned as: with static tables, and between sources."""

from __future__ import annotations

from typing import Any

import pytest

from etl.errors import ConfigError
from etl.transforms.sql_planning import planned
from etl.transforms.sql_planning_parts import Scope

SCOPE = Scope(("orders",), ("refunds",))
WEEK = {"column": "at", "other": "back_at", "before": "0s", "after": "7d"}


def steps(text: str) -> list[tuple[str, Any]]:
    return [(step.key, step.options) for step in planned(text, SCOPE)]


@pytest.mark.parametrize(
    ("join", "how"), [("JOIN", "inner"), ("INNER JOIN", "inner"), ("LEFT JOIN", "left"), ("LEFT OUTER JOIN", "left")]
)
@pytest.mark.parametrize("condition", ["USING (id)", "ON input.id = u.id", "ON u.id = id"])
def test_columns_of_a_table_get_its_name(join: str, how: str, condition: str) -> None:
    assert steps(f"SELECT a, u.country FROM input {join} silver.users AS u {condition} WHERE u.age > 18") == [
        (
            "join",
            {
                "table": "silver.users",
                "on": {"id": "id"},
                "how": how,
                "columns": {"country": "u.country", "age": "u.age"},
            },
        ),
        ("filter", '"u.age" > 18'),
        ("select", {"a": "a", "country": '"u.country"'}),
    ]


@pytest.mark.parametrize(("join", "how"), [("SEMI JOIN", "semi"), ("ANTI JOIN", "anti"), ("LEFT ANTI JOIN", "anti")])
def test_a_join_that_only_looks_adds_no_columns(join: str, how: str) -> None:
    assert steps(f"SELECT * FROM input {join} silver.users ON input.id = users.id") == [
        ("join", {"table": "silver.users", "on": {"id": "id"}, "how": how})
    ]


def test_a_join_of_which_nothing_is_asked_still_makes_its_rows() -> None:
    found = steps("SELECT input.* FROM input JOIN silver.users ON input.id = silver.users.user_id")

    assert found[0][1]["columns"] == {"user_id": "users.user_id"}
    assert found[1] == ("sql", 'SELECT * EXCLUDE ("users.user_id") FROM input')


def test_an_expression_of_the_own_side_is_computed_before_and_other_conditions_are_asked_after() -> None:
    text = "SELECT COUNT(*) AS n FROM input JOIN silver.users AS u ON LOWER(input.mail) = u.mail AND (u.age > a)"

    assert steps(text)[:3] == [
        ("with_columns", {"LOWER(mail)": "LOWER(mail)"}),
        (
            "join",
            {"table": "silver.users", "on": {"LOWER(mail)": "mail"}, "how": "inner", "columns": {"age": "u.age"}},
        ),
        ("filter", '("u.age" > a)'),
    ]


def test_a_second_join_may_go_by_what_the_first_has_added() -> None:
    text = """SELECT c.name FROM input JOIN silver.users AS u USING (id)
    LEFT JOIN silver.countries AS c ON u.country = c.code"""

    assert steps(text) == [
        ("join", {"table": "silver.users", "on": {"id": "id"}, "how": "inner", "columns": {"country": "u.country"}}),
        (
            "join",
            {"table": "silver.countries", "on": {"u.country": "code"}, "how": "left", "columns": {"name": "c.name"}},
        ),
        ("select", {"name": '"c.name"'}),
    ]


@pytest.mark.parametrize(
    ("join", "condition", "direction", "is_inner"),
    [
        ("ASOF JOIN", "r.at <= input.at", "backward", True),
        ("ASOF LEFT JOIN", "input.at >= r.at", "backward", False),
        ("ASOF LEFT JOIN", "input.at <= r.at", "forward", False),
    ],
)
def test_the_nearest_row_is_asof(join: str, condition: str, direction: str, is_inner: bool) -> None:
    found = steps(f"SELECT r.rate FROM input {join} silver.rates AS r ON input.code = r.code AND {condition}")

    options = {
        "table": "silver.rates",
        "on": {"code": "code"},
        "how": "asof",
        "asof": {"column": "at", "other": "at", "direction": direction},
        "columns": {"rate": "r.rate", "at": "r.at"},
    }
    proof = [("filter", 'NOT "r.at" IS NULL')] if is_inner else []
    assert found == [("join", options), *proof, ("select", {"rate": '"r.rate"'})]


@pytest.mark.parametrize(
    "bounds",
    [
        "refunds.back_at BETWEEN orders.at AND orders.at + INTERVAL '7 days'",
        "refunds.back_at >= orders.at AND refunds.back_at <= orders.at + INTERVAL '7 days'",
        "orders.at <= refunds.back_at AND orders.at + INTERVAL '7 days' >= refunds.back_at",
        "orders.at BETWEEN refunds.back_at - INTERVAL '7 days' AND refunds.back_at",
        """refunds.back_at - INTERVAL '1 week' <= orders.at AND (refunds.back_at + INTERVAL '1 day' >= orders.at)
        AND refunds.back_at >= at""",
    ],
)
@pytest.mark.parametrize(("join", "how"), [("JOIN", "inner"), ("LEFT JOIN", "left"), ("FULL OUTER JOIN", "full")])
def test_bounds_in_time_are_within(bounds: str, join: str, how: str) -> None:
    found = steps(f"SELECT amount, refunds.back AS b FROM orders {join} refunds ON orders.id = refunds.o AND {bounds}")

    assert found == [
        (
            "join_stream",
            {"with": "refunds", "on": {"id": "o"}, "how": how, "within": WEEK, "columns": {"back": "refunds.back"}},
        ),
        ("select", {"amount": "amount", "b": '"refunds.back"'}),
    ]


def test_bounds_that_within_cannot_say_are_asked_of_each_pair() -> None:
    text = """SELECT orders.id, refunds.o AS same FROM orders JOIN refunds ON orders.id = refunds.o
    AND refunds.back_at > orders.at + INTERVAL '1 hour' AND refunds.back_at < orders.at + INTERVAL '7 days'"""

    assert steps(text) == [
        (
            "join_stream",
            {
                "with": "refunds",
                "on": {"id": "o"},
                "how": "inner",
                "within": WEEK,
                "columns": {"back_at": "refunds.back_at"},
            },
        ),
        (
            "filter",
            """("refunds.back_at" > at + INTERVAL '1 HOUR') AND ("refunds.back_at" < at + INTERVAL '7 DAYS')""",
        ),
        ("select", {"id": "id", "same": "id"}),
    ]


def test_with_using_the_key_of_either_side_has_one_name() -> None:
    assert steps("SELECT id, refunds.back FROM orders FULL JOIN refunds USING (id)") == [
        ("join_stream", {"with": "refunds", "on": {"id": "id"}, "how": "full", "columns": {"back": "refunds.back"}}),
        ("select", {"id": "id", "back": '"refunds.back"'}),
    ]


BACK = "orders.id = refunds.o AND refunds.back_at"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT a FROM input CROSS JOIN silver.b", "CROSS JOIN cannot stand"),
        ("SELECT a FROM input, silver.b", "CROSS JOIN cannot stand"),
        ("SELECT a FROM input NATURAL JOIN silver.b", "CROSS JOIN cannot stand"),
        ("SELECT a FROM input JOIN (SELECT 1) AS b ON a = b.a", "JOIN (SELECT 1) AS b"),
        ("SELECT a FROM input JOIN LATERAL b ON TRUE", "JOIN LATERAL b"),
        (
            "SELECT a FROM input JOIN refund ON a = refund.a",
            "JOIN refund: no such source or table; did you mean 'refunds'?",
        ),
        ("SELECT a FROM input RIGHT JOIN silver.b ON a = b.a", "RIGHT JOIN with a table cannot stand"),
        ("SELECT a FROM input FULL JOIN silver.b ON a = b.a", "FULL JOIN with a table cannot stand"),
        ("SELECT a FROM orders ANTI JOIN refunds ON a = refunds.a", "ANTI JOIN with another source cannot stand"),
        ("SELECT a FROM orders ASOF JOIN refunds ON a >= refunds.a", "ASOF JOIN with another source cannot stand"),
        ("SELECT a FROM input ASOF JOIN silver.b ON a = b.a", "ASOF JOIN without a bound"),
        ("SELECT a FROM input JOIN silver.b ON a > b.a", "JOIN silver.b without equal columns"),
        ("SELECT a FROM orders JOIN refunds ON TRUE", "JOIN refunds without equal columns"),
        ("SELECT a FROM input LEFT JOIN silver.b ON a = b.a AND c > 1", "c > 1 in ON of LEFT JOIN"),
        (f"SELECT a FROM orders LEFT JOIN refunds ON {BACK} > orders.at", "one bound in time only for refunds.back_at"),
        (
            f"SELECT a FROM orders JOIN refunds ON {BACK} > orders.at AND orders.t < refunds.back_at",
            "bounds in time between",
        ),
        ("SELECT * FROM input JOIN silver.b ON a = b.a", "* of a JOIN"),
        ("SELECT b.* FROM input JOIN silver.b ON a = b.a", "b.* in SELECT"),
        ("SELECT refunds.o FROM orders LEFT JOIN refunds ON id = refunds.o", "refunds.o behind LEFT JOIN"),
        ("SELECT orders.id FROM orders RIGHT JOIN refunds ON id = refunds.o", "id behind RIGHT JOIN … ON"),
        ("SELECT a FROM input JOIN silver.b ON a = b.a AND EXISTS (SELECT 1)", "EXISTS cannot stand in ON"),
        (
            "WITH b AS (SELECT a FROM input) SELECT a FROM input JOIN b ON input.a = b.a",
            "JOIN b: no such source or table",
        ),
    ],
)
def test_a_join_is_refused_with_the_alternative(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        planned(text, SCOPE)

    assert message in caught.value.message
    assert caught.value.hint
