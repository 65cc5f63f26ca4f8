from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.balance import Tally
from etl.errors import ConfigError
from etl.model import BatchPlan
from etl.transforms.contract import TransformSite
from etl.transforms.watermark import Watermark, WatermarkOptions, event_time
from etl.watermark import Rule, micros

PLAN = BatchPlan(0, datetime(2026, 1, 1, 12, tzinfo=UTC), {}, {}, "definition")
NINE = datetime(2026, 1, 1, 9, tzinfo=UTC)
AHEAD = datetime(2099, 1, 1, tzinfo=UTC)


def watermark(source: str = "", **options: Any) -> Watermark:
    return Watermark(WatermarkOptions(column="ts", **options), TransformSite(Path(), 2, source))


def seen(times: list[Any], kind: pl.DataType | None = None, **options: Any) -> dict[str, int]:
    tally = Tally()
    rows = pl.LazyFrame({"ts": pl.Series(times, dtype=kind or pl.Datetime("us", "UTC"))})
    assert watermark(**options).apply(rows, PLAN, tally).collect().equals(rows.collect())
    return tally.event_times()


def test_the_newest_event_time_is_noted_and_no_row_is_changed() -> None:
    assert seen([NINE, None, datetime(2026, 1, 1, 8, tzinfo=UTC)]) == {"": micros(NINE)}


def test_a_batch_without_event_times_notes_nothing() -> None:
    assert seen([]) == {}
    assert seen([None]) == {}


def test_a_row_dated_too_far_ahead_is_not_noted() -> None:
    assert seen([NINE, AHEAD]) == {"": micros(NINE)}
    assert seen([AHEAD]) == {}


def test_how_far_ahead_is_counted_from_the_time_of_the_batch() -> None:
    one = datetime(2026, 1, 1, 13, tzinfo=UTC)

    assert seen([one]) == {"": micros(one)}
    assert seen([one], max_ahead="59m") == {}


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        (datetime(2026, 1, 1, 9), pl.Datetime("us"), micros(NINE)),  # noqa: DTZ001  a column without a zone
        (NINE, pl.Datetime("ms", "Europe/Berlin"), micros(NINE)),
        (NINE, pl.Datetime("ns", "UTC"), micros(NINE)),
        (date(2026, 1, 1), pl.Date(), micros(datetime(2026, 1, 1, tzinfo=UTC))),
    ],
)
def test_every_kind_of_moment_becomes_microseconds(value: object, kind: pl.DataType, wanted: int) -> None:
    assert seen([value], kind) == {"": wanted}
    frame = pl.DataFrame({"ts": pl.Series([value, None], dtype=kind)})
    assert frame.select(event_time("ts", kind)).to_series().to_list() == [wanted, None]


def test_the_clock_is_named_by_its_source() -> None:
    tally = Tally()
    watermark("refunds").apply(pl.LazyFrame({"ts": [NINE]}), PLAN, tally).collect()

    assert tally.event_times() == {"refunds": micros(NINE)}


def test_options_become_a_rule_in_microseconds() -> None:
    assert watermark(delay="10m", idle_timeout="1h", max_ahead="0s").rule == Rule(600_000_000, 3_600_000_000, 0)
    assert watermark().rule == Rule(0, None, 3_600_000_000)


def test_late_rows_are_kept_unless_it_says_otherwise() -> None:
    assert watermark().keeps_late
    assert not watermark(late="drop").keeps_late
    assert not watermark(late="count").keeps_late


@pytest.mark.parametrize("kind", [pl.String(), pl.Int64(), pl.Time(), pl.Duration("us")])
def test_a_column_that_is_no_moment_is_refused(kind: pl.DataType) -> None:
    with pytest.raises(ConfigError) as caught:
        watermark().output_schema(pl.Schema({"ts": kind}))
    assert caught.value.where == "transforms[2].watermark"
    assert caught.value.message.startswith("ts: ")


def test_a_column_that_turns_out_to_be_text_is_refused_before_a_row_flows() -> None:
    with pytest.raises(ConfigError, match="ts: String is no moment in time"):
        watermark().apply(pl.LazyFrame({"ts": ["2026-01-01"]}), PLAN, Tally())


def test_an_unknown_column_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown column 'ts'; did you mean 'tss'"):
        watermark("refunds").output_schema(pl.Schema({"tss": pl.Datetime("us")}))
