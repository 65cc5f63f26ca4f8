"""The hash of keys never changes, and does not see how wide a type is."""

from __future__ import annotations

from datetime import date, datetime, time
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
        ["edfc9b9a3b42f727", "74ad956c14fe2e48", "7ee0c999ffbd1f78", "a0cc0ef18fe5b383", "8b2bc74b06a26b0d"],
    ),
    ([2**64 - 1], pl.UInt64, ["7ee0c999ffbd1f78"]),
    ([True, False], pl.Boolean, ["74ad956c14fe2e48", "edfc9b9a3b42f727"]),
    (
        [0.0, -0.0, 1.5, float("inf"), float("nan"), None],
        pl.Float64,
        [
            "2fd735c1193be023",
            "2fd735c1193be023",
            "6f6151f1415bc610",
            "a094ab781830dffd",
            "ba4cd716d0838d04",
            "8b2bc74b06a26b0d",
        ],
    ),
    (
        ["1.50", "-0.01", "0.00", "100.00"],
        pl.Decimal(20, 2),
        ["91df755a8fd0b39f", "61e09aed874f4ea3", "bff441bae7cbdd51", "7f9a0ef53121b924"],
    ),
    (
        ["", "a", "8 bytes!", "nine byte", "ü", "x" * 256, "x" * 257, None],
        pl.String,
        [
            "059e6860f56a9b3c",
            "f13b68f51cb165e2",
            "7d3019b78bbfc3be",
            "2fbccbdee8f8b652",
            "b7921c7add82373d",
            "96e82babd5ba0634",
            "2b98cab53f74ee10",
            "8b2bc74b06a26b0d",
        ],
    ),
    ([b"", b"\x00", b"\x00\x00"], pl.Binary, ["059e6860f56a9b3c", "d3f47cfa4fe65650", "566ac4ccf76cc457"]),
    ([date(1969, 12, 31), date(2026, 1, 1)], pl.Date, ["7ee0c999ffbd1f78", "d46843395de3d115"]),
    ([datetime(2026, 1, 1, 12, 30)], pl.Datetime("us"), ["af364a31b2d868ce"]),  # noqa: DTZ001  without a zone
    ([time(12, 30)], pl.Time, ["b384b184509d787b"]),
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
        "db098b88dec39aaf",
        "df10163e876fb269",
    ]
    assert [f"{each:016x}" for each in hash_keys(frame, ["b", "a"]).tolist()] == [
        "42e95498486db92c",
        "b483a70ef91461c1",
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
        ([datetime(2026, 1, 1)], pl.Datetime("ms"), pl.Datetime("us")),  # noqa: DTZ001  without a zone
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
