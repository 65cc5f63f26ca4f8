from __future__ import annotations

import gzip
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from etl.sources.log_positions import SnapshotAt
from tests.log_watch import Watch


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    (tmp_path / "logs").mkdir()
    return Watch(tmp_path / "logs")


def test_a_log_is_read_from_its_beginning_and_then_only_what_is_new(watch: Watch) -> None:
    watch.write("a\nb\n")
    assert watch.take() == ["a", "b"]
    assert watch.take() == []
    watch.write("c\n")
    assert watch.take() == ["c"]
    watch.restart()
    assert watch.take() == []


def test_a_line_is_taken_once_it_is_whole_wherever_it_was_cut(watch: Watch) -> None:
    text = "héllo wörld\r\nnext\n"
    raw = text.encode()
    for cut in range(len(raw) + 1):
        (watch.root / str(cut)).mkdir()
        each = Watch(watch.root / str(cut))
        with open(each.path("app.log"), "ab") as file:
            file.write(raw[:cut])
        first = each.take()
        each.restart()
        with open(each.path("app.log"), "ab") as file:
            file.write(raw[cut:])
        assert first + each.take() == ["héllo wörld", "next"], cut


def test_a_rotated_log_is_drained_before_the_new_one(watch: Watch) -> None:
    watch.write("a\n")
    assert watch.take() == ["a"]
    watch.write("b\n")
    watch.rename("app.log", "app.log.1")
    watch.write("c\n")
    assert watch.take() == ["b", "c"]
    watch.write("d\n", "app.log.1")
    watch.write("e\n")
    assert watch.take() == ["d", "e"]
    assert watch.lost == []


def test_several_rotations_while_down_are_all_found(watch: Watch) -> None:
    watch.write("a\n")
    assert watch.take() == ["a"]
    watch.write("b\n")
    watch.rename("app.log", "app.log.3")
    watch.write("c\n", "app.log.2")
    watch.write("d\n", "app.log.1")
    watch.write("e\n")
    watch.restart()
    assert watch.take() == ["b", "c", "d", "e"]
    assert watch.take() == []


@pytest.mark.parametrize("is_down", [False, True])
def test_copytruncate_reads_the_rest_in_the_copy_and_the_original_anew(watch: Watch, is_down: bool) -> None:
    watch.write("a\n")
    assert watch.take() == ["a"]
    watch.write("b\n")
    watch.copytruncate()
    watch.write("longer than before\n")
    if is_down:
        watch.restart()
    assert watch.take() == ["b", "longer than before"]
    assert watch.take() == []
    assert watch.lost == []


def test_truncation_and_regrowth_beyond_the_offset_is_a_new_log(watch: Watch) -> None:
    watch.write("start\nabc\n")
    assert watch.take() == ["start", "abc"]
    os.truncate(watch.path("app.log"), 0)
    watch.write("start\nxyz\nmore\n")
    assert watch.take() == ["start", "xyz", "more"]
    assert [loss.reason for loss in watch.lost] == ["truncated, or replaced by another file"]


@pytest.mark.parametrize("is_down", [False, True])
def test_a_compressed_log_is_read_on_at_the_same_place(watch: Watch, is_down: bool) -> None:
    watch.write("a\nb\n")
    assert watch.take() == ["a", "b"]
    watch.write("c\nd")
    if is_down:
        watch.restart()
    watch.path("app.log.1.gz").write_bytes(gzip.compress(watch.path("app.log").read_bytes()))
    watch.path("app.log").unlink()
    watch.write("e\n")
    assert watch.take() == ["c", "d", "e"]
    assert watch.take() == []
    watch.restart()
    assert watch.take() == []
    assert watch.lost == []


def test_a_deleted_log_is_drained_while_its_handle_is_open(watch: Watch) -> None:
    watch.write("a\n")
    assert watch.take() == ["a"]
    watch.write("b\nc\n")
    watch.path("app.log").unlink()
    watch.write("d\n")
    assert watch.take(max_bytes=2) == ["b"]
    assert watch.drain() == ["c", "d"]
    assert watch.lost == []


def test_a_deleted_log_is_drained_by_the_source_that_takes_the_place_of_the_one_that_held_it(watch: Watch) -> None:
    watch.write("a\n")
    assert watch.take() == ["a"]
    with open(watch.path("app.log"), "ab") as writer:
        watch.path("app.log").unlink()
        writer.write(b"b\n")
        writer.flush()
        watch.renew()
        assert watch.drain() == ["b"]
        writer.write(b"c\n")
    assert watch.drain() == ["c"]
    assert watch.told() == set()


def test_what_was_deleted_while_down_is_reported_with_what_was_known_of_it(watch: Watch) -> None:
    watch.write("a\nbcd\n")
    assert watch.take(max_bytes=2) == ["a"]
    watch.path("app.log").unlink()
    watch.restart()
    assert watch.take() == []
    assert [(loss.offset, loss.reason, loss.is_exact) for loss in watch.lost] == [(2, "gone", False)]
    watch.write("e\n")
    planned = watch.plan()
    assert planned is not None
    assert [loss["offset"] for loss in planned.units["lost"]] == [2]  # type: ignore[union-attr, index, call-overload]


