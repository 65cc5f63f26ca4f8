from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError, TransformError

NAIVE = datetime(2024, 3, 5, 10, 20, 30, 500_000)  # noqa: DTZ001  a timestamp without a zone
MOMENT = NAIVE.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "value", "target", "expected"),
    [
        (pl.Int64, 127, "int8", 127),
        (pl.Int64, 5, "float64", 5.0),
        (pl.Int64, 5, "decimal(10,2)", Decimal("5.00")),
        (pl.Int64, 5, "string", "5"),
        (pl.Int64, 1, "boolean", True),
        (pl.Float64, 2.0, "int64", 2),
        (pl.Float64, 0.1, "float32", pytest.approx(0.1, rel=1e-6)),
        (pl.Decimal(10, 2), Decimal("2.00"), "int64", 2),
        (pl.Boolean, True, "int8", 1),
        (pl.String, "-12", "int64", -12),
        (pl.String, "1e3", "float64", 1000.0),
        (pl.String, "1.50", "decimal(10,1)", Decimal("1.5")),
        (pl.String, "true", "boolean", True),
        (pl.String, "2024-03-05", "date", date(2024, 3, 5)),
        (pl.String, "10:20:30.5", "time", time(10, 20, 30, 500_000)),
        (pl.String, "2024-03-05T10:20:30.5", "timestamp", NAIVE),
        (pl.String, "2024-03-05 12:20:30.500+02:00", "timestamp(UTC)", MOMENT),
        (pl.String, "2024-03-05T10:20:30.5Z", "timestamp(UTC)", MOMENT),
        (pl.String, "2024-03-05T12:20:30.5+02", "timestamp(UTC)", MOMENT),
        (pl.String, "inf", "float64", float("inf")),
        (pl.Date, date(2024, 3, 5), "timestamp", datetime(2024, 3, 5)),  # noqa: DTZ001  the same
        (pl.Datetime("ns"), NAIVE, "timestamp", NAIVE),
        (pl.List(pl.Int64), [1, None], "list<int8>", [1, None]),
        (pl.Struct({"a": pl.Int64}), {"a": 1}, "struct{a: int8}", {"a": 1}),
    ],
)
def test_cast_keeps_the_value_and_null(apply: Any, kind: Any, value: Any, target: str, expected: Any) -> None:
    rows, counts = apply("cast", {"v": target}, pl.DataFrame({"v": pl.Series([value, None], dtype=kind)}))

    assert rows["v"].to_list() == [expected, None]
    assert counts == {}


@pytest.mark.parametrize(
    ("kind", "value", "target"),
    [
        (pl.Int64, 128, "int8"),
        (pl.Int64, -1, "uint64"),
        (pl.Int64, 2**53 + 1, "float64"),
        (pl.Int64, 2, "boolean"),
        (pl.Float64, 1.5, "int64"),
        (pl.Float64, float("nan"), "int64"),
        (pl.Float64, 2.0**63, "int64"),
        (pl.Float64, 1e300, "float32"),
        (pl.Decimal(10, 2), Decimal("1.55"), "decimal(10,1)"),
        (pl.Decimal(10, 2), Decimal("1.50"), "int64"),
        (pl.String, "x", "int64"),
        (pl.String, " 7", "int64"),
        (pl.String, "1.0", "int64"),
        (pl.String, "1.55", "decimal(10,1)"),
        (pl.String, "1e400", "float64"),
        (pl.String, "1e39", "float32"),
        (pl.String, "x", "float64"),
        (pl.String, "yes", "boolean"),
        (pl.String, "TRUE", "boolean"),
        (pl.String, "05.03.2024", "date"),
        (pl.String, "2024-3-5", "date"),
        (pl.String, "2024-02-30", "date"),
        (pl.String, "2024-03-05T10:20:30", "date"),
        (pl.String, "10:20", "time"),
        (pl.String, "2024-03-05", "timestamp"),
        (pl.String, "2024-03-05T10:20:30Z", "timestamp"),
        (pl.String, "2024-03-05T10:20:30", "timestamp(UTC)"),
        (pl.String, "2024-03-05T10:20:60", "timestamp"),
        (pl.String, "2024-03-05T10:20:30.1234567", "timestamp"),
        (pl.Datetime("us"), NAIVE, "date"),
        (pl.List(pl.Int64), [1, 300], "list<int8>"),
        (pl.List(pl.Float64), [1.5], "list<int64>"),
        (pl.Binary, b"\xff", "string"),
    ],
)
def test_cast_fails_with_the_value_that_would_change(apply: Any, kind: Any, value: Any, target: str) -> None:
    with pytest.raises(TransformError) as caught:
        apply("cast", {"v": target}, pl.DataFrame({"v": pl.Series([None, value], dtype=kind)}))

    assert caught.value.where == "transforms[2].cast"
    assert caught.value.message.startswith("v: ")


