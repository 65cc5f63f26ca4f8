"""What ``stateful`` refuses: options, columns, and what a function returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from etl.errors import ConfigError, TransformError
from tests.stepping import walk
from tests.unit.transforms.keyed import SUMS, TIMED, rows, step_in


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keys": []}, "at least 1 item"),
        ({"state_schema": {}}, "at least 1 item"),
        ({"timeout": "0s"}, "greater than 0"),
        ({"timeout_by": "event_time"}, "'timeout_by' needs 'timeout'"),
        ({"rows_per_key": "two"}, "'one' or 'many'"),
        ({"output": {}}, "at least 1 item"),
    ],
)
def test_stateful_refuses_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        step_in(tmp_path, SUMS, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keys": ["card", "card"]}, "two columns would be named 'card'"),
        ({"state_schema": {"card": "string"}}, "two columns would be named 'card'"),
        ({"state_schema": {"_due_at": "string"}}, "a column of state named '_due_at'"),
        ({"state_schema": {"total": "integer"}}, "unknown type 'integer'"),
        ({"output": {"_batch_id": "int64"}}, "'_batch_id' is the name of a system column"),
        ({"output": {"_change": "string"}}, "'_change' is the name of a system column"),
        ({"python": "cards:g"}, "cards.py has no function 'g'"),
    ],
)
def test_stateful_refuses_when_it_is_made(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        step_in(tmp_path, SUMS, **options)

    assert message in caught.value.message
    assert caught.value.where == "transforms[2].stateful"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("options", "site", "message"),
    [
        ({"keys": ["crad"]}, {}, "unknown column 'crad'; did you mean 'card'?"),
        ({"keys": ["tags"]}, {}, "tags: List(String) cannot be a key"),
        ({"time": "when"}, {}, "unknown column 'when'"),
        ({"timeout": "1h"}, {}, "a timeout by event time, and there is no watermark before it"),
        (
            {"timeout": "1h"},
            {"has_watermark": True, "time_column": "gone"},
            "a timeout by event time, and the watermark's column is gone",
        ),
    ],
)
def test_stateful_refuses_columns(tmp_path: Path, options: dict[str, Any], site: dict[str, Any], message: str) -> None:
    step = step_in(tmp_path, SUMS, site, **options)

    with pytest.raises(ConfigError) as caught:
        step.output_schema(rows().with_columns(tags=pl.lit(None, pl.List(pl.String))).schema)

    assert message in caught.value.message
    assert caught.value.hint


def test_stateful_refuses_a_result_that_changes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it cannot take a result that changes"):
        step_in(tmp_path, SUMS).output_schema(rows().with_columns(_change=pl.lit("insert")).schema)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return rows", "cards:f returned DataFrame, not two frames"),
        ("return rows, state, batch", "cards:f returned a tuple of 3, not two frames"),
        ("return rows.lazy(), state", "cards:f returned rows that are LazyFrame, not a DataFrame"),
        ("return rows, None", "cards:f returned state that are NoneType, not a DataFrame"),
        ("return rows, state.drop('total')", "cards:f returned state without total"),
        (
            "return rows, state.with_columns(x=1)",
            "cards:f returned state with x, which is not declared",
        ),
        (
            "return rows, state.cast({'total': pl.String})",
            "cards:f returned state whose column total is String, not Int64",
        ),
        ("return rows.with_columns(x=None), state", "x: its type cannot be told without rows"),
        ("return rows.with_columns(_batch_id=1), state", "'_batch_id' is the name of a system column"),
        ("return rows, gone", "cards:f failed: NameError: name 'gone' is not defined (transforms/cards.py, line 3)"),
    ],
)
def test_stateful_refuses_what_the_function_does_with_no_rows(tmp_path: Path, body: str, message: str) -> None:
    step = step_in(tmp_path, f"def f(rows, state, batch):\n    {body}")

    with pytest.raises(ConfigError) as caught:
        step.output_schema(rows().schema)

    assert message in caught.value.message
    assert caught.value.where == "transforms[2].stateful"
    assert caught.value.hint


EMPTY = "def f(rows, state, batch):\n    if not rows.height:\n        return rows.select('card'), state\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "return rows.select('amount'), state",
            "transforms[2].stateful: cards:f returned rows without card",
        ),
        ("return rows.select('card', 'amount'), state", "cards:f returned rows with amount, which is not declared"),
        (
            "return rows.select(card=pl.lit(1)), state",
            "cards:f returned rows whose column card is Int32, not String",
        ),
        (
            "return rows.select('card'), rows.select('card', total=pl.lit(0.5))",
            "returned state whose column total is Float64, not Int64, and 0.5 does not fit",
        ),
        (
            "return rows.select('card'), rows.select('card', total=pl.date(2024, 1, 1))",
            "returned state whose column total is Date, not Int64: Date cannot become Int64",
        ),
        (
            "return rows.select('card'), pl.DataFrame({'card': ['x'], 'total': [1]})",
            "returned state of card='x', which has no rows in this call and is not expired",
        ),
        (
            "return rows.select('card'), rows.select('card', total='amount')",
            "returned two rows of state for card='a'",
        ),
        (
            "return {}['k']",
            "cards:f failed: KeyError: 'k' (transforms/cards.py, line 5)",
        ),
    ],
)
def test_stateful_fails_on_what_the_function_does_with_rows(tmp_path: Path, body: str, message: str) -> None:
    step = step_in(tmp_path, f"{EMPTY}    {body}")

    with pytest.raises(TransformError) as caught:
        walk([step], [rows(("b", 0, 2), ("a", 0, 1), ("a", 0, 1))])

    assert message in str(caught.value)
    assert caught.value.hint


def test_stateful_names_the_line_of_a_function_that_the_function_calls(tmp_path: Path) -> None:
    body = "def f(rows, state, batch):\n    return deep(rows)\ndef deep(rows):\n    return rows.select('gone'), rows"

    with pytest.raises(ConfigError, match=r"ColumnNotFoundError: .*\(transforms/cards.py, line 5\)"):
        step_in(tmp_path, body, TIMED).output_schema(rows().schema)
