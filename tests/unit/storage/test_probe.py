from __future__ import annotations

from pathlib import Path

import pytest

from etl.checkpoint.folder import open_checkpoint
from etl.errors import StorageError
from etl.seam import Seam
from etl.storage import LocalStorage, open_storage, probe_conditional_create
from etl.testing import crash_at


class Careless(LocalStorage):
    """A store that ignores the condition of a conditional create."""

    is_local = False

    def create(self, path: str, content: bytes, *, effect: str) -> None:
        self.replace(path, content, effect=effect)


def test_probe_accepts_a_local_disk_and_leaves_nothing(tmp_path: Path) -> None:
    assert probe_conditional_create(LocalStorage(tmp_path, Seam()), Seam())
    assert list(tmp_path.iterdir()) == []


def test_probe_accepts_a_memory_filesystem_and_leaves_nothing() -> None:
    storage = open_storage("memory://probed/here", Seam())
    assert probe_conditional_create(storage, Seam())
    assert storage.list() == []


def test_probe_refuses_a_store_that_creates_twice_and_leaves_nothing(tmp_path: Path) -> None:
    assert not probe_conditional_create(Careless(tmp_path, Seam()), Seam())
    assert list(tmp_path.iterdir()) == []


def test_probe_that_cannot_be_carried_out_says_nothing_of_the_store(tmp_path: Path) -> None:
    seam = crash_at("probe.create.write", "full")
    with pytest.raises(StorageError, match="no space left on device"):
        probe_conditional_create(LocalStorage(tmp_path, seam), seam)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_not_begun_on_a_store_that_creates_twice(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="this store creates a record twice"):
        open_checkpoint(Careless(tmp_path, Seam()), "orders", Seam())
    assert list(tmp_path.iterdir()) == []
