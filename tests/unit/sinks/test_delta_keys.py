"""Which files may hold a key, by what the log says of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from etl.sinks.delta_keys import may_hold


def live(low: list[Any], high: list[Any], nulls: list[int | None], dtype: Any) -> pl.DataFrame:
    """Return files named by their place, of ten rows each, with bounds and nulls of column ``k``."""
    bounds = {
        part: pl.DataFrame({"k": pl.Series(values, dtype=dtype)}).to_struct()
        for part, values in (("min", low), ("max", high))
    }
    null_count = pl.DataFrame({"k": pl.Series(nulls, dtype=pl.Int64)}).to_struct()
    return pl.DataFrame(
        {"path": [str(number) for number in range(len(low))], "num_records": 10, **bounds, "null_count": null_count}
    )


def chosen(files: pl.DataFrame, values: list[Any], dtype: Any, partition_by: tuple[str, ...] = ()) -> str:
    keys = pl.DataFrame({"k": pl.Series(values, dtype=dtype)})
    return "".join(may_hold(files, keys, partition_by)["path"])


NUMBERS = ([0, 10, 20, None, None], [5, 15, 25, None, None], [0, 0, 1, 10, None], pl.Int64)
"""Three files with bounds, one of nulls alone, one of which nothing is known."""


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3], "04"), ([5, 10], "014"), ([6, 9, 16], "4"), ([-1], "4"), ([26], "4"), ([7, 24, 3], "024"),
        ([None], "234"), ([None, 12], "1234"), ([], ""),
    ],
)  # fmt: skip
def test_bounds_and_nulls_exclude_files(values: list[int | None], expected: str) -> None:
    assert chosen(live(*NUMBERS), values, pl.Int64) == expected


def test_bounds_of_another_type_or_of_floats_exclude_only_files_of_nulls() -> None:
    assert chosen(live(*NUMBERS), [100], pl.Int32) == "0124"
    assert chosen(live([0.5, None], [1.5, None], [0, 10], pl.Float64), [float("nan")], pl.Float64) == "0"


def test_texts_that_were_cut_off_exclude_nothing_that_starts_like_them() -> None:
    files = live(["a" * 32], ["b" * 32], [0], pl.String)
    assert chosen(files, ["b" * 32 + "zzz"], pl.String) == "0"
    assert chosen(files, ["a" * 31], pl.String) == ""
    assert chosen(files, ["b" * 31 + "c"], pl.String) == ""
    assert chosen(live(["a"], ["é"], [0], pl.String), ["z", "漢"], pl.String) == "0"
    assert chosen(live(["a"], ["é"], [0], pl.String), ["漢"], pl.String) == ""


def test_moments_that_were_cut_off_exclude_nothing_within_their_millisecond() -> None:
    at, kind = datetime(2026, 1, 1, tzinfo=UTC), pl.Datetime("us", "UTC")
    files = live([at], [at], [0], kind)
    assert chosen(files, [at + timedelta(microseconds=999)], kind) == "0"
    assert chosen(files, [at + timedelta(microseconds=1001)], kind) == ""


def test_a_column_without_statistics_excludes_nothing() -> None:
    assert chosen(live(*NUMBERS).drop("min", "max", "null_count"), [1, None], pl.Int64) == "01234"


def test_partitions_are_compared_as_values() -> None:
    files = live(*NUMBERS).with_columns(partition=pl.struct(k=pl.Series([1, 2, None, 4, 5])))
    assert chosen(files, [2, None], pl.Int64, ("k",)) == "12"
    assert chosen(files, [2], pl.Int32, ("k",)) == "1"


def test_each_column_of_a_key_is_asked() -> None:
    files = live(*NUMBERS).with_columns(partition=pl.struct(p=pl.Series(["x", "x", "y", "y", "y"])))
    keys = pl.DataFrame({"k": [3, 24], "p": ["y", "y"]})
    assert "".join(may_hold(files, keys, ["p"])["path"]) == "24"
