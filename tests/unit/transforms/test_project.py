from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest

ROWS = pl.DataFrame({"_source_file": ["f", "f"], "id": [1, 2], "name": ["a", "b"], "_batch_id": [0, 0]})


def test_select_takes_columns_in_order_and_keeps_the_system_ones_at_the_end(apply: Any) -> None:
    rows, counts = apply("select", ["name", "id"], ROWS)

    assert rows.columns == ["name", "id", "_source_file", "_batch_id"]
    assert rows.row(0) == ("a", 1, "f", 0)
    assert counts == {}


def test_select_puts_a_named_system_column_where_it_is_named(apply: Any) -> None:
    rows, _ = apply("select", ["_batch_id", "id"], ROWS)

    assert rows.columns == ["_batch_id", "id", "_source_file"]


def test_select_computes_columns(apply: Any) -> None:
    rows, _ = apply("select", {"twice": "id * 2", "file": "_source_file"}, ROWS)

    assert rows.rows() == [(2, "f", "f", 0), (4, "f", "f", 0)]


@pytest.mark.parametrize("text", ["2026-11-03T09:12:00Z", "2026-11-03T23:59:59.9-08:00", "2026-11-03"])
def test_with_columns_takes_the_day_of_a_moment_that_came_as_text(apply: Any, text: str) -> None:
    rows, _ = apply("with_columns", {"day": "CAST(ordered_at AS DATE)"}, pl.DataFrame({"ordered_at": [text]}))

    assert rows.rows() == [(text, date(2026, 11, 3))]


def test_select_gives_a_row_per_row_when_it_names_no_column(apply: Any) -> None:
    rows, _ = apply("select", {"one": "1"}, ROWS.select("id"))

    assert rows.rows() == [(1,), (1,)]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["nam"], "unknown column 'nam'; did you mean 'name'?"),
        (["id", "id"], "two columns would be named 'id'"),
        ({"_source_file": "name"}, "'_source_file' is the name of a system column"),
        ({"_batch_id_2": "name"}, "'_batch_id_2' is the name of a system column"),
        ({"next": "idd + 1"}, "next: unknown column 'idd'; did you mean 'id'?"),
    ],
)
def test_select_refuses(refuse: Any, value: object, message: str) -> None:
    assert refuse("select", value, dict(ROWS.schema)).message == message


def test_with_columns_replaces_in_place_and_adds_at_the_end(apply: Any) -> None:
    rows, _ = apply("with_columns", {"id": "id * 10", "old": "id"}, ROWS)

    assert rows.columns == ["_source_file", "id", "name", "_batch_id", "old"]
    assert rows.row(1) == ("f", 20, "b", 0, 2)


def test_with_columns_refuses_a_system_column(refuse: Any) -> None:
    assert "system column" in refuse("with_columns", {"_ingested_at": "id"}, {"id": pl.Int64}).message
