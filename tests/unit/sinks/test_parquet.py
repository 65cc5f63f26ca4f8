"""A plain Parquet table: who may write what into it, and what those who read its records see."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from etl.errors import ConfigError, FencedError, SinkError, TableMovedError, TableStateError
from etl.sinks.contract import Edit
from tests.plain_tables import file_rows, listed_files
from tests.unit.sinks.plain import OTHER, add, ids, make_plain, read, staged
from tests.unit.sinks.tables import APP

NEW = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/main"


def frame(*values: int) -> pl.DataFrame:
    return pl.DataFrame({"id": list(values)})


def test_two_pipelines_that_stage_at_once_add_their_rows_to_one_table(tmp_path: Path) -> None:
    first, second = make_plain(tmp_path), make_plain(tmp_path, OTHER, "second")
    one, two = staged(first, 0, frame(1, 1)), staged(second, 0, frame(2))

    assert [first.commit(one, {}), second.commit(two, {}), first.commit(one, {})] == [0, 1, 0]
    assert (first.last_batch_id(), second.last_batch_id()) == (0, 0)
    assert first.table_id() == second.table_id()
    assert ids(tmp_path) == [1, 1, 2]
    assert ids(tmp_path, version=0) == [1, 1]


def test_a_batch_in_a_type_that_another_pipeline_widened_meanwhile_is_to_be_staged_again(tmp_path: Path) -> None:
    first, second = make_plain(tmp_path), make_plain(tmp_path, OTHER, "second")
    narrow = [pl.DataFrame({"id": [number]}, {"id": pl.Int8}) for number in (1, 2)]
    add(first, 0, narrow[0])
    waiting = staged(first, 1, narrow[1])
    add(second, 0, frame(300))

    with pytest.raises(TableMovedError, match="widened the type of id"):
        first.commit(waiting, {})
    assert add(first, 1, narrow[1], "b") == 2
    assert ids(tmp_path) == [1, 2, 300]


def test_whole_numbers_that_no_float_is_exactly_are_never_read_as_floats(tmp_path: Path) -> None:
    sink = make_plain(tmp_path)
    add(sink, 0, frame(2**53 + 1))

    with pytest.raises(SinkError, match="whole numbers that no float64 is"):
        sink.prepare(pl.Schema({"id": pl.Float64}), may_widen=True)


def test_columns_and_types_of_several_batches_come_together_for_every_reader(tmp_path: Path) -> None:
    sink = make_plain(tmp_path)
    add(sink, 0, pl.DataFrame({"id": [1], "n": [1]}, {"id": pl.Int64, "n": pl.Int8}))
    add(sink, 1, pl.DataFrame({"id": [2], "n": [300], "note": ["x"]}))

    wanted = [{"id": 1, "n": 1, "note": None}, {"id": 2, "n": 300, "note": "x"}]
    assert read(tmp_path).to_dicts() == wanted
    assert sorted(file_rows(listed_files(tmp_path)), key=lambda row: int(row["id"])) == wanted


def test_foreign_files_in_the_folder_are_neither_read_nor_removed(tmp_path: Path) -> None:
    sink = make_plain(tmp_path, partition_by=["kind"])
    add(sink, 0, pl.DataFrame({"id": [1], "kind": ["a"]}))
    foreign = [tmp_path / "kind=a" / "theirs.parquet", tmp_path / "notes.txt", tmp_path / "_staging" / "x.staged"]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"garbage")

    sink.discard(1, set())
    sink.tend()

    assert all(path.read_bytes() == b"garbage" for path in foreign)
    assert ids(tmp_path) == [1]


def test_a_file_of_a_killed_attempt_is_not_in_the_table_and_goes_with_the_next_one(tmp_path: Path) -> None:
    sink = make_plain(tmp_path)
    lost = staged(sink, 0, frame(1), "b")
    sink._files.publish(lost.tables["main"])
    assert read(tmp_path).is_empty()

    kept = staged(sink, 0, frame(2))
    sink.commit(kept, {})
    sink.discard(0, {file.path for file in kept.tables["main"]})

    assert ids(tmp_path) == [2]
    assert listed_files(tmp_path) == [str(tmp_path / kept.tables["main"][0].path)]


def test_a_staged_file_that_is_gone_commits_nothing(tmp_path: Path) -> None:
    sink = make_plain(tmp_path)
    manifest = staged(sink, 0, frame(1))
    (tmp_path / "_staging" / f"{manifest.tables['main'][0].path}.staged").unlink()

    assert sink.missing(manifest) == [manifest.tables["main"][0].path]
    with pytest.raises(SinkError, match="a staged file is gone"):
        sink.commit(manifest, {})
    assert sink.last_batch_id() is None


def test_another_attempt_at_a_committed_batch_stops_as_fenced(tmp_path: Path) -> None:
    sink = make_plain(tmp_path)
    late = staged(sink, 0, frame(1), "b")
    add(sink, 0, frame(2))

    with pytest.raises(FencedError, match="another attempt at batch 0"):
        make_plain(tmp_path).commit(late, {})
    assert ids(tmp_path) == [2]


def test_a_refresh_replaces_the_rows_of_its_pipeline_alone_in_one_step(tmp_path: Path) -> None:
    old, other = make_plain(tmp_path), make_plain(tmp_path, OTHER, "second")
    add(old, 0, frame(1))
    add(other, 0, frame(7))
    late = staged(old, 1, frame(2))
    new = make_plain(tmp_path, NEW, replaces=[APP])
    before = new.is_to_be_replaced

    assert add(new, 0, frame(3)) == 2

    assert ids(tmp_path) == [3, 7]
    assert len(listed_files(tmp_path)) == 2
    assert (before, new.is_to_be_replaced) == (True, False)
    with pytest.raises(FencedError, match="a full refresh took the place"):
        old.commit(late, {})
    with pytest.raises(TableStateError, match="table_ahead"):
        old.last_batch_id()
    with pytest.raises(SinkError, match="can no longer be read"):
        ids(tmp_path, version=1)


def test_a_checkpoint_that_is_not_the_one_whose_batches_are_there_is_refused(tmp_path: Path) -> None:
    add(make_plain(tmp_path), 0, frame(1))
    stranger = make_plain(tmp_path, OTHER)

    assert stranger.claimed_batch_id() == 0
    with pytest.raises(TableStateError, match="another checkpoint of this pipeline"):
        staged(stranger, 0, frame(2))


def test_another_partitioning_is_refused_until_a_refresh(tmp_path: Path) -> None:
    add(make_plain(tmp_path), 0, pl.DataFrame({"id": [1], "kind": ["a"]}))

    with pytest.raises(SinkError, match="partitioned by"):
        make_plain(tmp_path, partition_by=["kind"]).prepare(pl.Schema({"id": pl.Int64, "kind": pl.String}))
    anew = make_plain(tmp_path, NEW, replaces=[APP], partition_by=["kind"])
    add(anew, 0, pl.DataFrame({"id": [1], "kind": ["a"]}))
    assert read(tmp_path).to_dicts() == [{"id": 1, "kind": "a"}]


def test_rows_are_never_taken_out(tmp_path: Path) -> None:
    sink = make_plain(tmp_path)
    assert sink.revise(0, "a", Edit({"id": "int64"})) == ((), None)
    with pytest.raises(SinkError, match="can only be added to"):
        sink.revise(0, "a", Edit({"id": "int64"}, files=frozenset({"in/1.ndjson"})))
    with pytest.raises(ConfigError, match="a changing result"):
        sink.prepare(pl.Schema({"id": pl.Int64, "_change": pl.String}))


def test_a_batch_without_a_typed_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="no column of the batch has a type"):
        make_plain(tmp_path).prepare(pl.Schema({"id": pl.Null}))


@pytest.mark.parametrize("folder", ["t", "of=lake/t"])
def test_values_of_partitions_keep_their_types_wherever_the_table_lies(tmp_path: Path, folder: str) -> None:
    rows = pl.DataFrame(
        {
            "id": [1, 2],
            "day": [dt.date(2026, 11, 26), None],
            "is_new": [True, False],
            "text": ["a/b =%", "01"],
            "number": [-7, 8],
        }
    )
    sink = make_plain(tmp_path / folder, partition_by=["day", "is_new", "text", "number"])
    add(sink, 0, rows)

    assert read(tmp_path / folder).select(rows.columns).equals(rows)


def test_a_version_that_never_was_is_refused_by_name(tmp_path: Path) -> None:
    add(make_plain(tmp_path), 0, frame(1))
    with pytest.raises(SinkError, match="has no version 7; the newest is 0"):
        ids(tmp_path, version=7)
