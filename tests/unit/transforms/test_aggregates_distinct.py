"""Distinct counts and quantiles of many values: where a sketch takes the place of the values themselves."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest

from etl.transforms.aggregates_distinct import MOST_VALUES
from tests.grouping import aggregated, events, step_of, values, windows
from tests.stepping import cut, walk

MANY = 20_000
ABOUT = 0.05


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (pl.Int64, lambda number: number),
        (pl.UInt64, lambda number: 2**63 + number),
        (pl.Float64, lambda number: number / 3),
        (pl.String, lambda number: f"user {number}"),
        (pl.Binary, lambda number: f"user {number}".encode()),
        (pl.Decimal(10, 2), lambda number: number),
    ],
)
def test_many_distinct_values_are_counted_about_right(kind: Any, make: Any) -> None:
    frame = values(*map(make, range(MANY)), kind=kind)

    found = aggregated("APPROX_COUNT_DISTINCT(x)", frame, frame[:100])

    assert found == pytest.approx(MANY, rel=ABOUT)
    assert found != MANY


@pytest.mark.parametrize("count", [1, 1023, MOST_VALUES])
def test_few_distinct_values_are_counted_exactly(count: int) -> None:
    frame = values(*range(count), *range(count))

    assert aggregated("APPROX_COUNT_DISTINCT(x)", *cut(frame, [300, 700, 1500])) == count


def test_the_estimate_depends_neither_on_the_order_of_rows_nor_on_batches() -> None:
    given = list(range(5000))
    whole = aggregated("APPROX_COUNT_DISTINCT(x)", values(*given))
    random.Random(1).shuffle(given)
    frame = values(*given)

    assert aggregated("APPROX_COUNT_DISTINCT(x)", *cut(frame, [10, 900, 1100, 1101, 4000])) == whole


def test_windows_and_sessions_merge_sketches() -> None:
    frame = events(*((number // 500, "a", number) for number in range(10_000)))
    value = {"by": ["user"], "aggregate": {"n": "APPROX_COUNT_DISTINCT(x)", "q": "APPROX_QUANTILE(x, 0.5)"}}
    sliding = {"column": "at", "every": "10m", "period": "20m"}
    for window in (sliding, {"column": "at", "session_gap": "5m"}):
        walked = windows({**value, "window": window, "emit": "updates"}, cut(frame, [2500, 5000, 7000]), 60)

        most = walked.result(["user", "window_start"]).sort("n").row(-1, named=True)
        assert most["n"] == pytest.approx(10_000, rel=ABOUT)
        assert most["q"] == pytest.approx(5000, rel=ABOUT)


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.95])
def test_a_quantile_of_many_values_is_about_right(fraction: float) -> None:
    given = list(range(MANY))
    random.Random(2).shuffle(given)

    found = aggregated(f"APPROX_QUANTILE(x, {fraction})", *cut(values(*given), [500, 900, 3000, 3001]))

    assert found == pytest.approx(MANY * fraction, abs=MANY * 0.01)


def test_state_keeps_values_or_a_sketch_and_never_both() -> None:
    rows = [(0, "few", number) for number in range(10)] + [(0, "many", number) for number in range(3000)]
    step = step_of({"by": ["user"], "aggregate": {"n": "APPROX_COUNT_DISTINCT(x)"}})

    (table,) = walk([step], [events(*rows)]).states[-1][0]["groups"].scan()

    few, many = table.sort("user").iter_rows(named=True)
    assert sorted(few["n:values"]) == list(range(10))
    assert (few["n:sketch"], few["n:number"]) == (None, None)
    assert many["n:values"] is None
    assert len(many["n:sketch"]) < 5000
    assert many["_rows"] == 3000


def test_distinct_values_of_an_endless_group_are_rows_of_their_own() -> None:
    step = step_of({"by": ["user"], "aggregate": {"a/b": "COUNT(DISTINCT x)", "c": "COUNT(DISTINCT x)"}})
    frame = events((0, "a", 1), (0, "a", 1), (1, "b", 1), (2, "a", None), (3, "a", 2), (4, "b", 1))

    walked = walk([step], cut(frame, [3, 5]))

    assert set(walked.states[-1][0]) == {"groups", "distinct.a%2Fb", "distinct.c"}
    (kept,) = walked.states[-1][0]["distinct.c"].scan()
    assert sorted(kept.rows()) == [("a", 1), ("a", 2), ("b", 1)]
    assert sorted(walked.emitted[-1].rows()) == []
    assert sorted(walked.result(["user"]).rows()) == [("a", 2, 2), ("b", 1, 1)]


def test_distinct_values_of_a_window_leave_with_it() -> None:
    value = {"window": {"column": "at", "every": "5m"}, "aggregate": {"n": "COUNT(DISTINCT x)"}}
    walked = windows(value, cut(events((0, "a", 1), (1, "a", 1), (2, "a", 2), (7, "a", 2)), [2, 3]))

    assert walked.rows()["n"].to_list() == [2]
    assert [table.rows for table in walked.states[-1][0].values()] == [1]
