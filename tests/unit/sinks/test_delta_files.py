"""What the log says of a data file is true of its rows: statistics that no reader skips a row by, and partitions."""

# ruff: noqa: DTZ001  timestamps without zone are tested here

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.errors import SinkError
from etl.model import Json
from etl.sinks.delta_files import (
    NULL_PARTITION,
    _folders,
    describe_file,
    nan_observer,
    partition_text,
    partition_values,
)
from tests.unit.sinks.tables import attempt, make_sink

NAN, INF = float("nan"), float("inf")


def staged(folder: Path, rows: pl.DataFrame, **options: Any) -> dict[str, Any]:
    """Return the statistics of the one file that ``rows`` become."""
    (file,) = attempt(make_sink(folder / "t", **options), 0, rows).files
    assert file.statistics["numRecords"] == file.rows == rows.height
    return dict(file.statistics)


def bounds(folder: Path, values: list[Any], dtype: Any = None) -> tuple[Json, Json]:
    """Return the minimum and maximum of one column, None for none."""
    statistics = staged(folder, pl.DataFrame({"x": pl.Series(values, dtype=dtype)}))
    return statistics["minValues"].get("x"), statistics["maxValues"].get("x")


BOUNDS: list[tuple[str, list[Any], Any, tuple[Json, Json]]] = [
    ("int8", [3, -128, None], pl.Int8, (-128, 3)),
    ("int64", [2**63 - 1, -(2**63)], pl.Int64, (-(2**63), 2**63 - 1)),
    ("uint32", [2**32 - 1, 0], pl.UInt32, (0, 2**32 - 1)),
    ("uint64 within the digits of a double", [7, 10**15 - 1], pl.UInt64, (7, 10**15 - 1)),
    ("uint64 beyond the digits of a double", [7, 2**64 - 1], pl.UInt64, (7, None)),
    ("float32", [0.5, -1.5], pl.Float32, (-1.5, 0.5)),
    ("float64", [1.5, -2.25], pl.Float64, (-2.25, 1.5)),
    ("minus zero", [-0.0], pl.Float64, (-0.0, 0.0)),
    ("infinities", [-INF, 1.0, INF], pl.Float64, (None, None)),
    ("NaN has no place in the order of numbers", [1.0, NAN], pl.Float64, (1.0, None)),
    ("only NaN", [NAN], pl.Float64, (None, None)),
    ("boolean", [True, False], pl.Boolean, (None, None)),
    ("binary", [b"a", b"b"], pl.Binary, (None, None)),
    ("only null", [None, None], pl.Int64, (None, None)),
    ("date", [date(2026, 2, 1), date(1, 1, 1)], pl.Date, ("0001-01-01", "2026-02-01")),
    ("decimal", [Decimal("1.50"), Decimal("-0.25")], pl.Decimal(10, 2), (-0.25, 1.5)),
    ("decimal beyond the digits of a double", [Decimal("12345678901234.56")], pl.Decimal(18, 2), (None, None)),
    ("text", ["b", "a", ""], pl.String, ("", "b")),
    ("text of the greatest length", ["z" * 32], pl.String, ("z" * 32, "z" * 32)),
    ("long text", ["a" * 33], pl.String, ("a" * 32, "a" * 31 + "b")),
    ("long text of several bytes a letter", ["é" * 40], pl.String, ("é" * 32, "é" * 31 + "ê")),
    ("long text of four bytes a letter", ["😀" * 40], pl.String, ("😀" * 16, "😀" * 15 + "😁")),
    ("long text of three bytes a letter", ["€" * 40], pl.String, ("€" * 21, "€" * 20 + "₭")),
    ("long text with letters of both kinds", ["a" + "é" * 40], pl.String, ("a" + "é" * 31, "a" + "é" * 30 + "ê")),
    ("long text before the surrogates", ["a" * 31 + "\ud7ff" * 9], pl.String, ("a" * 31 + "\ud7ff", "a" * 30 + "b")),
    ("long text of the last letter", ["\U0010ffff" * 40], pl.String, ("\U0010ffff" * 16, None)),
    (
        "moments outward to whole milliseconds",
        [datetime(2026, 1, 1, 0, 0, 0, 1999), datetime(2026, 1, 1, 0, 0, 0, 3001)],
        pl.Datetime("us"),
        ("2026-01-01T00:00:00.001", "2026-01-01T00:00:00.004"),
    ),
    (
        "moments before 1970 outward too",
        [datetime(1969, 12, 31, 23, 59, 59, 999001, UTC)],
        pl.Datetime("us", "UTC"),
        ("1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00.000Z"),
    ),
    (
        "the last moment that has a date",
        [datetime(9999, 12, 31, 23, 59, 59, 999999)],
        pl.Datetime("us"),
        ("9999-12-31T23:59:59.999", None),
    ),
]


