"""Any rows joined with any static table, cut into any batches: the result and the counts are DuckDB's."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.balance import Tally, check_balance
from etl.model import BatchPlan
from etl.transforms.contract import TransformSite
from etl.transforms.join import Join
from etl.transforms.join_options import JoinOptions

DATABASE = duckdb.connect()
KEYS = {
    "int": (st.integers(-2, 2), pl.Int32, pl.Int64),
    "unsigned": (st.sampled_from([0, 1, 2**32]), pl.UInt64, pl.Int64),
    "text": (st.sampled_from(["", "a", "A", "a "]), pl.String, pl.String),
    "float": (st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf]), pl.Float64, pl.Float64),
}
FILES = st.sampled_from(["f", "g"])
PLACES = st.none() | st.integers(-3, 3)


@st.composite
def sides(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return rows and a static table: a key of one of several types, a second key, a place, a number of its own."""
    value, left, right = KEYS[draw(st.sampled_from(sorted(KEYS)))]
    key, second = st.none() | value, st.none() | st.booleans()
    rows = draw(st.lists(st.tuples(key, second, PLACES, FILES), max_size=10))
    static = draw(st.lists(st.tuples(key, second, PLACES), max_size=8))
    return (
        pl.DataFrame(
            [(number, *row) for number, row in enumerate(rows)],
            {"id": pl.Int64, "k": left, "s": pl.Boolean, "place": pl.Int64, "_source_file": pl.String},
            orient="row",
        ),
        pl.DataFrame(
            [(*row, number) for number, row in enumerate(static)],
            {"key": right, "s": pl.Boolean, "since": pl.Int64, "v": pl.Int64},
            orient="row",
        ),
    )


def joined(folder: Path, batches: list[pl.DataFrame], options: dict[str, Any]) -> tuple[pl.DataFrame, Tally]:
    """Return the rows of all batches, one after the other, with all counts."""
    tally = Tally()
    step = Join(JoinOptions.model_validate({"path": "static.parquet", **options}), TransformSite(folder, 0))
    plan = BatchPlan(0, datetime(2024, 1, 1, tzinfo=UTC), {}, {}, "d", pins={step.pin_id: step.pin()})
    frames = []
    for batch in batches:
        tally.count("read", batch)
        found = step.apply(batch.lazy(), plan, tally).collect()
        tally.count("written", found)
        frames.append(found)
    return pl.concat(frames), tally


def multiset(rows: list[Any]) -> Counter[str]:
    return Counter(map(repr, rows))


def expected(rows: pl.DataFrame, static: pl.DataFrame, query: str) -> Counter[str]:
    DATABASE.register("rows", rows)
    DATABASE.register("static", static)
    return multiset(DATABASE.sql(query).fetchall())


QUERIES = {
    "left": "SELECT id, place, v FROM rows LEFT JOIN static ON k = key AND rows.s = static.s",
    "inner": "SELECT id, place, v FROM rows JOIN static ON k = key AND rows.s = static.s",
    "semi": "SELECT id, place FROM rows SEMI JOIN static ON k = key AND rows.s = static.s",
    "anti": "SELECT id, place FROM rows ANTI JOIN static ON k = key AND rows.s = static.s",
}


@pytest.mark.parametrize("how", QUERIES)
@settings(max_examples=30, deadline=None)
@given(both=sides(), cut=st.integers(0, 10))
def test_a_join_is_that_of_a_database_however_rows_are_cut_into_batches(
    how: str, both: tuple[pl.DataFrame, pl.DataFrame], cut: int
) -> None:
    rows, static = both
    added: dict[str, Any] = {} if how in ("semi", "anti") else {"columns": ["v"]}
    with tempfile.TemporaryDirectory() as folder:
        static.write_parquet(f"{folder}/static.parquet")
        options = {"on": {"k": "key", "s": "s"}, "how": how, **added}
        found, tally = joined(Path(folder), [rows.head(cut), rows.slice(cut)], options)

    kept = ("id", "place", *added.get("columns", ()))
    assert multiset(found.select(kept).rows()) == expected(rows, static, QUERIES[how])
    matches = Counter(found["id"].to_list())
    assert tally.counts()["added"] == sum(count - 1 for count in matches.values())
    assert tally.counts()["filtered"] == rows.height - len(matches)
    check_balance(tally.counts(), where="all")
    for file, counts in tally.by_file().items():
        check_balance(counts, where=file)


@pytest.mark.parametrize(("direction", "sign"), [("backward", ">="), ("forward", "<=")])
@settings(max_examples=30, deadline=None)
@given(both=sides(), cut=st.integers(0, 10), tolerance=st.none() | st.integers(0, 3))
def test_an_asof_join_is_that_of_a_database(
    direction: str, sign: str, both: tuple[pl.DataFrame, pl.DataFrame], cut: int, tolerance: int | None
) -> None:
    rows, static = both
    static = static.unique(["key", "since"], keep="last", maintain_order=True)
    asof = {"column": "place", "other": "since", "direction": direction, "tolerance": tolerance}
    with tempfile.TemporaryDirectory() as folder:
        static.write_parquet(f"{folder}/static.parquet")
        options = {"on": {"k": "key"}, "how": "asof", "columns": ["v"], "asof": asof}
        found, tally = joined(Path(folder), [rows.head(cut), rows.slice(cut)], options)

    near = "TRUE" if tolerance is None else f"ABS(place - since) <= {tolerance}"
    query = (
        f"SELECT id, place, CASE WHEN {near} THEN v END FROM rows"
        f" ASOF LEFT JOIN (FROM static WHERE since IS NOT NULL) ON k = key AND place {sign} since"
    )
    assert multiset(found.select("id", "place", "v").rows()) == expected(rows, static, query)
    assert found["id"].to_list() == rows["id"].to_list()
    assert tally.counts()["added"] == tally.counts()["filtered"] == 0
