"""The rules of event time that Spark Structured Streaming publishes, where we claim the same.

*Source*: Spark's "Structured Streaming Programming Guide", Handling Late Data and Watermarking, Streaming
Deduplication, Stream-stream Joins; ``WatermarkTracker``; as collected in docs/event-time.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from etl.errors import ConfigError
from etl.transforms import TRANSFORMS
from etl.transforms.contract import TransformSite
from etl.watermark import moment
from tests.flowing import MAIN, Flowed, flow, planned_steps
from tests.guide import GUIDE, JOIN, SESSIONS, SLIDING, TUMBLING, Word, clock, counted, found, late, run, step, words


def test_the_example_of_the_guide_gives_the_guide_s_counts() -> None:
    flowed = run([clock(), counted(SLIDING)], *GUIDE, [("12:26", "end")])

    assert found(flowed.result()) == [
        ("cat", "12:00", "12:10", 1),
        ("cat", "12:05", "12:15", 1),
        ("dog", "12:00", "12:10", 2),
        ("dog", "12:05", "12:15", 3),
        ("owl", "12:00", "12:10", 1),
        ("owl", "12:05", "12:15", 2),
    ]


def test_the_example_of_the_guide_ignores_the_donkey_that_comes_behind_12_11() -> None:
    assert late(run([clock(), counted(SLIDING)], *GUIDE)) == [("12:04", "donkey", "12:11")]


def test_the_example_of_the_guide_in_update_mode_gives_each_changed_window() -> None:
    flowed = run([clock(), counted(SLIDING, emit="updates")], *GUIDE)

    assert found(flowed.batches[1]) == [
        ("cat", "12:00", "12:10", 1, "insert"),
        ("cat", "12:05", "12:15", 1, "insert"),
        ("dog", "12:05", "12:15", 2, "update"),
        ("dog", "12:10", "12:20", 1, "insert"),
    ]


def test_the_watermark_is_the_newest_time_less_the_delay_and_never_goes_back() -> None:
    marks = [run([clock(), counted(TUMBLING)], *GUIDE[:upto]).watermark_us for upto in range(1, 5)]

    assert [moment(mark).strftime("%H:%M") for mark in marks if mark is not None] == [
        "11:58",
        "12:04",
        "12:11",
        "12:11",
    ]


def test_a_row_is_late_when_its_window_ends_at_the_watermark_and_not_a_second_later() -> None:
    batches: list[list[Word]] = [[("12:20", "a")], [("12:09:59", "at its end"), ("12:10", "on time")]]

    assert late(run([clock(), counted(TUMBLING)], *batches)) == [("12:09", "at its end", "12:10")]


def test_a_row_without_a_window_is_late_at_the_watermark_itself() -> None:
    batches: list[list[Word]] = [[("12:20", "a")], [("12:10", "behind"), ("12:10:01", "on time")]]

    flowed = run([clock(), step("deduplicate", {"keys": ["word"]})], *batches)

    assert late(flowed) == [("12:10", "behind", "12:10")]
    assert found(flowed.result(), "word") == [("a",), ("on time",)]


def test_a_row_that_comes_less_than_the_delay_late_always_counts() -> None:
    batches: list[list[Word]] = [[("12:20", "a")], [("12:10:01", "a")], [("13:00", "end")]]

    assert found(run([clock(), counted(TUMBLING)], *batches).result(), "window_start", "n") == [
        ("12:10", 1),
        ("12:20", 1),
    ]


def test_the_watermark_before_a_batch_filters_and_the_one_after_it_evicts() -> None:
    batches: list[list[Word]] = [[("12:01", "a")], [("13:00", "b"), ("12:02", "a")], [("12:03", "a")]]

    flowed = run([clock(), counted(TUMBLING)], *batches)

    assert found(flowed.result()) == [("a", "12:00", "12:10", 2)]
    assert late(flowed) == [("12:03", "a", "12:50")]


def test_append_gives_a_window_once_when_the_watermark_reaches_its_end() -> None:
    batches: list[list[Word]] = [[("12:01", "a")], [("12:19:59", "b")], [("12:20", "b")], [("12:20", "b")]]

    flowed = run([clock(), counted(TUMBLING)], *batches)

    assert [frame.height for frame in flowed.batches] == [0, 0, 1, 0]


@pytest.mark.parametrize(("other", "expected"), [([("12:03", "x")], "11:53"), ([("12:50", "x")], "12:20"), ([], None)])
def test_of_several_inputs_the_slowest_counts_and_one_without_rows_holds_all_back(
    other: list[Word], expected: str | None
) -> None:
    steps = [clock(), step("union", {"with": ["more"]}), counted(TUMBLING)]

    flowed = flow(steps, [{MAIN: words([("12:30", "a")]), "more": words(other)}], {"more": [clock(source="more")]})

    mark = flowed.watermark_us
    assert (None if mark is None else moment(mark).strftime("%H:%M")) == expected


def joined(how: str, *batches: tuple[list[Word], list[Word]]) -> Flowed:
    """Join impressions and clicks as the guide does: a click within an hour of its impression; delays of 2 and 3 h."""
    given = [{MAIN: words(shown), "clicks": words(clicked, "clicked_at", "ad")} for shown, clicked in batches]
    branch = [step("watermark", {"column": "clicked_at", "delay": "3h", "max_ahead": "36500d"}, "clicks")]
    return flow([clock("2h"), step("join_stream", {**JOIN, "how": how})], given, {"clicks": branch})


def test_an_outer_join_gives_nulls_once_the_watermark_proves_that_no_partner_can_come() -> None:
    flowed = joined(
        "left",
        ([("12:00", "a"), ("12:10", "b")], [("12:30", "a")]),
        ([("15:00", "c")], [("15:59", "x")]),
        ([("15:10", "c")], [("16:10", "x")]),
    )

    assert [found(frame) for frame in flowed.batches] == [[("12:00", "a", "12:30")], [], [("12:10", "b", None)]]


def test_the_null_rows_of_an_outer_join_wait_for_a_side_that_is_silent() -> None:
    flowed = joined("left", ([("12:10", "b")], [("12:30", "x")]), ([("23:00", "c")], []), ([("23:30", "c")], []))

    assert flowed.result().height == 0


@pytest.mark.parametrize("how", ["left", "right", "full", "semi"])
def test_an_outer_or_semi_join_needs_watermarks_and_bounds_in_time(how: str) -> None:
    site = TransformSite(Path(), 1, has_watermark=False)
    kind: Any = TRANSFORMS["join_stream"]

    with pytest.raises(ConfigError, match="needs to know when no partner can come any more"):
        kind(kind.options_model.model_validate({**JOIN, "how": how}), site)
    with pytest.raises(ConfigError, match="needs to know when no partner can come any more"):
        step("join_stream", {"with": "clicks", "on": ["word"], "how": how})


def test_a_semi_join_gives_a_row_once_however_many_partners_it_has() -> None:
    flowed = joined("semi", ([("12:00", "a")], [("12:30", "a"), ("12:31", "a")]), ([], [("12:40", "a")]))

    assert found(flowed.result()) == [("12:00", "a")]


def test_drop_duplicates_by_key_and_event_time_finds_every_copy_that_is_not_late() -> None:
    batches: list[list[Word]] = [[("12:14", "a")], [("12:14", "a"), ("12:15", "b")], [("12:40", "c")], [("12:14", "a")]]

    flowed = run([clock(), step("deduplicate", {"keys": ["word", "at"]})], *batches)

    assert found(flowed.result()) == [("12:14", "a"), ("12:15", "b"), ("12:40", "c")]
    assert [counts.get("deduplicated", 0) for counts in flowed.counts] == [0, 1, 0, 0]
    assert late(flowed) == [("12:14", "a", "12:30")]


def test_drop_duplicates_within_watermark_finds_copies_whose_times_differ_by_no_more_than_the_delay() -> None:
    batches: list[list[Word]] = [[("12:14", "a")], [("12:24", "a")], [("12:25", "a")]]

    flowed = run([clock(), step("deduplicate", {"keys": ["word"], "within": "10m"})], *batches)

    assert found(flowed.result()) == [("12:14", "a"), ("12:25", "a")]


def test_a_row_between_two_sessions_makes_them_one() -> None:
    batches: list[list[Word]] = [[("12:00", "a"), ("12:08", "a")], [("12:04", "a")], [("13:00", "end")]]

    assert found(run([clock(), counted(SESSIONS)], *batches).result()) == [("a", "12:00", "12:13", 3)]


def test_a_session_ends_a_gap_behind_its_last_row_and_the_next_begins_there() -> None:
    batches: list[list[Word]] = [[("12:00", "a"), ("12:05", "a"), ("13:00", "end")]]

    assert found(run([clock(), counted(SESSIONS)], *batches).result()) == [
        ("a", "12:00", "12:05", 1),
        ("a", "12:05", "12:10", 1),
    ]


def test_transforms_in_a_chain_do_not_drop_each_other_s_rows() -> None:
    hourly = {"column": "window_start", "every": "1h"}
    per_hour = step("group_by", {"window": hourly, "aggregate": {"groups": "COUNT(*)", "n": "SUM(n)"}})
    batches: list[list[Word]] = [[("12:01", "a"), ("12:58", "b")], [("13:30", "c")], [("14:30", "d")]]

    flowed = run([clock(), counted(TUMBLING), per_hour], *batches)

    assert found(flowed.result()) == [("12:00", "13:00", 2, 2), ("13:00", "14:00", 1, 1)]
    assert late(flowed) == []


def test_limits_and_orders_of_an_endless_input_are_refused() -> None:
    for clause in ("LIMIT 3", "ORDER BY word"):
        with pytest.raises(ConfigError):
            planned_steps(f"SELECT word, COUNT(*) AS n FROM input GROUP BY word {clause}")
