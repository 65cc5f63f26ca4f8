"""Any rows in any batches give what DuckDB makes of all of them at once, without those that came late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.rejects import WATERMARK
from tests.grouping import step_of
from tests.stepping import Clock, Walk, assert_same, cut, walk

START_AT = datetime(2024, 3, 5)  # noqa: DTZ001  naive on purpose
MINUTE_US = 60_000_000
SCHEMA = {
    "ts": pl.Datetime("us"),
    "k": pl.String(),
    "x": pl.Int64(),
    "f": pl.Float64(),
    "_source_file": pl.String(),
    "_source_offset": pl.Int64(),
}

AGGREGATES = {
    "n": "COUNT(*)",
    "cx": "COUNT(x)",
    "sx": "SUM(x * 2)",
    "mn": "MIN(f)",
    "mx": "MAX(f)",
    "av": "AVG(x)",
    "vr": "VAR(f)",
    "sd": "STDDEV(x)",
    "fi": "FIRST(x)",
    "la": "LAST(x)",
    "cd": "COUNT(DISTINCT x)",
    "acd": "APPROX_COUNT_DISTINCT(x)",
    "q": "APPROX_QUANTILE(f, 0.25)",
    "arr": "ARRAY_AGG(x)",
    "any": "ANY_VALUE(x)",
    "ba": "BOOL_AND(x > 0)",
    "bo": "BOOL_OR(x > 1)",
    "some": "SUM(x) FILTER (WHERE f > 0)",
    "ff": "FIRST(x) FILTER (WHERE f > 0)",
}
ORDER = "ORDER BY ts, _source_offset"
IN_DUCKDB = {
    **{name: AGGREGATES[name] for name in ("n", "cx", "mn", "mx", "av", "sd", "cd", "ba", "bo")},
    "vr": "VAR_SAMP(f)",
    "sx": "CAST(SUM(x * 2) AS BIGINT)",
    "fi": f"FIRST(x {ORDER})",
    "la": f"LAST(x {ORDER})",
    "acd": "COUNT(DISTINCT x)",
    "q": "QUANTILE_CONT(f, 0.25)",
    "arr": f"ARRAY_AGG(x {ORDER})",
    "any": f"ANY_VALUE(x {ORDER})",
    "some": "CAST(SUM(x) FILTER (WHERE f > 0) AS BIGINT)",
    "ff": f"FIRST(x {ORDER}) FILTER (WHERE f > 0)",
}

minutes = st.one_of(st.integers(0, 12), st.integers(0, 60), st.none())
events = st.tuples(
    minutes,
    st.sampled_from(["a", "b", None]),
    st.one_of(st.none(), st.integers(-3, 3)),
    st.one_of(st.none(), st.sampled_from([0.5, -1.25, 3.0, 1e6, 2.0])),
)
histories = st.lists(events, min_size=1, max_size=40)
cuts = st.lists(st.integers(0, 40), max_size=6)
delays = st.sampled_from([0, 3, 10, 1000])


def frame_of(rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    found = [
        (None if minute is None else START_AT + timedelta(minutes=minute), *values, "f", place)
        for place, (minute, *values) in enumerate(rows)
    ]
    return pl.DataFrame(found, SCHEMA, orient="row")


def on_time(frame: pl.DataFrame, walked: Walk) -> pl.DataFrame:
    """Return the rows that the late table does not hold."""
    late = [part.select("_source_offset") for part in walked.late]
    return frame.join(pl.concat(late), on="_source_offset", how="anti") if late else frame


def ask(rows: pl.DataFrame, query: str, schema: pl.Schema) -> pl.DataFrame:
    con = duckdb.connect()
    con.register("rows", rows)
    return pl.DataFrame(con.sql(query)).cast(pl.Schema(schema))


def aggregates(names: dict[str, str] = IN_DUCKDB) -> str:
    return ", ".join(f"{names[name]} AS {name}" for name in AGGREGATES)


def fixed(every: int, period: int, offset: int) -> str:
    """Return the rows in their windows, as DuckDB has them; lengths in minutes, starts counted from 1970 on."""
    first = 60 * 24 * 19_786 // every
    return f"""
      WITH starts AS (
        SELECT TIMESTAMP '1970-01-01' + INTERVAL ({offset} + {every} * i) MINUTE AS window_start
        FROM range({first}, {first} + {3 * 24 * 60} // {every}) AS t(i)
      ), windowed AS (
        SELECT rows.*, window_start, window_start + INTERVAL {period} MINUTE AS window_end
        FROM rows JOIN starts ON ts >= window_start AND ts < window_start + INTERVAL {period} MINUTE
      )
    """


def sessions(gap: int) -> str:
    """Return the rows in their sessions."""
    return f"""
      WITH marked AS (
        SELECT *, COALESCE(ts >= LAG(ts) OVER w + INTERVAL {gap} MINUTE, TRUE) AS is_new
        FROM rows WINDOW w AS (PARTITION BY k ORDER BY ts)
      ), numbered AS (
        SELECT *, SUM(is_new::INT) OVER (PARTITION BY k ORDER BY ts ROWS UNBOUNDED PRECEDING) AS session FROM marked
      ), windowed AS (
        SELECT *, MIN(ts) OVER s AS window_start, MAX(ts) OVER s + INTERVAL {gap} MINUTE AS window_end
        FROM numbered WINDOW s AS (PARTITION BY k, session)
      )
    """


GROUPED = f"SELECT k, window_start, window_end, {aggregates()} FROM windowed GROUP BY k, window_start, window_end"

WINDOWS = {
    "tumbling": ({"every": "5m"}, fixed(5, 5, 0)),
    "offset": ({"every": "7m", "offset": "3m"}, fixed(7, 7, 3)),
    "sliding": ({"every": "5m", "period": "10m"}, fixed(5, 10, 0)),
    "uneven": ({"every": "4m", "period": "10m", "offset": "1m"}, fixed(4, 10, 1)),
    "session": ({"session_gap": "4m"}, sessions(4)),
}


@pytest.mark.parametrize("kind", list(WINDOWS))
@pytest.mark.parametrize("emit", ["final", "updates"])
@given(rows=histories, places=cuts, delay=delays)
@settings(max_examples=10, deadline=None)
def test_windows_are_what_one_query_makes_of_all_rows_on_time(
    kind: str, emit: str, rows: list[tuple[Any, ...]], places: list[int], delay: int
) -> None:
    window, windowed = WINDOWS[kind]
    value = {"by": ["k"], "window": {"column": "ts", **window}, "aggregate": AGGREGATES, "emit": emit}
    frame = frame_of(rows)
    walked = walk([step_of(value, has_watermark=True)], cut(frame, places), Clock(("ts",), delay * MINUTE_US))

    is_session = kind == "session"
    found = walked.rows() if emit == "final" else walked.result(["k", "window_start", *["window_end"][is_session:]])
    expected = ask(on_time(frame, walked).drop_nulls("ts"), f"{windowed} {GROUPED}", found.schema)
    watermark = walked.watermarks[-1]
    if emit == "final":
        over = pl.col("window_end").dt.epoch("us") <= (watermark if watermark is not None else -(2**62))
        expected = expected.filter(over)
    assert_same(found, expected)
    assert all(part.filter(pl.col(WATERMARK).is_null())["ts"].is_null().all() for part in walked.late)


@given(rows=histories, places=cuts)
@settings(max_examples=25, deadline=None)
def test_groups_without_a_window_are_what_one_query_makes_of_all_rows(
    rows: list[tuple[Any, ...]], places: list[int]
) -> None:
    value = {"by": {"k": "k", "big": "x > 0"}, "aggregate": {**AGGREGATES, "fi": "MIN(x)", "la": "MAX(x)"}}
    frame = frame_of(rows).select(pl.exclude("ts"))
    walked = walk([step_of(value)], cut(frame, places))
    found = walked.result(["k", "big"])
    whole = walk([step_of(value, is_whole=True)], cut(frame, places))

    names = {**IN_DUCKDB, "fi": "MIN(x)", "la": "MAX(x)"}
    query = f"SELECT k, x > 0 AS big, {aggregates(names)} FROM rows GROUP BY ALL".replace("BY ts,", "BY")
    assert_same(found, ask(frame, query, found.schema))
    assert_same(whole.emitted[-1], found)


CHAINS = [
    ("tumbling", "final", "window_start"),
    ("tumbling", "updates", "window_start"),
    ("sliding", "final", "window_start"),
    ("sliding", "updates", "window_end"),
    ("uneven", "updates", "window_start"),
    ("session", "final", "window_end"),
]


@pytest.mark.parametrize("emit", ["final", "updates"])
@pytest.mark.parametrize("chain", CHAINS, ids="-".join)
@given(rows=histories, places=cuts, delay=delays)
@settings(max_examples=8, deadline=None)
def test_two_in_a_row_are_what_two_queries_make(
    chain: tuple[str, str, str], emit: str, rows: list[tuple[Any, ...]], places: list[int], delay: int
) -> None:
    kind, first, column = chain
    window, windowed = WINDOWS[kind]
    value = {"by": ["k"], "window": {"column": "ts", **window}, "aggregate": {"n": "COUNT(*)", "s": "SUM(x)"}}
    more = {
        "by": {"big": "n > 2"},
        "window": {"column": column, "every": "13m"},
        "aggregate": {"groups": "COUNT(*)", "all": "SUM(n)", "most": "MAX(s)", "keys": "ARRAY_AGG(k)"},
        "emit": emit,
    }
    frame = frame_of(rows)
    steps = [step_of({**value, "emit": first}, has_watermark=True), step_of(more, has_watermark=True)]
    walked = walk(steps, cut(frame, places), Clock(("ts",), delay * MINUTE_US))

    found = walked.rows() if emit == "final" else walked.result(["big", "window_start", "window_end"])
    watermark = walked.watermarks[-1]
    first_over, is_over = (
        f"WHERE window_end <= make_timestamp({watermark if watermark is not None else -(2**50)} - {behind_us})"
        for behind_us in (0, steps[0].behind_us)
    )
    query = f"""
      {windowed}, one AS (
        SELECT k, window_start, window_end, COUNT(*) AS n, CAST(SUM(x) AS BIGINT) AS s FROM windowed GROUP BY ALL
      ), two AS (
        SELECT n > 2 AS big,
          time_bucket(INTERVAL 13 MINUTE, {column}, TIMESTAMP '1970-01-01') AS window_start, k, n, s
        FROM one {first_over if first == "final" else ""}
      ), three AS (
        SELECT big, window_start, window_start + INTERVAL 13 MINUTE AS window_end, COUNT(*) AS groups,
          CAST(SUM(n) AS BIGINT) AS "all", MAX(s) AS most, list_sort(ARRAY_AGG(k), 'ASC', 'NULLS FIRST') AS keys
        FROM two GROUP BY ALL
      )
      SELECT * FROM three {is_over if emit == "final" else ""}
    """
    assert all("_source_offset" in late.columns for late in walked.late), "late behind the first"
    expected = ask(on_time(frame, walked).drop_nulls("ts"), query, found.schema)
    keys = pl.col("keys").list.sort()  # rows of one time have no other order than their value
    assert_same(found.with_columns(keys), expected.with_columns(keys))
