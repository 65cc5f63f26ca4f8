"""Readers that skip files by our statistics never skip a row, and wrong statistics do hide rows."""

# ruff: noqa: DTZ001  timestamps without zone are tested here

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, QueryBuilder

from tests.unit.sinks.tables import append, log_file, make_sink

NAN, INF = float("nan"), float("inf")
LONG = "é" * 40
FIRST = datetime(1, 1, 1, tzinfo=UTC)
COLUMNS: dict[str, tuple[list[Any], Any]] = {
    "integer": ([-(2**63), -1, 0, 7, 2**63 - 1], pl.Int64),
    "float": ([-INF, -1.5, -0.0, 0.0, 2.25, INF], pl.Float64),
    "text": (["", "a", "a" * 32, "a" * 33, LONG, LONG + "z", "\ud7ff" * 40, "😀" * 40, "\U0010ffff" * 40], pl.String),
    "moment": ([FIRST + timedelta(microseconds=n) for n in (0, 1, 999, 1000, 1001)], pl.Datetime("us", "UTC")),
    "local moment": ([datetime(1969, 12, 31, 23, 59, 59, n) for n in (0, 1, 999_999)], pl.Datetime("us")),
    "day": ([date(1, 1, 1), date(1969, 12, 31), date(9999, 12, 31)], pl.Date),
    "decimal": ([Decimal("-99999999.99999999"), Decimal("0.00000001"), Decimal("7.5")], pl.Decimal(18, 8)),
    "flag": ([False, True], pl.Boolean),
}  # fmt: skip
Compare = Callable[[pl.Expr, pl.Expr], pl.Expr]
COMPARISONS: list[Compare] = [pl.Expr.eq, pl.Expr.ne, pl.Expr.lt, pl.Expr.le, pl.Expr.gt, pl.Expr.ge]


@pytest.mark.parametrize("kind", COLUMNS)
def test_polars_finds_the_same_rows_in_many_files_as_in_memory_at_every_edge(tmp_path: Path, kind: str) -> None:
    values, dtype = COLUMNS[kind]
    rows = pl.DataFrame({"n": range(len(values) + 1), "x": pl.Series([*values, None], dtype=dtype)})
    sink = make_sink(tmp_path)
    for batch_id, part in enumerate([rows[:2], rows[2:3], rows[3:], rows]):
        append(sink, batch_id, part)
    everything = pl.concat([rows, rows])
    table = pl.scan_delta(str(tmp_path))
    queries = [compare(pl.col("x"), pl.lit(value, dtype)) for value in values for compare in COMPARISONS]
    queries += [pl.col("x").is_null(), pl.col("x").is_not_null()]
    found = pl.collect_all([table.filter(query).select("n") for query in queries])
    for query, frame in zip(queries, found, strict=True):
        assert sorted(frame["n"]) == sorted(everything.filter(query)["n"]), str(query)


def test_polars_finds_rows_beside_nan_and_nan_itself(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, pl.DataFrame({"x": [1.0, NAN, 3.0], "s": [{"y": 1.0}, {"y": NAN}, {"y": 3.0}]}))
    append(sink, 1, pl.DataFrame({"x": [NAN], "s": [{"y": NAN}]}))
    table = pl.scan_delta(str(tmp_path))
    for value in (pl.col("x"), pl.col("s").struct.field("y")):
        heights = [
            table.filter(query).collect().height
            for query in (value > 2, value >= 3, value < 2, value.is_nan(), value > 99)
        ]
        assert heights == [3, 3, 1, 2, 2]


def test_datafusion_finds_rows_at_the_edges_of_text_and_moments(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    moment = datetime(2026, 1, 1, 0, 0, 0, 1001, UTC)
    append(sink, 0, pl.DataFrame({"t": [LONG + "z"], "at": [moment], "a.b": [1]}))
    append(sink, 1, pl.DataFrame({"t": ["b"], "at": [moment - timedelta(microseconds=2)], "a.b": [2]}))

    def count(query: str) -> int:
        engine = QueryBuilder().register("t", DeltaTable(tmp_path))
        return int(engine.execute(f"SELECT 1 FROM t WHERE {query}").read_all().num_rows)

    assert count(f"t = '{LONG}z'") == count(f"t > '{LONG}'") == 1
    assert count("at = '2026-01-01T00:00:00.001001Z'") == count("at > '2026-01-01T00:00:00.001000Z'") == 1
    assert count("at <= '2026-01-01T00:00:00.000999Z'") == 1
    assert count('"a.b" = 2') == 1


def test_pyarrow_dataset_finds_rows_at_the_edges(tmp_path: Path) -> None:
    import pyarrow.dataset as ds

    sink = make_sink(tmp_path)
    append(sink, 0, pl.DataFrame({"t": [LONG + "z"], "n": [1]}))
    append(sink, 1, pl.DataFrame({"t": ["b"], "n": [2]}))
    dataset = DeltaTable(tmp_path).to_pyarrow_dataset()
    assert dataset.to_table(filter=ds.field("t") == LONG + "z")["n"].to_pylist() == [1]
    assert dataset.to_table(filter=ds.field("t") <= "b")["n"].to_pylist() == [2]
    assert dataset.to_table(filter=ds.field("n") >= 2)["n"].to_pylist() == [2]


def test_wrong_statistics_hide_rows(tmp_path: Path) -> None:
    append(make_sink(tmp_path), 0, pl.DataFrame({"n": [5, 6]}))
    lines = log_file(tmp_path, 0).read_text().splitlines()
    add = json.loads(lines[-1])
    add["add"]["stats"] = '{"numRecords":2,"minValues":{"n":50},"maxValues":{"n":60},"nullCount":{"n":0}}'
    log_file(tmp_path, 0).write_text("\n".join([*lines[:-1], json.dumps(add)]) + "\n")
    assert pl.scan_delta(str(tmp_path)).filter(pl.col("n") == 5).collect().height == 0
    assert pl.scan_delta(str(tmp_path)).collect().height == 2
