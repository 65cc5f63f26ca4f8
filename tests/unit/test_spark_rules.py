"""The rules of event time that Spark Structured Streaming publishes, and where ours differ on purpose.

*Source*: Spark's "Structured Streaming Programming Guide", Handling Late Data and Watermarking, Streaming
Deduplication, Stream-stream Joins; ``WatermarkTracker``; as collected in docs/event-time.md.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError
from etl.rejects import WATERMARK
from etl.transforms import TRANSFORMS
from etl.transforms.contract import TransformSite
from etl.watermark import moment
from tests.flowing import FIRST_AT, MAIN, Flowed, flow, planned_steps

Word = tuple[str | None, str | None]
"""A time of 5 March 2024 (``12:14`` or ``12:14:30``), and a word."""

SLIDING: dict[str, Any] = {"column": "at", "every": "5m", "period": "10m"}
TUMBLING: dict[str, Any] = {"column": "at", "every": "10m"}
SESSIONS: dict[str, Any] = {"column": "at", "session_gap": "5m"}
GUIDE: list[list[Word]] = [
    [("12:07", "dog"), ("12:08", "owl")],
    [("12:14", "dog"), ("12:09", "cat")],
    [("12:15", "cat"), ("12:08", "dog"), ("12:13", "owl"), ("12:21", "owl")],
    [("12:04", "donkey"), ("12:17", "owl")],
]
"""The batches of the guide's pictures, with windows of 10 minutes that slide by 5, and 10 minutes of delay."""


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2024-03-05T{text}")


def words(rows: list[Word], time: str = "at", word: str = "word") -> pl.DataFrame:
    times = [None if text is None else at(text) for text, _ in rows]
    numbers = pl.Series(range(len(rows)), dtype=pl.Int64)
    return pl.DataFrame(
        {time: times, word: [text for _, text in rows], "_source_file": ["f"] * len(rows), "_source_offset": numbers},
        schema={time: pl.Datetime("us"), word: pl.String, "_source_file": pl.String, "_source_offset": pl.Int64},
    )


def step(key: str, value: Any, source: str = "", time: str = "at") -> Any:
    kind: Any = TRANSFORMS[key]
    site = TransformSite(Path(), 1, source, has_watermark=True, time_column=time)
    return kind(kind.options_model.model_validate(value), site)


def clock(delay: str = "10m", *, source: str = "", column: str = "at", **more: Any) -> Any:
    return step("watermark", {"column": column, "delay": delay, "max_ahead": "36500d", **more}, source)


def counted(window: dict[str, Any], **more: Any) -> Any:
    return step("group_by", {"by": ["word"], "window": window, "aggregate": {"n": "COUNT(*)"}, **more})


def run(steps: list[Any], *batches: list[Word]) -> Flowed:
    return flow(steps, [{MAIN: words(rows)} for rows in batches])


def found(frame: pl.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    """Return rows, sorted, with moments as ``12:14``."""
    rows = frame.select(names or [name for name in frame.columns if not name.startswith("_source")]).rows()
    return sorted(
        (tuple(f"{value:%H:%M}" if isinstance(value, datetime) else value for value in row) for row in rows), key=repr
    )


def late(flowed: Flowed) -> list[tuple[Any, ...]]:
    return [row for frame in flowed.late for row in found(frame, "at", "word", WATERMARK)]


# what we claim to be the same


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


JOIN: dict[str, Any] = {
    "with": "clicks",
    "on": {"word": "ad"},
    "within": {"column": "at", "other": "clicked_at", "after": "1h"},
}


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


# where we differ on purpose


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
