"""Where event time differs from that of Spark Structured Streaming, on purpose: docs/event-time.md says why."""

from __future__ import annotations

from etl.rejects import WATERMARK
from tests.flowing import FIRST_AT, MAIN, flow, planned_steps
from tests.guide import JOIN, SESSIONS, SLIDING, TUMBLING, Word, at, clock, counted, found, late, run, step, words


def test_windows_are_final_in_the_very_batch_whose_watermark_passes_them_and_not_in_one_more() -> None:
    flowed = run([clock(), counted(TUMBLING)], [("12:01", "a"), ("12:30", "b")], [])

    assert [found(frame) for frame in flowed.batches] == [[("a", "12:00", "12:10", 1)], []]


def test_a_row_far_in_the_future_closes_nothing() -> None:
    near = step("watermark", {"column": "at", "delay": "10m"})  # max_ahead is an hour
    assert f"{FIRST_AT:%H:%M}" == "00:00"

    flowed = run([near, counted(TUMBLING)], [("00:01", "a"), ("23:00", "b")], [("00:02", "a")], [("00:30", "c")])

    assert found(flowed.result()) == [("a", "00:00", "00:10", 2)]


def test_late_rows_are_kept_whole_with_the_watermark_that_rejected_them() -> None:
    flowed = run([clock(), counted(TUMBLING)], [("12:30", "a")], [("12:01", "b"), (None, "no time")])

    rows = [row for frame in flowed.late for row in frame.to_dicts()]
    rows.sort(key=lambda row: str(row["word"]))
    assert [(row["word"], row["at"], row["_source_offset"]) for row in rows] == [
        ("b", at("12:01"), 0),
        ("no time", None, 1),
    ]
    assert [None if row[WATERMARK] is None else f"{row[WATERMARK]:%H:%M}" for row in rows] == ["12:20", None]
    assert flowed.counts[1]["late"] == 2


def test_a_row_of_which_one_sliding_window_is_over_goes_to_the_late_table_whole() -> None:
    flowed = run([clock(), counted(SLIDING)], [("12:21", "a")], [("12:08", "b")], [("13:00", "end")])

    assert late(flowed) == [("12:08", "b", "12:11")]  # Spark counts it in 12:05 to 12:15, and in no other
    assert [row for row in found(flowed.result()) if row[0] == "b"] == []


def test_a_silent_input_holds_nothing_back_beyond_its_idle_timeout() -> None:
    steps = [clock(), step("union", {"with": ["more"]}), counted(TUMBLING)]
    more = [clock(source="more", idle_timeout="90s")]
    batches = [
        {MAIN: words([("12:01", "a")]), "more": words([("12:01", "a")])},
        {MAIN: words([("12:30", "b")]), "more": words([])},
        {MAIN: words([]), "more": words([])},
    ]

    flowed = flow(steps, batches, {"more": more})

    assert [found(frame) for frame in flowed.batches] == [[], [], [("a", "12:00", "12:10", 2)]]


def test_sessions_may_be_given_as_updates() -> None:
    batches: list[list[Word]] = [[("12:00", "a"), ("12:08", "a")], [("12:04", "a")]]

    flowed = run([clock(), counted(SESSIONS, emit="updates")], *batches)

    assert found(flowed.batches[1]) == [
        ("a", "12:00", "12:13", 3, "update"),
        ("a", "12:08", "12:13", 1, "delete"),
    ]


def test_sessions_need_no_other_key() -> None:
    sessions = step("group_by", {"window": SESSIONS, "aggregate": {"n": "COUNT(*)"}})

    flowed = run([clock(), sessions], [("12:00", "a"), ("12:04", "b"), ("13:00", "end")])

    assert found(flowed.result()) == [("12:00", "12:09", 2)]


def test_chains_may_be_given_as_updates() -> None:
    popular = step("group_by", {"by": {"often": "n > 1"}, "aggregate": {"groups": "COUNT(*)"}, "emit": "updates"})
    batches: list[list[Word]] = [[("12:01", "a"), ("12:02", "b")], [("12:03", "a")]]

    flowed = run([clock(), counted(TUMBLING, emit="updates"), popular], *batches)

    assert [found(frame) for frame in flowed.batches] == [
        [(False, 2, "insert")],
        [(False, 1, "update"), (True, 1, "insert")],
    ]


def test_distinct_rows_may_be_asked_for() -> None:
    flowed = run(planned_steps("SELECT DISTINCT word FROM input"), [("12:01", "a")], [("12:02", "a"), ("12:03", "b")])

    assert found(flowed.result(), "word") == [("a",), ("b",)]


def test_the_last_row_of_a_key_may_be_kept() -> None:
    batches: list[list[Word]] = [[("12:01", "a")], [("12:05", "a")], [("13:00", "end")]]

    flowed = run([clock(), step("deduplicate", {"keys": ["word"], "keep": "last", "within": "10m"})], *batches)

    assert found(flowed.result()) == [("12:05", "a")]


def test_a_join_behind_a_window_may_be_followed_by_another_window() -> None:
    steps = [
        clock(),
        step("join_stream", {**JOIN, "how": "left"}),
        step("group_by", {"window": TUMBLING, "aggregate": {"n": "COUNT(*)", "clicks": "COUNT(clicked_at)"}}),
    ]
    given = [
        {MAIN: words([("12:00", "a"), ("12:01", "b")]), "clicks": words([("12:30", "a")], "clicked_at", "ad")},
        {MAIN: words([("15:00", "c")]), "clicks": words([("15:00", "x")], "clicked_at", "ad")},
    ]

    flowed = flow(steps, given, {"clicks": [clock(source="clicks", column="clicked_at")]})

    assert found(flowed.result()) == [("12:00", "12:10", 2, 1)]
