from __future__ import annotations

import pytest

from etl.errors import ConfigError
from etl.transforms.aggregate_calls import parse_call


@pytest.mark.parametrize(
    ("text", "function", "argument", "is_distinct"),
    [
        ("COUNT(*)", "COUNT", None, False),
        ("count(x)", "COUNT", "x", False),
        ("COUNT(DISTINCT user_id)", "COUNT", "user_id", True),
        ("SUM(amount * 2)", "SUM", "amount * 2", False),
        ("Sum(CASE WHEN paid THEN 1 ELSE 0 END)", "SUM", "CASE WHEN paid THEN 1 ELSE 0 END", False),
        ("VARIANCE(x)", "VAR", "x", False),
        ("VAR_SAMP(x)", "VAR", "x", False),
        ("STDDEV_SAMP(x)", "STDDEV", "x", False),
    ],
)
def test_a_call_is_taken_apart(text: str, function: str, argument: str | None, is_distinct: bool) -> None:
    call = parse_call("n", text)

    assert (call.function, call.is_distinct) == (function, is_distinct)
    assert (None if call.argument is None else str(call.argument)) == argument


def test_a_condition_and_a_fraction_are_taken_off() -> None:
    call = parse_call("q", "APPROX_QUANTILE(x, 0.95) FILTER (WHERE y > 1)")

    assert (call.function, str(call.argument), str(call.condition), call.fraction) == (
        "APPROX_QUANTILE",
        "x",
        "y > 1",
        0.95,
    )


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "n: empty", "write an expression over columns"),
        ("amount", "n: amount is not one aggregate", "in with_columns after"),
        ("SUM(a) / COUNT(*)", "n: SUM(a) / COUNT(*) is not one aggregate", "in with_columns after"),
        ("LOWER(a)", "n: LOWER is no aggregate", "aggregates are COUNT, SUM"),
        ("SUMM(a)", "n: SUMM is no aggregate; did you mean 'SUM'?", "aggregates are COUNT, SUM"),
        ("MEDIAN(a)", "n: MEDIAN cannot be kept up to date batch by batch", "write APPROX_QUANTILE(x, 0.5)"),
        ("SUM(a, b)", "n: SUM takes one value, not 2", "write SUM(x)"),
        ("COUNT()", "n: COUNT takes one value, not 0", "write COUNT(x)"),
        ("SUM(*)", "n: SUM takes a value, not *", "write SUM(x)"),
        ("SUM(DISTINCT a)", "n: SUM takes no DISTINCT", "COUNT(DISTINCT x) does"),
        ("COUNT(DISTINCT a, b)", "n: COUNT(DISTINCT …) takes one value", "CONCAT_WS"),
        ("APPROX_QUANTILE(a)", "n: APPROX_QUANTILE takes a value and a fraction between 0 and 1", "0.95"),
        ("APPROX_QUANTILE(a, 2)", "n: APPROX_QUANTILE takes a value and a fraction between 0 and 1", "0.95"),
        ("APPROX_QUANTILE(a, b)", "n: APPROX_QUANTILE takes a value and a fraction between 0 and 1", "0.95"),
        ("FIRST(a ORDER BY b)", "n: FIRST takes no ORDER BY", "the order of event time"),
        ("SUM(a) OVER ()", "n: OVER cannot stand in an aggregate", "`by` and `window`"),
    ],
)
def test_what_is_no_aggregate_is_refused_with_the_alternative(text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_call("n", text)

    assert caught.value.message == message
    assert hint in str(caught.value.hint)
