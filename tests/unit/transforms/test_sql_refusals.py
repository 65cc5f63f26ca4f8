"""What a query cannot say: the clause, and what to write instead."""

from __future__ import annotations

import pytest

from etl.errors import ConfigError
from etl.transforms.sql_planning import planned
from etl.transforms.sql_planning_parts import Scope

SCOPE = Scope(("orders",), ("refunds",))
N = "COUNT(*) AS n FROM input"


@pytest.mark.parametrize(
    ("text", "clause", "alternative"),
    [
        (f"SELECT a, {N} GROUP BY a ORDER BY n", "ORDER BY cannot stand", "etl query"),
        (f"SELECT a, {N} GROUP BY a LIMIT 3", "LIMIT cannot stand", "etl query"),
        (f"SELECT a, {N} GROUP BY a OFFSET 3", "OFFSET cannot stand", "etl query"),
        (f"SELECT a, {N} GROUP BY a QUALIFY n > 1", "QUALIFY cannot stand", "deduplicate"),
        (f"SELECT a, {N} GROUP BY ROLLUP (a)", "ROLLUP cannot stand", "a pipeline for each"),
        (f"SELECT a, {N} GROUP BY CUBE (a)", "CUBE cannot stand", "a pipeline for each"),
        (f"SELECT a, {N} GROUP BY GROUPING SETS ((a), ())", "GROUPING SETS cannot stand", "a pipeline for each"),
        (f"SELECT a, {N} GROUP BY (a, b)", "GROUP BY (a, b)", "without parentheses"),
        (f"SELECT a, {N} GROUP BY 3", "GROUP BY 3: there is no such item", "write the expression"),
        (f"SELECT a, {N} GROUP BY a, SUM(b)", "SUM(b) cannot stand in GROUP BY", "over one row"),
        (f"SELECT a, {N} GROUP BY a, TUMBLE(t, INTERVAL '1 day'), SESSION(t, INTERVAL '1 day')", "two windows", "each"),
        (f"SELECT a, {N} GROUP BY a, TUMBLE(t)", "TUMBLE takes 1 intervals", "TUMBLE(ts, INTERVAL '5 minutes')"),
        (f"SELECT a, {N} GROUP BY a, TUMBLE(t, 5)", "5 is no interval", "INTERVAL '5 minutes'"),
        (f"SELECT a, {N} GROUP BY a, TUMBLE(t, INTERVAL 'soon')", "INTERVAL 'soon' cannot be read", "5 minutes"),
        (f"SELECT a, {N} GROUP BY a, TUMBLE(t, INTERVAL '1 month')", "INTERVAL of MONTH", "days, hours"),
        (f"SELECT a, {N} GROUP BY a, TUMBLE(t, INTERVAL '5 microseconds')", "microseconds", "milliseconds"),
        (
            f"SELECT TUMBLE(t, INTERVAL '1 day') AS w, {N} GROUP BY TUMBLE(t, INTERVAL '1 day')",
            "in SELECT",
            "window_start",
        ),
        (f"SELECT a, b, {N} GROUP BY a", "b is neither in GROUP BY nor in an aggregate", "ANY_VALUE(b)"),
        (f"SELECT *, {N} GROUP BY a", "* in SELECT", "name the columns"),
        ("SELECT a, COUNT(*) FROM input GROUP BY a", "COUNT(*) has no name", "AS name"),
        (f"SELECT a, a, {N} GROUP BY a", "two columns would be named 'a'", "AS name"),
        (f"SELECT {N} GROUP BY a", "SELECT leaves out a", "found by all that they are grouped by"),
        (f"SELECT {N} GROUP BY TUMBLE(t, INTERVAL '1 day')", "SELECT leaves out window_start", "name it in SELECT"),
        ("SELECT n FROM (SELECT a, COUNT(*) AS n FROM input GROUP BY a) AS g", "SELECT leaves out a", "name it"),
        ("SELECT a, SUM(MAX(b)) AS s FROM input GROUP BY a", "an aggregate in SUM", "FROM (SELECT"),
        (f"SELECT a, {N} WHERE SUM(b) > 1 GROUP BY a", "an aggregate in WHERE", "HAVING"),
        (f"SELECT a, {N} WHERE a IN (SELECT b FROM c) GROUP BY a", "IN (SELECT …) cannot stand in WHERE", "SEMI JOIN"),
        ("SELECT a FROM input WHERE a NOT IN (SELECT b FROM c)", "NOT IN (SELECT …) cannot stand", "ANTI JOIN"),
        ("SELECT a FROM input WHERE EXISTS (SELECT 1 FROM c)", "EXISTS cannot stand in WHERE", "SEMI JOIN"),
        ("SELECT a, (SELECT MAX(b) FROM c) AS m FROM input", "a sub-query cannot stand in SELECT", "stands in FROM"),
        (f"SELECT a, {N} GROUP BY a HAVING a > (SELECT 1)", "a sub-query cannot stand in HAVING", "stands in FROM"),
        ("SELECT SUM(a) OVER (PARTITION BY b) AS s FROM input", "OVER cannot stand", "stateful"),
        ("SELECT ROW_NUMBER() OVER (ORDER BY b) AS s FROM input", "OVER cannot stand", "deduplicate"),
        ("SELECT DISTINCT ON (a) a, b FROM input", "DISTINCT ON cannot stand", "deduplicate"),
        ("SELECT DISTINCT * FROM input", "* in SELECT", "name the columns"),
        ("WITH RECURSIVE q AS (SELECT a FROM input) SELECT DISTINCT a FROM q", "WITH RECURSIVE", "not known"),
        ("WITH q (x) AS (SELECT a FROM input) SELECT DISTINCT x FROM q", "WITH q (…) AS", "AS name"),
        ("WITH q AS (SELECT a FROM input), q AS (SELECT 1) SELECT a FROM q", "WITH q twice", "another name"),
        ("SELECT a FROM input INTERSECT SELECT a FROM refunds", "INTERSECT cannot stand", "SEMI JOIN"),
        ("SELECT a FROM input EXCEPT SELECT a FROM refunds", "EXCEPT cannot stand", "ANTI JOIN"),
        ("SELECT a FROM input UNION ALL SELECT b FROM refunds", "UNION of different SELECTs: a and b", "sources.NAME"),
        ("SELECT * FROM input UNION ALL SELECT * FROM refunds", "* in a UNION", "BY NAME"),
        ("SELECT a FROM input UNION ALL SELECT a FROM input", "UNION of input, input", "each source once"),
        ("SELECT a FROM input UNION ALL SELECT a FROM silver.b", "UNION with silver.b", "orders, refunds"),
        ("SELECT a FROM input UNION ALL SELECT a FROM refunds GROUP BY a", "GROUP in a part", "AS rows GROUP BY"),
        (
            "SELECT a FROM input UNION SELECT a FROM refunds UNION ALL SELECT a FROM x",
            "UNION and UNION ALL",
            "the same",
        ),
        ("SELECT DISTINCT a FROM refunds", "reads from refunds", "FROM orders JOIN refunds"),
        ("SELECT DISTINCT a FROM silver.users", "reads from silver.users", "FROM input JOIN silver.users"),
        ("SELECT DISTINCT a FROM imput", "reads from imput", "did you mean 'input'?"),
        ("SELECT DISTINCT a FROM read_csv('x')", "reads from READ_CSV('x')", "FROM input"),
        ("SELECT COUNT(*) AS n", "reads from nothing", "FROM input"),
        ("SELECT DISTINCT a FROM input TABLESAMPLE (10)", "SAMPLE cannot stand", "FROM input"),
        ("SELECT a FROM (SELECT a FROM input ORDER BY a) AS q", "ORDER BY cannot stand", "etl query"),
        ("SELECT a + 1 FROM (SELECT a FROM input) AS q", "a + 1 has no name", "AS name"),
    ],
)
def test_a_query_is_refused_with_the_clause_and_the_alternative(text: str, clause: str, alternative: str) -> None:
    with pytest.raises(ConfigError) as caught:
        planned(text, SCOPE)

    assert clause in caught.value.message
    assert alternative in caught.value.hint


def test_a_query_that_is_read_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="q is read twice"):
        planned("WITH q AS (SELECT a FROM q) SELECT DISTINCT a FROM q", SCOPE)
