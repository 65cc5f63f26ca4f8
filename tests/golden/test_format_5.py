"""This release reads a project in the middle of a full refresh, and goes on from it."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from etl.checkpoint.folder import Checkpoint, find_checkpoint
from etl.engine import run
from etl.model import BatchResult
from etl.operations.verifying import verify
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from etl.storage import LocalStorage
from etl.testing import ManualClock
from tests.golden.make_format_5 import FILES, FOLDER
from tests.readers import table_rows

OLD = [(1, 1.5), (2, 4.0), (3, 8.0)]
NEW = [(1, 15.0), (2, 40.0), (3, 80.0)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = Path(shutil.copytree(FOLDER, tmp_path / "copy"))
    for name in FILES:
        os.utime(copy / name, (1_700_000_000, 1_700_000_000))
    return copy


@pytest.fixture
def checkpoint() -> Checkpoint:
    found = find_checkpoint(LocalStorage(FOLDER / "lake" / "_checkpoints" / "orders", Seam()), Seam(), 2)
    assert found is not None
    return found


def go_on(folder: Path) -> list[BatchResult]:
    clock = ManualClock(datetime(2026, 1, 1, 0, 2, tzinfo=UTC))
    return run(Workspace(folder).wired("orders", clock), clock, Silent())


def rows(folder: Path) -> Counter[tuple[int, float]]:
    return Counter((row["id"], row["amount"]) for row in table_rows(folder / "lake" / "bronze" / "orders"))


def test_the_identity_says_that_the_table_is_built_beside(checkpoint: Checkpoint) -> None:
    assert checkpoint.is_beside
    assert '"version": 5' in (FOLDER / "lake" / "_checkpoints" / "orders" / "pipeline.2.json").read_text()


def test_commit_entries_name_the_version_of_the_log_beside(checkpoint: Checkpoint) -> None:
    entry = checkpoint.commits.read(0)

    assert dict(entry.result.tables) == {}
    assert {role: (side.batch_id, side.version) for role, side in entry.sides.items()} == {"main:beside": (0, 0)}


def test_nothing_in_the_folder_names_the_place_where_it_was_made() -> None:
    for path in FOLDER.rglob("*"):
        assert not path.is_file() or b"/tmp" not in path.read_bytes()


def test_the_refresh_is_brought_to_its_end(folder: Path) -> None:
    assert rows(folder) == Counter(OLD)

    results = go_on(folder)

    assert [(result.batch_id, dict(result.tables)) for result in results] == [(1, {}), (2, {"bronze.orders": 2})]
    assert rows(folder) == Counter(NEW)
    assert go_on(folder) == []
    assert verify(Workspace(folder), "orders", Seam(), is_deep=True).is_ok
