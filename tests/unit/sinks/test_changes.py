"""What the rows of a batch do, key by key."""

from __future__ import annotations

import polars as pl
import pytest

from etl.errors import SinkError
from etl.sinks.changes import changes_of


def test_rows_without_a_change_are_all_to_be_in_the_table() -> None:
    frame = pl.DataFrame({"id": [1, None], "v": ["a", "b"]})
    found = changes_of(frame, ["id"], where="t")
    assert found.upserts.equals(frame)
    assert (found.deletes.height, found.superseded.height) == (0, 0)


def test_inserts_and_updates_are_told_from_deletes() -> None:
    frame = pl.DataFrame({"id": [1, 2, 3], "_change": ["insert", "delete", "update"]})
    found = changes_of(frame, ["id"], where="t")
    assert (found.upserts["id"].to_list(), found.deletes["id"].to_list()) == ([1, 3], [2])


def test_null_nan_and_both_zeros_are_one_key_each() -> None:
    keys = [None, None, float("nan"), float("nan"), 0.0, -0.0]
    frame = pl.DataFrame({"id": keys, "v": [1, 2, 4, 3, 5, 6]})
    found = changes_of(frame, ["id"], where="t")
    assert sorted(found.upserts["v"]) == [2, 4, 6]
    assert sorted(found.superseded["v"]) == [1, 3, 5]


def test_a_row_without_a_known_place_comes_before_those_with_one() -> None:
    frame = pl.DataFrame({"id": [1, 1], "v": ["z", "a"], "_source_file": [None, "f"], "_source_offset": [None, 0]})
    assert changes_of(frame, ["id"], where="t").upserts["v"].to_list() == ["a"]


def test_an_empty_batch_does_nothing() -> None:
    found = changes_of(pl.DataFrame(schema={"id": pl.Int64, "_change": pl.String}), ["id"], where="t")
    assert (found.upserts.height, found.deletes.height, found.superseded.height) == (0, 0, 0)


def test_a_superseded_row_of_a_wrong_change_does_not_hide() -> None:
    frame = pl.DataFrame({"id": [1, 1], "_change": ["insert", "merge"], "_source_file": ["a", "b"]})
    with pytest.raises(SinkError, match="_change is 'merge' in 1 rows"):
        changes_of(frame[::-1].with_columns(_source_file=pl.lit("a")), ["id"], where="t")
    first = frame.with_columns(_source_file=pl.Series(["b", "a"]))
    with pytest.raises(SinkError, match="_change is 'merge' in 1 rows"):
        changes_of(first, ["id"], where="t")
