from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import ConfigError
from etl.expressions import compile_columns, plain_message
from etl.text_casts import DAY

AT = datetime(2024, 3, 5, 10, 20, 30, 500_000)  # noqa: DTZ001  a timestamp without a zone
INFINITY = float("inf")


def cast(text: str | None, kind: str, how: str = "CAST") -> Any:
    """Return the value of a cast; a good one before it would tell a form guessed from the first row."""
    rows = pl.LazyFrame({"t": [None, text]}, schema={"t": pl.String})
    columns = compile_columns({"value": f"{how}(t AS {kind})"}, rows.collect_schema())
    first, value = columns.apply(rows).collect()["value"].to_list()
    assert first is None
    return value


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("2024-03-05", "DATE", date(2024, 3, 5)),
        ("2024-02-29", "DATE", date(2024, 2, 29)),
        ("2000-02-29", "DATE", date(2000, 2, 29)),
        ("2026-11-03T09:12:00Z", "DATE", date(2026, 11, 3)),
        ("2024-12-31T23:30:00-05:00", "DATE", date(2024, 12, 31)),
        ("2024-03-05 00:10:00.123456789+09", "DATE", date(2024, 3, 5)),
        ("2024-03-05T10:20", "DATE", date(2024, 3, 5)),
        ("2024-03-05T10:20:30.5", "TIMESTAMP", AT),
        ("2024-03-05 10:20:30.500000", "TIMESTAMP", AT),
        ("2024-03-05T10:20:30.5Z", "TIMESTAMPTZ", AT.replace(tzinfo=UTC)),
        ("2024-03-05 12:20:30.5+02:00", "TIMESTAMPTZ", AT.replace(tzinfo=UTC)),
        ("2024-03-05T04:50:30.5-0530", "TIMESTAMPTZ", AT.replace(tzinfo=UTC)),
        ("2024-03-05T12:20:30.5+02", "TIMESTAMPTZ", AT.replace(tzinfo=UTC)),
        ("10:20:30.5", "TIME", time(10, 20, 30, 500_000)),
        ("true", "BOOLEAN", True),
        ("false", "BOOLEAN", False),
        ("007", "INT", 7),
        ("-12", "BIGINT", -12),
        ("1e3", "DOUBLE", 1000.0),
        ("-inf", "DOUBLE", -INFINITY),
        ("0.5", "REAL", 0.5),
        ("1.50", "DECIMAL(3, 1)", Decimal("1.5")),
        ("-.5", "DECIMAL(1, 1)", Decimal("-0.5")),
        ("12", "DECIMAL(2)", Decimal(12)),
        ("1.123456789", "DECIMAL", Decimal("1.123456789")),
        ("café @ 7", "VARCHAR", "café @ 7"),
        ("a", "BLOB", b"a"),
        (None, "DATE", None),
        (None, "BOOLEAN", None),
    ],
)
def test_text_that_is_written_as_the_type_is_gives_its_value(text: str | None, kind: str, expected: object) -> None:
    assert cast(text, kind) == expected
    assert cast(text, kind, "TRY_CAST") == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("03/02/2024", "DATE"),
        ("2024-3-5", "DATE"),
        ("2024/03/05", "DATE"),
        ("20240305", "DATE"),
        (" 2024-03-05", "DATE"),
        ("+2024-03-05", "DATE"),
        ("2024-03-05\n", "DATE"),
        ("٢٠٢٤-03-05", "DATE"),
        ("2023-02-29", "DATE"),
        ("1900-02-29", "DATE"),
        ("2024-04-31", "DATE"),
        ("2024-03-05T25:00:00", "DATE"),
        ("2024-03-05Z", "DATE"),
        ("", "DATE"),
        ('it\'s "late", he said', "DATE"),
        ("2024-01-01T10:00:00+02:00", "TIMESTAMP"),
        ("2024-01-01T10:00:00Z", "TIMESTAMP"),
        ("2024-01-01", "TIMESTAMP"),
        ("2024-01-01T10:00", "TIMESTAMP"),
        ("2024-01-01T10:00:60", "TIMESTAMP"),
        ("2024-01-01T24:00:00", "TIMESTAMP"),
        ("2024-01-01T10:00:00.1234567", "TIMESTAMP"),
        ("2024-01-01T10:00:00", "TIMESTAMPTZ"),
        ("2024-01-01T10:00:00+25:00", "TIMESTAMPTZ"),
        ("2024-01-01T10:00:00 Europe/Berlin", "TIMESTAMPTZ"),
        ("1:2:3", "TIME"),
        ("10:20", "TIME"),
        ("TRUE", "BOOLEAN"),
        ("1", "BOOLEAN"),
        ("xfalse", "BOOLEAN"),
        (" 5", "DOUBLE"),
        ("1e400", "DOUBLE"),
        ("-1e400", "DOUBLE"),
        ("1e39", "REAL"),
        ("0x10", "DOUBLE"),
        ("", "DOUBLE"),
        ("1.55", "DECIMAL(3, 1)"),
        ("1e3", "DECIMAL(10, 1)"),
        ("12.3", "DECIMAL(2, 1)"),
        ("1.5", "DECIMAL(10)"),
    ],
)
def test_text_that_is_written_otherwise_is_named_and_null_for_try_cast(text: str, kind: str) -> None:
    with pytest.raises(pl.exceptions.InvalidOperationError) as caught:
        cast(text, kind)

    message = plain_message(caught.value)
    assert message.startswith(f"'{text}' is not ") or '"' in text
    assert "conversion" not in message or '"' in text
    assert cast(text, kind, "TRY_CAST") is None


