from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from etl.errors import ConfigError
from etl.expressions import compile_columns
from etl.vocabulary import FUNCTIONS, REFUSED

ONE_ROW = pl.LazyFrame({"id": [1]})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_the_table_gives_the_value_that_the_table_says(name: str) -> None:
    example, expected = FUNCTIONS[name]

    rows = compile_columns({"value": example}, ONE_ROW.collect_schema()).apply(ONE_ROW)

    value = rows.collect()["value"].to_list()[0]
    assert name in example
    assert (value, type(value)) == (expected, type(expected))


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_function_is_named_with_its_alternative(name: str) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        compile_columns({"value": f"{name}(id)"}, ONE_ROW.collect_schema())

    assert caught.value.hint == REFUSED[name]


def test_no_function_is_both_allowed_and_refused() -> None:
    assert FUNCTIONS.keys() & REFUSED.keys() == set()


def test_the_page_on_expressions_shows_every_function_with_its_example() -> None:
    page = (Path(__file__).parents[2] / "docs" / "expressions.md").read_text("utf-8")

    assert [name for name, (example, _) in FUNCTIONS.items() if f"`{name}` | `{example}`" not in page] == []
