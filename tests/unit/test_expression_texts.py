"""A tree as text again: what is taken out of a query means the same where it is put."""

from __future__ import annotations

from typing import Any

import pytest

from etl.errors import ConfigError
from etl.expressions import column_name, parse, text_of
from etl.vocabulary import FUNCTIONS


@pytest.mark.parametrize("text", [example for example, _ in FUNCTIONS.values()])
def test_every_example_of_the_vocabulary_is_written_as_it_was_read(text: str) -> None:
    assert text_of(parse(text_of(parse(text)))) == text_of(parse(text))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("lower(a) || 'it''s'", "LOWER(a) || 'it''s'"),
        ("a::TINYINT", "CAST(a AS TINYINT)"),
        ("TRY_CAST(a AS UTINYINT)", "TRY_CAST(a AS UTINYINT)"),
        ("a ^@ 'x'", "a ^@ 'x'"),
        ("a NOT IN (1, 2)", "NOT a IN (1, 2)"),
        ("a !~* 'x'", "NOT a ~* 'x'"),
        ("(a + b) * -c % 2", "(a + b) * -c % 2"),
        ('"order id" = payload.user', '"order id" = payload.user'),
        ("at + INTERVAL '5' MINUTE", "at + INTERVAL '5 MINUTE'"),
        ("CAST(at AT TIME ZONE 'UTC' AS TIMESTAMP WITH TIME ZONE)", "CAST(at AT TIME ZONE 'UTC' AS TIMESTAMPTZ)"),
        ("EXTRACT(YEAR FROM at)", "EXTRACT(YEAR FROM at)"),
        ("CASE a WHEN 1.5e0 THEN NULL ELSE TRUE END", "CASE a WHEN 1.5e0 THEN NULL ELSE TRUE END"),
        ("count(DISTINCT a) FILTER (WHERE a IS NOT DISTINCT FROM 1)", None),
        ("SELECT * EXCLUDE (a), b AS c FROM input", "SELECT * EXCLUDE (a), b AS c FROM input"),
        ("SESSION(at, INTERVAL '1 HOUR')", "SESSION(at, INTERVAL '1 HOUR')"),
    ],
)
def test_a_tree_is_written_as_what_it_means(text: str, written: str | None) -> None:
    found = text_of(parse(text))

    assert written is None or found == written
    assert text_of(parse(found)) == found


def test_a_tree_that_would_be_read_as_another_one_is_refused() -> None:
    tree: Any = parse("a * b")
    tree.set("this", parse("x + y"))

    with pytest.raises(ConfigError, match=r"x \+ y \* b: cannot be taken out of the query"):
        text_of(tree)


@pytest.mark.parametrize(
    ("text", "name"),
    [('"order id"', "order id"), ("input.id", "id"), ("i.id", "id"), ("p.user", None), ("id + 1", None), ("1", None)],
)
def test_a_column_is_told_from_what_computes_one(text: str, name: str | None) -> None:
    assert column_name(text, ("i",)) == name
