"""A file of rows: what is said of it, and what is read of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from etl.seam import Seam
from etl.state.segment import BY_TIME, GONE, HASH, Encoded, Segment, encode_segment
from etl.state.segment_cache import DamagedFileError, SegmentCache
from etl.state.version import StateFile
from etl.storage import LocalStorage, open_storage
from tests.state_model import MOMENT, START, at_us

MINUTES = [3, None, 1, 1, 9]


def rows(minutes: list[int | None] = MINUTES, gone: int = 0) -> pl.DataFrame:
    """Return rows with the hashes 0, 10, 20, …; the last ``gone`` are tombstones."""
    at = [None if each is None else START + timedelta(minutes=each) for each in minutes]
    count = len(minutes)
    schema = {HASH: pl.UInt64(), GONE: pl.Boolean(), "k": pl.String(), "at": MOMENT}
    is_gone = [number >= count - gone for number in range(count)]
    return pl.DataFrame([range(0, 10 * count, 10), is_gone, [f"k{each}" for each in range(count)], at], schema=schema)


@pytest.mark.parametrize(
    ("minutes", "gone", "expected"),
    [
        ([3, 1, 9], 0, (3, 1, 9)),
        ([3, None, 1], 0, (3, 1, None)),
        ([3, 1, None], 1, (2, 1, 3)),
        ([None, None], 0, (2, None, None)),
        ([None, None], 2, (0, None, None)),
    ],
    ids=["all leave", "one never leaves", "a tombstone", "none leaves", "only tombstones"],
)
def test_a_file_says_how_many_rows_it_has_and_when_they_leave(
    minutes: list[int | None], gone: int, expected: tuple[int, int | None, int | None]
) -> None:
    found = encode_segment(rows(minutes, gone), "at")
    low, high = (None if each is None else at_us(each) for each in expected[1:])
    assert (found.rows, found.puts, found.min_us, found.max_us) == (len(minutes), expected[0], low, high)


@pytest.mark.parametrize(
    ("max_us", "puts", "cut_us", "is_dead"),
    [(5, 1, 5, True), (5, 1, 4, False), (5, 1, None, False), (None, 1, 5, False), (None, 0, None, True)],
)
def test_a_file_is_dead_when_all_of_its_rows_have_left(
    max_us: int | None, puts: int, cut_us: int | None, is_dead: bool
) -> None:
    assert StateFile("x", 1, puts, 1, "", 0, 1, max_us).is_dead(cut_us) is is_dead


def names(found: pa.RecordBatch) -> list[str]:
    listed: list[str] = found.column("k").to_pylist()
    return listed


def test_any_tool_reads_a_file() -> None:
    table = pa.ipc.open_file(pa.py_buffer(encode_segment(rows(), "at").content)).read_all()
    assert table.column_names == [HASH, GONE, "k", "at", BY_TIME]
    assert table.column("k").type == pa.large_string()
    assert table.column(BY_TIME).to_pylist() == [2, 3, 0, 4, 1]
    assert pl.read_ipc(encode_segment(rows(), "at").content)["k"].to_list() == ["k0", "k1", "k2", "k3", "k4"]


def test_rows_are_taken_by_number_and_by_range_of_hashes() -> None:
    segment = Segment(encode_segment(rows(), None).content)
    assert names(segment.take(["k"], pl.Series([3, 0], dtype=pl.Int64).to_numpy())) == ["k3", "k0"]
    assert segment.between(10, 30) == slice(1, 4)
    assert segment.between(41, 2**64 - 1) == slice(5, 5)
    assert names(segment.take(["k"], segment.between(10, 25))) == ["k1", "k2"]


@pytest.mark.parametrize("is_indexed", [True, False])
@pytest.mark.parametrize(
    ("after", "upto", "expected"),
    [(None, 0, []), (None, 1, [2, 3]), (None, 9, [0, 2, 3, 4]), (1, 9, [0, 4]), (1, 1, []), (9, 99, [])],
)
def test_rows_that_leave_in_a_time_are_found(
    is_indexed: bool, after: int | None, upto: int, expected: list[int]
) -> None:
    segment = Segment(encode_segment(rows(), "at", is_indexed=is_indexed).content)
    after_us = None if after is None else at_us(after)
    assert sorted(segment.expiring("at", after_us, at_us(upto)).tolist()) == expected


def test_a_file_without_rows_is_read() -> None:
    segment = Segment(encode_segment(rows([]), "at").content)
    assert segment.hashes.tolist() == []
    assert segment.take(["k"], slice(0, 0)).num_rows == 0


class Files:
    """Files in a storage, and a cache of ``max_bytes`` over them."""

    def __init__(self, storage: Any, max_bytes: int = 1 << 20) -> None:
        self.storage = storage
        self.cache = SegmentCache(storage, max_bytes)

    def add(self, name: str) -> StateFile:
        encoded: Encoded = encode_segment(rows(), None)
        self.storage.create(name, encoded.content, effect="e")
        return encoded.named(name, 0)


def test_a_file_stays_open_until_others_need_its_room() -> None:
    files = Files(open_storage("memory://segments/a", Seam()), 2_500)
    first, second, third = (files.add(name) for name in "abc")
    opened = files.cache.get(first)
    assert files.cache.get(first) is opened
    files.cache.get(second)
    assert files.cache.get(first) is opened
    files.cache.get(third)
    files.cache.get(third)
    assert files.cache.held_bytes <= 2_500
    assert files.cache.get(first).hashes.tolist() == opened.hashes.tolist()


def test_a_file_is_verified_before_its_first_use_and_its_size_every_time(tmp_path: Path) -> None:
    files = Files(LocalStorage(tmp_path, Seam()))
    file = files.add("a")
    content = bytearray((tmp_path / "a").read_bytes())
    content[-20] ^= 1
    (tmp_path / "a").write_bytes(bytes(content))
    with pytest.raises(DamagedFileError, match=r"a: its bytes are not those that were written"):
        files.cache.get(file)
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(DamagedFileError, match=rf"has 0 bytes where {file.size_bytes} were written"):
        files.cache.get(file)
    files.cache.forget("a")
    (tmp_path / "a").unlink()
    with pytest.raises(DamagedFileError, match="is missing"):
        files.cache.get(file)


def test_a_file_that_was_just_written_is_not_read_again_on_an_object_store() -> None:
    files = Files(open_storage("memory://segments/b", Seam()))
    encoded = encode_segment(rows(), None)
    file = encoded.named("never-written", 0)
    files.cache.trust(file, encoded.content)
    assert files.cache.get(file).hashes.tolist() == [0, 10, 20, 30, 40]
