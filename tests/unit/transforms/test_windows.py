"""Tumbling and sliding windows: where they start, which rows fall into them, when they are final, what is late."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from etl.rejects import WATERMARK
from etl.transforms.windows import Window
from tests.grouping import events, spans, step_of, windows
from tests.stepping import Clock, cut, walk

COUNTED = {"by": ["user"], "aggregate": {"n": "COUNT(*)"}}
TUMBLING = {**COUNTED, "window": {"column": "at", "every": "5m"}}
SLIDING = {**COUNTED, "window": {"column": "at", "every": "5m", "period": "10m"}}


def test_a_tumbling_window_is_final_in_the_batch_whose_watermark_passes_its_end() -> None:
    batches = [events((0, "a", 1), (4, "a", 1)), events((6, "a", 1)), events((7, "b", 1)), events()]

    walked = windows(TUMBLING, batches, delay=2)

    assert [spans(frame, "user", "n") for frame in walked.emitted] == [[], [], [(0, 5, "a", 2)], []]
    assert [state[0]["groups"].rows for state in walked.states] == [1, 2, 2, 2]


def test_a_window_may_be_final_in_the_batch_that_began_it() -> None:
    walked = windows(TUMBLING, [events((0, "a", 1), (12, "a", 1), (6, "b", 1))])

    assert spans(walked.emitted[0], "user", "n") == [(0, 5, "a", 1), (5, 10, "b", 1)]
    assert walked.counts == [{"read": 3, "added": 2, "written": 2, "folded": 3}]


def test_a_window_ends_before_its_end() -> None:
    walked = windows(TUMBLING, [events((4, "a", 1), (5, "a", 1), (10, "a", 1))])

    assert spans(walked.rows(), "n") == [(0, 5, 1), (5, 10, 1)]


@pytest.mark.parametrize("emit", ["final", "updates"])
def test_rows_of_a_window_that_is_over_are_late_and_kept_whole(emit: str) -> None:
    batches = [events((10, "a", 1)), events((4, "a", 2), (5, "a", 3), (10, "a", 4))]

    walked = windows({**TUMBLING, "emit": emit}, batches, delay=4)

    (late,) = walked.late
    assert late.drop(WATERMARK).rows() == events((4, "a", 2)).rows()
    assert late[WATERMARK].dt.minute().to_list() == [6]
    assert walked.counts[1]["late"] == 1
    assert walked.counts[1]["folded"] == 2


def test_rows_without_a_time_are_set_aside() -> None:
    walked = windows(TUMBLING, [events((0, "a", 1), (None, "a", 2))])

    (late,) = walked.late
    assert late.select("x", WATERMARK).rows() == [(2, None)]


def test_updates_give_what_changed_and_drop_the_state_of_windows_that_are_over() -> None:
    batches = [events((0, "a", 1), (1, "b", 1)), events((2, "a", 1)), events((9, "a", 1))]

    walked = windows({**TUMBLING, "emit": "updates"}, batches, delay=3)

    assert [spans(frame, "user", "n", "_change") for frame in walked.emitted] == [
        [(0, 5, "a", 1, "insert"), (0, 5, "b", 1, "insert")],
        [(0, 5, "a", 2, "update")],
        [(5, 10, "a", 1, "insert")],
    ]
    assert walked.states[-1][0]["groups"].rows == 1


def test_a_result_that_stays_as_it_was_gives_nothing() -> None:
    value = {"by": ["user"], "aggregate": {"most": "MAX(x)"}}

    walked = walk([step_of(value)], [events((0, "a", 5)), events((0, "a", 3)), events((0, "a", 7))])

    assert [frame.rows() for frame in walked.emitted] == [[("a", 5, "insert")], [], [("a", 7, "update")]]


def test_a_row_falls_into_all_windows_that_hold_it_and_is_counted_once() -> None:
    walked = windows(SLIDING, [events((7, "a", 1)), events((30, "b", 1))])

    assert spans(walked.rows(), "user", "n") == [(0, 10, "a", 1), (5, 15, "a", 1)]
    assert [counts["folded"] for counts in walked.counts] == [1, 1]


def test_a_row_is_late_for_sliding_windows_where_one_of_them_is_over() -> None:
    walked = windows(SLIDING, [events((10, "a", 1)), events((9, "a", 2), (3, "a", 3), (40, "a", 4))])

    assert walked.late[0]["x"].to_list() == [2, 3]
    assert spans(walked.rows(), "n") == [(10, 20, 1), (5, 15, 1)]


@pytest.mark.parametrize(
    ("window", "at", "expected"),
    [
        ({"every": "7m"}, 0, [(-4, 3)]),
        ({"every": "5m", "offset": "2m"}, 1, [(-3, 2)]),
        ({"every": "5m", "offset": "12m"}, 2, [(2, 7)]),
        ({"every": "4m", "period": "10m"}, 9, [(0, 10), (4, 14), (8, 18)]),
        ({"every": "4m", "period": "10m"}, 11, [(4, 14), (8, 18)]),
        ({"every": "1d"}, 600, [(0, 1440)]),
        ({"every": "500ms"}, 3, [(3, 3)]),
    ],
)
def test_windows_are_counted_from_1970_on_in_utc(window: dict[str, str], at: int, expected: list[Any]) -> None:
    value = {"window": {"column": "at", **window}, "aggregate": {"n": "COUNT(*)"}, "emit": "updates"}

    walked = windows(value, [events((at, "a", 1))])

    assert spans(walked.rows()) == sorted(expected, key=repr)


@pytest.mark.parametrize(
    ("kind", "start", "end"),
    [
        (pl.Date, date(1969, 12, 31), date(1970, 1, 2)),
        (pl.Datetime("ms"), datetime(1969, 12, 31), datetime(1970, 1, 2)),  # noqa: DTZ001  naive
        (pl.Datetime("ns"), datetime(1969, 12, 31), datetime(1970, 1, 2)),  # noqa: DTZ001  naive
    ],
)
def test_a_window_has_the_type_of_its_column_also_before_1970(kind: Any, start: object, end: object) -> None:
    value = {"window": {"column": "at", "every": "2d", "offset": "1d"}, "aggregate": {"n": "COUNT(*)"}}
    frame = events((0, "a", 1)).with_columns(at=pl.lit(date(1970, 1, 1)).cast(kind))

    walked = walk([step_of(value)], [frame], Clock())

    assert walked.rows().rows() == [(start, end, 1, "insert")]
    assert walked.rows().schema["window_start"] == kind


def test_a_window_of_a_zone_is_told_in_that_zone() -> None:
    value = {"window": {"column": "at", "every": "1d"}, "aggregate": {"n": "COUNT(*)"}}
    zoned = pl.Datetime("us", "Europe/Berlin")
    frame = events((30, "a", 1)).with_columns(pl.col("at").dt.replace_time_zone("UTC").cast(zoned))

    (row,) = walk([step_of(value)], [frame], Clock()).rows().iter_rows(named=True)

    assert row["window_start"].isoformat() == "2024-03-05T01:00:00+01:00"
    assert row["window_end"] - row["window_start"] == timedelta(days=1)


def test_a_null_is_a_group_like_any_other() -> None:
    value = {"by": ["user"], "aggregate": {"n": "COUNT(*)"}}

    walked = walk([step_of(value)], cut(events((0, None, 1), (0, "a", 1), (1, None, 1)), [1]))

    assert sorted(walked.result(["user"]).rows(), key=repr) == [("a", 1), (None, 2)]


def test_rows_late_by_their_first_window_are_those_before_a_moment() -> None:
    window = Window("at", 4, 10, 1)
    for watermark in range(30):
        closed = {at for at in range(40) if any(w + 10 <= watermark for w in range(-19, 60, 4) if w <= at < w + 10)}
        assert {at for at in range(40) if at < window.open_from(watermark)} == closed
