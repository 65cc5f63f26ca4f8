from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from etl.balance import Tally
from etl.transforms.lateness import AT, EXPIRES, bucket_us, collected, lasting, on_time

DAY_US = 86_400_000_000


def moments(*seconds: int | None) -> pl.LazyFrame:
    times = [None if second is None else datetime.fromtimestamp(second, UTC) for second in seconds]
    return pl.LazyFrame({"at": pl.Series(times, dtype=pl.Datetime("us", "UTC")), "_source_file": "f"})


def test_a_row_at_the_watermark_is_late_and_one_behind_it_is_not() -> None:
    tally = Tally()

    kept = on_time(collected(moments(4, 5, 6), "at"), 5_000_000, tally)

    [late] = tally.late.take()
    assert kept[AT].to_list() == [6_000_000]
    assert late.columns == ["at", "_source_file", "_watermark"]
    assert late["_watermark"].unique().to_list() == [datetime.fromtimestamp(5, UTC)]
    assert tally.by_file() == {"f": {"late": 2}}


def test_a_row_without_a_time_is_late_behind_no_watermark() -> None:
    tally = Tally()

    kept = on_time(collected(moments(None, 0), "at"), None, tally)

    [late] = tally.late.take()
    assert kept[AT].to_list() == [0]
    assert late["_watermark"].to_list() == [None]


def test_rows_last_until_the_watermark_is_so_much_beyond_them() -> None:
    rows = collected(moments(1, 2, 3), "at")

    assert lasting(rows, 2_000_000, 4_000_000)[EXPIRES].to_list() == [datetime.fromtimestamp(5, UTC)]
    assert lasting(rows, 0, None).height == 3


def test_partitions_are_fewer_than_a_score_of_what_rows_stay() -> None:
    assert (bucket_us(0), bucket_us(7 * DAY_US)) == (300_000_000, 37_800_000_000)
