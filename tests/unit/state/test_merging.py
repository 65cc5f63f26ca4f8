"""The newest row of each key, when rows of several ages and keys of one hash meet."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from etl.state.key_hash import order_of
from etl.state.merging import alive, fitted, newest, same
from etl.state.segment import GONE, HASH

Row = tuple[int, bool, str | None, int]


def frame(*pieces: list[Row]) -> pl.DataFrame:
    """Return pieces, the newest first, each sorted by hash."""
    schema = {HASH: pl.UInt64(), GONE: pl.Boolean(), "k": pl.String(), "v": pl.Int64()}
    return pl.DataFrame(
        [row for piece in pieces for row in sorted(piece, key=lambda row: row[0])], schema, orient="row"
    )


def test_newer_rows_take_the_place_of_older_ones() -> None:
    newer: list[Row] = [(1, False, "a", 10), (7, False, "z", 20)]
    older: list[Row] = [(1, False, "a", 1), (3, False, None, 2)]
    found = newest(frame(newer, older), ["k"], with_gone=False)
    assert found.rows() == [(1, False, "a", 10), (3, False, None, 2), (7, False, "z", 20)]


def test_a_tombstone_takes_the_place_of_a_row_and_then_leaves_or_stays() -> None:
    pieces: list[list[Row]] = [[(1, True, "a", 0)], [(1, False, "a", 1), (2, False, "b", 2)]]
    assert newest(frame(*pieces), ["k"], with_gone=False).rows() == [(2, False, "b", 2)]
    kept = newest(frame(*pieces), ["k"], with_gone=True)
    assert kept.rows() == [(1, True, "a", 0), (2, False, "b", 2)]


def test_different_keys_with_one_hash_are_not_taken_for_one() -> None:
    newest_first: list[list[Row]] = [
        [(5, False, "b", 30)],
        [(5, False, "a", 20)],
        [(5, False, "b", 1), (5, False, None, 2)],
    ]
    found = newest(frame(*newest_first), ["k"], with_gone=False)
    assert sorted(found.rows(), key=str) == [(5, False, "a", 20), (5, False, "b", 30), (5, False, None, 2)]


def test_several_rows_of_a_key_are_told_apart_by_their_part() -> None:
    found = newest(frame([(5, False, "a", 1)], [(5, False, "a", 1), (5, False, "a", 2)]), ["k", "v"], with_gone=False)
    assert found.rows() == [(5, False, "a", 1), (5, False, "a", 2)]


def test_a_table_without_keys_has_its_newest_row() -> None:
    found = newest(frame([(5, False, "x", 3)], [(5, False, "y", 2)], [(5, False, "z", 1)]), [], with_gone=False)
    assert found.rows() == [(5, False, "x", 3)]


def test_no_rows_have_no_newest() -> None:
    assert newest(frame(), ["k"], with_gone=False).height == 0


@pytest.mark.parametrize("bits", [3, 20, 40, 64])
def test_hashes_are_sorted_and_equal_ones_keep_their_order(bits: int) -> None:
    hashes = np.random.default_rng(bits).integers(0, 2**64, 2_000, np.uint64) >> np.uint64(64 - bits)
    hashes <<= np.uint64(64 - bits)
    assert order_of(hashes).tolist() == np.argsort(hashes, kind="stable").tolist()
    assert order_of(hashes[:0]).tolist() == []


@pytest.mark.parametrize(
    ("some", "others", "dtype", "expected"),
    [
        ([1, 2], [1, 3], pl.Int64, [True, False]),
        ([None, None, 1], [None, 1, None], pl.Int64, [True, False, False]),
        ([float("nan"), 0.0], [float("nan"), -0.0], pl.Float64, [True, True]),
        (["a", ""], ["a", None], pl.String, [True, False]),
        ([None, None], [None, None], pl.Null, [True, True]),
    ],
)
def test_values_are_one_by_the_rules_of_keys(
    some: list[Any], others: list[Any], dtype: Any, expected: list[bool]
) -> None:
    assert same(pl.Series(some, dtype=dtype), pl.Series(others, dtype=dtype)).tolist() == expected


def test_rows_that_are_gone_are_not_alive() -> None:
    given = frame([(1, True, "a", 0), (2, False, "b", 2)])
    assert alive(given).rows() == [("b", 2)]
    assert alive(given.drop(HASH).filter(pl.col("k") == "b")).columns == ["k", "v"]
    assert given.columns == [HASH, GONE, "k", "v"]


def test_a_frame_is_fitted_to_columns() -> None:
    given = pl.DataFrame({"more": [0], "v": [1], "k": ["a"]})
    found = fitted(given, {"k": pl.String(), "v": pl.Int16()})
    assert (found.rows(), found.schema) == ([("a", 1)], pl.Schema({"k": pl.String(), "v": pl.Int16()}))
    assert fitted(given, {}).shape == (1, 0)
