from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from etl.transforms.join_keys import common_type


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        (pl.Int64(), pl.Int64(), pl.Int64()),
        (pl.Int8(), pl.Int32(), pl.Int32()),
        (pl.UInt8(), pl.UInt64(), pl.UInt64()),
        (pl.UInt8(), pl.Int16(), pl.Int16()),
        (pl.UInt8(), pl.Int8(), pl.Int64()),
        (pl.UInt32(), pl.Int64(), pl.Int64()),
        (pl.UInt32(), pl.Int16(), pl.Int64()),
        (pl.UInt64(), pl.Int64(), pl.Int128()),
        (pl.Float32(), pl.Float64(), pl.Float64()),
        (pl.Int32(), pl.Float32(), pl.Float64()),
        (pl.Int64(), pl.Float64(), None),
        (pl.Decimal(10, 2), pl.Decimal(5, 4), pl.Decimal(12, 4)),
        (pl.Decimal(38, 0), pl.Decimal(38, 2), None),
        (pl.Decimal(10, 2), pl.Int32(), None),
        (pl.Null(), pl.String(), pl.String()),
        (pl.Date(), pl.Null(), pl.Date()),
        (pl.String(), pl.Int64(), None),
        (pl.Date(), pl.Datetime("us"), None),
        (pl.Datetime("us"), pl.Datetime("us", "UTC"), None),
        (pl.Boolean(), pl.Int8(), None),
        (pl.List(pl.Int64), pl.List(pl.Int64), pl.List(pl.Int64)),
    ],
)
def test_two_types_are_compared_in_the_one_that_holds_every_value_of_both(one: Any, other: Any, common: Any) -> None:
    assert common_type(one, other) == common
    assert common_type(other, one) == common


def test_keys_that_only_a_wider_type_tells_apart_do_not_match() -> None:
    signed = pl.DataFrame({"k": [-1]}, schema={"k": pl.Int64})
    unsigned = pl.DataFrame({"k": [2**64 - 1]}, schema={"k": pl.UInt64})
    kind = common_type(pl.Int64(), pl.UInt64())
    assert kind is not None

    found = signed.lazy().join(unsigned.lazy(), left_on=pl.col("k").cast(kind), right_on=pl.col("k").cast(kind))

    assert found.collect().height == 0
