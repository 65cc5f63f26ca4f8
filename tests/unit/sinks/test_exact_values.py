"""Values of a column as another type: exactly those, or refused."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from etl.errors import SinkError
from etl.sinks.delta_reading import exactly


@pytest.mark.parametrize(
    ("values", "target", "expected"),
    [
        (pl.Series("x", [1, None], dtype=pl.Int64), pl.Float64(), [1.0, None]),
        (pl.Series("x", [1], dtype=pl.Int32), pl.Int64(), [1]),
        (pl.Series("x", [float("nan"), 0.5], dtype=pl.Float32), pl.Float64(), [float("nan"), 0.5]),
        (pl.Series("x", [[1], None], dtype=pl.List(pl.Int64)), pl.List(pl.Float64()), [[1.0], None]),
    ],
)
def test_values_that_a_type_holds_become_exactly_those(values: pl.Series, target: Any, expected: list[Any]) -> None:
    assert repr(exactly(values, target).to_list()) == repr(expected)


@pytest.mark.parametrize(
    ("values", "target"),
    [
        (pl.Series("x", [0, 2**53 + 1], dtype=pl.Int64), pl.Float64()),
        (pl.Series("x", [300], dtype=pl.Int64), pl.Int8()),
        (pl.Series("x", [1.5]), pl.Int64()),
        (pl.Series("x", ["seven"]), pl.Float64()),
        (pl.Series("x", [[2**53 + 1]]), pl.List(pl.Float64())),
        (pl.Series("x", [{"a": 2**53 + 1}]), pl.Struct({"a": pl.Float64()})),
    ],
)
def test_values_that_would_change_are_refused_by_the_column(values: pl.Series, target: Any) -> None:
    with pytest.raises(SinkError, match="cannot become") as caught:
        exactly(values, target)
    assert caught.value.where == "x"
    assert "schema:" in caught.value.hint
