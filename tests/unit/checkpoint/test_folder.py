"""The checkpoint folder: one identity for ever, and one runner at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from etl.checkpoint.folder import choose_lease, find_checkpoint, open_checkpoint, take_lease
from etl.checkpoint.lease import FileLease, HeartbeatLease
from etl.checkpoint.record import TornRecordError
from etl.errors import CheckpointError, LeaseHeldError, StorageError
from etl.seam import Seam
from etl.storage import LocalStorage, open_storage
from etl.testing import ManualClock, crash_at

T = TypeVar("T")


class Meanwhile(ManualClock):
    """A clock on whose first effect something else happens."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self._waiting = [act]

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        if self._waiting:
            self._waiting.pop()()
        return super().effect(name, act, torn)


def test_looking_at_a_folder_without_checkpoint_finds_none_and_makes_nothing(tmp_path: Path) -> None:
    assert find_checkpoint(LocalStorage(tmp_path / "orders", Seam()), Seam()) is None
    assert list(tmp_path.iterdir()) == []


def test_first_opening_makes_the_identity_and_later_ones_find_it(tmp_path: Path) -> None:
    storage, seam = LocalStorage(tmp_path, Seam()), ManualClock()
    made = open_checkpoint(storage, "orders", seam)
    assert len(made.identity) == 32
    assert made.url == str(tmp_path)
    assert open_checkpoint(storage, "orders", seam).identity == made.identity
    found = find_checkpoint(storage, seam)
    assert found is not None
    assert found.identity == made.identity
    record = json.loads((tmp_path / "pipeline.json").read_text())
    assert record["body"] == {"name": "orders", "created_at": "2026-01-01T00:00:00+00:00"}
    assert (record["version"], record["kind"], record["epoch"]) == (4, "pipeline", 0)


def test_two_first_openings_at_once_agree_on_one_identity(tmp_path: Path) -> None:
    other: list[str] = []
    seam = Meanwhile(lambda: other.append(open_checkpoint(LocalStorage(tmp_path, Seam()), "orders", Seam()).identity))
    made = open_checkpoint(LocalStorage(tmp_path, seam), "orders", seam)
    assert [made.identity] == other


@pytest.mark.parametrize("at", ["identity.put.write", "identity.put.publish", "identity.put.sync"])
def test_first_opening_that_failed_anywhere_leaves_one_identity_to_the_next(tmp_path: Path, at: str) -> None:
    seam = crash_at(at, "full")
    try:
        first = open_checkpoint(LocalStorage(tmp_path, seam), "orders", seam).identity
    except StorageError:
        first = ""
    second = open_checkpoint(LocalStorage(tmp_path, Seam()), "orders", Seam()).identity
    assert first in ("", second)
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.json"]


def test_plans_without_their_identity_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "orders"
    (folder / "offsets").mkdir(parents=True)
    (folder / "offsets" / "0000000000.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"pipeline\.json is missing, but there are plans") as caught:
        open_checkpoint(LocalStorage(folder, Seam()), "orders", Seam())
    assert caught.value.hint == (
        "restore pipeline.json from a copy, or make the checkpoint again from the tables: etl checkpoint rebuild orders"
    )
    assert not (folder / "pipeline.json").exists()


def test_a_generation_without_its_identity_is_refused_with_what_makes_it_again(tmp_path: Path) -> None:
    folder = tmp_path / "orders"
    (folder / "generation-0002").mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r"pipeline\.2\.json is missing") as caught:
        open_checkpoint(LocalStorage(folder, Seam()), "orders", Seam(), 2)
    assert caught.value.hint == (
        f"restore pipeline.2.json from a copy, or move {folder} away and make the checkpoint again from the tables: "
        "etl checkpoint rebuild orders"
    )


def test_leftovers_that_are_no_plans_do_not_hinder_a_first_opening(tmp_path: Path) -> None:
    (tmp_path / "offsets").mkdir()
    (tmp_path / "offsets" / ".tmp-0000000000.json-x").write_text("{}")
    assert open_checkpoint(LocalStorage(tmp_path, Seam()), "orders", Seam()).identity


def test_torn_identity_is_refused_and_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "pipeline.json").write_bytes(b"")
    with pytest.raises(TornRecordError):
        open_checkpoint(LocalStorage(tmp_path, Seam()), "orders", Seam())
    assert (tmp_path / "pipeline.json").read_bytes() == b""


def test_sweeping_removes_temporary_files_alone(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(LocalStorage(tmp_path, Seam()), "orders", Seam())
    for folder in ("", "epochs", "offsets", "manifests", "commits"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / ".tmp-x").write_text("half")
        (tmp_path / folder / "kept.json").write_text("whole")
    checkpoint.sweep()
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == [
        "commits/kept.json", "epochs/kept.json", "kept.json",
        "manifests/kept.json", "offsets/kept.json", "pipeline.json",
    ]  # fmt: skip


def test_lease_fits_the_storage(tmp_path: Path) -> None:
    assert isinstance(choose_lease(LocalStorage(tmp_path, Seam()), Seam()), FileLease)
    assert isinstance(choose_lease(open_storage("memory://lease", Seam()), Seam()), HeartbeatLease)


def test_taking_the_lease_publishes_the_next_epoch(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(LocalStorage(tmp_path, Seam()), "orders", Seam())
    lease = choose_lease(checkpoint.storage, Seam())
    take_lease(checkpoint, lease)
    assert lease.is_held()
    assert checkpoint.epochs.current == checkpoint.epochs.newest() == 1
    lease.release()


def test_second_runner_is_told_who_holds_the_lease_and_takes_no_epoch(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(LocalStorage(tmp_path, Seam()), "orders", Seam())
    lease = choose_lease(checkpoint.storage, Seam())
    take_lease(checkpoint, lease)
    with pytest.raises(
        LeaseHeldError, match=f"another runner holds this pipeline: process {os.getpid()} on "
    ) as caught:
        take_lease(checkpoint, choose_lease(checkpoint.storage, Seam()))
    assert caught.value.hint == "wait for it, or stop it; nothing was changed"
    assert checkpoint.epochs.newest() == 1
    lease.release()


def test_lease_is_given_back_when_the_epoch_cannot_be_written(tmp_path: Path) -> None:
    open_checkpoint(LocalStorage(tmp_path, Seam()), "orders", Seam())
    seam = crash_at("epoch.put.write", "full")
    checkpoint = open_checkpoint(LocalStorage(tmp_path, seam), "orders", seam)
    lease = choose_lease(checkpoint.storage, Seam())
    with pytest.raises(StorageError, match="no space left on device"):
        take_lease(checkpoint, lease)
    assert not lease.is_held()
