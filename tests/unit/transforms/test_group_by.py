"""What group_by may be told, what it announces, and what it keeps."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError
from etl.model import Json
from etl.state.contract import Fingerprint, TableLayout
from etl.transforms import TRANSFORMS
from tests.grouping import events, spans, step_of
from tests.stepping import Clock, walk

WINDOW = {"column": "at", "every": "5m"}
COUNT = {"n": "COUNT(*)"}
GIVEN = pl.Schema({"at": pl.Datetime("us"), "user": pl.String(), "x": pl.Int64(), "tags": pl.List(pl.String)})
UTC_US = pl.Datetime("us", "UTC")


def refusal(value: dict[str, Any], **site: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        step_of(value, **site).output_schema(GIVEN)
    assert caught.value.where == "transforms[2].group_by"
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "nothing to group by"),
        ({"by": ["usr"], "aggregate": COUNT}, "usr: unknown column 'usr'; did you mean 'user'?"),
        ({"by": {"big": "y > 1"}, "aggregate": COUNT}, "big: unknown column 'y'"),
        ({"by": ["user", "user"], "aggregate": COUNT}, "two columns would be named 'user'"),
        ({"by": ["user"], "aggregate": {"user": "COUNT(*)"}}, "two columns would be named 'user'"),
        (
            {"window": WINDOW, "aggregate": {"window_start": "COUNT(*)"}},
            "two columns would be named 'window_start'",
        ),
        ({"by": ["_source_file"], "aggregate": COUNT}, "'_source_file' is the name of a system column"),
        ({"aggregate": {"_rows": "COUNT(*)"}}, "'_rows' is a name of our own"),
        ({"by": ["tags"], "aggregate": COUNT}, "tags: List(String) cannot make groups"),
        ({"aggregate": {"s": "SUM(user)"}}, "s: SUM cannot take String"),
        ({"window": {"column": "at"}, "aggregate": COUNT}, "how wide are the windows?"),
        ({"window": {"column": "at", "every": "0s"}, "aggregate": COUNT}, "how wide are the windows?"),
        (
            {"window": {"column": "at", "every": "5m", "period": "1m"}, "aggregate": COUNT},
            "period is shorter than every: rows between the windows would be lost",
        ),
        (
            {"window": {"column": "at", "every": "5m", "session_gap": "1m"}, "aggregate": COUNT},
            "a session has no fixed width",
        ),
        (
            {"window": {"column": "at", "session_gap": "0s"}, "aggregate": COUNT},
            "session_gap: 0s ends every session at once",
        ),
        ({"window": {"column": "when", "every": "5m"}, "aggregate": COUNT}, "unknown column 'when'"),
        ({"window": {"column": "x", "every": "5m"}, "aggregate": COUNT}, "x: Int64 is no moment in time"),
        ({"aggregate": COUNT, "emit": "final"}, "without a window no group is ever final"),
        ({"window": WINDOW, "aggregate": COUNT, "emit": "final"}, "without a watermark no window is ever final"),
    ],
)
def test_what_cannot_be_is_refused_with_the_alternative(value: dict[str, Any], message: str) -> None:
    assert refusal(value).message.startswith(message)


def test_final_windows_are_refused_where_the_sink_takes_the_whole_result() -> None:
    value = {"window": WINDOW, "aggregate": COUNT, "emit": "final"}

    assert refusal(value, has_watermark=True, is_whole=True).message == (
        "emit: final gives each window once, and write_mode: overwrite would drop those before it"
    )


@pytest.mark.parametrize(
    "window",
    [{"every": "5m"}, {"every": "1d", "offset": "1h"}, {"every": "1d", "period": "30h"}, {"session_gap": "30m"}],
)
def test_windows_of_a_date_are_whole_days(window: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="at is a date, and windows of it are whole days"):
        step_of({"window": {"column": "at", **window}, "aggregate": COUNT}).output_schema(pl.Schema({"at": pl.Date}))


@pytest.mark.parametrize(
    ("value", "site", "expected"),
    [
        ({"by": ["user"]}, {}, {"user": pl.String, "_change": pl.String}),
        ({"by": ["user"], "aggregate": COUNT}, {"is_whole": True}, {"user": pl.String, "n": pl.Int64}),
        (
            {"by": {"big": "x > 1"}, "window": WINDOW, "aggregate": {"a": "AVG(x)"}},
            {"has_watermark": True},
            {"big": pl.Boolean, "window_start": pl.Datetime("us"), "window_end": pl.Datetime("us"), "a": pl.Float64},
        ),
        (
            {"window": WINDOW, "aggregate": {"a": "ARRAY_AGG(x)", "v": "VAR(x)"}},
            {},
            {
                "window_start": pl.Datetime("us"),
                "window_end": pl.Datetime("us"),
                "a": pl.List(pl.Int64),
                "v": pl.Float64,
                "_change": pl.String,
            },
        ),
    ],
)
def test_the_columns_are_groups_window_and_aggregates(
    value: dict[str, Any], site: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert step_of(value, **site).output_schema(GIVEN) == pl.Schema(expected)


@pytest.mark.parametrize(
    ("window", "keys"),
    [
        (None, ["user"]),
        ({"every": "5m"}, ["user", "window_start"]),
        ({"session_gap": "5m"}, ["user", "window_start"]),
    ],
)
def test_a_changing_result_is_unique_by_groups_and_window(window: dict[str, str] | None, keys: list[str]) -> None:
    value = {"by": ["user"], "aggregate": COUNT, "window": window and {"column": "at", **window}}

    assert step_of(value).result_keys(GIVEN) == keys


def test_state_is_kept_by_group_and_window_until_that_is_over() -> None:
    value = {"by": ["user"], "window": {**WINDOW, "period": "15m"}, "aggregate": {"a": "AVG(x)"}}
    step = step_of(value, has_watermark=True)

    assert step.layouts(GIVEN) == {
        "groups": TableLayout(
            {"user": pl.String(), "window_start": UTC_US},
            {"window_end": UTC_US, "_rows": pl.Int64(), "a:sum": pl.Float64(), "a:count": pl.Int64()},
            expires="window_end",
            bucket_us=900_000_000,
        )
    }
    assert step_of(value).layouts(GIVEN)["groups"].expires is None
    assert step_of(value, has_watermark=True, is_whole=True).layouts(GIVEN)["groups"].expires is None


def test_the_fingerprint_fixes_groups_and_window_and_tells_each_aggregate() -> None:
    value = {"by": ["user"], "window": WINDOW, "aggregate": {"n": "count( * )", "s": "sum(x*2)"}}
    window: Json = {"column": "at", "every_us": 300_000_000, "period_us": 300_000_000, "offset_us": 0}

    assert step_of(value).fingerprint() == Fingerprint(
        "group_by", {"by": {"user": '"user"'}, "window": window, "input": "rows"}, {"n": "COUNT(*)", "s": "SUM(x * 2)"}
    )
    assert step_of({"by": ["user"]}).fingerprint().fixed["window"] is None
    gap = step_of({"window": {"column": "at", "session_gap": "1m"}, "aggregate": COUNT}).fingerprint()
    assert gap.fixed["window"] == {"column": "at", "session_gap_us": 60_000_000}


def test_an_aggregate_that_was_added_starts_empty() -> None:
    frames = [events((0, "a", 1), (0, "b", 2)), events((1, "a", 5))]
    aggregates = {"n": "COUNT(*)", "s": "SUM(x)", "v": "VAR(x)", "f": "FIRST(x)", "d": "COUNT(DISTINCT x)"}
    more = {**aggregates, "l": "ARRAY_AGG(x)", "u": "APPROX_COUNT_DISTINCT(x)", "m": "MAX(x)"}
    old = walk([step_of({"by": ["user"], "aggregate": {"n": "COUNT(*)"}})], frames[:1])
    (known,) = old.states[0][0]["groups"].scan()
    step = step_of({"by": ["user"], "aggregate": more}, is_whole=True)
    layout = step.layouts(frames[0].schema)["groups"]
    missing = {name: kind for name, kind in layout.columns.items() if name not in known.columns}

    known = known.with_columns(pl.lit(None, kind).alias(name) for name, kind in missing.items())
    both = walk([step], frames[1:], start={"groups": known})

    assert sorted(both.emitted[0].rows()) == [
        ("a", 2, 5, None, 5, 1, [5], 1, 5),
        ("b", 1, None, None, None, 0, None, 0, None),
    ]


@pytest.mark.parametrize(
    ("window", "site", "behind_us"),
    [
        ({"every": "5m", "period": "15m"}, {"has_watermark": True}, 900_000_000),
        ({"every": "5m"}, {}, 0),
        ({"session_gap": "5m"}, {"has_watermark": True}, 0),
        (None, {"has_watermark": True}, 0),
    ],
)
def test_a_window_comes_out_as_far_behind_its_start_as_it_is_long(
    window: dict[str, str] | None, site: dict[str, Any], behind_us: int
) -> None:
    value = {"aggregate": COUNT, "window": window and {"column": "at", **window}}

    assert step_of(value, **site).behind_us == behind_us


@pytest.mark.parametrize(
    ("value", "site", "warning"),
    [
        ({"by": ["user", "x"]}, {"has_watermark": True}, "remembers every group of user, x for ever"),
        ({"window": WINDOW, "aggregate": COUNT}, {}, "a window leaves it when it is over"),
        ({"window": WINDOW, "aggregate": COUNT}, {"has_watermark": True, "is_whole": True}, "remembers every window"),
        ({"window": WINDOW, "aggregate": COUNT}, {"has_watermark": True}, ""),
        ({"aggregate": COUNT}, {}, ""),
    ],
)
def test_state_that_grows_for_ever_is_told(value: dict[str, Any], site: dict[str, Any], warning: str) -> None:
    found = "".join(step_of(value, **site).warnings())

    assert warning in found
    assert bool(found) == bool(warning)


def test_the_whole_result_is_given_with_every_batch_and_windows_stay() -> None:
    step = step_of({"window": WINDOW, "aggregate": COUNT}, is_whole=True, has_watermark=True)

    walked = walk([step], [events((0, "a", 1)), events((30, "a", 1), (31, "a", 1)), events((1, "a", 1))], Clock())

    assert [spans(frame, "n") for frame in walked.emitted] == [
        [(0, 5, 1)],
        [(0, 5, 1), (30, 35, 2)],
        [(0, 5, 1), (30, 35, 2)],
    ]
    assert walked.counts[2] == {"late": 1, "read": 1, "added": 2, "written": 2}


def test_one_group_of_all_rows_begins_with_the_first() -> None:
    walked = walk([step_of({"aggregate": COUNT})], [events(), events((0, "a", 1)), events((0, "b", 1), (1, "a", 1))])

    assert [frame.rows() for frame in walked.emitted] == [[], [(1, "insert")], [(3, "update")]]


def test_groups_without_aggregates_are_the_distinct_values() -> None:
    walked = walk([step_of({"by": ["user"]})], [events((0, "a", 1), (1, "a", 2)), events((0, "a", 1), (0, "b", 2))])

    assert [frame.rows() for frame in walked.emitted] == [[("a", "insert")], [("b", "insert")]]


def test_rows_are_counted_in_state_and_by_file() -> None:
    frame = events((0, "a", 1), (1, "a", None), (2, "b", 1))

    walked = walk([step_of({"by": ["user"], "aggregate": COUNT})], [frame, frame])

    (groups,) = walked.states[-1][0]["groups"].scan()
    assert groups["_rows"].sum() == 6
    assert TRANSFORMS["group_by"] is type(step_of({"by": ["user"]}))
