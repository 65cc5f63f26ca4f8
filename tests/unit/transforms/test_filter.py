from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

ROWS = pl.DataFrame({"id": [1, 2, 3, None], "name": ["a", None, "c", "d"]})


@pytest.mark.parametrize(
    ("predicate", "kept", "filtered"),
    [
        ("id > 1", [2, 3], 2),
        ("id > 1 OR id IS NULL", [2, 3, None], 1),
        (["id > 1", "name = 'c'"], [3], 3),
        (["id = 1 OR id = 2", "id = 2 OR id = 3"], [2], 3),
        ("TRUE", [1, 2, 3, None], None),
        ("NULL = 1", [], 4),
    ],
)
def test_filter_keeps_what_is_true_and_counts_the_rest(
    apply: Any, predicate: object, kept: list[int | None], filtered: int | None
) -> None:
    rows, counts = apply("filter", predicate, ROWS)

    assert rows["id"].to_list() == kept
    assert rows.columns == ["id", "name"]
    assert counts == ({"filtered": filtered} if filtered else {})


def test_filter_refuses_a_predicate_that_is_no_condition(refuse: Any) -> None:
    assert refuse("filter", "id + 1", {"id": pl.Int64}).message == "id + 1: gives Int64, not true or false"


def test_filter_refuses_each_wrong_predicate_of_a_list(refuse: Any) -> None:
    assert (
        "unknown column 'nam'; did you mean 'name'?"
        in refuse("filter", ["TRUE", "nam = 1"], {"name": pl.Int64}).message
    )


def test_filter_refuses_a_bare_null(refuse: Any) -> None:
    assert refuse("filter", "NULL", {"id": pl.Int64}).message == "NULL: gives Null, not true or false"


@pytest.mark.parametrize("value", [1, [], ["id > 1", 2], {"id": 1}, None])
def test_filter_refuses_what_is_no_text(make: Any, value: object) -> None:
    with pytest.raises(ValidationError):
        make("filter", value)
