"""Records on a local disk: whole, synced, owned, and swept when a crash left half of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from etl.seam import Seam
from etl.storage import LocalStorage
from etl.testing import FailingSeam, ManualClock, crash_at

T = TypeVar("T")


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def test_creating_goes_through_folder_write_publish_and_sync(tmp_path: Path) -> None:
    seam = FailingSeam()
    storage = LocalStorage(tmp_path / "a" / "b", seam)
    storage.create("c/1.json", b"1", effect="plan.put")
    storage.create("c/2.json", b"2", effect="plan.put")
    assert seam.names == [
        "plan.put.folder", "plan.put.write", "plan.put.publish", "plan.put.sync",
        "plan.put.write", "plan.put.publish", "plan.put.sync",
    ]  # fmt: skip
    assert names(tmp_path) == ["a/b/c/1.json", "a/b/c/2.json"]


def test_record_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    LocalStorage(tmp_path, Seam()).create("1.json", b"1", effect="e")
    assert (tmp_path / "1.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("method", ["create", "replace"])
@pytest.mark.parametrize("failure", ["error_before", "error_after", "torn"])
@pytest.mark.parametrize("at", ["e.folder", "e.write", "e.publish", "e.sync"])
def test_failed_write_leaves_the_whole_record_or_none_and_no_temporary_file(
    tmp_path: Path, at: str, failure: str, method: str
) -> None:
    storage = LocalStorage(tmp_path / "f", crash_at(at, failure))  # type: ignore[arg-type]
    with pytest.raises(OSError, match=at):
        getattr(storage, method)("1.json", b"content", effect="e")
    is_published = at == "e.sync" or (at, failure) == ("e.publish", "error_after")
    assert names(tmp_path) == (["f/1.json"] if is_published else [])
    assert not is_published or storage.read("1.json") == b"content"


def test_failed_replacement_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_bytes(b"old")
    with pytest.raises(OSError, match="no space left"):
        LocalStorage(tmp_path, crash_at("e.write", "full")).replace("1.json", b"new", effect="e")
    assert (tmp_path / "1.json").read_bytes() == b"old"


class FolderTaken(Seam):
    """A seam with another process that makes the folder just before we do."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        if name == "e.folder":
            self._folder.mkdir(parents=True)
        return act()


def test_folder_that_another_process_makes_at_the_same_moment_does_no_harm(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "a" / "b", FolderTaken(tmp_path / "a" / "b"))
    storage.create("1.json", b"1", effect="e")
    assert storage.list() == ["1.json"]


def test_syncing_reaches_the_files_and_every_folder_up_to_the_root(tmp_path: Path) -> None:
    seam = FailingSeam()
    (tmp_path / "k=1").mkdir()
    (tmp_path / "k=1" / "x.parquet").write_bytes(b"x")
    LocalStorage(tmp_path, seam).sync(iter(["k=1/x.parquet"]), effect="data.sync")
    assert seam.names == ["data.sync"]


def test_syncing_a_file_that_is_gone_fails(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LocalStorage(tmp_path, Seam()).sync(["gone"], effect="data.sync")


def temporary(folder: Path, name: str, age_s: float) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("half")
    then = ManualClock().now().timestamp() - age_s
    os.utime(path, (then, then))
    return path


def test_sweep_removes_old_temporary_files_directly_inside_the_folder(tmp_path: Path) -> None:
    old, young = temporary(tmp_path, "f/.tmp-old", 61), temporary(tmp_path, "f/.tmp-young", 59)
    record, below = temporary(tmp_path, "f/record", 99), temporary(tmp_path, "f/g/.tmp-below", 99)
    seam = ManualClock()
    LocalStorage(tmp_path, seam).sweep("f", older_than_s=60.0, effect="sweep")
    assert [path.exists() for path in (old, young, record, below)] == [False, True, True, True]
    LocalStorage(tmp_path / "f", seam).sweep("", older_than_s=0.0, effect="sweep")
    assert not young.exists()
    LocalStorage(tmp_path / "none", seam).sweep("", older_than_s=0.0, effect="sweep")


def test_sweep_passes_over_a_temporary_file_that_vanishes_meanwhile(tmp_path: Path) -> None:
    (tmp_path / ".tmp-gone").symlink_to(tmp_path / "nowhere")
    kept = temporary(tmp_path, ".tmp-young", -60)
    LocalStorage(tmp_path, ManualClock()).sweep("", older_than_s=0.0, effect="sweep")
    assert kept.exists()


def test_records_are_for_their_owner_alone_and_those_of_a_shared_folder_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        LocalStorage(tmp_path / "checkpoint", Seam()).create("a.json", b"{}", effect="a")
        LocalStorage(tmp_path / "table", Seam(), is_shared=True).at("_delta_log").create("0.json", b"{}", effect="a")
    finally:
        os.umask(before)
    assert (tmp_path / "checkpoint" / "a.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "table" / "_delta_log" / "0.json").stat().st_mode & 0o777 == 0o644
