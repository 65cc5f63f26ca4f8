"""When the state of a key expires, what the function is told, and what may come of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.model import BatchPlan
from etl.state.plain import PlainTable
from etl.transforms.contract import Moment
from etl.watermark import micros
from tests.stepping import FIRST_AT, Clock, walk
from tests.unit.transforms.keyed import TIMED, rows, step_in

SESSIONS = """
    def f(rows, state, batch):
        ended = state.join(batch.expired, on="card", how="semi", nulls_equal=True)
        open_ = state.join(batch.expired, on="card", how="anti", nulls_equal=True)
        total = pl.concat([open_, rows.select("card", total="amount")]).group_by("card").agg(pl.col("total").sum())
        return ended, total
"""
"""The sum of each card, given when nothing came for so long."""


def due_at(minute: int) -> datetime:
    return datetime(2024, 3, 5, tzinfo=UTC) + timedelta(minutes=minute)


def kept(walked: Any, batch: int = -1) -> list[tuple[Any, ...]]:
    (frame,) = walked.states[batch][0]["state"].scan()
    return sorted(frame.rows(), key=repr)


def test_a_timeout_by_event_time_gives_a_key_in_the_batch_whose_watermark_passes_it(tmp_path: Path) -> None:
    step = step_in(tmp_path, SESSIONS, TIMED, timeout="10m")
    batches = [rows(("a", 0, 1), ("b", 4, 2)), rows(("a", 5, 10)), rows(("c", 14, 7)), rows(("c", 15, 7))]
    walked = walk([step], batches, Clock())

    assert [frame.sort("card").rows() for frame in walked.emitted] == [[], [], [("b", 2)], [("a", 11)]]
    assert kept(walked, 0) == [("a", 1, due_at(10)), ("b", 2, due_at(14))]
    assert kept(walked, 1) == [("a", 11, due_at(15)), ("b", 2, due_at(14))]
    assert kept(walked) == [("c", 14, due_at(25))]


def test_an_older_row_does_not_bring_a_timeout_forward(tmp_path: Path) -> None:
    step = step_in(tmp_path, SESSIONS, TIMED, timeout="10m")
    walked = walk([step], [rows(("a", 5, 1)), rows(("a", 2, 1))], Clock(delay_us=600_000_000))

    assert kept(walked) == [("a", 2, due_at(15))]


def test_new_rows_of_a_key_that_is_due_put_its_timeout_off(tmp_path: Path) -> None:
    step = step_in(tmp_path, SESSIONS, TIMED, timeout="10m")
    walked = walk([step], [rows(("a", 0, 1)), rows(("a", 19, 1), ("b", 20, 1))], Clock())

    assert [frame.height for frame in walked.emitted] == [0, 0]
    assert kept(walked) == [("a", 2, due_at(29)), ("b", 1, due_at(30))]


def test_a_key_whose_rows_are_due_in_their_own_batch_expires_in_a_second_call(tmp_path: Path) -> None:
    step = step_in(tmp_path, SESSIONS, TIMED, timeout="10m")
    walked = walk([step], [rows(("a", 0, 1), ("b", 20, 2))], Clock())

    assert walked.rows().rows() == [("a", 1)]
    assert kept(walked) == [("b", 2, due_at(30))]
    assert walked.counts == [{"read": 2, "folded": 2, "added": 1, "written": 1}]


def test_state_that_is_returned_for_an_expired_key_lives_for_another_timeout(tmp_path: Path) -> None:
    body = """
        def f(rows, state, batch):
            return batch.expired, pl.concat([state, rows.select("card", total="amount")]).unique("card")
    """
    step = step_in(tmp_path, body, TIMED, timeout="10m")
    walked = walk([step], [rows(("a", 0, 1)), rows(("b", 12, 2)), rows(("b", 22, 2))], Clock())

    assert [frame.rows() for frame in walked.emitted] == [[], [("a",)], [("a",)]]
    assert kept(walked) == [("a", 1, due_at(32)), ("b", 2, due_at(32))]


def test_several_rows_of_a_key_expire_together(tmp_path: Path) -> None:
    body = """
        def f(rows, state, batch):
            ended = state.join(batch.expired, on="card", how="semi")
            open_ = state.join(batch.expired, on="card", how="anti")
            return ended, pl.concat([open_, rows.select("card", total="amount")])
    """
    step = step_in(tmp_path, body, TIMED, timeout="10m", rows_per_key="many")
    walked = walk([step], [rows(("a", 0, 1), ("a", 1, 2)), rows(("a", 2, 3)), rows(("b", 12, 9))], Clock())

    assert [frame.rows() for frame in walked.emitted] == [[], [], [("a", 1), ("a", 2), ("a", 3)]]
    assert kept(walked, 1) == [("a", 0, 1, due_at(12)), ("a", 1, 2, due_at(12)), ("a", 2, 3, due_at(12))]
    assert kept(walked) == [("b", 0, 9, due_at(22))]


def test_nothing_expires_before_there_is_a_watermark(tmp_path: Path) -> None:
    step = step_in(tmp_path, SESSIONS, TIMED, timeout="10m")
    walked = walk([step], [rows(), rows()], Clock())

    assert walked.counts == [{}, {}]


def test_a_timeout_by_processing_time_goes_by_the_clock_of_batches(tmp_path: Path) -> None:
    step = step_in(tmp_path, SESSIONS, timeout="2m", timeout_by="processing_time")
    batches = [rows(("a", 0, 1), ("b", 0, 5)), rows(("a", 500, 2)), rows(), rows()]
    walked = walk([step], batches)

    assert [frame.rows() for frame in walked.emitted] == [[], [], [("b", 5)], [("a", 3)]]
    assert kept(walked) == []


def test_a_timeout_goes_by_a_column_of_its_own(tmp_path: Path) -> None:
    step = step_in(tmp_path, SESSIONS, {"has_watermark": True, "time_column": "gone"}, timeout="10m", time="at")
    walked = walk([step], [rows(("a", 0, 1)), rows(("b", 10, 2))], Clock())

    assert walked.rows().rows() == [("a", 1)]


def test_a_day_is_a_time_too(tmp_path: Path) -> None:
    step = step_in(tmp_path, SESSIONS, TIMED, timeout="1d")
    batches = [each.with_columns(pl.col("at").dt.date()) for each in (rows(("a", 0, 1)), rows(("b", 1440, 2)))]

    assert walk([step], batches, Clock()).rows().rows() == [("a", 1)]


def due_of(step: Any, frame: pl.DataFrame, at: datetime = FIRST_AT) -> int | None:
    table = PlainTable(step.layouts(rows().schema)["state"], frame)
    moment = Moment(BatchPlan(3, at, {}, {}, "definition"), None, lambda: None)
    found: int | None = step.next_due_us({"state": table}, moment)
    return found


@pytest.mark.parametrize("minute", [1, 3, 60, 1440])
def test_the_next_batch_without_rows_is_due_with_the_first_key(tmp_path: Path, minute: int) -> None:
    step = step_in(tmp_path, SESSIONS, timeout="1d", timeout_by="processing_time")
    frame = pl.DataFrame(
        {"card": ["a", "b", "c"], "total": [1, 2, 3], "_due_at": [due_at(minute), due_at(1440), None]},
        schema_overrides={"_due_at": pl.Datetime("us", "UTC")},
    )

    assert due_of(step, frame) == micros(due_at(minute))
    assert due_of(step, frame.clear()) is None


def test_event_time_makes_no_batch_without_rows_due(tmp_path: Path) -> None:
    step = step_in(tmp_path, SESSIONS, TIMED, timeout="1d")

    assert due_of(step, PlainTable(step.layouts(rows().schema)["state"])._frame) is None
    assert due_of(step_in(tmp_path, SESSIONS), PlainTable(step.layouts(rows().schema)["state"])._frame) is None


@pytest.mark.parametrize(
    ("options", "has_timeouts", "behind_us"),
    [
        ({}, False, 0),
        ({"timeout": "10m"}, False, 600_000_000),
        ({"timeout": "10m", "timeout_by": "processing_time"}, True, 0),
    ],
)
def test_a_timeout_tells_what_the_clock_may_bring_and_how_late(
    tmp_path: Path, options: dict[str, str], has_timeouts: bool, behind_us: int
) -> None:
    step = step_in(tmp_path, SESSIONS, TIMED, **options)

    assert (step.has_timeouts, step.behind_us) == (has_timeouts, behind_us)


def test_state_from_before_there_was_a_timeout_expires_after_its_next_rows(tmp_path: Path) -> None:
    step = step_in(tmp_path, SESSIONS, TIMED, timeout="10m")
    layout = step.layouts(rows().schema)["state"]
    old = pl.DataFrame({"card": ["a", "b"], "total": [1, 1], "_due_at": [None, None]}, schema=layout.columns)
    table = PlainTable(layout, old)

    from etl.balance import Tally

    plan = BatchPlan(3, FIRST_AT, {}, {}, "definition")
    moment = Moment(plan, micros(due_at(0)), lambda: micros(due_at(30)))
    stepped = step.step((rows(("a", 25, 1)).lazy(),), {"state": table}, moment, Tally())

    assert stepped.rows.height == 0
    (after,) = table.changed(stepped.changes["state"]).scan()
    assert after.sort("card").rows() == [("a", 2, due_at(35)), ("b", 1, None)]
