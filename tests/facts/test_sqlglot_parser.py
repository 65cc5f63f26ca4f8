from __future__ import annotations

import pytest

from etl.errors import ConfigError
from etl.expressions import parse


@pytest.mark.parametrize("text", ["DATE_TRUNC('month', day)", "IF(a, b, c)", "LEFT(s, 2)", "STRPOS(s, 'a')", "LOG2(x)"])
def test_a_function_call_keeps_its_name_and_the_order_of_its_arguments(text: str) -> None:
    tree = parse(text)

    assert tree.key == "anonymous"
    assert f"{tree.this}({', '.join(str(argument) for argument in tree.expressions)})" == text


def test_other_dialects_rename_functions() -> None:
    import sqlglot

    assert sqlglot.parse_one("STRPOS(a, b)").sql() == "STR_POSITION(a, b)"


def test_negation_stands_beside_some_operators_and_around_others() -> None:
    assert parse("a NOT IN (1)").key == "not"
    assert parse("a NOT ILIKE 'x'").args["negate"]
    assert parse("a IS NOT NULL").args["negate"]


def test_float_is_a_double_and_real_a_single_as_in_polars() -> None:
    assert parse("CAST(a AS FLOAT)").args["to"].this.name == "DOUBLE"
    assert parse("CAST(a AS REAL)").args["to"].this.name == "FLOAT"


def test_comments_hang_on_tokens() -> None:
    for text in ("a -- b", "/* b */ a", "-- b"):
        with pytest.raises(ConfigError, match="comment"):
            parse(text)
    assert parse("'-- no comment'").is_string
