"""Column types as pipeline files write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import ConfigError
from etl.schema import format_type
from etl.type_text import parse_type

WORDS = ["string", "int8", "uint64", "float64", "boolean", "date", "timestamp", "timestamp(UTC)", "time", "binary"]
TREES = st.recursive(
    st.sampled_from([*WORDS, "decimal(18,2)"]),
    lambda inner: st.one_of(
        st.builds(lambda item: {"list": item}, inner),
        st.dictionaries(st.text(min_size=1, max_size=4), inner, min_size=1, max_size=3).map(lambda f: {"struct": f}),
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("word", WORDS)
def test_word_is_its_own_tree(word: str) -> None:
    assert parse_type(word) == word


def test_nested_type_is_read_with_any_blanks() -> None:
    text = ' list< struct{a:int64 , "b c" : list<decimal( 18 , 2 )>} > '
    assert parse_type(text) == {"list": {"struct": {"a": "int64", "b c": {"list": "decimal(18,2)"}}}}


@given(TREES)
def test_formatted_type_is_read_back_as_the_same_tree(tree: object) -> None:
    assert parse_type(format_type(tree)) == tree  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("strng", "did you mean string"),
        ("Int64", "did you mean int64"),
        ("lst<int8>", "did you mean list"),
        ("null", "unknown type 'null'"),
        ("", "it ends too early"),
        ("list<int8", "it ends too early"),
        ("list int8", "expected '<', found 'int8'"),
        ("int8 int8", "unexpected 'int8'"),
        ("int8;", "unexpected ';'"),
        ("timestamp(CET)", "expected 'UTC', found 'CET'"),
        ("decimal(39,2)", "decimal(39,2) has no such digits"),
        ("decimal(2,3)", "decimal(2,3) has no such digits"),
        ("struct{a: int8, a: int8}", "field 'a' stands twice"),
        ("struct{}", "expected the name of a field, found '}'"),
        ("list<" * 70 + "int8" + ">" * 70, "nest deeper than 64 levels"),
    ],
)
def test_wrong_type_is_refused_with_place_and_reason(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_type(text, where="orders.yml:4:9")
    assert str(caught.value).startswith("orders.yml:4:9: type ")
    assert reason in str(caught.value)