def test_another_file_with_the_inode_and_the_bytes_of_a_deleted_one_is_read_anew(watch: Watch) -> None:
    watch.write("start\n")
    planned = watch.plan()
    assert planned is not None
    assert watch.frame(planned)["line"].to_list() == ["start"]
    units = {**planned.units, "born_ns": [born - 1 for born in planned.units["born_ns"]]}  # type: ignore[union-attr, operator]
    watch.plans[0] = replace(planned, units=units)
    watch.restart()
    assert watch.take() == ["start"], "it was made at another time than the file of the plan"


def test_a_log_that_begins_with_all_that_a_deleted_one_held_stays_itself(watch: Watch) -> None:
    """The oldest is read first and gone: the younger one behind it must not be taken for what is left of it."""
    watch.write("header\n")
    assert watch.take() == ["header"]
    watch.rename("app.log", "app.log.1")
    watch.write("header\nb\n")
    assert watch.take() == ["header", "b"]
    watch.restart()
    watch.path("app.log.1").unlink()
    watch.rename("app.log", "app.log.2")
    watch.write("c\n", "app.log.2")
    assert watch.take() == ["c"]


def test_a_new_log_is_not_taken_for_a_deleted_rotated_one_that_began_alike(watch: Watch) -> None:
    watch.write("header\n")
    assert watch.take() == ["header"]
    watch.rename("app.log", "app.log.1")
    assert watch.take() == []
    watch.restart()
    watch.path("app.log.1").unlink()
    watch.write("header\nb\n")
    watch.rename("app.log", "app.log.2")
    assert watch.take() == ["header", "b"]
    assert watch.lost == []


def test_compressed_data_that_is_still_being_written_is_waited_for(watch: Watch) -> None:
    watch.write("a\n")
    assert watch.take() == ["a"]
    watch.write("b\n" * 1000)
    watch.rename("app.log", "app.log.1")
    packed = gzip.compress(watch.path("app.log.1").read_bytes())
    watch.path("app.log.1.gz").write_bytes(packed[:20])
    watch.write("c\n")
    assert watch.take(max_bytes=2) == ["b"]
    watch.restart()
    watch.path("app.log.1").unlink()
    assert watch.take() == ["c"], "the younger log does not wait for the older one"
    watch.path("app.log.1.gz").write_bytes(packed)
    assert watch.take() == ["b"] * 999
    assert watch.take() == []
    assert watch.lost == []


def test_compressed_data_that_is_damaged_is_passed_over_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    watch = Watch(tmp_path / "logs", path="app.log*")
    watch.write("a\n")
    watch.path("app.log.1.gz").write_bytes(gzip.compress(b"b\n" * 1000)[:20])
    watch.path("app.log.2.xz").write_bytes(b"\xfd7zXZ\x00")
    watch.age("app.log.1.gz", 61)
    assert watch.take() == ["a"]
    assert watch.source.explain("app.log.1.gz")["reason"] == "compressed data that is damaged"
    assert watch.source.explain("app.log.2.xz")["reason"] == "a compression that is not read; gz and zst are"


def test_a_copy_that_was_made_while_the_log_grew_is_known_and_the_difference_told(watch: Watch) -> None:
    watch.write("a\nb\n")
    assert watch.take() == ["a", "b"]
    watch.write("c\n")
    watch.path("app.log.1").write_bytes(watch.path("app.log").read_bytes())
    watch.write("d\ne\n")
    assert watch.take(max_bytes=4) == ["c", "d"]
    os.truncate(watch.path("app.log"), 0)
    watch.write("f\n")
    assert watch.take() == ["f"]
    assert watch.take() == []
    told = [(loss.offset, loss.size_bytes, loss.reason) for loss in watch.lost]
    assert told == [(8, 2, "truncated after it was copied")]


def test_what_happened_is_remembered_though_nothing_was_read(watch: Watch) -> None:
    watch.write("a\n")
    assert watch.take() == ["a"]
    os.truncate(watch.path("app.log"), 0)
    assert watch.take() == []
    watch.restart()
    watch.write("a\n")
    assert watch.take() == ["a"], "the same bytes again are another log"


def test_a_snapshot_and_what_came_after_it_say_what_the_plans_say(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    watch = Watch(tmp_path / "logs", snapshot_at=SnapshotAt(batches=2, events=100))
    for number in range(7):
        watch.write(f"{number}\n")
        assert watch.take() == [f"{number}"]
        watch.source.fold(number)
        watch.rename("app.log", f"app.log.{number}")
    assert watch.source.folded_upto == 5
    snapshots = [name for name in os.listdir(tmp_path / "logs-ledger") if name.startswith("positions")]
    assert len(snapshots) == 2
    watch.restart()
    watch.write("last\n")
    assert watch.drain() == ["last"]


def test_many_idle_logs_cost_a_look_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    watch = Watch(tmp_path / "logs", path="*.log", read_from="end")
    for number in range(2_000):
        watch.write("a\n", f"{number}.log")
    assert watch.take() == []
    for number in range(2_000):
        watch.age(f"{number}.log")
    watch.take()
    watch.write("b\n", "77.log")
    calls: list[str] = []
    sys.setprofile(lambda _, event, function: calls.append(function.__name__) if event == "c_call" else None)
    try:
        planned = watch.plan()
    finally:
        sys.setprofile(None)
    assert planned is not None
    assert planned.units["path"] == ["77.log"]
    assert calls.count("stat") < 2_020
    assert calls.count("open") < 20