@pytest.mark.parametrize(("values", "dtype", "expected"), [row[1:] for row in BOUNDS], ids=[row[0] for row in BOUNDS])
def test_bounds_hold_every_value(tmp_path: Path, values: list[Any], dtype: Any, expected: tuple[Json, Json]) -> None:
    assert repr(bounds(tmp_path, values, dtype)) == repr(expected)


@pytest.mark.parametrize("dtype", [pl.Datetime("us"), pl.Datetime("us", "UTC"), pl.Date], ids=str)
def test_moments_beyond_the_year_9999_have_no_bounds(tmp_path: Path, dtype: Any) -> None:
    ticks = pl.Series([5_000_000, 0], dtype=pl.Int32) if dtype == pl.Date else pl.Series([400_000_000_000_000_000, 0])
    statistics = staged(tmp_path, pl.DataFrame({"x": ticks.cast(dtype)}))
    assert statistics == {"numRecords": 2, "minValues": {}, "maxValues": {}, "nullCount": {"x": 0}}


def test_nulls_are_counted_in_every_column_that_is_not_in_a_list(tmp_path: Path) -> None:
    rows = pl.DataFrame({"a": [None, 1], "b": ["x", None], "c": [True, False], "d": [[1], None]})
    assert staged(tmp_path, rows)["nullCount"] == {"a": 1, "b": 1, "c": 0}


def test_structs_have_statistics_of_their_fields_and_lists_have_none(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {"s": [{"x": 1, "t": {"y": "b"}, "l": [9]}, {"x": 2, "t": {"y": "a"}, "l": [8]}], "l": [[{"z": 1}], []]}
    )
    statistics = staged(tmp_path, rows)
    assert statistics["minValues"] == {"s": {"x": 1, "t": {"y": "a"}}}
    assert statistics["maxValues"] == {"s": {"x": 2, "t": {"y": "b"}}}
    assert statistics["nullCount"] == {"s": {"x": 0, "t": {"y": 0}}}


def test_dot_in_a_name_is_part_of_the_name(tmp_path: Path) -> None:
    rows = pl.DataFrame({"a.b": [1], "l": [[{"p.q": 1}]], "s": [{"x.y": 2}]})
    assert staged(tmp_path, rows)["minValues"] == {"a.b": 1, "s": {"x.y": 2}}


def test_nan_inside_a_struct_leaves_out_the_maximum_of_its_field_alone(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {
            "s": [{"x": 1.0, "y": 1.0}, {"x": NAN, "y": 2.0}],
            "x": [5.0, 6.0],
            "n": pl.Series([None, None], dtype=pl.Float64),
        }
    )
    statistics = staged(tmp_path, rows)
    assert statistics["maxValues"] == {"s": {"y": 2.0}, "x": 6.0}
    assert statistics["minValues"] == {"s": {"x": 1.0, "y": 1.0}, "x": 5.0}


def test_nan_in_a_later_part_of_a_long_batch_is_seen(tmp_path: Path) -> None:
    rows = pl.DataFrame({"x": [1.0] * 300_000 + [NAN]})
    assert staged(tmp_path, rows)["maxValues"] == {}


def test_row_groups_are_taken_together(tmp_path: Path) -> None:
    path = tmp_path / "many.parquet"
    pl.DataFrame({"x": [5, 6, -1, 2, None, 9], "n": [None, None, 1, 1, 1, 1]}).write_parquet(path, row_group_size=2)
    described = describe_file("many.parquet", path.stat().st_size, lambda: path.open("rb"))
    assert described.statistics == {
        "numRecords": 6, "minValues": {"x": -1, "n": 1}, "maxValues": {"x": 9, "n": 1}, "nullCount": {"x": 1, "n": 2},
    }  # fmt: skip


def test_row_group_without_bounds_leaves_out_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "nan.parquet"
    pl.DataFrame({"x": [1.0, 2.0, NAN, NAN]}).write_parquet(path, row_group_size=2)
    described = describe_file("nan.parquet", 1, lambda: path.open("rb"))
    assert (described.statistics["minValues"], described.statistics["maxValues"]) == ({}, {})


def test_file_written_without_statistics_has_its_rows_alone(tmp_path: Path) -> None:
    path = tmp_path / "bare.parquet"
    pl.DataFrame({"x": [1]}).write_parquet(path, statistics=False)
    described = describe_file("bare.parquet", 1, lambda: path.open("rb"))
    assert described.statistics == {"numRecords": 1, "minValues": {}, "maxValues": {}, "nullCount": {}}


