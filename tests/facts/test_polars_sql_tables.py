from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.exceptions import PolarsError

ROWS = pl.LazyFrame({"id": [1, 2]})


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM silver.orders",
        "SELECT orders.id FROM silver.orders",
        "SELECT silver.orders.id FROM silver.orders",
        "SELECT o.id FROM silver.orders AS o",
    ],
)
def test_a_frame_may_be_registered_under_a_name_with_a_dot(sql: str) -> None:
    assert pl.SQLContext({"silver.orders": ROWS}).execute(sql, eager=True)["id"].to_list() == [1, 2]


def test_a_bare_name_does_not_stand_for_one_with_a_schema() -> None:
    with pytest.raises(PolarsError):
        pl.SQLContext({"orders": ROWS}).execute("SELECT id FROM silver.orders", eager=True)


def test_sql_reads_any_file_of_the_machine_through_table_functions(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")

    found = pl.SQLContext({"silver.orders": ROWS}).execute(f"SELECT * FROM read_csv('{tmp_path}/x.csv')", eager=True)

    assert found.rows() == [(1,)]
