from __future__ import annotations

from datetime import date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import ConfigError
from etl.expressions import MAX_LENGTH, compile_columns, plain_message

ROWS = pl.LazyFrame(
    {
        "id": [1, 2],
        "amount": [2.5, None],
        "name": ["Ada", "bob"],
        "paid": [True, None],
        "order id": [10, 20],
        "at": [datetime(2024, 3, 5, 10, 20, 30), None],  # noqa: DTZ001  naive
        "day": [date(2024, 3, 5), None],
        "payload": [{"user": "u1", "geo": {"lat": 1.5}}, None],
        "tags": [["a", "b"], []],
        "tiny": pl.Series([127, -128], dtype=pl.Int8),
        "count": pl.Series([1, 2], dtype=pl.UInt64),
    }
)
SCHEMA = ROWS.collect_schema()


def values(expression: str, rows: pl.LazyFrame = ROWS) -> list[Any]:
    return compile_columns({"value": expression}, rows.collect_schema()).apply(rows).collect()["value"].to_list()


def refusal(expression: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        compile_columns({"value": expression}, SCHEMA, where="transforms[0].select")
    assert caught.value.where == "transforms[0].select"
    return caught.value


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("id + 1", [2, 3]),
        ("id - 1 - 1", [-1, 0]),
        ("id - (1 - 1)", [1, 2]),
        ("2 + id * 3", [5, 8]),
        ("-id", [-1, -2]),
        ("7 / 2", [3.5, 3.5]),
        ("id % 2", [1, 0]),
        ("id = 1", [True, False]),
        ("id <> 1", [False, True]),
        ("id != 1 AND id >= 2", [False, True]),
        ("NOT paid OR id = 1", [True, None]),
        ("amount IS NULL", [False, True]),
        ("amount IS NOT NULL", [True, False]),
        ("amount IS DISTINCT FROM 2.5", [False, True]),
        ("amount IS NOT DISTINCT FROM 2.5", [True, False]),
        ("id IN (1, 7)", [True, False]),
        ("id NOT IN (1, 7)", [False, True]),
        ("id BETWEEN 2 AND 3", [False, True]),
        ("id NOT BETWEEN 2 AND 3", [True, False]),
        ("name LIKE 'A%'", [True, False]),
        ("name NOT LIKE 'A%'", [False, True]),
        ("name ILIKE 'B%'", [False, True]),
        ("name NOT ILIKE 'B%'", [True, False]),
        ("name ~ '^A'", [True, False]),
        ("name !~ '^A'", [False, True]),
        ("name ~* '^B'", [False, True]),
        ("name ^@ 'A'", [True, False]),
        ("name || '-' || id", ["Ada-1", "bob-2"]),
        ("'it''s ' || name", ["it's Ada", "it's bob"]),
        ("CASE WHEN id > 1 THEN 'many' ELSE 'one' END", ["one", "many"]),
        ("CASE id WHEN 1 THEN 'one' END", ["one", None]),
        ("CAST(id AS VARCHAR)", ["1", "2"]),
        ("id::double", [1.0, 2.0]),
        ("TRY_CAST(name AS INT)", [None, None]),
        ("TRIM(BOTH 'A' FROM name)", ["da", "bob"]),
        ("TRIM(name)", ["Ada", "bob"]),
        ("EXTRACT(YEAR FROM day)", [2024, None]),
        ("day + INTERVAL '1 day'", [date(2024, 3, 6), None]),
        ("at - INTERVAL '1 hour 20 minutes'", [datetime(2024, 3, 5, 9, 0, 30), None]),  # noqa: DTZ001  naive
        ("DATE_TRUNC('hour', at)", [datetime(2024, 3, 5, 10), None]),  # noqa: DTZ001  naive
        ("day = DATE '2024-03-05'", [True, None]),
        ('"order id"', [10, 20]),
        ("payload.user", ["u1", None]),
        ("payload.geo.lat", [1.5, None]),
        ("input.id", [1, 2]),
        ("TRUE", [True, True]),
        ("NULL", [None, None]),
        ("upper(name)", ["ADA", "BOB"]),
        ("POW(id, 2)", [1.0, 4.0]),
    ],
)
def test_an_expression_gives_its_value(expression: str, expected: list[Any]) -> None:
    assert values(expression) == expected


