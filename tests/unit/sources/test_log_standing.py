"""Where a log stands: what is gone, what is behind, what holds its files open."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from etl.errors import SourceChangedError, SourceError
from tests.log_watch import Watch


def test_a_plan_whose_bytes_are_gone_is_refused_and_amended_with_the_loss(root: Path) -> None:
    watch = Watch(root, path="*.log")
    watch.write("a\n", "a.log")
    watch.write("bb\n", "b.log")
    planned = watch.plan()
    assert planned is not None
    watch.path("a.log").unlink()
    watch.restart()
    with pytest.raises(SourceChangedError) as caught:
        watch.frame(planned)
    assert caught.value.path == "a.log"
    amended = watch.amend(caught.value)
    assert watch.frame(amended)["line"].to_list() == ["bb"]
    assert amended.units["lost"] == [
        {
            "path": "a.log",
            "generation": 1,
            "offset": 0,
            "bytes": 2,
            "is_exact": True,
            "reason": "gone before it was read",
        }
    ]
    watch.restart()
    assert watch.take() == []


def test_nothing_is_taken_for_lost_where_the_folder_is_away(root: Path) -> None:
    watch = Watch(root, path="in/app.log")
    watch.path("in").mkdir()
    watch.write("a\n" + "x" * 2000 + "\n", "in/app.log")
    assert len(watch.take()) == 2
    watch.rename("in", "away")
    with pytest.raises(SourceError, match="source unavailable"):
        watch.take()
    watch.path("in").mkdir()
    assert watch.take() == []
    watch.path("in").rmdir()
    watch.rename("away", "in")
    watch.write("b\n", "in/app.log")
    assert watch.take() == ["b"], "an empty mount point is not a deleted log"


def test_explaining_tells_identity_offset_and_where_a_log_went(root: Path) -> None:
    watch = Watch(root)
    watch.write("a\n")
    watch.take()
    first = watch.path("app.log").stat()
    watch.rename("app.log", "app.log.1")
    watch.write("bcd\nef")
    watch.take()
    told = watch.source.explain(str(root / "app.log"))
    generations = told["generations"]
    assert isinstance(generations, list)
    (older, newer) = (each for each in generations if isinstance(each, dict))
    assert newer["now_at"] == "app.log"
    assert older | {"fingerprint": ""} == {
        "origin": "app.log",
        "generation": 1,
        "device": first.st_dev,
        "inode": first.st_ino,
        "offset": 2,
        "size_bytes": 2,
        "fingerprint": "",
        "now_at": "app.log.1",
    }
    assert (told["is_read"], told["offset"], told["generation"], told["size_bytes"]) == (True, 4, 2, 6)
    assert watch.source.explain("app.log.1")["reason"] == "was app.log, and rotated; read up to byte 2"
    assert watch.source.explain("other")["reason"] == "not matched by 'app.log'"


def test_lag_is_told_per_log_in_bytes_and_seconds(root: Path) -> None:
    watch = Watch(root, path="*.log")
    watch.write("a\n", "a.log")
    watch.write("b\n", "b.log")
    watch.take()
    watch.write("cd", "b.log")
    watch.age("b.log", 60)
    found = watch.source.lags(datetime.now(UTC) + timedelta(seconds=10))
    assert [(lag.path, lag.offset, lag.behind_bytes) for lag in found] == [("b.log", 2, 2), ("a.log", 2, 0)]
    assert 70 <= found[0].behind_s < 100
    assert found[1].behind_s == 0


def test_a_full_refresh_is_refused_where_logs_that_were_read_are_out_of_reach(root: Path) -> None:
    watch = Watch(root)
    watch.write("a\n")
    watch.take()
    watch.source.check_replay()
    watch.rename("app.log", "app.log.1")
    watch.write("b\n")
    watch.take()
    with pytest.raises(SourceError, match=r"rotated to where no pattern finds them: app\.log"):
        watch.source.check_replay()
    with pytest.raises(SourceError, match="what was there at the first look"):
        Watch(root, read_from="end").source.check_replay()


def test_closing_lets_go_of_the_files_and_may_repeat(root: Path) -> None:
    watch = Watch(root)
    watch.write("a\n")
    assert watch.take() == ["a"]
    assert root / "app.log" in open_files()
    watch.source.close()
    watch.source.close()
    assert root / "app.log" not in open_files()


def open_files() -> set[Path]:
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(Path(os.readlink(link)))
    return found
