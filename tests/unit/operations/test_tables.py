from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from etl.errors import ConfigError, SinkError
from etl.operations.library import read_table, run
from etl.operations.looking import Onlooker
from etl.operations.tables import query, scan_table, table_names, tables_in
from etl.operations.workspace import Workspace

SEAM = Onlooker()


@pytest.fixture
def filled(home: Workspace, run_all: Any) -> Workspace:
    run_all(home)
    return home


def test_every_table_of_the_lake_has_a_name(filled: Workspace) -> None:
    (filled.folder / "lake" / "notes.txt").write_text("no table")
    (filled.folder / "lake" / "silver" / "no_table").mkdir()

    assert table_names(filled.project, SEAM) == ["silver.orders"]


def test_a_lake_that_does_not_exist_has_no_tables(home: Workspace) -> None:
    assert table_names(home.project, SEAM) == []


def test_a_query_reads_a_table_by_name(filled: Workspace) -> None:
    frame = query(filled.project, "SELECT order_id, double FROM silver.orders ORDER BY order_id", SEAM)

    assert frame.rows() == [(1, 10.0), (3, 15.0)]


def test_a_query_may_join_name_and_nest(filled: Workspace) -> None:
    frame = query(
        filled.project,
        "WITH big AS (SELECT order_id FROM silver.orders WHERE amount > 5) "
        "SELECT o.order_id FROM silver.orders AS o JOIN big ON o.order_id = big.order_id",
        SEAM,
    )

    assert frame.rows() == [(3,)]


def test_a_query_reads_an_older_version(filled: Workspace) -> None:
    assert query(filled.project, "SELECT order_id FROM silver.orders", SEAM, version=0).rows() == [(1,)]


def test_a_version_that_is_not_there_is_refused(filled: Workspace) -> None:
    with pytest.raises(SinkError, match=r"silver\.orders: has no version 9"):
        query(filled.project, "SELECT order_id FROM silver.orders", SEAM, version=9)


def test_a_version_needs_one_table(filled: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"one table, this one names 0"):
        query(filled.project, "SELECT 1 AS one", SEAM, version=0)


def test_an_unknown_table_is_refused_with_the_nearest_name(filled: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"unknown table 'silver\.order'; did you mean 'silver\.orders'"):
        query(filled.project, "SELECT * FROM silver.order", SEAM)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_parquet('x')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM 'lake/silver/orders'",
        "SELECT * FROM scan_delta('lake/silver/orders')",
        "DELETE FROM silver.orders",
        "DROP TABLE silver.orders",
        "CREATE TABLE silver.x AS SELECT 1",
        "SELECT 1; SELECT 2",
        "SHOW TABLES",
        "",
        "SELEC",
        "SELECT (",
    ],
)
def test_anything_but_a_select_over_tables_is_refused(sql: str, filled: Workspace, snapshot: Any) -> None:
    before = snapshot(filled.folder)

    with pytest.raises(ConfigError):
        query(filled.project, sql, SEAM)

    assert snapshot(filled.folder) == before


def test_a_delta_table_outside_the_lake_cannot_be_queried_by_its_path(filled: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"is no table name"):
        query(filled.project, f"SELECT * FROM '{filled.folder}/lake/silver/orders'", SEAM)


def test_a_wrong_column_is_told_in_one_line(filled: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"the query failed: .*nope") as caught:
        query(filled.project, "SELECT nope FROM silver.orders", SEAM)

    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM silver.orders", ["silver.orders"]),
        ("SELECT (SELECT MAX(a) FROM gold.b) FROM silver.orders", ["gold.b", "silver.orders"]),
        ("WITH t AS (SELECT * FROM a.b) SELECT * FROM t", ["a.b"]),
        ("SELECT * FROM a.b UNION ALL SELECT * FROM c.d", ["a.b", "c.d"]),
        ("SELECT 1", []),
    ],
)
def test_the_tables_of_a_query_are_found(sql: str, expected: list[str]) -> None:
    assert tables_in(sql) == expected


def test_a_torn_table_is_told_as_one(filled: Workspace) -> None:
    log = filled.folder / "lake" / "silver" / "orders" / "_delta_log"
    (log / f"{0:020d}.json").write_text("{")

    with pytest.raises(SinkError, match=r"silver\.orders: cannot be read"):
        scan_table(filled.project, "silver.orders", SEAM)


def test_programs_read_a_table_by_name_or_path(filled: Workspace) -> None:
    by_name = read_table("silver.orders", project=filled.folder).collect()
    by_path = read_table("lake/silver/orders", project=str(filled.folder)).collect()
    first = read_table("silver.orders", project=filled.folder, version=0).collect()

    assert sorted(by_name["order_id"]) == sorted(by_path["order_id"]) == [1, 3]
    assert first["order_id"].to_list() == [1]


def test_programs_run_a_pipeline_or_hear_its_error(home: Workspace) -> None:
    assert [result.batch_id for result in run("orders", home.folder, max_batches=1)] == [0]
    assert [result.batch_id for result in run("orders", home.folder)] == [1]

    Path(home.folder / "landing" / "orders" / "3.ndjson").write_text("{\n")
    with pytest.raises(Exception, match="1 of 1 rows were rejected"):
        run("orders", home.folder)