@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("SELECT 1", "SELECT", "the transform join"),
        ("(SELECT 1)", "a sub-query", "the transform join"),
        ("id IN (SELECT 1)", "IN takes a list", "IN ('de', 'fr')"),
        ("EXISTS(SELECT 1)", "EXISTS", "the transform join"),
        ("read_csv('/etc/passwd')", "READ_CSV reads files", "source"),
        ("scan_parquet('x')", "SCAN_PARQUET reads files", "source"),
        ("SUM(id)", "SUM", "the transform group_by"),
        ("COUNT(*)", "COUNT", "the transform group_by"),
        ("SUM(id) OVER (PARTITION BY name)", "OVER", "group_by with a window"),
        ("SUM(id) FILTER (WHERE paid)", "FILTER", "expressions.md"),
        ("NOW()", "NOW", "_ingested_at"),
        ("CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP", "_ingested_at"),
        ("CURRENT_DATE", "CURRENT_DATE", "_ingested_at"),
        ("RANDOM()", "RANDOM", "again"),
        ("LOWR(name)", "unknown function LOWR; did you mean 'LOWER'?", "docs/expressions.md"),
        ('"upper"(name)', "without quotes", "upper"),
        ("id; id", "semicolon", "one expression"),
        ("id -- all of them", "comment", "YAML"),
        ("id /* all */", "comment", "YAML"),
        ("-- nothing", "comment", "YAML"),
        ("", "empty", "expression"),
        ("id) FROM input, (SELECT 1", "cannot be read as SQL", "the text is"),
        ("(id", "cannot be read as SQL", "the text is"),
        ("'open", "cannot be read as SQL", "the text is"),
        ("id\0", "NUL", "remove"),
        ("1" * (MAX_LENGTH + 1), "longer", "several"),
        ("id AS other", "AS cannot stand", "YAML key"),
        ("*", "* cannot stand", "expressions.md"),
        ("input.*", "* cannot stand", "expressions.md"),
        ("tags[1]", "[…]", "ARRAY_GET"),
        ("payload -> 'user'", "->", "payload.user"),
        ("paid IS TRUE", "IS TRUE", "COALESCE"),
        ("name LIKE 'a!%' ESCAPE '!'", "ESCAPE", "expressions.md"),
        ("CAST(id AS MONEY)", "unknown type MONEY", "types are"),
        ("CAST(name AS VARCHAR(3))", "takes no length", "write VARCHAR"),
        ("nam", "unknown column 'nam'; did you mean 'name'?", "known: id, amount"),
        ("payload.usr", "payload has no field 'usr'; did you mean 'user'?", "known: user, geo"),
        ("other.id", "unknown column 'other'", "known"),
        ("name + 1", "not allowed", "cast one side"),
        ("name > 3", "cannot compare string with numeric", "name > 3"),
        ("YEAR(name)", "operation not supported", "YEAR(name)"),
        ("DROP TABLE input", "DROP", "expressions.md"),
        ("id + count", "int64 and uint64 have no common type", "CAST"),
        ("(" * 500 + "id" + ")" * 500, "nested too deeply", "several"),
        ("*".join(["id"] * 30), "nested too deeply", "several"),
        ("ABS(" * 30 + "id" + ")" * 30, "nested too deeply", "several"),
        ("+".join(["id"] * 102), "more than 100 calculations", "several"),
    ],
)
def test_an_expression_is_refused_with_the_clause_and_the_alternative(expression: str, message: str, hint: str) -> None:
    refused = refusal(expression)

    assert message in refused.message
    assert hint in refused.hint


def test_a_chain_of_a_hundred_sums_is_computed() -> None:
    assert values("+".join(["id"] * 101)) == [101, 202]


def test_columns_keep_their_order_and_let_others_through() -> None:
    columns = compile_columns({"name": None, "double": "id * 2", "id": None}, SCHEMA)

    assert columns.schema == pl.Schema({"name": pl.String, "double": pl.Int64, "id": pl.Int64})
    assert columns.apply(ROWS).collect().rows() == [("Ada", 2, 1), ("bob", 4, 2)]


