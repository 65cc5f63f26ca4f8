"""Expected rows against those of a table."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from etl.operations.comparing import Difference, difference

FOUND = pl.DataFrame(
    {
        "id": ["a", "b", "b"],
        "at": [datetime(2026, 3, 1, 10, tzinfo=UTC), None, None],
        "amount": [Decimal("1.10"), Decimal("2.00"), Decimal("2.00")],
        "share": [0.1 + 0.2, 1.0, 1.0],
        "tags": [["x", "y"], [], []],
        "_batch_id": [0, 1, 1],
    },
    schema_overrides={"at": pl.Datetime("us", "UTC"), "amount": pl.Decimal(18, 2)},
)


@pytest.mark.parametrize(
    "expected",
    [
        [{"id": "a"}, {"id": "b"}, {"id": "b"}],
        [{"id": "b", "at": None}, {"id": "a", "at": "2026-03-01T10:00:00Z"}, {"id": "b"}],
        [{"id": "a", "at": "2026-03-01T11:00:00+01:00"}, {"id": "b"}, {"id": "b"}],
        [{"amount": "1.1"}, {"amount": 2}, {"amount": 2.0}],
        [{"share": 0.3}, {"share": 1}, {"share": 1}],
        [{"tags": ["x", "y"]}, {"tags": []}, {"tags": []}],
        [{"_batch_id": 0}, {"_batch_id": 1}, {"_batch_id": 1}],
    ],
)
def test_a_table_is_as_expected(expected: list[dict[str, Any]]) -> None:
    assert difference("t", expected, FOUND) is None


def test_a_row_too_few_and_one_too_many_are_told_in_the_compared_columns() -> None:
    found = difference("t", [{"id": "a"}, {"id": "b"}, {"id": "c"}], FOUND)

    assert found == Difference("t", missing=({"id": "c"},), unexpected=({"id": "b"},))


def test_an_unexpected_row_stands_beside_the_missing_one_that_it_is_like() -> None:
    there = pl.DataFrame({"id": ["x", "b", "a"], "n": [9, 2, 1], "m": [9, 5, 5]})
    found = difference("t", [{"id": "a", "n": 3, "m": 5}, {"id": "b", "n": 3, "m": 5}], there)

    assert found is not None
    assert [row["id"] for row in found.missing] == ["a", "b"]
    assert [row["id"] for row in found.unexpected] == ["a", "b", "x"]


def test_all_columns_are_compared_where_that_is_asked_for() -> None:
    there = pl.DataFrame({"id": ["a"], "n": [1], "_batch_id": [0]})

    assert difference("t", [{"id": "a"}], there) is None
    assert difference("t", [{"id": "a", "n": 1}], there, is_exact=True) is None
    assert difference("t", [{"id": "a"}], there, is_exact=True) == Difference(
        "t", ({"id": "a", "n": None},), ({"id": "a", "n": 1},)
    )


def test_no_rows_are_expected() -> None:
    there = pl.DataFrame({"id": ["a"], "_batch_id": [0]})

    assert difference("t", [], there) == Difference("t", unexpected=({"id": "a"},))
    assert difference("t", [], there.clear()) is None
    assert difference("t", [], pl.DataFrame()) is None


def test_a_table_that_was_never_made_lacks_every_row() -> None:
    assert difference("t", [{"id": "a"}], pl.DataFrame()) == Difference("t", missing=({"id": "a"},))


def test_a_number_may_be_written_where_a_column_is_text() -> None:
    there = pl.DataFrame({"id": ["7", "true"]})

    assert difference("t", [{"id": 7}, {"id": True}], there) is None


@pytest.mark.parametrize(
    ("expected", "trouble"),
    [
        ({"shape": 1}, "the table has no column 'shape'; did you mean 'share'?"),
        ({"share": "much"}, "much"),
        ({"at": "soon"}, "soon"),
    ],
)
def test_what_cannot_be_compared_says_why(expected: dict[str, Any], trouble: str) -> None:
    found = difference("t", [expected], FOUND)

    assert found is not None
    assert trouble in found.trouble


def test_days_are_compared_as_days() -> None:
    there = pl.DataFrame({"day": [date(2026, 3, 1)]})

    assert difference("t", [{"day": "2026-03-01"}], there) is None
    assert difference("t", [{"day": "2026-03-02"}], there) == Difference(
        "t", ({"day": date(2026, 3, 2)},), ({"day": date(2026, 3, 1)},)
    )