def test_file_without_rows_has_no_bounds(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "empty.parquet"
    pq.ParquetWriter(path, pa.schema({"x": pa.int64()})).close()
    described = describe_file("empty.parquet", 1, lambda: path.open("rb"))
    assert described.statistics == {"numRecords": 0, "minValues": {}, "maxValues": {}, "nullCount": {}}


HOSTILE = [
    "a b/é%=:",
    "..",
    ".",
    "../up",
    "it's",
    '"',
    "new\nline",
    "a\\b",
    "%2F",
    "#?*[x]{y}",
    "-",
    " ",
    "NULL",
    "😀",
    "\x01",
]


def test_hostile_partition_values_are_read_back_as_they_were(tmp_path: Path) -> None:
    rows = pl.DataFrame({"k": [*HOSTILE, None], "v": range(len(HOSTILE) + 1)})
    made = attempt(make_sink(tmp_path / "t", partition_by=["k"]), 0, rows)
    assert sorted(str(file.partition_values["k"]) for file in made.files) == sorted([*HOSTILE, "None"])
    made.commit()
    assert sorted(pl.read_delta(str(tmp_path / "t")).rows(), key=lambda row: row[-1]) == rows.rows()
    assert {path.name for path in tmp_path.iterdir()} == {"t"}


@pytest.mark.parametrize("text", ["", "__HIVE_DEFAULT_PARTITION__"])
def test_partition_value_that_a_reader_takes_for_null_is_refused(tmp_path: Path, text: str) -> None:
    rows = pl.DataFrame({"k": ["fine", text], "v": [1, 2]})
    with pytest.raises(SinkError, match="cannot be a partition: readers would see null") as caught:
        attempt(make_sink(tmp_path / "t", partition_by=["k"]), 0, rows)
    assert (caught.value.where, caught.value.hint) == (
        "partition_by k",
        "replace it in a with_columns step before the sink",
    )


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), (-5, "-5"), (date(1, 2, 3), "0001-02-03"), ("x", "x")]
)
def test_partition_value_has_the_text_of_delta(value: object, text: str) -> None:
    assert partition_text(value, "k") == text


def test_several_partition_columns_make_folders_in_their_order(tmp_path: Path) -> None:
    rows = pl.DataFrame({"v": [1, 2], "day of": [date(2026, 1, 1)] * 2, "ok": [True, None]})
    made = attempt(make_sink(tmp_path / "t", partition_by=["day of", "ok"]), 0, rows)
    folders = sorted(file.path.rsplit("/", 1)[0] for file in made.files)
    assert folders == ["day%20of=2026-01-01/ok=__HIVE_DEFAULT_PARTITION__", "day%20of=2026-01-01/ok=true"]
    assert [dict(file.partition_values) for file in made.files] == [partition_values(file.path) for file in made.files]
    assert [file.statistics["nullCount"] for file in made.files] == [{"v": 0}, {"v": 0}]


def test_files_are_split_at_the_target_size(tmp_path: Path) -> None:
    rows = pl.DataFrame({"v": pl.int_range(400_000, eager=True)})
    files = attempt(make_sink(tmp_path / "t", target_file_size="100KB"), 0, rows).files
    assert len(files) > 1
    assert sum(file.rows for file in files) == 400_000
    assert all(file.size_bytes == (tmp_path / "t" / file.path).stat().st_size for file in files)


@pytest.mark.parametrize("name", ["a b%20c", "[x]", "q?*", "été", "a#b", "k=v", "t/"])
def test_table_may_lie_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    (file,) = attempt(make_sink(Path(f"{tmp_path}/{name}")), 0, pl.DataFrame({"v": [1]})).files
    assert file.path == f"part-01234567-0000000000-{'a' * 16}-00000.parquet"
    assert (tmp_path / name / file.path).stat().st_size == file.size_bytes


def test_folders_of_keys_are_encoded_once_and_those_of_no_keys_are_none() -> None:
    keys = pl.DataFrame({"k=": ["a b/é"], "n": pl.Series([None], dtype=pl.Int64)})
    assert list(_folders(keys, ["k=", "n"])) == ["k%3D=a%20b%2F%C3%A9", f"n={NULL_PARTITION}"]
    assert list(_folders(None, [])) == []


def test_text_that_looks_like_null_is_refused_where_it_becomes_a_folder() -> None:
    with pytest.raises(SinkError, match="the value '' cannot be a partition"):
        partition_text("", "k")


def test_nan_is_looked_for_in_floats_and_in_structs_at_any_depth() -> None:
    look, seen = nan_observer()
    look(pl.DataFrame({"x": [1.0, None], "n": [1, 2], "s": [{"t": {"y": NAN}, "z": "a"}, None]}))
    assert seen == {"s.t.y"}
    look(pl.DataFrame({"x": [NAN]}))
    look(pl.DataFrame({"x": [NAN]}).clear())
    assert seen == {"s.t.y", "x"}
