from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable


def test_trace_tells_the_newest_version(ran: Any) -> None:
    lines = ran("trace", "silver.orders").stdout.splitlines()

    assert lines[0] == "silver.orders version 1: WRITE"
    assert lines[2] == "  1 file; rows: 1 read, 1 written"
    assert lines[-1].split() == ["landing/2.ndjson", "25", "B", "1"]


def test_trace_tells_a_version_a_file_a_row_and_a_reason(ran: Any) -> None:
    assert "silver.orders version 0: WRITE" in ran("trace", "silver.orders", "--version", "0").stdout
    assert ran("trace", "silver.orders", "--file", "landing/1.ndjson").stdout == (
        "landing/1.ndjson\n  batch 0: silver.orders version 0, 2 rows read, 1 in the table\n"
        "    2 read, 1 written, 1 filtered\n"
    )
    assert ran("trace", "silver.orders", "--row", "id=3").stdout.splitlines()[-1].split() == [
        "landing/2.ndjson", "0", "1", "1",
    ]  # fmt: skip
    assert ran("trace", "silver.orders", "--explain", "landing/2.ndjson").stdout == (
        "landing/2.ndjson: read\n  known since batch 1\n"
    )
    assert ran("trace", "silver.orders", "--row", "id=99").stdout == "no such row\n"


def test_trace_as_json(ran: Any, told: Any) -> None:
    assert told(ran("trace", "silver.orders", "--json"))["batch_id"] == 1
    assert told(ran("trace", "silver.orders", "--file", "landing/1.ndjson", "--json"))[0]["rows_in_table"] == 1
    assert told(ran("trace", "silver.orders", "--row", "id=3", "--json"))[0]["file"] == "landing/2.ndjson"
    assert told(ran("trace", "silver.orders", "--explain", "landing/1.ndjson", "--json"))["is_read"] is True


def test_trace_answers_one_question_at_a_time(ran: Any) -> None:
    assert ran("trace", "silver.orders", "--version", "0", "--file", "x").exit_code == 2


def test_query_prints_an_aligned_table(ran: Any) -> None:
    done = ran("query", "SELECT id, amount FROM silver.orders ORDER BY id")

    assert done.stdout.splitlines() == ["id  amount", "──  ──────", " 1       5", " 3     7.5", "2 rows"]


def test_query_prints_csv_and_json(ran: Any, told: Any) -> None:
    sql = "SELECT id, amount FROM silver.orders ORDER BY id"

    assert ran("query", sql, "--format", "csv").stdout == "id,amount\n1,5.0\n3,7.5\n"
    assert told(ran("query", sql, "--format", "json")) == [{"id": 1, "amount": 5.0}, {"id": 3, "amount": 7.5}]
    assert told(ran("query", sql, "--json")) == [{"id": 1, "amount": 5.0}, {"id": 3, "amount": 7.5}]


def test_query_prints_nested_values_as_json_in_csv(ran: Any) -> None:
    done = ran("query", "SELECT ARRAY_AGG(id) AS ids FROM silver.orders WHERE id = 1", "--format", "csv")

    assert done.stdout == "ids\n[1]\n"


def test_query_writes_files(ran: Any, tmp_path: Path) -> None:
    sql = "SELECT id FROM silver.orders ORDER BY id"

    for name in ("csv", "json", "parquet"):
        done = ran("query", sql, "--format", name, "--output", str(tmp_path / f"out.{name}"))
        assert (done.exit_code, done.stdout) == (0, "")
    assert pl.read_parquet(tmp_path / "out.parquet")["id"].to_list() == [1, 3]
    assert (tmp_path / "out.csv").read_text() == "id\n1\n3\n"
    assert json.loads((tmp_path / "out.json").read_text()) == [{"id": 1}, {"id": 3}]


def test_query_refuses_a_place_that_cannot_be_written(ran: Any, tmp_path: Path) -> None:
    done = ran("query", "SELECT 1 AS a", "--format", "csv", "--output", str(tmp_path / "no" / "where.csv"))

    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


def test_query_wants_a_file_for_parquet_and_none_for_a_table(ran: Any) -> None:
    assert ran("query", "SELECT 1 AS a", "--format", "parquet").exit_code == 2
    assert ran("query", "SELECT 1 AS a", "--output", "x").exit_code == 2


def test_query_reads_an_older_version(ran: Any) -> None:
    assert ran("query", "SELECT id FROM silver.orders", "--version", "0", "--format", "csv").stdout == "id\n1\n"


def test_query_of_an_unknown_table_names_the_nearest(ran: Any) -> None:
    done = ran("query", "SELECT * FROM silver.order")

    assert (done.exit_code, done.stderr) == (2, "error: unknown table 'silver.order'; did you mean 'silver.orders'?\n")


def test_query_shows_a_hundred_rows_and_counts_all(ran: Any, shop: Path) -> None:
    (shop / "landing" / "3.ndjson").write_text("".join(f'{{"id": {n}, "amount": 1.0}}\n' for n in range(1500)))
    ran("run", "orders")

    assert ran("query", "SELECT id FROM silver.orders").stdout.splitlines()[-1] == "1,502 rows, the first 100 shown"


def test_trace_tells_a_commit_of_somebody_else(ran: Any, shop: Path) -> None:
    DeltaTable(str(shop / "lake" / "silver" / "orders")).optimize.compact()

    assert ran("trace", "silver.orders").stdout == (
        "silver.orders version 2: OPTIMIZE\n  not by a pipeline of this project\n"
    )


def test_trace_tells_a_file_that_repeats_another_and_one_that_is_not_committed(etl: Any, shop: Path) -> None:
    path = shop / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("{type: files,", "{type: files, identity: content,"))
    for at, name in enumerate(("1", "2", "3", "4")):
        (shop / "landing" / f"{name}.ndjson").write_bytes((shop / "landing" / f"{min(at, 1) + 1}.ndjson").read_bytes())
        os.utime(shop / "landing" / f"{name}.ndjson", (at, at))
    (shop / "landing" / "4.ndjson").write_text("{\n")
    assert etl("run", "orders").exit_code == 1

    repeated = etl("trace", "silver.orders", "--file", "landing/3.ndjson").stdout
    waiting = etl("trace", "silver.orders", "--file", "landing/4.ndjson").stdout

    assert "not read, it repeats landing/2.ndjson" in repeated
    assert "not committed yet, ? rows read, ? in the table" in waiting
