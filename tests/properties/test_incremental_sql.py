"""A query gives, over any split of its input, what DuckDB gives over all of it at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.flowing import Flowed, flow, planned_steps

SCHEMA: dict[str, Any] = {"id": pl.Int64, "k": pl.String, "j": pl.Int64, "v": pl.Int64, "ts": pl.Datetime("us")}
START = datetime(2024, 3, 5)  # noqa: DTZ001  naive, as the column
EXAMPLES = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))

KEYS = {"k": "k", "j": "j", "lower": "COALESCE(k, '?')", "odd": "v % 2 = 1"}
WHERE = ["", "v > 0", "k = 'a' OR j IS NULL", "i.v BETWEEN -1 AND 3 AND NOT (i.k = 'b')"]
AGGREGATES = {
    "n": "COUNT(*)",
    "vs": "COUNT(v)",
    "kinds": "COUNT(DISTINCT v)",
    "total": "SUM(v)",
    "least": "MIN(v)",
    "most": "MAX(v)",
    "mean": "AVG(v)",
    "big": "SUM(v) FILTER (WHERE v > 1)",
    "spread": "MAX(v) - MIN(v)",
    "share": "SUM(v) / COUNT(*)",
    "word": "CASE WHEN COUNT(*) > 2 THEN 'many' ELSE 'few' END",
}
HAVING = ["", "COUNT(*) = 1", "COUNT(*) < 3", "SUM(v) > 0", "COUNT(*) > 1 AND MAX(v) < 3"]
WINDOWS = {
    "": "",
    "TUMBLE(ts, INTERVAL '10 minutes')": "10 10",
    "HOP(ts, INTERVAL '5 minutes', INTERVAL '15 minutes')": "5 15",
    "SESSION(ts, INTERVAL '7 minutes')": "session 7",
}
"""How often a window starts and how long it lasts, in minutes."""


@dataclass(frozen=True)
class Query:
    """A query with groups, as we and as DuckDB write it; both from the same parts."""

    keys: tuple[str, ...]
    window: str
    where: str
    aggregates: tuple[str, ...]
    having: str
    names: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        bounds = ["window_start", "window_end"] if self.window else []
        return [*self.keys, *bounds, *self.aggregates]

    def ours(self) -> str:
        items = [f"{KEYS[name]} AS {name}" for name in self.keys]
        items += ["window_start", "window_end"] if self.window else []
        items += [f"{AGGREGATES[name]} AS {name}" for name in self.aggregates]
        group = [KEYS[name] for name in self.keys] + ([self.window] if self.window else [])
        text = f"SELECT {', '.join(items)} FROM input AS i{f' WHERE {self.where}' if self.where else ''}"
        text += f" GROUP BY {', '.join(group)}" if group else ""
        return text + (f" HAVING {self.having}" if self.having else "")

    def theirs(self) -> str:
        keys = [f"{KEYS[name]} AS {name}_key" for name in self.keys]
        rows = f"SELECT {', '.join(['*', *keys])} FROM input AS i{f' WHERE {self.where}' if self.where else ''}"
        named = [f"{name}_key AS {name}" for name in self.keys]
        bounds = ["window_start", "window_end"] if self.window else []
        group = [f"{name}_key" for name in self.keys] + bounds
        # without groups DuckDB gives a row for no rows, too
        having = " AND ".join(f"({each})" for each in (self.having, "" if group else "COUNT(*) > 0") if each)
        items = [*named, *bounds, *(f"{AGGREGATES[name]} AS {name}" for name in self.aggregates)]
        text = f"WITH rows AS ({rows}), placed AS ({self._placed(group[: len(self.keys)])}) "
        text += f"SELECT {', '.join(items)} FROM placed" + (f" GROUP BY {', '.join(group)}" if group else "")
        return text + (f" HAVING {having}" if having else "")

    def _placed(self, keys: Sequence[str]) -> str:
        """Return the rows in their windows."""
        if not self.window:
            return "SELECT * FROM rows"
        kind, span = WINDOWS[self.window].split()
        if kind != "session":
            return (
                f"SELECT rows.*, start AS window_start, start + INTERVAL '{span} minutes' AS window_end FROM rows, "
                f"(SELECT UNNEST(RANGE(TIMESTAMP '2024-03-04', TIMESTAMP '2024-03-07', INTERVAL '{kind} minutes')) "
                f"AS start) WHERE ts >= start AND ts < start + INTERVAL '{span} minutes'"
            )
        by = f"PARTITION BY {', '.join(keys)}" if keys else ""
        return (
            f"SELECT *, MIN(ts) OVER w AS window_start, MAX(ts) OVER w + INTERVAL '{span} minutes' AS window_end "
            f"FROM (SELECT *, SUM(is_first) OVER ({by} ORDER BY ts) AS session FROM (SELECT *, CASE WHEN ts < "
            f"LAG(ts) OVER ({by} ORDER BY ts) + INTERVAL '{span} minutes' THEN 0 ELSE 1 END AS is_first FROM rows)) "
            f"WINDOW w AS (PARTITION BY {', '.join([*keys, 'session'])})"
        )


queries = st.builds(
    Query,
    keys=st.lists(st.sampled_from(list(KEYS)), max_size=2, unique=True).map(tuple),
    window=st.sampled_from(list(WINDOWS)),
    where=st.sampled_from(WHERE),
    aggregates=st.lists(st.sampled_from(list(AGGREGATES)), min_size=1, max_size=4, unique=True).map(tuple),
    having=st.sampled_from(HAVING),
)
windowed = queries.filter(lambda query: query.window != "")
delays = st.sampled_from(["0s", "10m", "1h"])
rows = st.tuples(
    st.sampled_from(["a", "b", None]),
    st.sampled_from([1, 2, None]),
    st.sampled_from([-2, 0, 1, 2, 3, 4, None]),
    st.integers(0, 50),
)
inputs = st.lists(rows, min_size=5, max_size=25)
cuts = st.lists(st.integers(0, 10), min_size=1, max_size=4)


def frame_of(drawn: Sequence[tuple[Any, ...]], *, in_order: bool = False) -> pl.DataFrame:
    """Return drawn rows, and one of a later day, which closes all windows but its own."""
    ordered = sorted(drawn, key=lambda row: row[3]) if in_order else list(drawn)
    made = [(number, k, j, v, START + timedelta(minutes=minute)) for number, (k, j, v, minute) in enumerate(ordered)]
    return pl.DataFrame([*made, (len(made), "z", 9, 2, START + timedelta(days=1))], schema=SCHEMA, orient="row")


def run(text: str, frame: pl.DataFrame, places: Sequence[int], clock: str, delay: str = "0s") -> Flowed:
    """Run a query over ``frame`` in batches; the last row, and then nothing, come in batches of their own."""
    ends = [*sorted(min(place, frame.height - 1) for place in places), frame.height - 1, frame.height, frame.height]
    batches = [{"source": frame[start:end]} for start, end in zip([0, *ends], ends, strict=False)]
    return flow(planned_steps(text, clock=clock, delay=delay), batches)


def oracle(text: str, frame: pl.DataFrame) -> pl.DataFrame:
    with duckdb.connect() as connection:
        connection.register("input", frame.to_arrow())
        return pl.DataFrame(connection.sql(text))


def multiset(frame: pl.DataFrame) -> Counter[Any]:
    """Return the rows, numbers of any width alike."""
    return Counter(
        tuple(round(float(value), 6) if isinstance(value, int | float) else value for value in row)
        for row in frame.iter_rows()
    )


def check_updates(query: Query, drawn: Sequence[tuple[Any, ...]], places: Sequence[int]) -> None:
    frame = frame_of(drawn)

    found = run(query.ours(), frame, places, clock="")

    assert multiset(found.result().select(query.columns)) == multiset(oracle(query.theirs(), frame)), query.ours()


def check_final(query: Query, drawn: Sequence[tuple[Any, ...]], places: Sequence[int], delay: str) -> None:
    frame = frame_of(drawn)

    found = run(query.ours(), frame, places, clock="ts", delay=delay)

    late = [number for rejected in found.late for number in rejected["id"]]
    expected = oracle(query.theirs(), frame.filter(~pl.col("id").is_in(late)))
    closed = expected.filter(pl.col("window_end") <= START + timedelta(hours=3))
    assert multiset(found.result().select(query.columns)) == multiset(closed), query.ours()


@given(query=queries, drawn=inputs, places=cuts)
@EXAMPLES
def test_groups_that_change_end_as_one_batch_gives_them(
    query: Query, drawn: list[tuple[Any, ...]], places: list[int]
) -> None:
    check_updates(query, drawn, places)


@given(query=windowed, drawn=inputs, places=cuts, delay=delays)
@EXAMPLES
def test_windows_that_are_final_are_those_of_one_batch(
    query: Query, drawn: list[tuple[Any, ...]], places: list[int], delay: str
) -> None:
    check_final(query, drawn, places, delay)


@pytest.mark.slow
@given(query=queries, drawn=inputs, places=cuts, delay=delays)
@MANY
def test_many_queries_give_what_one_batch_gives(
    query: Query, drawn: list[tuple[Any, ...]], places: list[int], delay: str
) -> None:
    check_updates(query, drawn, places)
    if query.window:
        check_final(query, drawn, places, delay)


DISTINCT = [
    "SELECT DISTINCT k, j FROM input",
    "SELECT DISTINCT k, v % 2 AS odd FROM input WHERE v > 0",
    "SELECT DISTINCT ts, k FROM input",
    "SELECT k FROM input GROUP BY k",
    "SELECT j FROM input GROUP BY k, j",
    "WITH b AS (SELECT k, v * 2 AS w FROM input WHERE v > 0) SELECT DISTINCT w FROM b WHERE k IS NOT NULL",
]
CHAINS = [
    "SELECT n, COUNT(*) AS ks FROM (SELECT k, j, COUNT(*) AS n FROM input GROUP BY k, j) AS g GROUP BY n",
    """WITH g AS (SELECT k, j, SUM(v) AS s FROM input GROUP BY k, j HAVING SUM(v) > 0),
    h AS (SELECT k, MAX(s) AS top, COUNT(*) AS js FROM g WHERE j IS NOT NULL GROUP BY k)
    SELECT js, SUM(top) AS total FROM h GROUP BY js""",
    "SELECT k, COUNT(*) AS n FROM (SELECT DISTINCT k, j FROM input) AS d GROUP BY k HAVING COUNT(*) > 1",
    "SELECT k, n * 2 AS twice FROM (SELECT k, COUNT(*) AS n FROM input WHERE v > 0 GROUP BY k) AS g WHERE n < 3",
]


@pytest.mark.parametrize("text", [*DISTINCT, *CHAINS])
@given(drawn=inputs, places=cuts, clock=st.sampled_from(["", "ts"]))
@settings(EXAMPLES, max_examples=8)
def test_distinct_rows_and_chains_end_as_one_batch_gives_them(
    text: str, clock: str, drawn: list[tuple[Any, ...]], places: list[int]
) -> None:
    frame = frame_of(drawn, in_order=True)

    found = run(text, frame, places, clock).result()

    expected = oracle(text, frame)
    assert multiset(found.select(expected.columns)) == multiset(expected)
