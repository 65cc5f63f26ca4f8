"""The beginning of a rewind, and the records that it copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from etl.checkpoint.folder import Checkpoint, find_checkpoint, open_checkpoint
from etl.checkpoint.generations import newest_generation
from etl.checkpoint.rewinding import (
    Rewind,
    UnfinishedRewindError,
    begin_rewind,
    copy_records,
    is_unfinished,
    read_rewind,
    refuse_unfinished,
)
from etl.errors import CheckpointError, FencedError
from etl.seam import Seam
from etl.storage import LocalStorage

REWIND = Rewind(1, 1, {"main": {"version": 3}})


@pytest.fixture
def old(tmp_path: Path) -> Checkpoint:
    """Return a checkpoint with records of three batches."""
    checkpoint = open_checkpoint(LocalStorage(tmp_path, Seam()), "orders", Seam())
    for batch in range(3):
        for log in (checkpoint.plans.log, checkpoint.manifests.log, checkpoint.commits.log):
            log.add(batch, {"number": batch}, epoch=7, attempt=f"a{batch}")
        checkpoint.schemas.log.add(batch, {"batch": batch}, epoch=7, attempt="s")
    checkpoint.manifests.log.add(1, {"number": 11}, epoch=7, attempt="again", revision=2)
    return checkpoint


def begun(old: Checkpoint) -> Checkpoint:
    generation = begin_rewind(old, "orders", REWIND, Seam())
    found = find_checkpoint(old.folder, Seam(), generation)
    assert found is not None
    return found


def as_it_is(kind: str, number: int, body: dict[str, Any]) -> dict[str, Any]:
    return body if kind != "commit" else {**body, "seen": number}


def test_a_rewind_is_the_next_generation_and_names_those_before(old: Checkpoint) -> None:
    new = begun(old)

    assert newest_generation(old.folder) == new.generation == 2
    assert new.replaces == (old.identity,)
    assert read_rewind(new) == REWIND
    assert is_unfinished(new)
    assert not is_unfinished(old)


def test_a_rewind_that_is_not_finished_is_not_looked_at(old: Checkpoint) -> None:
    new = begun(old)
    refuse_unfinished(old, "orders")

    with pytest.raises(UnfinishedRewindError) as raised:
        refuse_unfinished(new, "orders")
    assert raised.value.hint == "finish it: etl run orders"


def test_a_second_rewind_at_the_same_moment_is_fenced(old: Checkpoint) -> None:
    begun(old)

    with pytest.raises(FencedError):
        begin_rewind(old, "orders", REWIND, Seam())


def test_records_up_to_the_batch_are_copied_in_their_newest_revision(old: Checkpoint) -> None:
    new = begun(old)
    copy_records(old, new, 1, as_it_is)
    copy_records(old, new, 1, as_it_is)

    logs = (new.plans.log, new.manifests.log, new.commits.log, new.schemas.log)
    assert [log.revisions() for log in logs] == [{0: 1, 1: 1}] * 4
    manifest, entry = new.manifests.log.read(1), new.commits.log.read(1)
    assert (manifest.pipeline, manifest.epoch, manifest.attempt, manifest.body) == (
        new.identity,
        1,
        "again",
        {"number": 11},
    )
    assert entry.body == {"number": 1, "seen": 1}
    assert not is_unfinished(new)


def test_a_rewind_whose_plan_is_lost_is_refused(old: Checkpoint, tmp_path: Path) -> None:
    new = begun(old)
    next(tmp_path.glob("rewind.2-*.json")).unlink()

    with pytest.raises(CheckpointError, match="is missing"):
        read_rewind(new)
