"""Queries in pipeline files, from files to tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import Any

import polars as pl
import pytest

from etl.config.faults import ConfigFaults
from etl.config.loader import load
from etl.config.wiring import check_plan, wire
from etl.engine import run
from etl.progress import Silent
from etl.seam import Seam
from tests.readers import table_rows

ORDERS = "{id: int64, page: string, amount: int64, at: timestamp}"
REFUNDS = "{order: int64, amount: int64, back_at: timestamp}"
PIPELINE = """
version: 1
sources:
  orders: {type: files, path: in/orders, format: ndjson, schema: %(orders)s, transforms: [{watermark: {column: at}}]}
  refunds:
    {type: files, path: in/refunds, format: ndjson, schema: %(refunds)s, transforms: [{watermark: {column: back_at}}]}
transforms:
  - filter: amount > 0
  - sql: |
%(query)s
sink: {type: delta, table: silver.t, provenance: false, %(sink)s}
"""
ONE = """
version: 1
source: {type: files, path: in/orders, format: ndjson, schema: %(orders)s}
transforms:
  - filter: amount > 0
  - sql: |
%(query)s
sink: {type: delta, table: silver.t, provenance: false, %(sink)s}
"""

Rows = Sequence[Mapping[str, Any]]


class Laboratory:
    """A project whose pipeline runs whenever files have come."""

    def __init__(self, folder: Path, query: str, sink: str = "write_mode: append", text: str = ONE) -> None:
        self.folder = folder
        self._number = 0
        for name in ("pipelines", "in/orders", "in/refunds"):
            (folder / name).mkdir(parents=True)
        told = {"orders": ORDERS, "refunds": REFUNDS, "query": indent(query, "      "), "sink": sink}
        (folder / "pipelines" / "t.yml").write_text(text % told)

    def wired(self) -> Any:
        project, specs = load(self.folder)
        return specs[0], wire(specs[0], project, Seam())

    def run(self, orders: Rows = (), refunds: Rows = ()) -> list[dict[str, Any]]:
        """Let files come, run, and return the rows of the table."""
        for name, rows in (("orders", orders), ("refunds", refunds)):
            if rows:
                self._number += 1
                path = self.folder / "in" / name / f"{self._number}.ndjson"
                path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        run(self.wired()[1], Seam(), Silent())
        return sorted(table_rows(self.folder / "lake/silver/t"), key=str)

    def faults(self) -> list[str]:
        with pytest.raises(ConfigFaults) as caught:
            check_plan(*self.wired())
        return [f"{fault.path}: {fault.message}" for fault in caught.value.faults]


def order(number: int, page: str, amount: int, minute: int) -> dict[str, Any]:
    return {"id": number, "page": page, "amount": amount, "at": f"2024-03-05T10:{minute:02}:00"}


def refund(number: int, amount: int, minute: int) -> dict[str, Any]:
    return {"order": number, "amount": amount, "back_at": f"2024-03-05T10:{minute:02}:00"}


def test_groups_are_kept_up_to_date_in_the_table(tmp_path: Path) -> None:
    query = "SELECT page, COUNT(*) AS n, SUM(amount) AS total FROM input GROUP BY page HAVING SUM(amount) < 20"
    laboratory = Laboratory(tmp_path, query, "write_mode: merge, primary_key: [page]")

    first = laboratory.run([order(1, "a", 5, 0), order(2, "b", 7, 1), order(3, "b", -9, 2)])
    second = laboratory.run([order(4, "a", 6, 3), order(5, "b", 13, 4)])

    assert first == [{"page": "a", "n": 1, "total": 5}, {"page": "b", "n": 1, "total": 7}]
    assert second == [{"page": "a", "n": 2, "total": 11}]


def test_a_whole_result_takes_the_place_of_the_table(tmp_path: Path) -> None:
    laboratory = Laboratory(tmp_path, "SELECT COUNT(*) AS n FROM input GROUP BY page", "write_mode: overwrite")

    assert laboratory.run([order(1, "a", 5, 0), order(2, "b", 7, 1)]) == [{"n": 1}, {"n": 1}]
    assert laboratory.run([order(3, "a", 6, 3)]) == [{"n": 1}, {"n": 2}]


def test_rows_of_two_sources_are_joined(tmp_path: Path) -> None:
    query = """SELECT orders.id, refunds.amount AS back FROM orders JOIN refunds ON orders.id = refunds.order
AND refunds.back_at BETWEEN orders.at AND orders.at + INTERVAL '10 minutes'"""
    laboratory = Laboratory(tmp_path, query, text=PIPELINE)

    first = laboratory.run([order(1, "a", 5, 0), order(2, "b", 7, 1)], [refund(9, 1, 0)])
    second = laboratory.run([], [refund(1, 2, 10), refund(2, 3, 12)])

    assert first == []
    assert second == [{"id": 1, "back": 2}]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "SELECT page, u.owner, amount FROM input JOIN silver.pages AS u ON input.page = u.page AND u.rank > 1",
            [{"page": "a", "owner": "Ada", "amount": 5}],
        ),
        (
            "SELECT id, u.owner FROM input LEFT JOIN silver.pages AS u USING (page)",
            [{"id": 1, "owner": "Ada"}, {"id": 2, "owner": "Bob"}, {"id": 3, "owner": None}],
        ),
        ("SELECT id FROM input ANTI JOIN silver.pages ON input.page = pages.page", [{"id": 3}]),
    ],
)
def test_rows_are_joined_with_a_table(tmp_path: Path, query: str, expected: Rows) -> None:
    laboratory = Laboratory(tmp_path, query)
    pages = pl.DataFrame({"page": ["a", "b"], "owner": ["Ada", "Bob"], "rank": [2, 1]})
    pages.write_delta(str(tmp_path / "lake/silver/pages"))

    assert laboratory.run([order(1, "a", 5, 0), order(2, "b", 7, 1), order(3, "c", 8, 1)]) == expected


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "SELECT page, COUNT(*) AS n FROM input GROUP BY page HAVING m > 1",
            "m is neither in GROUP BY nor in an aggregate",
        ),
        ("SELECT page, SUM(amuont) AS n FROM input GROUP BY page", "GROUP BY: n: unknown column 'amuont'"),
        ("SELECT page FROM input ORDER BY page", "ORDER BY cannot stand in `sql`; rows of a table have no order"),
        ("SELECT page, MEDIAN(amount) AS n FROM input GROUP BY page", "GROUP BY: n: MEDIAN cannot be kept up to date"),
    ],
)
def test_what_is_wrong_with_a_query_is_told_at_its_place(tmp_path: Path, query: str, message: str) -> None:
    (fault,) = Laboratory(tmp_path, query).faults()

    assert fault.startswith(f"transforms[1].sql: {message}")
