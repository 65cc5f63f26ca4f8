"""Duplicates go, wherever batches are cut and however late rows come: compared with SQL over what was not late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.transforms import TRANSFORMS
from etl.transforms.contract import TransformSite
from tests.stepping import Clock, Walk, assert_ahead, assert_same, cut, walk

MINUTE_US = 60_000_000
SCHEMA = pl.Schema(
    {
        "key": pl.String(),
        "at": pl.Datetime("us", "UTC"),
        "id": pl.Int64(),
        "_source_file": pl.String(),
        "_source_offset": pl.Int64(),
    }
)
Rows = list[tuple[str | None, int]]
MINUTES = {"a": 3, "b": 8, "c": 14, None: 20}
KEYS = st.sampled_from(list(MINUTES))
ANY_TIME = st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 20)), max_size=16)
SAME_TIME = st.lists(KEYS, max_size=16).map(lambda keys: [(key, MINUTES[key]) for key in keys])
PLACES = st.lists(st.integers(0, 16), min_size=1, max_size=4)
DELAYS = st.integers(0, 15)
few = settings(max_examples=60, deadline=None)


def batches_of(rows: Rows, places: list[int]) -> list[pl.DataFrame]:
    """Return rows of key and minute, numbered; their places in files are in another order than that they come in."""
    told = []
    for number, (key, minute) in enumerate(rows):
        place = (number * 7 + 3) % 17
        told.append((key, datetime(2024, 3, 5, tzinfo=UTC) + timedelta(minutes=minute), number, "ba"[place % 2], place))
    parts = cut(pl.DataFrame(told, schema=SCHEMA, orient="row"), places)
    return [part.with_columns(_batch_id=pl.lit(number, pl.Int64)) for number, part in enumerate(parts)]


def step(options: dict[str, Any], *, has_time: bool = True) -> Any:
    kind: Any = TRANSFORMS["deduplicate"]
    site = TransformSite(Path(), 0, has_watermark=has_time, time_column="at" if has_time else "")
    return kind(kind.options_model.model_validate(options), site)


def driven(options: dict[str, Any], batches: list[pl.DataFrame], delay: int) -> Walk:
    return walk([step(options)], [*batches], Clock(delay_us=delay * MINUTE_US))


def on_time(batches: list[pl.DataFrame], found: Walk) -> pl.DataFrame:
    late = [number for part in found.late for number in part["id"]]
    return pl.concat(batches).filter(~pl.col("id").is_in(late))


def chosen(rows: pl.DataFrame, query: str, **others: pl.DataFrame) -> pl.DataFrame:
    """Return those of ``rows`` whose ``id`` a query over them gives; ``us`` is their event time."""
    with duckdb.connect() as con:
        for name, table in {"rows": rows, **others}.items():
            con.register(name, table.with_columns(us=pl.col("at").dt.epoch("us")).drop("at"))
        numbers = [number for (number,) in con.sql(query).fetchall()]
    assert len(numbers) == len(set(numbers))
    return rows.filter(pl.col("id").is_in(numbers))


FIRST_TO_COME = """SELECT id FROM rows
    QUALIFY row_number() OVER (PARTITION BY key ORDER BY _batch_id, us, _source_file, _source_offset) = 1"""


@few
@given(rows=SAME_TIME, places=PLACES, delay=DELAYS)
def test_an_event_that_comes_again_is_kept_once(rows: Rows, places: list[int], delay: int) -> None:
    batches = batches_of(rows, places)

    found = driven({"keys": ["key"]}, batches, delay)

    assert_same(found.rows(), chosen(on_time(batches, found), FIRST_TO_COME))


@few
@given(rows=ANY_TIME, places=PLACES, delay=DELAYS, within=st.integers(0, 10))
def test_rows_that_stay_are_further_apart_than_within_and_the_others_are_near_one(
    rows: Rows, places: list[int], delay: int, within: int
) -> None:
    batches = batches_of(rows, places)

    found = driven({"keys": ["key"], "within": f"{within}m"}, batches, delay)

    timely, kept = on_time(batches, found), found.rows()
    is_near = f"r.key IS NOT DISTINCT FROM k.key AND abs(r.us - k.us) <= {within * MINUTE_US}"
    beside = f"SELECT id FROM rows r WHERE EXISTS (SELECT 1 FROM kept k WHERE r.id <> k.id AND {is_near})"
    covered = f"SELECT id FROM rows r WHERE EXISTS (SELECT 1 FROM kept k WHERE {is_near})"
    assert chosen(kept, beside, kept=kept).height == 0
    assert_same(chosen(timely, covered, kept=kept), timely)
    assert_same(timely.join(kept, on="id", how="semi"), kept)


@few
@given(rows=ANY_TIME, places=PLACES, within=st.integers(0, 10))
def test_rows_in_the_order_of_time_stay_where_the_one_kept_before_is_out_of_reach(
    rows: Rows, places: list[int], within: int
) -> None:
    batches = batches_of(sorted(rows, key=lambda row: row[1]), places)

    found = driven({"keys": ["key"], "within": f"{within}m"}, batches, 1)

    chain = f"""WITH RECURSIVE kept(key, us) AS (
        SELECT key, min(us) FROM rows GROUP BY key
        UNION ALL
        SELECT k.key, min(r.us) FROM kept k JOIN rows r
          ON r.key IS NOT DISTINCT FROM k.key AND r.us > k.us + {within * MINUTE_US} GROUP BY k.key, k.us)
      SELECT id FROM rows r JOIN kept k ON r.key IS NOT DISTINCT FROM k.key AND r.us = k.us
      QUALIFY row_number() OVER (PARTITION BY r.key, r.us ORDER BY _batch_id, _source_file, _source_offset) = 1"""
    assert_same(found.rows(), chosen(on_time(batches, found), chain))


@few
@given(rows=ANY_TIME, places=PLACES, delay=DELAYS, within=st.integers(0, 10))
def test_the_last_of_rows_near_each_other_comes_out_when_no_other_can_follow(
    rows: Rows, places: list[int], delay: int, within: int
) -> None:
    batches = batches_of(rows, places)

    found = driven({"keys": ["key"], "keep": "last", "within": f"{within}m"}, batches, delay)

    assert_same(found.rows(), chosen(on_time(batches, found), last_within(within, found.watermarks[-1])))
    assert_ahead(found, "at", within * MINUTE_US)


def last_within(within: int, upto_us: int | None) -> str:
    reach_us = within * MINUTE_US
    return f"""SELECT id FROM rows r WHERE us + {reach_us} <= {upto_us or -1} AND NOT EXISTS (
        SELECT 1 FROM rows n WHERE n.key IS NOT DISTINCT FROM r.key AND n.us <= r.us + {reach_us}
          AND (n.us, n._source_file, n._source_offset) > (r.us, r._source_file, r._source_offset))"""


@few
@given(rows=SAME_TIME, places=PLACES, delay=DELAYS)
def test_the_last_copy_of_an_event_comes_out_when_none_can_follow(rows: Rows, places: list[int], delay: int) -> None:
    batches = batches_of(rows, places)

    found = driven({"keys": ["key"], "keep": "last"}, batches, delay)

    last = f"""SELECT id FROM rows WHERE us <= {found.watermarks[-1] or -1}
        QUALIFY row_number() OVER (PARTITION BY key ORDER BY _source_file DESC, _source_offset DESC) = 1"""
    assert_same(found.rows(), chosen(on_time(batches, found), last))


@few
@given(rows=ANY_TIME, places=PLACES)
def test_without_a_watermark_the_first_row_of_a_key_to_come_stays(rows: Rows, places: list[int]) -> None:
    batches = batches_of(rows, places)

    found = walk([step({"keys": ["key"]}, has_time=False)], [*batches])

    assert_same(found.rows(), chosen(pl.concat(batches), FIRST_TO_COME.replace("us, ", "")))


@few
@given(rows=ANY_TIME, places=PLACES)
def test_without_a_watermark_changes_lead_to_the_last_row_of_each_key(rows: Rows, places: list[int]) -> None:
    batches = batches_of(rows, places)

    found = walk([step({"keys": ["key"], "keep": "last"}, has_time=False)], [*batches])

    last = """SELECT id FROM rows
        QUALIFY row_number() OVER (PARTITION BY key ORDER BY _source_file DESC, _source_offset DESC) = 1"""
    assert_same(found.result(["key"]), chosen(pl.concat(batches), last))


@few
@given(rows=ANY_TIME, places=PLACES, delay=DELAYS, within=st.integers(0, 10))
def test_a_second_step_finds_no_duplicates_that_the_first_left(
    rows: Rows, places: list[int], delay: int, within: int
) -> None:
    batches, options = batches_of(rows, places), {"keys": ["key"], "within": f"{within}m"}

    once = driven(options, batches, delay)
    twice = walk([step(options), step(options)], [*batches], Clock(delay_us=delay * MINUTE_US))

    assert_same(twice.rows(), once.rows())
    assert twice.counts == once.counts


@few
@given(rows=ANY_TIME, places=PLACES, delay=DELAYS, within=st.integers(0, 10))
def test_the_last_row_is_found_among_those_that_a_step_before_kept(
    rows: Rows, places: list[int], delay: int, within: int
) -> None:
    batches = batches_of(rows, places)
    again = [pl.concat([part, part.with_columns(_source_offset=pl.col("_source_offset") + 100)]) for part in batches]

    steps = [step({"keys": ["id"]}), step({"keys": ["key"], "keep": "last", "within": f"{within}m"})]
    found = walk(steps, [*again], Clock(delay_us=delay * MINUTE_US))

    assert_same(found.rows(), chosen(on_time(batches, found), last_within(within, found.watermarks[-1])))
