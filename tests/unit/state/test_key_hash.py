"""The hash of keys never changes, and does not see how wide a type is."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from etl.state.key_hash import hash_keys


def hashes(values: list[Any], dtype: Any) -> list[str]:
    frame = pl.DataFrame({"k": pl.Series(values, dtype=dtype)})
    return [f"{each:016x}" for each in hash_keys(frame, ["k"]).tolist()]


GOLDEN: list[tuple[list[Any], Any, list[str]]] = [
    (
        [0, 1, -1, 2**31 - 1, None],
        pl.Int32,
        ["8bd08293b3e50c39", "8231ab33006439ef", "0a7e5ea781d2b271", "3dd0296b42825d6d", "8b2bc74b06a26b0d"],
    ),
    ([2**64 - 1], pl.UInt64, ["0a7e5ea781d2b271"]),
    ([True, False], pl.Boolean, ["8231ab33006439ef", "8bd08293b3e50c39"]),
    (
        [0.0, -0.0, 1.5, float("inf"), float("nan"), None],
        pl.Float64,
        [
            "550b6f11334ec018",
            "550b6f11334ec018",
            "ecfcc4c4f5567550",
            "86321c5fa5c34c6d",
            "064fc1376e574014",
            "8b2bc74b06a26b0d",
        ],
    ),
    (
        ["1.50", "-0.01", "0.00", "100.00"],
        pl.Decimal(20, 2),
        ["6faaa9e5c1710d96", "731b4cfb57a7ae34", "e9f3d84ebd9900e3", "024b9e92b2657145"],
    ),
    (
        ["", "a", "8 bytes!", "nine byte", "ü", "x" * 256, "x" * 257, None],
        pl.String,
        [
            "6e789e6aa1b965f4",
            "adbd7949bdcea0c5",
            "7a875f0c1527eb5a",
            "45a460cfb00a89b6",
            "395d74f1b6bc3ad5",
            "77e17f6c1fcbf99b",
            "2b98cab53f74ee10",
            "8b2bc74b06a26b0d",
        ],
    ),
    ([b"", b"\x00", b"\x00\x00"], pl.Binary, ["6e789e6aa1b965f4", "fcd7f41ea39ae07d", "38d6d4c4b9ddf5e0"]),
    ([date(1969, 12, 31), date(2026, 1, 1)], pl.Date, ["0a7e5ea781d2b271", "d9b4e8be8965ad89"]),
    ([datetime(2026, 1, 1, 12, 30, tzinfo=UTC)], pl.Datetime("us", "UTC"), ["65ca7ca00d6d3a0c"]),
    ([time(12, 30)], pl.Time, ["9de474ec812d19ed"]),
    ([None], pl.Null, ["8b2bc74b06a26b0d"]),
]


@pytest.mark.parametrize(("values", "dtype", "expected"), GOLDEN, ids=lambda each: str(each)[:20])
def test_a_hash_is_the_same_for_ever(values: list[Any], dtype: Any, expected: list[str]) -> None:
    if isinstance(dtype, pl.Decimal):
        values = [Decimal(each) for each in values]
    assert hashes(values, dtype) == expected


def test_a_hash_over_several_columns_is_the_same_for_ever() -> None:
    frame = pl.DataFrame({"a": ["x", None], "b": [1, 2]})
    assert [f"{each:016x}" for each in hash_keys(frame, ["a", "b"]).tolist()] == [
        "4ef3a84f8f407d91",
        "50dc8da22f637d37",
    ]
    assert [f"{each:016x}" for each in hash_keys(frame, ["b", "a"]).tolist()] == [
        "5a17918309f26593",
        "3c8fef2f20849505",
    ]
    assert [f"{each:016x}" for each in hash_keys(frame, []).tolist()] == ["9e3779b97f4a7c15", "9e3779b97f4a7c15"]


@pytest.mark.parametrize(
    ("values", "narrow", "wide"),
    [
        ([0, 1, 127, None], pl.Int8, pl.Int64),
        ([-1, -128], pl.Int8, pl.Int32),
        ([0, 255], pl.UInt8, pl.UInt64),
        ([0, 255], pl.UInt8, pl.Int16),
        ([0.5, -2.0, None], pl.Float32, pl.Float64),
        ([Decimal("1.5"), Decimal(100), Decimal(0), None], pl.Decimal(5, 1), pl.Decimal(38, 6)),
        ([Decimal(100), Decimal(7)], pl.Decimal(5, 0), pl.Decimal(12, 3)),
        ([datetime(2026, 1, 1, tzinfo=UTC)], pl.Datetime("ms", "UTC"), pl.Datetime("us", "UTC")),
        ([None], pl.Null, pl.String),
    ],
)
def test_a_value_has_the_same_hash_in_a_wider_type(values: list[Any], narrow: Any, wide: Any) -> None:
    assert hashes(values, narrow) == hashes(values, wide)


def test_values_that_are_equal_have_one_hash() -> None:
    zero, negative_zero, nan, other_nan = hashes([0.0, -0.0, float("nan"), -float("nan")], pl.Float64)
    assert (zero, nan) == (negative_zero, other_nan)


def test_texts_that_differ_in_length_or_end_have_different_hashes() -> None:
    texts = [
        "",
        "\0",
        "\0\0",
        "a",
        "a\0",
        "abcdefgh",
        "abcdefgh\0",
        "abcdefghi",
        "abcdefghj",
        *("y" * n for n in (255, 300, 301)),
    ]
    assert len(set(hashes(texts, pl.String))) == len(texts)


def test_a_part_of_a_column_has_the_hashes_of_its_rows() -> None:
    texts = pl.DataFrame({"k": ["before", "a", None, "a longer text", "after"]})
    assert hash_keys(texts[1:4], ["k"]).tolist() == hash_keys(texts, ["k"]).tolist()[1:4]
    assert (
        hash_keys(pl.concat([texts[:2], texts[2:]], rechunk=False), ["k"]).tolist() == hash_keys(texts, ["k"]).tolist()
    )


def test_few_bits_make_keys_meet() -> None:
    frame = pl.DataFrame({"k": range(1_000)})
    assert len(set(hash_keys(frame, ["k"], 3).tolist())) == 8
    assert set(hash_keys(frame, ["k"], 0).tolist()) == {0}
    whole = hash_keys(frame, ["k"]).tolist()
    assert hash_keys(frame, ["k"], 8).tolist() == [each >> 56 << 56 for each in whole]
    assert len(set(whole)) == 1_000


def test_a_frame_without_rows_has_no_hashes() -> None:
    assert hashes([], pl.String) == hashes([], pl.Int64) == []
