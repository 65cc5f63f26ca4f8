"""Sessions: they grow, merge and end; what would have been part of one that is over comes too late."""

from __future__ import annotations

import polars as pl

from etl.transforms.group_by_sessions import EXPIRES, IS_CLOSED
from tests.grouping import events, spans, step_of, windows
from tests.stepping import cut, walk

VALUE = {
    "by": ["user"],
    "window": {"column": "at", "session_gap": "5m"},
    "aggregate": {"n": "COUNT(*)", "s": "SUM(x)", "all": "ARRAY_AGG(x)"},
}
UPDATES = {**VALUE, "emit": "updates"}


def test_a_session_ends_when_nothing_comes_for_a_gap() -> None:
    walked = windows(VALUE, [events((0, "a", 1), (4, "a", 2), (9, "a", 3), (1, "b", 4), (60, "c", 5))])

    assert spans(walked.rows(), "user", "n", "s") == [(0, 9, "a", 2, 3), (1, 6, "b", 1, 4), (9, 14, "a", 1, 3)]


def test_a_session_is_final_in_the_batch_whose_watermark_passes_its_end() -> None:
    batches = [events((0, "a", 1)), events((3, "a", 2)), events((8, "b", 3)), events((10, "b", 4)), events()]

    walked = windows(VALUE, batches, delay=1)

    assert [spans(frame, "user", "n") for frame in walked.emitted] == [[], [], [], [(0, 8, "a", 2)], []]


def test_a_row_joins_the_sessions_on_both_of_its_sides() -> None:
    batches = [events((0, "a", 1), (8, "a", 2), (8, "b", 9)), events((4, "a", 3))]

    walked = windows(UPDATES, batches, delay=60)

    assert [spans(frame, "user", "n", "s", "_change") for frame in walked.emitted] == [
        [(0, 5, "a", 1, 1, "insert"), (8, 13, "a", 1, 2, "insert"), (8, 13, "b", 1, 9, "insert")],
        [(0, 13, "a", 3, 6, "update"), (8, 13, "a", 1, 2, "delete")],
    ]
    assert walked.result(["user", "window_start"]).filter(user="a")["all"].to_list() == [[1, 3, 2]]
    assert walked.states[-1][0]["sessions"].rows == 2


def test_a_session_that_begins_earlier_than_it_did_is_another() -> None:
    walked = windows(UPDATES, [events((4, "a", 1)), events((2, "a", 2))], delay=60)

    assert spans(walked.emitted[1], "n", "_change") == [(2, 9, 2, "insert"), (4, 9, 1, "delete")]


def test_a_row_is_late_where_its_own_session_would_be_over() -> None:
    walked = windows(VALUE, [events((20, "a", 1)), events((15, "b", 2), (16, "b", 3))])

    assert walked.late[0]["x"].to_list() == [2]
    assert walked.counts[1]["folded"] == 1


def test_a_row_is_late_where_it_would_have_been_part_of_a_session_that_is_over() -> None:
    batches = [
        events((0, "a", 1), (2, "a", 2), (8, "c", 0)),
        events((6, "a", 3), (6, "b", 4), (7, "a", 5)),
        events((40, "b", 6)),
    ]

    walked = windows(VALUE, batches)

    assert walked.late[0]["x"].to_list() == [3]
    found = [spans(frame, "user", "all") for frame in walked.emitted]
    assert found == [[(0, 7, "a", [1, 2])], [], [(6, 11, "b", [4]), (7, 12, "a", [5]), (8, 13, "c", [0])]]


def test_the_place_of_a_session_that_is_over_is_forgotten_after_another_gap() -> None:
    batches = [events((0, "a", 1), (6, "b", 2)), events((9, "b", 3)), events((10, "b", 4))]

    walked = windows(VALUE, batches)

    kept = [pl.concat(state[0]["sessions"].scan()).sort("user") for state in walked.states]
    assert [frame.select("user", IS_CLOSED, "s:sum").rows() for frame in kept] == [
        [("a", True, None), ("b", False, 2)],
        [("a", True, None), ("b", False, 5)],
        [("b", False, 9)],
    ]
    assert (kept[0][EXPIRES] - kept[0]["window_end"]).dt.total_minutes().to_list() == [5, 5]


def test_sessions_without_groups_are_those_of_all_rows() -> None:
    value = {"window": VALUE["window"], "aggregate": {"n": "COUNT(*)"}}

    walked = windows(value, cut(events((0, "a", 1), (3, None, 1), (7, "b", 1), (30, "c", 1), (27, "a", 1)), [1, 4]))

    assert spans(walked.rows(), "n") == [(0, 12, 3)]
    assert [frame["x"].to_list() for frame in walked.late] == []


def test_without_groups_too_a_row_may_be_late_for_a_session_that_is_over() -> None:
    value = {"window": VALUE["window"], "aggregate": {"n": "COUNT(*)"}}

    walked = windows(value, [events((0, "a", 1), (6, "b", 1)), events((3, "c", 1), (5, "c", 1))])

    assert walked.late[0].select("user", "at").rows() == [("c", events((3, "c", 1))["at"][0])]


def test_a_null_has_sessions_like_any_other_value() -> None:
    batches = [events((0, None, 1), (6, None, 2), (1, "a", 3)), events((4, None, 4))]

    assert windows(VALUE, batches).late[0]["x"].to_list() == [4]


def test_without_a_watermark_all_sessions_stay_open() -> None:
    step = step_of(UPDATES)

    walked = walk([step], [events((0, "a", 1)), events((60, "a", 2)), events((5, "a", 3), (4, "a", 4))])

    found = walked.result(["user", "window_start"])
    assert spans(found, "n") == [(0, 10, 3), (60, 65, 1)]


def test_the_whole_result_is_given_with_every_batch_where_the_sink_wants_it() -> None:
    step = step_of(VALUE, is_whole=True)

    walked = walk([step], [events((0, "a", 1), (6, "a", 2)), events((60, "b", 2)), events((4, "a", 3)), events()])

    assert [spans(frame, "user", "n") for frame in walked.emitted] == [
        [(0, 5, "a", 1), (6, 11, "a", 1)],
        [(0, 5, "a", 1), (6, 11, "a", 1), (60, 65, "b", 1)],
        [(0, 11, "a", 3), (60, 65, "b", 1)],
        [(0, 11, "a", 3), (60, 65, "b", 1)],
    ]
