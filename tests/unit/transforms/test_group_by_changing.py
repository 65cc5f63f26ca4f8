"""One group_by behind another that gives updates: each row as it is now, in the group where it is now."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError
from etl.transforms.changes import changes_between
from tests.grouping import events, spans, step_of
from tests.stepping import Clock, walk

PER_USER = {"by": ["user"], "aggregate": {"n": "COUNT(*)", "s": "SUM(x)"}}
PER_WINDOW = {**PER_USER, "window": {"column": "at", "every": "5m"}, "emit": "updates"}
CHANGING = pl.Schema({"user": pl.String(), "at": pl.Datetime("us"), "n": pl.Int64(), "_change": pl.String()})


def test_a_row_leaves_its_old_group_for_its_new_one() -> None:
    histogram = {"by": ["n"], "aggregate": {"users": "ARRAY_AGG(user)", "sum": "SUM(s)"}}
    batches = [events((0, "a", 1), (0, "b", 2)), events((1, "a", 3), (0, "c", 4)), events((1, "b", 5))]

    walked = walk([step_of(PER_USER), step_of(histogram)], batches)

    assert [sorted(frame.rows()) for frame in walked.emitted] == [
        [(1, ["a", "b"], 3, "insert")],
        [(1, ["b", "c"], 6, "update"), (2, ["a"], 4, "insert")],
        [(1, ["c"], 4, "update"), (2, ["a", "b"], 11, "update")],
    ]


def test_a_group_without_rows_is_deleted() -> None:
    histogram = {"by": ["n"], "aggregate": {"users": "COUNT(*)"}}
    batches = [events((0, "a", 1)), events((1, "a", 3))]

    walked = walk([step_of(PER_USER), step_of(histogram)], batches)

    assert sorted(walked.emitted[1].rows()) == [(1, 1, "delete"), (2, 1, "insert")]
    assert walked.result(["n"]).rows() == [(2, 1)]
    assert [table.rows for table in walked.states[-1][1].values()] == [1, 1]


def test_a_session_that_is_gone_leaves_the_groups_behind_it() -> None:
    sessions = {**PER_USER, "window": {"column": "at", "session_gap": "5m"}, "emit": "updates"}
    total = {"by": ["user"], "aggregate": {"sessions": "COUNT(*)", "most": "MAX(n)"}}
    batches = [events((0, "a", 1), (8, "a", 2)), events((4, "a", 3))]

    walked = walk([step_of(sessions), step_of(total)], batches)

    assert [frame.rows() for frame in walked.emitted] == [[("a", 2, 1, "insert")], [("a", 1, 3, "update")]]


def test_the_sum_of_all_is_one_row() -> None:
    walked = walk(
        [step_of(PER_USER), step_of({"aggregate": {"all": "SUM(n)"}})],
        [events((0, "a", 1)), events((0, "b", 1), (1, "a", 1)), events()],
    )

    assert [frame.rows() for frame in walked.emitted] == [[(1, "insert")], [(3, "update")], []]


def test_windows_of_a_changing_result_are_final_once() -> None:
    hours = {"window": {"column": "window_start", "every": "10m"}, "aggregate": {"all": "SUM(n)", "most": "MAX(s)"}}
    batches = [events((0, "a", 1), (6, "a", 2)), events((7, "b", 3), (8, "a", 9)), events((19, "a", 1))]

    steps = [step_of(PER_WINDOW, has_watermark=True), step_of(hours, has_watermark=True)]
    walked = walk(steps, batches, Clock(delay_us=240_000_000))

    assert [spans(frame, "all", "most") for frame in walked.emitted] == [[], [], [(0, 10, 4, 11)]]
    assert [table.rows for table in walked.states[-1][1].values()] == [1, 1]
    assert walked.late == []


def test_the_whole_result_is_given_where_the_sink_wants_it() -> None:
    total = step_of({"by": ["n"], "aggregate": {"users": "COUNT(*)"}}, is_whole=True)

    walked = walk([step_of(PER_USER), total], [events((0, "a", 1), (0, "b", 1)), events((1, "a", 1)), events()])

    assert [sorted(frame.rows()) for frame in walked.emitted] == [[(1, 2)], [(1, 1), (2, 1)], [(1, 1), (2, 1)]]


@pytest.mark.parametrize(
    ("value", "keys", "message"),
    [
        ({"aggregate": {"n": "COUNT(*)"}}, None, "the input changes, and does not say by which keys"),
        ({"aggregate": {"n": "COUNT(*)"}}, ["usr"], "unknown column 'usr'; did you mean 'user'?"),
        (
            {"window": {"column": "at", "session_gap": "5m"}, "aggregate": {"n": "COUNT(*)"}},
            ["user", "at"],
            "sessions cannot be made of a result that changes",
        ),
        (
            {"window": {"column": "at", "every": "5m"}, "aggregate": {"n": "COUNT(*)"}},
            ["user"],
            "the input changes, and 'at' may change with it",
        ),
    ],
)
def test_a_changing_input_that_cannot_be_taken_in_is_refused(
    value: dict[str, Any], keys: list[str] | None, message: str
) -> None:
    step = step_of(value)
    if keys is not None:
        step.take_keys(keys)

    with pytest.raises(ConfigError) as caught:
        step.output_schema(CHANGING)

    assert caught.value.message == message
    assert caught.value.where == "transforms[2].group_by"
    assert caught.value.hint


def test_the_fingerprint_tells_that_the_input_changes() -> None:
    step = step_of(PER_USER)
    step.take_keys(["user"])

    assert step.fingerprint().fixed["input"] == "changes"


def test_changes_are_what_is_new_other_or_gone() -> None:
    before = pl.DataFrame({"k": ["a", "b", None, "d"], "v": [1.0, 2.0, float("nan"), None]})
    after = pl.DataFrame({"k": ["a", "b", None, "e"], "v": [1.0, 3.0, float("nan"), None]})

    found = changes_between(before, after, ["k"])

    assert sorted(found.rows()) == [("b", 3.0, "update"), ("d", None, "delete"), ("e", None, "insert")]


def test_changes_of_the_one_row_without_a_key() -> None:
    none, one, two = (pl.DataFrame({"v": values}, schema={"v": pl.Int64}) for values in ([], [1], [2]))

    assert changes_between(none, one, []).rows() == [(1, "insert")]
    assert changes_between(one, two, []).rows() == [(2, "update")]
    assert changes_between(one, one, []).rows() == []
    assert changes_between(one, none, []).rows() == [(1, "delete")]
