"""Each aggregate over rows in one batch and in several; the null and empty cases are those of SQL."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError, TransformError
from tests.grouping import aggregated, step_of, values

NAN = math.nan
BIG = 2**62


@pytest.mark.parametrize("cut", [0, 1, 3])
@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("COUNT(*)", [1, None, 2], 3),
        ("COUNT(x)", [1, None, 2], 2),
        ("COUNT(1)", [1, None], 2),
        ("COUNT(*) FILTER (WHERE x > 1)", [1, None, 2], 1),
        ("COUNT(x) FILTER (WHERE x > 5)", [1, None, 2], 0),
        ("SUM(x)", [1, None, 2], 3),
        ("SUM(x * 2)", [1, None, 2], 6),
        ("SUM(CASE WHEN x > 1 THEN x ELSE 0 END)", [1, 2, 3], 5),
        ("SUM(x)", [None, None], None),
        ("SUM(x) FILTER (WHERE x > 1)", [1, 2, 3], 5),
        ("MIN(x)", [2, None, 1], 1),
        ("MAX(x)", [2, None, 1], 2),
        ("MAX(x)", [None], None),
        ("AVG(x)", [1, None, 2], 1.5),
        ("AVG(x)", [None], None),
        ("VAR(x)", [1, 2, 3, 4], 5 / 3),
        ("VAR(x)", [1, None], None),
        ("STDDEV(x)", [1, None, 3], math.sqrt(2)),
        ("STDDEV(x)", [None, None], None),
        ("BOOL_AND(x > 0)", [1, None, 2], True),
        ("BOOL_AND(x > 1)", [1, None, 2], False),
        ("BOOL_OR(x > 1)", [1, None, 2], True),
        ("BOOL_OR(x > 2)", [None], None),
        ("COUNT(DISTINCT x)", [1, 1, None, 2], 2),
        ("COUNT(DISTINCT x)", [None], 0),
        ("APPROX_COUNT_DISTINCT(x)", [1, 1, None, 2], 2),
        ("APPROX_COUNT_DISTINCT(x)", [None], 0),
        ("APPROX_QUANTILE(x, 0.5)", [4, None, 1, 2, 3], 2.5),
        ("APPROX_QUANTILE(x, 1)", [1, 5], 5.0),
        ("APPROX_QUANTILE(x, 0.5)", [None], None),
    ],
)
def test_an_aggregate_is_that_of_sql_in_any_batches(text: str, given: list[Any], expected: object, cut: int) -> None:
    frame = values(*given)

    found = aggregated(text, frame[:cut], frame[cut:])

    assert found == (pytest.approx(expected) if isinstance(expected, float) else expected)


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("MIN(x)", [NAN, 1.0], 1.0),
        ("MAX(x)", [1.0, NAN], NAN),
        ("COUNT(DISTINCT x)", [NAN, NAN, 0.0, -0.0], 2),
        ("APPROX_QUANTILE(x, 0.5)", [NAN, 1.0, 3.0], 2.0),
    ],
)
def test_nan_is_the_greatest_number_and_equal_to_itself(text: str, given: list[float], expected: float) -> None:
    frame = values(*given, kind=pl.Float64)

    assert aggregated(text, frame[:1], frame[1:]) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("kind", "given", "expected", "found"),
    [
        (pl.Int8, [100, 100], 200, pl.Int64),
        (pl.UInt32, [2**32 - 1, 1], 2**32, pl.Int64),
        (pl.UInt64, [2**63, 5], 2**63 + 5, pl.UInt64),
        (pl.Float32, [0.5, 0.25], 0.75, pl.Float64),
        (pl.Decimal(5, 2), [Decimal("999.99"), Decimal("0.02")], Decimal("1000.01"), pl.Decimal(38, 2)),
    ],
)
def test_a_sum_has_a_type_that_holds_many(kind: Any, given: list[Any], expected: object, found: Any) -> None:
    frame = values(*given, kind=kind)

    assert aggregated("SUM(x)", frame[:1], frame[1:]) == expected
    assert step_of({"aggregate": {"n": "SUM(x)"}}, is_whole=True).output_schema(frame.schema) == {"n": found}


@pytest.mark.parametrize(
    ("kind", "given"),
    [(pl.Int64, [BIG, BIG]), (pl.Int64, [-BIG, -BIG, -1]), (pl.UInt64, [2**63, 2**63])],
)
@pytest.mark.parametrize("cut", [0, 1])
def test_a_sum_that_does_not_fit_fails_the_batch(kind: Any, given: list[int], cut: int) -> None:
    frame = values(*given, kind=kind)

    with pytest.raises(TransformError, match=r"value: the sum of a group does not fit into U?Int64") as caught:
        aggregated("SUM(x)", frame[:cut], frame[cut:])
    assert caught.value.where == "transforms[2].group_by"


def test_a_sum_that_only_passes_through_large_numbers_fits() -> None:
    assert aggregated("SUM(x)", values(BIG, BIG, -BIG, 5)) == BIG + 5


@pytest.mark.parametrize("cut", [0, 1])
def test_a_sum_of_decimals_that_would_wrap_fails_the_batch(cut: int) -> None:
    frame = values(Decimal(9 * 10**37), Decimal(9 * 10**37), kind=pl.Decimal(38, 0))

    with pytest.raises(TransformError, match=r"does not fit into (a decimal|Decimal)"):
        aggregated("SUM(x)", frame[:cut], frame[cut:])


def test_a_variance_keeps_its_digits_far_from_zero_in_many_batches() -> None:
    frame = values(*(1e9 + number for number in range(10)), kind=pl.Float64)

    found = aggregated("VAR(x)", *(frame[place : place + 1] for place in range(10)))

    assert found == pytest.approx(55 / 6, rel=1e-9)


@pytest.mark.parametrize("cut", [0, 2])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MIN(x)", date(2024, 1, 1)),
        ("MAX(x)", date(2024, 1, 3)),
        ("FIRST(x)", date(2024, 1, 2)),
        ("COUNT(DISTINCT x)", 3),
        ("APPROX_COUNT_DISTINCT(x)", 3),
        ("ARRAY_AGG(x)", [date(2024, 1, 2), date(2024, 1, 1), date(2024, 1, 3)]),
    ],
)
def test_dates_are_values_too(text: str, expected: object, cut: int) -> None:
    frame = values(date(2024, 1, 2), date(2024, 1, 1), date(2024, 1, 3), kind=pl.Date)
    found = aggregated(text, frame[:cut], frame[cut:])

    assert (found.to_list() if isinstance(found, pl.Series) else found) == expected


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("SUM(x)", pl.String, "n: SUM cannot take String"),
        ("SUM(x)", pl.Boolean, "n: SUM cannot take Boolean"),
        ("AVG(x)", pl.Date, "n: AVG cannot take Date"),
        ("STDDEV(x)", pl.String, "n: STDDEV cannot take String"),
        ("APPROX_QUANTILE(x, 0.5)", pl.String, "n: APPROX_QUANTILE cannot take String"),
        ("BOOL_AND(x)", pl.Int64, "n: BOOL_AND cannot take Int64"),
        ("MAX(x)", pl.List(pl.Int64), "n: MAX cannot take List(Int64)"),
        ("COUNT(DISTINCT x)", pl.List(pl.Int64), "n: distinct values of List(Int64) cannot be counted"),
        ("APPROX_COUNT_DISTINCT(x)", pl.List(pl.Int64), "n: distinct values of List(Int64) cannot be counted"),
        ("SUM(NULL)", pl.Int64, "n: SUM(NULL) has no type"),
        ("SUM(y)", pl.Int64, "n: unknown column 'y'"),
        ("SUM(MAX(x))", pl.Int64, "n: MAX cannot stand in an expression"),
        ("SUM(x) FILTER (WHERE x)", pl.Int64, "n: FILTER (WHERE …) takes a condition, not Int64"),
        ("SUM(x) FILTER (WHERE y)", pl.Int64, "n: unknown column 'y'"),
    ],
)
def test_what_an_aggregate_cannot_take_is_refused(text: str, kind: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        step_of({"aggregate": {"n": text}}).output_schema(pl.Schema({"x": kind, "_source_file": pl.String}))

    assert caught.value.message.startswith(message)
    assert caught.value.where == "transforms[2].group_by"
    assert caught.value.hint
