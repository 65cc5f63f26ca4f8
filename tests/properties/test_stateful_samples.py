"""What the samples of docs/stateful.md give, however their input is cut into batches, against DuckDB over all of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.config.loader import load_pipelines
from etl.project import default_project
from etl.transforms.contract import TransformSite
from etl.transforms.stateful import KeyedFunction
from tests.stepping import Clock, assert_same, cut, walk
from tests.test_samples import SAMPLES

START = datetime(2026, 3, 1, tzinfo=UTC)


def step_of(name: str) -> KeyedFunction:
    (spec,) = load_pipelines(default_project(SAMPLES), [name])
    options: Any = spec.transforms[-1].options
    return KeyedFunction(options, TransformSite(SAMPLES, 1, has_watermark=True, time_column="at"))


@st.composite
def events(draw: st.DrawFn, /, **values: list[Any]) -> pl.DataFrame:
    """Draw rows in the order of their time, no two at once."""
    gaps = draw(st.lists(st.integers(1, 45), min_size=1, max_size=30))
    minutes = [sum(gaps[: place + 1]) for place in range(len(gaps))]
    columns = {name: [draw(st.sampled_from(chosen)) for _ in gaps] for name, chosen in values.items()}
    types = {name: pl.Series(chosen).dtype for name, chosen in values.items()}
    return pl.DataFrame(
        {
            "at": [START + timedelta(minutes=minute) for minute in minutes],
            "minute": minutes,
            **columns,
            "_source_file": "a",
            "_source_offset": range(len(gaps)),
        },
        schema_overrides={"at": pl.Datetime("us", "UTC"), "_source_offset": pl.Int64, **types},
    )


CUTS = st.lists(st.integers(0, 30), max_size=6)
PAYMENTS = events(card=["a", "b", None], amount=[1.0, 400.0, 700.0], country=["DE", "FR"])
CLICKS = events(visitor=["a", "b"], page=["home", "shoes", "thanks"])

ALERTS = """
    WITH hour AS (
        SELECT p.card, p."at", p.amount, count(*) AS payments, sum(q.amount) AS spent,
               count(DISTINCT q.country) AS countries
        FROM frame p JOIN frame q
          ON p.card IS NOT DISTINCT FROM q.card AND q.minute <= p.minute AND q.minute > p.minute - 60
        GROUP BY p.card, p."at", p.amount
    )
    SELECT card, epoch_us("at") AS "at", amount,
           CASE WHEN countries > 1 THEN 'two countries'
                WHEN payments > 3 THEN 'many payments'
                WHEN spent > 1000 THEN 'much money' END AS rule
    FROM hour WHERE rule IS NOT NULL
"""
VISITS = """
    WITH marked AS (
        SELECT *, lag(page) OVER own = 'thanks' OR minute - lag(minute) OVER own >= 30 AS is_first FROM frame
        WINDOW own AS (PARTITION BY visitor ORDER BY minute)
    ), numbered AS (
        SELECT *, sum(CASE WHEN is_first THEN 1 ELSE 0 END) OVER (PARTITION BY visitor ORDER BY minute) AS number
        FROM marked
    )
    SELECT visitor, epoch_us(min("at")) AS started_at, epoch_us(max("at")) AS seen_at, count(*) AS pages,
           CASE WHEN bool_or(page = 'thanks') THEN 'purchase' ELSE 'silence' END AS ended_by
    FROM numbered GROUP BY visitor, number
"""


def answer(query: str, frame: pl.DataFrame, like: pl.DataFrame) -> pl.DataFrame:
    """Return what DuckDB makes of all rows, in the types of ``like``."""
    with duckdb.connect() as connection:
        connection.register("frame", frame.to_arrow())
        found = pl.DataFrame(connection.sql(query))
    return found.select(like.columns).cast(like.schema)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(frame=PAYMENTS, places=CUTS)
def test_fraud_gives_the_alerts_of_one_query_over_all_payments(frame: pl.DataFrame, places: list[int]) -> None:
    found = walk([step_of("fraud")], cut(frame, places), Clock()).rows()

    assert_same(found, answer(ALERTS, frame, found))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(frame=CLICKS, places=CUTS)
def test_visits_are_those_of_one_query_over_all_clicks(frame: pl.DataFrame, places: list[int]) -> None:
    closing = frame.tail(1).with_columns(pl.col("at") + timedelta(days=1), visitor=pl.lit("last"), page=pl.lit("home"))
    found = walk([step_of("visits")], [*cut(frame, places), closing], Clock()).rows()

    assert_same(found, answer(VISITS, frame, found))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(places=CUTS)
def test_a_model_learns_from_every_row_once(places: list[int]) -> None:
    rows = range(30)
    frame = pl.DataFrame(
        {
            "merchant": ["m", "n"] * 15,
            "amount": [float(row) for row in rows],
            "refunded": [row % 3 == 0 for row in rows],
        }
    )
    walked = walk([step_of("refunds")], cut(frame, places))
    (state,) = walked.states[-1][0]["state"].scan()

    assert state.sort("merchant")["seen"].to_list() == [15, 15]
    assert_same(walked.rows().drop("chance"), frame)
