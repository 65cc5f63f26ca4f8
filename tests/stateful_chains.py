"""Chains of stateful transforms, each step said twice: as a pipeline file has it, and as DuckDB asks it of all rows.

Rows have the same columns between any two steps, so that any may follow any: ``k`` (text), ``at`` (event time), ``x``
and ``id`` (numbers), ``n`` (the number of a row of the input, 0 behind the first step that makes rows of its own).
Rows of equal ``k``, ``id`` and ``at`` are equal in ``x`` too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from hypothesis import strategies as st

START = datetime(2026, 1, 1)  # noqa: DTZ001  naive, as the column
FAR = START + timedelta(days=2)
"""All rows but those that close windows are before it."""

COLUMNS = "k, at, x, id, n"
_BEFORE_FAR = f"at < TIMESTAMP '{FAR:%Y-%m-%d %H:%M:%S}'"
_SINCE = "TIMESTAMP '1970-01-01'"

Lateness = Literal["row", "window", "session", "never"]


@dataclass(frozen=True, repr=False)
class Step:
    """An entry of a pipeline file, and the query that it stands for, over the rows ``given``.

    ``behind`` is how many minutes behind the watermark its rows may come out: a window's length. ``lateness``: which
    rows it finds late; ``slide`` is how often a window begins, ``gap`` what ends a session. ``keys`` are those of a
    changing result. ``asks``: which rows of the input it looks at.
    ``takes``: may follow anything, rows that stay (``rows``), or rows of the one source alone (``input``).
    """

    name: str
    yaml: Sequence[str]
    query: str
    behind: int = 0
    lateness: Lateness = "row"
    slide: int = 0
    gap: int = 0
    source: str = ""
    keys: tuple[str, ...] = ()
    takes: Literal["any", "rows", "input"] = "rows"
    has_time: bool = True
    asks: Callable[[Any], bool] = bool


def _rows(**columns: str) -> str:
    chosen = ", ".join(f'{name}: "{text}"' for name, text in columns.items())
    return f"select: {{{chosen}}}"


_SETTLED = [f'filter: "{_BEFORE_FAR}"']
"""Behind a step that holds rows back: what is not out yet when all is over, is not to come out."""

_WINDOWED = {"k": "k", "at": "window_end", "x": "x", "id": "id", "n": "0"}


def deduplicated(keep: str) -> Step:
    """Return ``deduplicate`` over copies of one event."""
    chosen = "MIN(n)" if keep == "first" else "MAX(n)"
    wait = _SETTLED if keep == "last" else []
    return Step(
        f"deduplicate {keep}",
        [f"deduplicate: {{keys: [k, id, at], keep: {keep}}}", *wait],
        f"SELECT k, at, x, id, {chosen} AS n FROM given {f'WHERE {_BEFORE_FAR}' if wait else ''} GROUP BY k, at, x, id",
    )


LAST_WITHIN = Step(
    "deduplicate last within",
    ["deduplicate: {keys: [k], keep: last, within: 10m}", *_SETTLED],
    f"""SELECT {COLUMNS} FROM given
        QUALIFY COALESCE(LEAD(at) OVER (PARTITION BY k ORDER BY at, n) > at + INTERVAL 10 MINUTE, TRUE)
            AND {_BEFORE_FAR}""",
    behind=10,
    takes="input",
)
FIRST_WITHIN = Step(
    "deduplicate first within",
    ["deduplicate: {keys: [k], within: 10m}"],
    f"SELECT {COLUMNS} FROM given WHERE n IN (SELECT n FROM first_within)",
    takes="input",
)

_AGGREGATES = {"x": "SUM(x)", "id": "COUNT(*)"}
_TOTALS = "CAST(SUM(x) AS BIGINT) AS x, COUNT(*) AS id"
_SPANS = {
    "tumbling": ("every: 10m", 10, f"time_bucket(INTERVAL 10 MINUTE, at, {_SINCE})", 10),
    "sliding": (
        "every: 5m, period: 15m",
        15,
        f"UNNEST([time_bucket(INTERVAL 5 MINUTE, at, {_SINCE}) - INTERVAL (5 * i) MINUTE FOR i IN [0, 1, 2]])",
        5,
    ),
}
_IN_SESSIONS = """
    SELECT *, MIN(at) OVER w AS window_start, MAX(at) OVER w + INTERVAL 10 MINUTE AS window_end FROM (
        SELECT *, SUM(begins) OVER (PARTITION BY k ORDER BY at ROWS UNBOUNDED PRECEDING) AS session FROM (
            SELECT *, CASE WHEN at < LAG(at) OVER (PARTITION BY k ORDER BY at) + INTERVAL 10 MINUTE
                           THEN 0 ELSE 1 END AS begins
            FROM given WHERE at IS NOT NULL))
    WINDOW w AS (PARTITION BY k, session)"""


def windows(kind: str, emit: str) -> Step:
    """Return ``group_by`` with a window: ``tumbling``, ``sliding`` or ``session``."""
    if kind == "session":
        span, period, slide, placed = "session_gap: 10m", 0, 0, _IN_SESSIONS
    else:
        span, period, start, slide = _SPANS[kind]
        placed = f"""SELECT *, window_start + INTERVAL {period} MINUTE AS window_end
                     FROM (SELECT *, {start} AS window_start FROM given WHERE at IS NOT NULL)"""
    keys = (
        () if emit == "final" else ("k", "window_start") if kind == "session" else ("k", "window_start", "window_end")
    )
    aggregate = ", ".join(f"{name}: {text}" for name, text in _AGGREGATES.items())
    grouped = f"SELECT k, window_start, window_end, {_TOTALS} FROM ({placed}) GROUP BY k, window_start, window_end"
    final = f"SELECT k, window_end AS at, x, id, 0 AS n FROM ({grouped}) WHERE window_end < TIMESTAMP '{FAR}'"
    return Step(
        f"{kind} {emit}",
        [
            f"group_by: {{by: [k], window: {{column: at, {span}}}, aggregate: {{{aggregate}}}, emit: {emit}}}",
            *([_rows(**_WINDOWED), *_SETTLED] if emit == "final" else []),
        ],
        final if emit == "final" else grouped,
        behind=period,
        lateness="session" if kind == "session" else "window",
        slide=slide,
        gap=10 if kind == "session" else 0,
        keys=keys,
    )


GROUPS = Step(
    "groups",
    ["group_by: {by: {many: id > 1}, aggregate: {x: SUM(x), id: COUNT(*), kinds: COUNT(DISTINCT x)}}"],
    f"SELECT id > 1 AS many, {_TOTALS}, COUNT(DISTINCT x) AS kinds FROM given GROUP BY ALL",
    lateness="never",
    keys=("many",),
    takes="any",
)
MARKED = Step(
    "sql over groups",
    ["sql: SELECT x, COUNT(*) AS groups, SUM(id) AS id FROM input WHERE id > 1 GROUP BY x HAVING SUM(id) > 2"],
    """SELECT x, COUNT(*) AS "groups", CAST(SUM(id) AS BIGINT) AS id FROM given WHERE id > 1
       GROUP BY x HAVING SUM(id) > 2""",
    lateness="never",
    keys=("x",),
    takes="any",
)
SQL_WINDOWS = Step(
    "sql windows",
    [
        """sql: >-
      SELECT k, window_end AS at, SUM(x) AS x, COUNT(*) AS id, 0 AS n FROM input WHERE x IS NOT NULL
      GROUP BY k, TUMBLE(at, INTERVAL '10 minutes') HAVING COUNT(*) > 1""",
        *_SETTLED,
    ],
    f"""SELECT k, time_bucket(INTERVAL 10 MINUTE, at, {_SINCE}) + INTERVAL 10 MINUTE AS at, {_TOTALS}, 0 AS n
        FROM given WHERE x IS NOT NULL AND {_BEFORE_FAR} GROUP BY 1, 2 HAVING COUNT(*) > 1""",
    behind=10,
    lateness="window",
    slide=10,
    asks=lambda row: row["x"] is not None,
)
SQL_DISTINCT = Step(
    "sql distinct",
    ["sql: SELECT DISTINCT k, at, id, n FROM input WHERE id > 0", _rows(k="k", at="at", x="id", id="id", n="n")],
    "SELECT DISTINCT k, at, id AS x, id, n FROM given WHERE id > 0",
    asks=lambda row: row["id"] > 0,
)
TOTALS = Step(
    "stateful totals",
    [
        "stateful: {python: users:totals, keys: [k], state_schema: {id: int64, x: int64, at: timestamp}, timeout: 3d}",
        _rows(k="k", at="at", x="x", id="id", n="0"),
        *_SETTLED,
    ],
    f"SELECT k, MAX(at) AS at, COALESCE(CAST(SUM(x) AS BIGINT), 0) AS x, COUNT(*) AS id, 0 AS n "
    f"FROM given GROUP BY k HAVING MAX(at) < TIMESTAMP '{FAR}'",
    behind=3 * 24 * 60,
)
NUMBERED = Step(
    "stateful running count",
    ["stateful: {python: users:numbered, keys: [k], state_schema: {rows: int64}}"],
    "SELECT k, ROW_NUMBER() OVER (PARTITION BY k) AS id, CAST(k = 'a' AS BIGINT) AS x FROM given",
    has_time=False,
)
FUNCTIONS = """
import polars as pl

