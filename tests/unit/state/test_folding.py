"""Folding: bounded by the batch, partitions split and kept twice, runs merged, kept and dropped."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from etl.state.contract import StateChange, TableLayout
from etl.state.limits import Limits
from etl.state.version import TableVersion, equal_ranges
from tests.state_model import MOMENT, START, Both, at_us, local

KEYED = TableLayout({"k": pl.Int64()}, {"v": pl.Int64()})
TIMED = TableLayout({"k": pl.Int64()}, {"at": MOMENT}, expires="at")
EAGER = Limits(part_rows=50, fold_bytes=0, fold_factor=1_000_000.0, max_runs=0)


def put(both: Both, first: int, count: int, value: int = 0) -> None:
    keys = pl.DataFrame({"k": range(first, first + count)})
    both.change(StateChange(put=keys.with_columns(v=pl.lit(value, pl.Int64))))


def put_until(both: Both, first: int, count: int, minutes: int, expire_upto: int | None = None) -> None:
    at = pl.lit(START + timedelta(minutes=minutes), MOMENT)
    frame = pl.DataFrame({"k": range(first, first + count)}).with_columns(at=at)
    both.change(StateChange(put=frame, expire_upto_us=None if expire_upto is None else at_us(expire_upto)))


def version(both: Both, number: int = -1) -> TableVersion:
    ref = both.refs[number]
    assert ref is not None
    return both.store.version(ref).tables["t"]


def assert_equal(both: Both) -> None:
    both.check(pl.DataFrame({"k": range(0, 500, 3)}), at_us(20))


def test_partitions_cover_all_hashes_and_are_split_when_they_grow(tmp_path: Path) -> None:
    both = Both(KEYED, EAGER, local(tmp_path))
    for number in range(6):
        put(both, number * 60, 60)
        parts = version(both).parts
        assert [parts[0].low, *(part.low for part in parts[1:]), 2**64] == [0, *(part.high + 1 for part in parts)]
        assert all(part.now.file is None or part.now.file.rows <= 50 for part in parts)
    assert len(version(both).parts) >= 360 / 50
    assert_equal(both)


def test_a_partition_is_split_by_its_bytes_too(tmp_path: Path) -> None:
    both = Both(KEYED, Limits(part_bytes=2_000, fold_bytes=0, fold_factor=1e6), local(tmp_path))
    for number in range(3):
        put(both, number * 100, 100)
    assert len(version(both).parts) >= 300 * 16 / 2_000
    assert_equal(both)


def test_keys_of_one_hash_stay_in_one_partition(tmp_path: Path) -> None:
    both = Both(KEYED, Limits(part_rows=2, fold_bytes=0, fold_factor=1e6, hash_bits=1), local(tmp_path))
    for number in range(3):
        put(both, number * 20, 20)
    assert {part.now.file.rows for part in version(both).parts if part.now.file} == {
        sum(part.now.file.rows for part in version(both).parts if part.now.file and part.low == low)
        for low in (0, 2**63)
    }
    assert_equal(both)


def test_a_batch_writes_in_proportion_to_itself_however_large_the_state(tmp_path: Path) -> None:
    limits = Limits(part_rows=100, part_bytes=4_000, fold_bytes=0, fold_factor=2.0, small_rows=0)
    both = Both(KEYED, limits, local(tmp_path))
    for number in range(10):
        put(both, number * 400, 400)
    before = {file.path for file in version(both).files()}
    sizes = []
    for number in range(10):
        put(both, number * 300, 40, number)
        written = [file for file in version(both).files() if file.path not in before]
        before |= {file.path for file in written}
        sizes.append(sum(file.size_bytes for file in written))
    own = max(run.file.size_bytes for run in version(both).runs[-3:])
    assert sum(sizes) / len(sizes) < 6 * own
    assert sum(file.size_bytes for file in version(both).live_files) > 20 * own
    assert_equal(both)


def test_a_partition_keeps_its_former_file_and_the_runs_since(tmp_path: Path) -> None:
    both = Both(KEYED, Limits(fold_bytes=0, fold_factor=1e6), local(tmp_path))
    for number in range(4):
        put(both, number, 5, number)
    (part,) = version(both).parts
    assert (part.former.upto, part.now.upto) == (2, 3)
    assert part.former == version(both, -2).parts[0].now
    assert [(run.first, run.last) for run in version(both).runs] == [(3, 3)]
    assert version(both).live == ()


def test_a_partition_without_changes_is_copied_once_and_then_holds_up_no_run(tmp_path: Path) -> None:
    both = Both(KEYED, Limits(part_rows=50, fold_bytes=0, fold_factor=1e6), local(tmp_path))
    put(both, 0, 200)
    put(both, 0, 200, 1)
    for number in range(4):
        put(both, 0, 1, number)
        assert_equal(both)
    still = [part for part in version(both).parts if part.former.upto == part.now.upto == 5]
    assert len(still) >= len(version(both).parts) - 1
    assert all(part.now.file != part.former.file for part in still)
    assert [run.first for run in version(both).runs] == [5]


def test_folding_waits_for_enough_changes(tmp_path: Path) -> None:
    both = Both(KEYED, Limits(fold_bytes=1_000_000), local(tmp_path))
    for number in range(3):
        put(both, number, 5)
    assert (version(both).parts, len(version(both).runs)) == ((), 3)


def test_runs_of_rows_that_expire_are_not_folded_while_they_are_few(tmp_path: Path) -> None:
    both = Both(TIMED, Limits(fold_bytes=0, max_runs=3, fold_factor=1e6), local(tmp_path))
    for number in range(3):
        put_until(both, number * 5, 5, number)
    assert (version(both).parts, len(version(both).runs)) == ((), 3)
    put_until(both, 50, 5, 9)
    assert [part.now.upto for part in version(both).parts] == [3]
    assert_equal(both)


def test_small_runs_become_one_and_large_ones_are_left(tmp_path: Path) -> None:
    both = Both(KEYED, Limits(fan_in=3, small_rows=30), local(tmp_path))
    put(both, 0, 40)
    for number in range(3):
        put(both, number * 4, 5, number)
    assert [(run.first, run.last, run.file.rows) for run in version(both).runs] == [(0, 0, 40), (1, 3, 13)]
    assert_equal(both)


@pytest.mark.parametrize("minutes", [3, 40])
def test_merged_runs_keep_tombstones_for_what_has_left(tmp_path: Path, minutes: int) -> None:
    both = Both(TIMED, Limits(fan_in=2, small_rows=30), local(tmp_path))
    put_until(both, 0, 40, 50)
    put_until(both, 0, 5, minutes)
    both.change(StateChange(remove=pl.DataFrame({"k": [1, 77]}), expire_upto_us=at_us(10)))
    (_, merged) = version(both).runs
    assert (merged.file.rows, merged.file.puts) == (6, 0 if minutes == 3 else 4)
    assert_equal(both)


def test_a_partition_all_of_whose_rows_have_left_is_dropped_unread(tmp_path: Path) -> None:
    both = Both(TIMED, Limits(fold_bytes=0, max_runs=0, fold_factor=1e6), local(tmp_path))
    put_until(both, 0, 5, 1)
    put_until(both, 5, 5, 2)
    for file in version(both).files():
        both.storage.remove(file.path, effect="e")
    both.reopen()
    both.change(StateChange(expire_upto_us=at_us(2)))
    assert (version(both).parts, version(both).runs) == ((), ())
    assert_equal(both)


def test_a_run_that_has_left_is_kept_while_it_hides_older_rows(tmp_path: Path) -> None:
    both = Both(TIMED, Limits(max_runs=9), local(tmp_path))
    put_until(both, 0, 5, 40)
    put_until(both, 0, 5, 1)
    put_until(both, 9, 1, 50, expire_upto=2)
    assert len(version(both).runs) == 3
    assert next(iter(both.table().scan()))["k"].to_list() == [9]
    assert_equal(both)


def test_ranges_of_hashes_leave_none_out() -> None:
    for count in (1, 2, 3, 7):
        ranges = equal_ranges(count)
        assert [ranges[0][0], *(low for low, _ in ranges[1:]), 2**64] == [0, *(high + 1 for _, high in ranges)]