@pytest.mark.parametrize("text", [" 5", "5 ", "0x10", "1_000", "1e3", "1e400", "1.9", "1.0", "", "٣", "2147483648"])
def test_text_that_is_no_integer_is_named_and_null_for_try_cast(text: str) -> None:
    with pytest.raises(pl.exceptions.InvalidOperationError, match=re.escape(f'["{text}"]')):
        cast(text, "INT")

    assert cast(text, "INT", "TRY_CAST") is None


@given(st.dates(), st.integers(0, 31), st.integers(0, 13))
@settings(max_examples=200, deadline=None)
def test_the_pattern_of_a_day_takes_the_days_that_exist_and_no_other(day: date, number: int, month: int) -> None:
    text = f"{day.year:04}-{month:02}-{number:02}"
    try:
        exists = bool(date.fromisoformat(text))
    except ValueError:
        exists = False

    assert bool(re.fullmatch(DAY, text)) == exists
    assert re.fullmatch(DAY, day.isoformat())


def test_rows_in_several_forms_are_each_read_by_their_own() -> None:
    rows = pl.LazyFrame({"t": ["2024-03-05 10:20:30Z", "2024-03-05T12:20:30.25+02:00", "2024-03-05T10:20:30+00", None]})
    whole = datetime(2024, 3, 5, 10, 20, 30, tzinfo=UTC)

    value = compile_columns({"value": "CAST(t AS TIMESTAMPTZ)"}, rows.collect_schema()).apply(rows).collect()["value"]

    assert value.to_list() == [whole, whole.replace(microsecond=250_000), whole, None]
    assert value.dtype == pl.Datetime("us", "UTC")


def test_a_computed_text_is_cast_as_strictly_as_a_column() -> None:
    rows = pl.LazyFrame({"d": ["5", "05"], "m": ["3", "03"]})
    columns = compile_columns({"value": "TRY_CAST('2024-' || m || '-' || d AS DATE)"}, rows.collect_schema())

    assert columns.apply(rows).collect()["value"].to_list() == [None, date(2024, 3, 5)]


def test_a_cast_inside_arithmetic_and_other_casts_is_exact_too() -> None:
    rows = pl.LazyFrame({"n": ["41"], "t": ["2026-11-03T09:12:00Z"]})
    texts = {
        "next": "CAST(n AS INT) + 1",
        "later": "CAST(t AS DATE) + INTERVAL '1 day'",
        "again": "CAST(CAST(CAST(t AS DATE) AS VARCHAR) AS DATE)",
    }

    assert compile_columns(texts, rows.collect_schema()).apply(rows).collect().rows() == [
        (42, date(2026, 11, 4), date(2026, 11, 3))
    ]


@pytest.mark.parametrize("literal", ["DATE '03/02/2024'", "TIMESTAMP '2024-03-05'", "'x'::BOOLEAN"])
def test_a_constant_that_is_written_otherwise_is_refused_before_a_row_moves(literal: str) -> None:
    with pytest.raises(ConfigError, match="' is not "):
        compile_columns({"value": literal}, pl.Schema({"id": pl.Int64}))


def test_casts_of_casts_without_end_are_refused() -> None:
    text = "t"
    for _ in range(8):
        text = f"CAST(CAST({text} AS DATE) AS VARCHAR)"

    with pytest.raises(ConfigError, match="nested too deeply"):
        compile_columns({"value": text}, pl.Schema({"t": pl.String}))


def test_a_value_that_is_no_text_is_cast_as_sql_says() -> None:
    moment = datetime(2024, 3, 5, 23, 30, tzinfo=UTC)
    rows = pl.LazyFrame({"f": [-1.9], "at": [moment], "n": [1]}, schema_overrides={"at": pl.Datetime("us", "UTC")})
    texts = {
        "whole": "CAST(f AS INT)",
        "day": "CAST(at AS DATE)",
        "day_in_berlin": "CAST(at AT TIME ZONE 'Europe/Berlin' AS DATE)",
        "flag": "CAST(n AS BOOLEAN)",
    }

    assert compile_columns(texts, rows.collect_schema()).apply(rows).collect().rows() == [
        (-1, date(2024, 3, 5), date(2024, 3, 6), True)
    ]