def totals(rows, state, batch):
    new = rows.select("k", "at", id=pl.lit(1, pl.Int64), x=pl.col("x").fill_null(0))
    known = pl.concat([state, new.select(state.columns)]).group_by("k")
    known = known.agg(pl.col("id").sum(), pl.col("x").sum(), pl.col("at").max())
    over, kept = (known.join(batch.expired, on="k", how=how, nulls_equal=True) for how in ("semi", "anti"))
    return over, kept

def numbered(rows, state, batch):
    counted = rows.select("k", number=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("k"))
    counted = counted.join(state, on="k", how="left", nulls_equal=True).with_columns(pl.col("rows").fill_null(0))
    made = counted.select("k", id=pl.col("number") + pl.col("rows"), x=(pl.col("k") == "a").cast(pl.Int64))
    after = pl.concat([state, made.select("k", rows="id")]).group_by("k").agg(pl.col("rows").max())
    return made, after
"""
"""What ``transforms/users.py`` says."""

_COMBINED = {
    "k": "k",
    "at": "COALESCE(at, at_right)",
    "x": "COALESCE(x, 0) + 10 * COALESCE(x_right, 0)",
    "id": "1000 * COALESCE(id, 0) + COALESCE(id_right, 0)",
    "n": "0",
}


def joined(how: str) -> Step:
    """Return ``join_stream`` with the source ``right``: a partner comes at most 5 minutes before, 10 after."""
    match = "r.k = g.k AND r.at BETWEEN g.at - INTERVAL 5 MINUTE AND g.at + INTERVAL 10 MINUTE"
    within = "within: {column: at, other: at, before: 5m, after: 10m}"
    kept = "WHERE at IS NOT NULL"
    left, right = f"(SELECT * FROM given {kept})", f"(SELECT * FROM on_time_right {kept})"
    if how == "semi":
        made = [_rows(k="k", at="at", x="x", id="id", n="0")]
        query = f"""SELECT k, at, x, id, 0 AS n FROM {left} g
                    WHERE EXISTS (SELECT 1 FROM {right} r WHERE {match}) AND {_BEFORE_FAR}"""
    else:
        made = [_rows(**_COMBINED)]
        columns = ", ".join(f"{text} AS {name}" for name, text in _COMBINED.items())
        query = f"""SELECT {columns} FROM (
                        SELECT COALESCE(g.k, r.k) AS k, g.at, g.x, g.id, r.at AS at_right, r.x AS x_right,
                               r.id AS id_right
                        FROM {left} g {how} JOIN {right} r ON {match})
                    WHERE COALESCE(at, at_right) < TIMESTAMP '{FAR}'"""
    return Step(
        f"join {how}",
        [f"join_stream: {{with: right, on: [k], how: {how}, {within}}}", *made, *_SETTLED],
        query,
        behind=10,
        source="right",
    )


@dataclass(frozen=True)
class Chain:
    """One to three steps, and a watermark ``delay`` minutes behind; ``has_more``: behind a union with ``more``."""

    steps: tuple[Step, ...]
    has_more: bool = False
    delay: int = 0

    def __repr__(self) -> str:
        parts = [*["union"][: self.has_more], *(step.name for step in self.steps)]
        return f"<{' | '.join(parts)}, delay {self.delay}m>"

    @property
    def sources(self) -> list[str]:
        """The names of the sources, the main one first."""
        return ["main", *["more"][: self.has_more], *(step.source for step in self.steps if step.source)]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the result, none where rows stay."""
        return self.steps[-1].keys


