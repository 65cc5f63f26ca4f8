from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError

ROWS = pl.DataFrame(
    {"id": [1, 2, 3], "name": ["a", None, "c"], "place": [{"city": "Bonn"}] * 3, "_source_file": ["f"] * 3}
)


@pytest.mark.parametrize(
    ("query", "columns", "rows", "filtered"),
    [
        ("SELECT id FROM input", ["id", "_source_file"], [(1, "f"), (2, "f"), (3, "f")], 0),
        ("SELECT id FROM input WHERE id > 1 AND name IS NOT NULL;", ["id", "_source_file"], [(3, "f")], 2),
        ("select i.id + 1 as next from input as i where i.id = 1", ["next", "_source_file"], [(2, "f")], 2),
        ("SELECT * EXCLUDE (place, name) FROM input WHERE name = 'a'", ["id", "_source_file"], [(1, "f")], 2),
        ("SELECT input.*, 1 AS one FROM input WHERE FALSE", [*ROWS.columns, "one"], [], 3),
        ("SELECT place.city, id FROM input WHERE id = 1", ["city", "id", "_source_file"], [("Bonn", 1, "f")], 2),
        ("SELECT _source_file, id FROM input WHERE id = 1", ["_source_file", "id"], [("f", 1)], 2),
        (
            "SELECT CASE WHEN id > 1 THEN TRY_CAST(name AS INT) END AS n FROM input WHERE NOT (id = 1)",
            ["n", "_source_file"],
            [(None, "f"), (None, "f")],
            1,
        ),
    ],
)
def test_sql_selects_row_by_row(
    apply: Any, query: str, columns: list[str], rows: list[tuple[Any, ...]], filtered: int
) -> None:
    found, counts = apply("sql", query, ROWS)

    assert found.columns == columns
    assert found.rows() == rows
    assert counts.get("filtered", 0) == filtered


@pytest.mark.parametrize(
    ("query", "clause"),
    [
        ("SELECT id FROM input GROUP BY id", "GROUP BY"),
        ("SELECT id FROM input HAVING id > 1", "HAVING"),
        ("SELECT DISTINCT id FROM input", "DISTINCT"),
        ("SELECT id FROM input ORDER BY id", "ORDER BY"),
        ("SELECT id FROM input LIMIT 1", "LIMIT"),
        ("SELECT id FROM input OFFSET 1", "OFFSET"),
        ("SELECT id FROM input FETCH FIRST 1 ROWS ONLY", "LIMIT"),
        ("SELECT id FROM input QUALIFY id > 1", "QUALIFY"),
        ("SELECT id FROM input WINDOW w AS (ORDER BY id)", "WINDOW"),
        ("SELECT id FROM input JOIN users ON TRUE", "JOIN"),
        ("SELECT id FROM input, users", "JOIN"),
        ("WITH q AS (SELECT 1) SELECT id FROM input", "WITH"),
        ("SELECT id FROM input UNION SELECT id FROM input", "UNION"),
        ("SELECT id FROM input EXCEPT SELECT id FROM input", "EXCEPT"),
        ("SELECT id INTO other FROM input", "INTO"),
        ("SELECT id FROM input TABLESAMPLE (10)", "SAMPLE"),
        ("SELECT id FROM main.input", "DB"),
        ("SELECT id FROM read_csv('x')", "READ_CSV('x')"),
        ("SELECT id FROM (SELECT * FROM input)", "reads from (SELECT"),
        ("SELECT id FROM users", "reads from users"),
        ("SELECT 1 AS one", "reads from nothing"),
        ("DELETE FROM input", "not a query"),
        ("id > 1", "not a query"),
        ("SELECT id FROM input; SELECT 1", "semicolon"),
        ("SELECT id FROM input -- all", "comment"),
    ],
)
def test_sql_refuses_a_clause_when_it_is_made(make: Any, query: str, clause: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make("sql", query)

    assert clause in caught.value.message
    assert caught.value.where == "transforms[2].sql"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT SUM(id) AS s FROM input", "SUM"),
        ("SELECT ROW_NUMBER() OVER () AS n FROM input", "OVER"),
        ("SELECT UNNEST(name) AS n FROM input", "UNNEST"),
        ("SELECT (SELECT 1) AS n FROM input", "a sub-query"),
        ("SELECT id FROM input WHERE id IN (SELECT 1)", "IN takes a list"),
        ("SELECT id FROM input WHERE id", "not true or false"),
        ("SELECT id + 1 FROM input", "id + 1 has no name"),
        ("SELECT id, name AS id FROM input", "two columns would be named 'id'"),
        ("SELECT * RENAME (id AS key) FROM input", "* takes EXCLUDE only"),
        ("SELECT * EXCLUDE (_source_file) FROM input", "system column"),
        ("SELECT * EXCLUDE (nam) FROM input", "unknown column 'nam'; did you mean 'name'?"),
        ("SELECT name AS _batch_id FROM input", "system column"),
        ("SELECT nam FROM input", "unknown column 'nam'; did you mean 'name'?"),
        ("SELECT other.id FROM input", "unknown column 'other'"),
    ],
)
def test_sql_refuses_when_the_columns_are_known(refuse: Any, query: str, message: str) -> None:
    assert message in refuse("sql", query, dict(ROWS.schema)).message