def test_a_column_may_have_any_name() -> None:
    rows = pl.LazyFrame({'a "b" (c': [1], "input": [{"x": 5}]})

    assert compile_columns({'n"(': '"a ""b"" (c" + input.x'}, rows.collect_schema()).apply(rows).collect().rows() == [
        (6,)
    ]


def test_a_name_for_the_rows_may_qualify_a_column() -> None:
    rows = compile_columns({"value": "o.id"}, SCHEMA, aliases=("o",)).apply(ROWS).collect()

    assert rows["value"].to_list() == [1, 2]


@pytest.mark.parametrize(
    ("expression", "column", "value"),
    [
        ("v + 1", pl.Int64, 2**63 - 1),
        ("v - 1", pl.Int64, -(2**63)),
        ("v * 2", pl.Int32, 2**31 - 1),
        ("v + v + v", pl.Int64, 2**62),
        ("v * v", pl.Int64, 2**62),
        ("v * v * 0", pl.Int64, 2**62),
        ("-v", pl.Int64, -(2**63)),
        ("-v", pl.UInt8, 1),
        ("v - 2", pl.UInt64, 1),
        ("v * 2", pl.UInt64, 2**63),
        ("v + v", pl.Int8, 64),
        ("ABS(v)", pl.Int8, -128),
        ("DIV(v, -1)", pl.Int64, -(2**63)),
        ("v + v + 0.5e0", pl.Int64, 2**62),
        ("COALESCE(v, 0) * 4 > 0", pl.Int64, 2**62),
        ("CAST(v AS TINYINT)", pl.Int64, 300),
    ],
)
def test_an_integer_that_does_not_fit_is_an_error(expression: str, column: pl.DataType, value: int) -> None:
    with pytest.raises(pl.exceptions.InvalidOperationError, match="conversion from"):
        values(expression, pl.LazyFrame({"v": [value]}, schema={"v": column}))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("v % 0", [None]), ("DIV(v, 0)", [None]), ("MOD(v, 0)", [None]), ("v / 0", [float("inf")])],
)
def test_division_by_zero_gives_null_for_integers_and_infinity_for_floats(expression: str, expected: list[Any]) -> None:
    assert values(expression, pl.LazyFrame({"v": [7]})) == expected


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("tiny + tiny", pl.Int8()),
        ("tiny + 1000", pl.Int16()),
        ("tiny + id", pl.Int64()),
        ("count * 2", pl.UInt64()),
        ("paid + paid", pl.UInt32()),
        ("id + amount", pl.Float64()),
        ("id / 2", pl.Float64()),
        ("POW(id, 2)", pl.Float64()),
    ],
)
def test_checked_arithmetic_keeps_the_type_that_polars_gives(expression: str, kind: pl.DataType) -> None:
    assert compile_columns({"value": expression}, SCHEMA).schema["value"] == kind


OPERATIONS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}


@settings(max_examples=60, deadline=None)
@given(
    a=st.integers(-(2**63), 2**63 - 1),
    b=st.integers(-(2**63), 2**63 - 1),
    operation=st.sampled_from(sorted(OPERATIONS)),
)
def test_arithmetic_gives_the_true_result_or_an_error(a: int, b: int, operation: str) -> None:
    rows = pl.LazyFrame({"a": [a], "b": [b]}, schema={"a": pl.Int64, "b": pl.Int64})
    expected = OPERATIONS[operation](a, b)

    if -(2**63) <= expected < 2**63:
        assert values(f"a {operation} b", rows) == [expected]
    else:
        with pytest.raises(pl.exceptions.InvalidOperationError):
            values(f"a {operation} b", rows)


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("id name()'\"*+-,;./%|<>=! SELECTFROM[]{}$?:@~&\\1\n"), max_size=25))
def test_any_text_is_an_expression_or_a_clear_refusal(text: str) -> None:
    try:
        columns = compile_columns({"value": text}, SCHEMA)
    except ConfigError as exc:
        assert exc.hint  # noqa: PT017  both outcomes are fine
    else:
        assert columns.apply(ROWS).collect().height == 2


def test_a_message_of_polars_is_told_without_its_plan() -> None:
    error = ValueError("cannot compare\n\nThis error occurred in the following expression:\n\tcol(x)")

    assert plain_message(error) == "cannot compare"