ANY = [
    deduplicated("first"),
    deduplicated("last"),
    *(windows(kind, "final") for kind in ("tumbling", "sliding", "session")),
    SQL_WINDOWS,
    SQL_DISTINCT,
    TOTALS,
    *(joined(how) for how in ("inner", "left", "right", "full", "semi")),
]
AT_FIRST = [FIRST_WITHIN, LAST_WITHIN]
AT_LAST = [*(windows(kind, "updates") for kind in ("tumbling", "sliding", "session")), GROUPS, MARKED, NUMBERED]


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """Draw a chain: at most one join, what needs the input itself at first, what changes at last."""
    has_more = draw(st.booleans())
    steps: list[Step] = []
    for place in range(draw(st.sampled_from([1, 2, 2, 3]))):
        is_changing = bool(steps and steps[-1].keys)
        has_time = not steps or steps[-1].has_time
        can = [GROUPS, MARKED] if is_changing or not has_time else [*ANY, *ANY, *AT_LAST]
        can = can + AT_FIRST if not place and not has_more else can
        can = [step for step in can if step.name not in {made.name for made in steps}]
        can = [step for step in can if not (step.source and any(made.source for made in steps))]
        if not can or (is_changing and "x" not in steps[-1].query):
            break
        steps.append(draw(st.sampled_from(can)))
    return Chain(tuple(steps), has_more, draw(st.sampled_from([0, 5, 20])))
