from __future__ import annotations

import polars as pl
import pytest

from etl.operations.column_types import Verdict, uses_decimal_comma, verdict_of


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (["1", "-2", "0"], Verdict("int64")),
        ([" 1 ", "\t2"], Verdict("int64")),
        (["9223372036854775807", "-9223372036854775808"], Verdict("int64")),
        (["1" * 39, "2"], Verdict("string", "numbers with more digits than any type keeps: kept as text")),
        (["+1", "2"], Verdict("string")),
        (["1_000", "0x10"], Verdict("string")),
        (["1.10", "22.05"], Verdict("decimal(18,2)")),
        (["1.1", "2"], Verdict("float64")),
        (["1e400", "2.5"], Verdict("string")),
        (["0.1", "NaN"], Verdict("string")),
        (["1.123456789012345678", "12"], Verdict("decimal(38,18)", "more digits than float64 keeps")),
        (["TRUE", "false"], Verdict("boolean")),
        (["yes", "no"], Verdict("string")),
        (["2024-02-29", "2024-03-01"], Verdict("date")),
        (["2024-02-30", "2024-02-31"], Verdict("string")),
        (["2024-02-29 10:00", "2024-02-29T10:00:00.123456"], Verdict("timestamp")),
        (["2024-02-29T10:00:00Z", "2024-02-29 10:00+02:00"], Verdict("timestamp(UTC)")),
        (["2024-02-29T10:00:00Z", "2024-02-29 10:00"], Verdict("string")),
        (["31.12.2024", "1.1.2024"], Verdict("date", form="%d.%m.%Y")),
        (["12/31/2024", "01/02/2024"], Verdict("date", form="%m/%d/%Y")),
        (["05 Mar 2024"], Verdict("date", form="%d %b %Y")),
        (["2024/01/31 10:00:00", "2024/01/31 10:00:00.5"], Verdict("timestamp", form="%Y/%m/%d %H:%M:%S%.f")),
        (["31.12.24", "01.01.24"], Verdict("string")),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_column_has_the_narrowest_type_that_keeps_every_value(values: list[str], verdict: Verdict) -> None:
    assert verdict_of(pl.Series(values)) == verdict


def test_null_and_blank_values_say_nothing() -> None:
    assert verdict_of(pl.Series(["1", None, "", "  ", "2"])) == Verdict("int64")
    assert verdict_of(pl.Series([None], dtype=pl.String)) == Verdict("string", "no value in the sample")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ([["1,5", "2"], ["a", "b"]], True),
        ([["1,5", "2"], ["1.5", "2"]], False),
        ([["1,5", "a"], ["1", "2"]], False),
        ([["1", "2"], ["", ""]], False),
    ],
)
def test_a_comma_is_a_decimal_one_where_no_number_has_a_point(columns: list[list[str]], *, expected: bool) -> None:
    assert uses_decimal_comma([pl.Series(values) for values in columns]) is expected


def test_numbers_with_a_comma_have_the_types_of_those_with_a_point() -> None:
    assert verdict_of(pl.Series(["1,50", "12,25"]), has_comma=True) == Verdict("decimal(18,2)")
    assert verdict_of(pl.Series(["1.50", "12,25"]), has_comma=True).type == "string"
