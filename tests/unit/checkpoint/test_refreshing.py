"""The beginning of a full refresh: one record, published by whoever holds the pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from etl.checkpoint.folder import choose_lease, find_checkpoint, open_checkpoint, take_lease
from etl.checkpoint.refreshing import begin_generation
from etl.errors import FencedError, LeaseHeldError, StorageError
from etl.seam import Seam
from etl.storage import LocalStorage, open_storage
from etl.testing import ManualClock, crash_at
from tests.unit.checkpoint.test_folder import Meanwhile

T = TypeVar("T")


def storage_of(root: Path) -> LocalStorage:
    return LocalStorage(root, Seam())


def test_a_generation_says_whom_it_replaces(tmp_path: Path) -> None:
    clock = ManualClock()
    storage = LocalStorage(tmp_path, clock)
    first = open_checkpoint(storage, "orders", clock)
    assert begin_generation(storage, "orders", clock) == 2
    assert begin_generation(storage, "orders", clock) == 3
    second, third = find_checkpoint(storage, clock, 2), find_checkpoint(storage, clock, 3)
    assert second is not None
    assert third is not None
    assert first.replaces is None
    assert second.replaces == (first.identity,)
    assert third.replaces == (first.identity, second.identity)
    assert len({first.identity, second.identity, third.identity}) == 3
    assert json.loads((tmp_path / "pipeline.3.json").read_text())["body"] == {
        "name": "orders",
        "created_at": "2026-01-01T00:00:00+00:00",
        "generation": 3,
        "refresh": True,
        "replaces": [first.identity, second.identity],
    }


def test_beginning_a_generation_keeps_the_runner_of_the_one_before_out(tmp_path: Path) -> None:
    runner = open_checkpoint(storage_of(tmp_path), "orders", Seam())
    runner.epochs.take_over()
    begin_generation(storage_of(tmp_path), "orders", Seam())
    with pytest.raises(FencedError, match="taken over by process"):
        runner.epochs.check()
    with pytest.raises(FencedError, match="a full refresh has just begun"):
        runner.refuse_superseded()


def test_beginning_a_generation_waits_for_the_runner_at_work_and_changes_nothing(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(storage_of(tmp_path), "orders", Seam())
    lease = choose_lease(checkpoint.storage, Seam())
    take_lease(checkpoint, lease)
    with pytest.raises(LeaseHeldError):
        begin_generation(storage_of(tmp_path), "orders", Seam())
    lease.release()
    assert not (tmp_path / "pipeline.2.json").exists()
    assert begin_generation(storage_of(tmp_path), "orders", Seam()) == 2


def test_two_that_begin_a_generation_at_once_make_one(tmp_path: Path) -> None:
    def other() -> None:
        begin_generation(storage_of(tmp_path), "orders", Seam())

    seam = Meanwhile(other)
    with pytest.raises(FencedError, match="a full refresh has just begun"):
        begin_generation(LocalStorage(tmp_path, seam), "orders", seam)
    assert sorted(path.name for path in tmp_path.glob("pipeline*")) == ["pipeline.2.json"]


def test_a_generation_that_another_begins_while_it_is_published_is_left_to_that_one(tmp_path: Path) -> None:
    class Overtaken(Seam):
        def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
            if name == "identity.put.publish":
                (tmp_path / "pipeline.2.json").write_bytes(b"of the other one")
            return super().effect(name, act, torn)

    with pytest.raises(FencedError, match="another full refresh was just begun") as caught:
        begin_generation(LocalStorage(tmp_path, Overtaken()), "orders", Overtaken())
    assert caught.value.hint == "run again without --full-refresh: it goes on"
    assert (tmp_path / "pipeline.2.json").read_bytes() == b"of the other one"


@pytest.mark.parametrize("effect", ["identity.put.write", "identity.put.publish"])
def test_a_generation_that_fails_before_it_is_published_is_not_begun(tmp_path: Path, effect: str) -> None:
    open_checkpoint(storage_of(tmp_path), "orders", Seam())
    seam = crash_at(effect, "full")
    with pytest.raises(StorageError):
        begin_generation(LocalStorage(tmp_path, seam), "orders", seam)
    assert [path.name for path in tmp_path.glob("*pipeline*")] == ["pipeline.json"]
    assert begin_generation(storage_of(tmp_path), "orders", Seam()) == 2


def test_a_generation_is_begun_once_when_the_answer_is_lost(tmp_path: Path) -> None:
    seam = crash_at("identity.put.publish", "error_after")
    assert begin_generation(LocalStorage(tmp_path, seam), "orders", seam) == 2
    assert sorted(path.name for path in tmp_path.glob("pipeline*")) == ["pipeline.2.json"]


def test_a_store_that_creates_twice_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    class Careless(LocalStorage):
        is_local = False

        def create(self, path: str, content: bytes, *, effect: str) -> None:
            self.replace(path, content, effect=effect)

    with pytest.raises(StorageError, match="creates a record twice"):
        begin_generation(Careless(tmp_path, Seam()), "orders", Seam())
    assert not (tmp_path / "pipeline.2.json").exists()


def test_sweeping_a_later_generation_takes_temporary_files_of_the_folder_too(tmp_path: Path) -> None:
    begin_generation(storage_of(tmp_path), "orders", Seam())
    (tmp_path / ".tmp-pipeline.2.json-0a").write_bytes(b"x")
    found = find_checkpoint(storage_of(tmp_path), Seam(), 2)
    assert found is not None
    found.sweep()
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_generation_begins_on_an_object_store_too() -> None:
    storage = open_storage("memory://refreshing/orders", Seam(), {})
    first = open_checkpoint(storage, "orders", Seam())
    assert begin_generation(storage, "orders", Seam()) == 2
    found = find_checkpoint(storage, Seam(), 2)
    assert found is not None
    assert found.replaces == (first.identity,)
    assert found.url == "memory://refreshing/orders/generation-0002"
