"""What wakes a runner: a change in a folder, or the end of its patience."""

from __future__ import annotations

import threading
from pathlib import Path

from etl.waking import FolderWaker


def test_change_in_a_folder_wakes_at_once(tmp_path: Path) -> None:
    with FolderWaker() as waker:
        waker.watch([str(tmp_path)])
        writes = iter(range(1000))
        woken = False
        while not woken and (number := next(writes, None)) is not None:  # the watch may not have begun at the first
            (tmp_path / f"{number}.ndjson").write_text("{}\n")
            woken = waker.wait(0.2)
        assert woken


def test_other_folders_take_the_place_of_those_before(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    with FolderWaker() as waker:
        waker.watch([str(tmp_path / "before")])
        waker.watch([str(tmp_path / "after")])
        waker.watch([str(tmp_path / "after")])
        assert [thread.name for thread in threading.enumerate()].count("etl-watch") == 1
        writes = iter(range(1000))
        woken = False
        while not woken and (number := next(writes, None)) is not None:
            (tmp_path / "after" / f"{number}.ndjson").write_text("{}\n")
            woken = waker.wait(0.2)
        assert woken
        waker.watch([])
        assert "etl-watch" not in {thread.name for thread in threading.enumerate()}


def test_without_a_change_the_time_runs_out() -> None:
    with FolderWaker() as waker:
        assert not waker.wait(0.01)


def test_wish_to_stop_ends_the_wait() -> None:
    with FolderWaker(lambda: True) as waker:
        assert waker.is_stopped
        assert not waker.wait(3600.0)


def test_folder_that_is_not_there_leaves_time_alone_to_wake(tmp_path: Path) -> None:
    with FolderWaker() as waker:
        waker.watch([str(tmp_path / "missing")])
        assert not waker.wait(0.05)


def test_leaving_ends_the_watch(tmp_path: Path) -> None:
    with FolderWaker() as waker:
        waker.watch([str(tmp_path)])
    assert "etl-watch" not in {thread.name for thread in threading.enumerate()}
