from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from etl.vocabulary import FUNCTIONS


def query(fields: str, rows: pl.LazyFrame) -> pl.LazyFrame:
    return pl.SQLContext({"input": rows}, eager=False).execute(f"SELECT {fields} FROM input")


ONE = pl.LazyFrame({"i": [2**62], "t": pl.Series([127], dtype=pl.Int8), "s": ["x"]})


@pytest.mark.parametrize(("expression", "wrapped"), [("i * 4", 0), ("t + t", -2), ("-t - 2", 127), ("POW(t, 2)", 1)])
def test_integer_arithmetic_wraps_without_an_error(expression: str, wrapped: int) -> None:
    assert query(f"{expression} AS x", ONE).collect().item() == wrapped


def test_a_narrowing_cast_from_128_bits_raises_with_the_value() -> None:
    with pytest.raises(pl.exceptions.InvalidOperationError, match=r"`i128` to `i64`.*\[18446744073709551616\]"):
        query("CAST(CAST(i AS HUGEINT) * CAST(4 AS HUGEINT) AS BIGINT) AS x", ONE).collect()


@pytest.mark.parametrize(
    ("expression", "guessed"),
    [
        ("CAST('03/02/2024' AS DATE)", date(2024, 2, 3)),
        ("CAST(' 2024-3-5' AS DATE)", date(2024, 3, 5)),
        ("DATE(' 2024-3-5', '%Y-%m-%d')", date(2024, 3, 5)),
        ("CAST('2024-01-01T10:00:60' AS TIMESTAMP)", datetime(2024, 1, 1, 10, 1)),  # noqa: DTZ001  naive
        ("CAST('2024-01-01T10:00:00.123456789' AS TIMESTAMP)", datetime(2024, 1, 1, 10, 0, 0, 123456)),  # noqa: DTZ001
        ("CAST('1e400' AS DOUBLE)", float("inf")),
        ("CAST('1.55' AS DECIMAL(3, 1))", Decimal("1.6")),
    ],
)
def test_a_cast_of_text_guesses_and_rounds(expression: str, guessed: object) -> None:
    assert query(f"{expression} AS x", ONE).collect().item() == guessed


def test_text_cannot_be_cast_to_boolean() -> None:
    with pytest.raises(pl.exceptions.InvalidOperationError, match="not supported"):
        query("CAST(s AS BOOLEAN) AS x", ONE).collect()


def test_a_parse_behind_case_sees_only_the_texts_that_were_chosen() -> None:
    rows = pl.LazyFrame({"s": ["2024-03-05", "x", None]})

    found = query("DATE(CASE WHEN s ~ '^2' THEN s END, '%Y-%m-%d') AS x", rows).collect(engine="streaming")

    assert found["x"].to_list() == [date(2024, 3, 5), None, None]


@pytest.mark.parametrize("zone", ["Z", "+00", "+00:00", "-0000"])
def test_one_format_reads_every_spelling_of_a_zone(zone: str) -> None:
    found = query(f"STRPTIME('2024-03-05 10:20:30{zone}', '%Y-%m-%d %H:%M:%S%.f%#z') AS x", ONE).collect()

    assert found.item() == datetime(2024, 3, 5, 10, 20, 30, tzinfo=UTC)


def test_some_type_errors_show_only_when_an_empty_frame_is_collected() -> None:
    rows = query("s > 3 AS x", pl.LazyFrame(schema={"s": pl.String}))

    assert rows.collect_schema() == pl.Schema({"x": pl.Boolean})
    with pytest.raises(pl.exceptions.ComputeError, match="cannot compare string with numeric"):
        rows.collect()


def test_constants_are_repeated_for_every_row() -> None:
    assert query("1 AS x", pl.LazyFrame({"i": [1, 2, 3]})).collect()["x"].to_list() == [1, 1, 1]
    assert query("1 AS x", pl.LazyFrame(schema={"i": pl.Int64})).collect().height == 0


def test_is_true_gives_null_for_null() -> None:
    rows = pl.LazyFrame({"b": [True, None]})

    assert query("b IS TRUE AS x", rows).collect()["x"].to_list() == [True, None]


def test_the_parser_takes_forty_parentheses_and_has_a_limit() -> None:
    assert query("(" * 40 + "i" + ")" * 40 + " AS x", ONE).collect().item() == 2**62
    with pytest.raises(pl.exceptions.SQLInterfaceError, match="recursion limit"):
        query("(" * 60 + "i" + ")" * 60 + " AS x", ONE)


def test_table_functions_read_files_where_nobody_stops_them() -> None:
    with pytest.raises(FileNotFoundError):
        pl.SQLContext(eager=False).execute("SELECT * FROM read_csv('/nowhere/at/all.csv')").collect()


def test_the_clock_can_be_asked_where_nobody_stops_it() -> None:
    assert query("NOW() AS x", ONE).collect_schema()["x"] == pl.Datetime("us")


def test_function_names_are_known_in_any_case() -> None:
    assert query("upper(s) AS x", ONE).collect().item() == "X"
    assert all(name == name.upper() for name in FUNCTIONS)
