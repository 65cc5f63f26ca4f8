"""First, last, any and all values: in the order of event time, then of the rows in their files."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError
from tests.grouping import DAY, events, minute, step_of, windows
from tests.stepping import cut, walk

ROWS = events((3, "a", 30), (1, "a", 10), (2, "a", None), (1, "a", 11), (0, "a", None), (4, "a", 40), (4, "a", None))
WINDOW = {"column": "at", "every": "1h"}


def in_window(text: str, frame: pl.DataFrame, places: list[int]) -> Any:
    value = {"window": WINDOW, "aggregate": {"value": text}, "emit": "updates"}
    return windows(value, cut(frame, places), 60).result(["window_start", "window_end"])["value"].to_list()[0]


@pytest.mark.parametrize("places", [[], [2], [1, 2, 3, 4, 5, 6]])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FIRST(x)", None),
        ("LAST(x)", None),
        ("ANY_VALUE(x)", 10),
        ("FIRST(x) FILTER (WHERE x > 10)", 11),
        ("LAST(x) FILTER (WHERE x < 40)", 30),
        ("ANY_VALUE(x) FILTER (WHERE x > 11)", 30),
        ("FIRST(x) FILTER (WHERE x > 100)", None),
        ("ARRAY_AGG(x)", [None, 10, 11, None, 30, 40, None]),
        ("ARRAY_AGG(x) FILTER (WHERE x > 10)", [11, 30, 40]),
        ("ARRAY_AGG(x) FILTER (WHERE x > 100)", None),
    ],
)
def test_the_order_is_that_of_time_then_of_the_file(text: str, expected: object, places: list[int]) -> None:
    order = list(range(ROWS.height))
    random.Random(len(places)).shuffle(order)
    found = in_window(text, ROWS[order], places)

    assert (found.to_list() if isinstance(found, pl.Series) else found) == expected


def test_rows_of_one_time_and_place_are_in_the_order_of_their_values() -> None:
    frame = events((0, "a", 2), (0, "a", 1), (0, "a", 3)).with_columns(_source_offset=pl.lit(0, pl.Int64))

    assert in_window("FIRST(x)", frame, [1]) == 1
    assert in_window("LAST(x)", frame, [1, 2]) == 3
    assert in_window("ARRAY_AGG(x)", frame, [2]) == [1, 2, 3]


def test_a_list_or_a_struct_is_a_value() -> None:
    frame = pl.DataFrame(
        {"at": [minute(1), minute(0)], "x": [[2], [1, None]], "s": [{"u": 2}, {"u": 1}]},
        schema_overrides={"at": pl.Datetime("us")},
    )

    assert in_window("FIRST(x)", frame, [1]) == [1, None]
    assert in_window("LAST(s)", frame, [1]) == {"u": 2}
    assert in_window("ARRAY_AGG(s.u)", frame, [1]) == [1, 2]


def test_without_event_time_the_order_is_that_of_the_files() -> None:
    step = step_of({"by": ["user"], "aggregate": {"first": "FIRST(x)", "last": "LAST(x)"}})
    frame = ROWS.drop_nulls("x")

    found = walk([step], cut(frame[::-1], [2])).result(["user"])

    assert found.rows() == [("a", 30, 40)]


@pytest.mark.parametrize("function", ["FIRST", "LAST"])
def test_first_and_last_of_rows_without_an_order_are_refused(function: str) -> None:
    with pytest.raises(ConfigError) as caught:
        step_of({"by": ["user"], "aggregate": {"n": f"{function}(x)"}}).output_schema(ROWS.select("user", "x").schema)

    assert caught.value.message == f"n: {function} needs an order, and these rows have none"
    assert caught.value.hint == "use MIN, MAX or ANY_VALUE"


def test_any_value_and_all_values_of_rows_without_an_order_are_in_that_of_the_values() -> None:
    step = step_of({"by": ["user"], "aggregate": {"any": "ANY_VALUE(x)", "all": "ARRAY_AGG(x)"}})

    found = walk([step], cut(ROWS.select("user", "x"), [3])).result(["user"])

    assert found.rows() == [("a", 10, [None, None, None, 10, 11, 30, 40])]
    assert ROWS["at"].min() == DAY
