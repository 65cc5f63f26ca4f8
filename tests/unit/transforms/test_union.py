"""``union``: the columns of all, in one type each, and every row of every input once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.balance import Tally
from etl.errors import ConfigError
from etl.model import BatchPlan
from etl.testing import ManualClock
from etl.transforms.contract import TransformSite
from etl.transforms.union import Union, UnionOptions

PLAN = BatchPlan(0, ManualClock().now(), {}, {}, "d")


def union(*names: str) -> Union:
    return Union(UnionOptions.model_validate({"with": list(names or ("refunds",))}), TransformSite(Path(), 2))


def refusal(*schemas: dict[str, Any]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        union().output_schema(*(pl.Schema(schema) for schema in schemas))
    assert caught.value.where == "transforms[2].union"
    return caught.value


def test_the_result_has_the_columns_of_all_and_null_where_one_lacks_them() -> None:
    orders = pl.LazyFrame({"id": [1, 2], "amount": [5.0, None], "_source_file": ["o", "o"]})
    refunds = pl.LazyFrame({"reason": ["late"], "id": [1], "_source_file": ["r"]})
    found = union().combine(orders, (refunds,)).collect(engine="streaming")
    assert found.columns == ["id", "amount", "reason", "_source_file"]
    assert sorted(found.rows(), key=repr) == [(1, 5.0, None, "o"), (1, None, "late", "r"), (2, None, None, "o")]


def test_rows_of_several_others_come_in_too() -> None:
    frames = [pl.LazyFrame({"id": [number]}) for number in (1, 2, 2)]
    found = union("a", "b").combine(frames[0], (frames[1], frames[2])).collect()
    assert sorted(found["id"]) == [1, 2, 2]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (pl.Int32(), pl.Int64(), pl.Int64()),
        (pl.UInt32(), pl.Int64(), pl.Int64()),
        (pl.Float32(), pl.Float64(), pl.Float64()),
        (pl.Null(), pl.String(), pl.String()),
        (pl.Decimal(10, 2), pl.Decimal(20, 4), pl.Decimal(20, 4)),
        (pl.Struct({"a": pl.Int32()}), pl.Struct({"b": pl.Date(), "a": pl.Int64()}), None),
        (pl.List(pl.Int8()), pl.List(pl.Int16()), pl.List(pl.Int16())),
        (pl.Duration("us"), pl.Duration("us"), pl.Duration("us")),
    ],
)
def test_a_column_has_the_type_that_holds_every_value_of_both(
    one: pl.DataType, other: pl.DataType, both: pl.DataType | None
) -> None:
    both = both or pl.Struct({"a": pl.Int64(), "b": pl.Date()})
    for first, second in ((one, other), (other, one)):
        found = union().output_schema(pl.Schema({"x": first}), pl.Schema({"x": second}))
        assert set(found) == {"x"}
        if isinstance(both, pl.Struct):
            assert {field.name: field.dtype for field in found["x"].fields} == dict(both)  # type: ignore[attr-defined]
        else:
            assert found["x"] == both


def test_values_are_those_of_the_inputs_in_a_wider_type() -> None:
    orders = pl.LazyFrame({"x": [{"a": 1}, None]}, schema={"x": pl.Struct({"a": pl.Int8})})
    refunds = pl.LazyFrame({"x": [{"b": "z", "a": 2**40}]}, schema={"x": pl.Struct({"b": pl.String, "a": pl.Int64})})
    found = union().combine(orders, (refunds,)).collect()
    assert found["x"].to_list() == [{"a": 1, "b": None}, None, {"a": 2**40, "b": "z"}]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pl.Int64(), pl.Float64()),
        (pl.Int64(), pl.String()),
        (pl.UInt64(), pl.Int64()),
        (pl.Datetime("us"), pl.Datetime("us", "UTC")),
        (pl.List(pl.Int64()), pl.Int64()),
        (pl.Struct({"a": pl.Int64()}), pl.Struct({"a": pl.String()})),
        (pl.Duration("us"), pl.Duration("ms")),
    ],
)
def test_types_that_nothing_holds_exactly_are_refused_with_both_and_what_to_do(
    one: pl.DataType, other: pl.DataType
) -> None:
    error = refusal({"x": one}, {"x": other})
    assert error.message == f"column 'x' is {other} in one source and {one} in another"
    assert "cast" in error.hint


def test_a_changing_result_is_refused() -> None:
    error = refusal({"x": pl.Int64()}, {"x": pl.Int64(), "_change": pl.String()})
    assert error.message == "a changing result (emit: updates) cannot be part of a union"


def test_system_columns_stand_last_whichever_source_brings_them() -> None:
    given = pl.Schema({"id": pl.Int64(), "_batch_id": pl.Int64()})
    found = union().output_schema(given, pl.Schema({"z": pl.Int64(), "_source_file": pl.String()}))
    assert list(found) == ["id", "z", "_batch_id", "_source_file"]


def test_sources_of_which_nothing_is_known_are_left_out() -> None:
    step = union("a", "b")
    assert step.without(["a"]).inputs == ("b",)
    alone = step.without(["a", "b"])
    assert alone.combine(pl.LazyFrame({"id": [1]}), ()).collect().rows() == [(1,)]
    assert alone.apply(pl.LazyFrame({"id": [1]}), PLAN, Tally()).collect().rows() == [(1,)]


def test_large_inputs_stream_through_and_lose_no_row() -> None:
    one = pl.LazyFrame({"id": pl.arange(0, 300_000, eager=True)})
    other = pl.LazyFrame({"id": pl.arange(300_000, 500_000, eager=True), "z": "x"})
    found = union().combine(one, (other,)).select(pl.len(), pl.col("id").sum(), n=pl.col("z").count())
    assert found.collect(engine="streaming").rows() == [(500_000, 124_999_750_000, 200_000)]
