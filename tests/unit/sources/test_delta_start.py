"""Where a reader of a Delta table begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from etl.errors import SourceError
from etl.operations.looking import Onlooker, WithheldError
from tests.following import Follower


def add(root: Path, ids: list[int]) -> None:
    write_deltalake(root / "table", pl.DataFrame({"id": ids}), mode="append")


def set_time(root: Path, version: int, at_ms: int) -> None:
    """Let a version be committed at another time."""
    path = root / "table" / "_delta_log" / f"{version:020d}.json"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if "commitInfo" in line:
            line["commitInfo"]["timestamp"] = at_ms
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def hourly(root: Path, count: int) -> None:
    """Make versions that are an hour apart, from 2026-01-01T00:00Z on."""
    for version in range(count):
        add(root, [version])
        set_time(root, version, 1_767_225_600_000 + version * 3_600_000)


def test_a_table_that_does_not_exist_yet_is_waited_for_and_told_once(tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    assert follower.rows() == []
    assert follower.rows() == []
    assert follower.source.take_notes() == [
        f"waiting for {tmp_path / 'table'}: there is nothing to begin with yet",
    ]
    add(tmp_path, [1])
    assert follower.rows() == [[(1,)]]


def test_latest_reads_what_comes_after_the_first_look_whenever_it_is_opened_again(tmp_path: Path) -> None:
    add(tmp_path, [1])
    follower = Follower(tmp_path, {"starting": "latest"})
    assert follower.rows() == []
    add(tmp_path, [2])
    follower.reopen()
    assert follower.rows() == [[(2,)]]


def test_latest_of_a_table_that_is_still_to_come_reads_all_of_it(tmp_path: Path) -> None:
    follower = Follower(tmp_path, {"starting": "latest"})
    assert follower.rows() == []
    add(tmp_path, [1])
    assert follower.rows() == [[(1,)]]


def test_a_mere_look_records_no_start(tmp_path: Path) -> None:
    add(tmp_path, [1])
    follower = Follower(tmp_path, {"starting": "latest"}, seam=Onlooker())
    with pytest.raises(Exception, match="withheld") as refused:
        follower.plan()
    assert isinstance(refused.value, WithheldError) or isinstance(refused.value.__cause__, WithheldError)


def test_a_version_to_begin_with_is_read_too(tmp_path: Path) -> None:
    for number in range(4):
        add(tmp_path, [number])
    assert Follower(tmp_path, {"starting": {"version": 2}}).rows() == [[(2,), (3,)]]


def test_a_version_that_is_still_to_come_is_waited_for(tmp_path: Path) -> None:
    add(tmp_path, [0])
    follower = Follower(tmp_path, {"starting": {"version": 2}})
    assert follower.rows() == []
    add(tmp_path, [1])
    add(tmp_path, [2])
    assert follower.rows() == [[(2,)]]


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("2025-01-01", [[(0,), (1,), (2,)]]),
        ("2026-01-01T01:00:00Z", [[(1,), (2,)]]),
        ("2026-01-01T02:30:00+01:00", [[(2,)]]),
        ("2026-01-01T02:00:01", []),
    ],
)
def test_a_time_to_begin_with_is_that_of_the_first_version_at_it_or_after_it(
    tmp_path: Path, timestamp: str, expected: Any
) -> None:
    hourly(tmp_path, 3)
    assert Follower(tmp_path, {"starting": {"timestamp": timestamp}}).rows() == expected


def test_a_time_before_what_is_left_of_the_log_is_refused(tmp_path: Path) -> None:
    hourly(tmp_path, 3)
    DeltaTable(tmp_path / "table").create_checkpoint()
    (tmp_path / "table" / "_delta_log" / f"{0:020d}.json").unlink()
    with pytest.raises(SourceError, match="reaches back to version 1 only"):
        Follower(tmp_path, {"starting": {"timestamp": "2025-01-01"}}).plan()
    found = Follower(tmp_path, {"starting": {"timestamp": "2026-01-01T02:00:00Z"}}).rows()
    assert found == [[(2,)]]


def test_earliest_reads_a_table_whose_first_versions_were_compacted_vacuumed_and_cleaned_away(tmp_path: Path) -> None:
    for number in range(3):
        add(tmp_path, [number])
    DeltaTable(tmp_path / "table").optimize.compact()
    DeltaTable(tmp_path / "table").vacuum(0, enforce_retention_duration=False, dry_run=False)
    DeltaTable(tmp_path / "table").create_checkpoint()
    for version in range(5):
        (tmp_path / "table" / "_delta_log" / f"{version:020d}.json").unlink()
    assert Follower(tmp_path).rows() == [[(0,), (1,), (2,)]]


def test_a_refresh_is_refused_where_it_could_not_read_what_was_read(tmp_path: Path) -> None:
    hourly(tmp_path, 3)
    DeltaTable(tmp_path / "table").create_checkpoint()
    Follower(tmp_path).source.check_replay()
    Follower(tmp_path, {"starting": {"version": 1}}).source.check_replay()
    with pytest.raises(SourceError, match="what the table held at the first look is not read"):
        Follower(tmp_path, {"starting": "latest"}).source.check_replay()
    (tmp_path / "table" / "_delta_log" / f"{1:020d}.json").unlink()
    with pytest.raises(SourceError, match="no longer holds version 1"):
        Follower(tmp_path, {"starting": {"version": 1}}).source.check_replay()