def test_cast_refuses_to_lose_nanoseconds(apply: Any) -> None:
    frame = pl.DataFrame({"v": pl.Series([1_700_000_000_000_000_001], dtype=pl.Int64).cast(pl.Datetime("ns"))})

    with pytest.raises(TransformError, match="v: 1 of 1 values cannot become"):
        apply("cast", {"v": "timestamp"}, frame)


@pytest.mark.parametrize(
    ("kind", "target", "message"),
    [
        (pl.Datetime("us", "UTC"), "timestamp", "would lose its time zone"),
        (pl.List(pl.Int64), "int64", "cannot become Int64"),
        (pl.Int64, "list<int64>", "v: Int64 cannot become"),
        (pl.Struct({"a": pl.Int64}), "list<int64>", "cannot become List(Int64)"),
        (pl.Boolean, "date", "v: Boolean cannot become Date"),
        (pl.Int64, "timestamp", "v: Int64 cannot become"),
        (pl.Date, "int64", "v: Date cannot become Int64"),
    ],
)
def test_cast_refuses_at_plan_time_what_no_value_survives(refuse: Any, kind: Any, target: str, message: str) -> None:
    assert message in refuse("cast", {"v": target}, {"v": kind}).message


@pytest.mark.parametrize("value", [{"v": "int46"}, {"_batch_id": "int8"}])
def test_cast_refuses_an_unknown_type_and_a_system_column(make: Any, value: object) -> None:
    with pytest.raises(ConfigError, match=r"transforms\[2\].cast"):
        make("cast", value)


GAPS = pl.DataFrame(
    {"n": [None, 1], "f": [None, 1.5], "s": [None, "a"], "b": [None, True], "_source_offset": [None, 1]},
    schema={"n": pl.Int8, "f": pl.Float64, "s": pl.String, "b": pl.Boolean, "_source_offset": pl.Int64},
)


@pytest.mark.parametrize(
    ("value", "first"),
    [
        (0, (0, 0.0, None, None, None)),
        (0.5, (None, 0.5, None, None, None)),
        ("-", (None, None, "-", None, None)),
        (False, (None, None, None, False, None)),
        ({"n": 7, "s": ""}, (7, None, "", None, None)),
    ],
)
def test_fill_null_fills_columns_of_its_type_and_leaves_types_alone(apply: Any, value: object, first: Any) -> None:
    rows, counts = apply("fill_null", value, GAPS)

    assert rows.row(0) == first
    assert rows.row(1) == (1, 1.5, "a", True, 1)
    assert rows.schema == GAPS.schema
    assert counts == {}


def test_fill_null_reads_a_date_from_text(apply: Any) -> None:
    rows, _ = apply("fill_null", {"d": "2024-03-05"}, pl.DataFrame({"d": pl.Series([None], dtype=pl.Date)}))

    assert rows["d"].to_list() == [date(2024, 3, 5)]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"n": 300}, "n: 300 is no Int8"),
        ({"n": 1.5}, "n: 1.5 is no Int8"),
        ({"n": True}, "n: True is no Int8"),
        ({"b": 1}, "b: 1 is no Boolean"),
        ({"m": 1}, "unknown column 'm'"),
        ({"l": 1}, "l: 1 is no List(Int64)"),
        (300, "n: 300 is no Int8"),
    ],
)
def test_fill_null_refuses_a_value_of_another_type(refuse: Any, value: object, message: str) -> None:
    assert refuse("fill_null", value, {**GAPS.schema, "l": pl.List(pl.Int64)}).message == message


def test_fill_null_refuses_a_value_that_no_column_takes(refuse: Any) -> None:
    assert refuse("fill_null", "x", {"n": pl.Int8}).message == "no column takes 'x'"
