"""This release reads a project whose checkpoint of format version 4 has two sinks, and goes on from it."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
from tests.golden.make_format_4 import FILES, FOLDER
from tests.readers import table_rows

ROWS = [(1, "a", 1.75, 2), (2, "b", 2.0, 2), (3, "b", 4.0, 1)]
"""Those of the first file came by the batch that read it again."""
FOURTH = (4, "c", 8.0, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = Path(shutil.copytree(FOLDER, tmp_path / "copy"))
    for name in FILES:
        os.utime(copy / name, (1_700_000_000, 1_700_000_000))
    return copy


@pytest.fixture
def checkpoint() -> Checkpoint:
    found = find_checkpoint(LocalStorage(FOLDER / "lake" / "_checkpoints" / "orders", Seam()), Seam())
    assert found is not None
    return found


def go_on(folder: Path) -> list[BatchResult]:
    clock = ManualClock(datetime(2026, 1, 1, 0, 2, tzinfo=UTC))
    return run(Workspace(folder).wired("orders", clock), clock, Silent())


def rows(folder: Path, table: str, *names: str) -> Counter[Any]:
    return Counter(tuple(row[name] for name in names) for row in table_rows(folder / "lake" / table))


def test_plans_are_read_with_what_is_read_again(checkpoint: Checkpoint) -> None:
    plans = [checkpoint.plans.read(number) for number in range(4)]

    assert [None if plan.resolution is None else plan.resolution["action"] for plan in plans] == [
        None,
        None,
        "backfill",
        None,
    ]
    assert plans[2].inputs["source"].span.start == plans[2].inputs["source"].span.end


def test_manifests_are_read_with_the_files_of_every_sink(checkpoint: Checkpoint) -> None:
    manifests = [checkpoint.manifests.read(number) for number in range(4)]

    assert [sorted(each.tables) for each in manifests] == [
        ["main", "slim"],
        ["main", "quarantine", "slim"],
        ["main", "slim"],
        ["main", "slim"],
    ]
    assert [each.rows["written"] for each in manifests] == [2, 1, 2, 1]


def test_commit_entries_are_read_with_the_version_of_every_table(checkpoint: Checkpoint) -> None:
    entry = checkpoint.commits.read(2)

    assert dict(entry.result.tables) == {"bronze.orders": 2, "silver.amounts": 2}
    assert {role: (side.batch_id, side.version) for role, side in entry.sides.items()} == {
        "main": (2, 2),
        "slim": (2, 2),
        "quarantine": (1, 0),
    }


def test_nothing_in_the_folder_names_the_place_where_it_was_made() -> None:
    for path in FOLDER.rglob("*"):
        assert not path.is_file() or b"/tmp" not in path.read_bytes()


def test_a_batch_that_is_in_one_of_two_tables_is_brought_to_its_end(folder: Path) -> None:
    assert rows(folder, "bronze/orders", "id", "customer", "amount", "_batch_id") == Counter(ROWS)
    assert rows(folder, "silver/amounts", "id") == Counter([(1,), (2,), (3,), (4,)])

    results = go_on(folder)

    assert [(result.batch_id, dict(result.tables)) for result in results] == [
        (3, {"bronze.orders": 3, "silver.amounts": 3})
    ]
    assert rows(folder, "bronze/orders", "id", "customer", "amount", "_batch_id") == Counter([*ROWS, FOURTH])
    assert rows(folder, "silver/amounts", "id", "amount") == Counter([(1, 1.75), (2, 2.0), (3, 4.0), (4, 8.0)])
    assert go_on(folder) == []


def test_all_of_it_is_verified(folder: Path) -> None:
    go_on(folder)

    found = verify(Workspace(folder), "orders", Seam(), is_deep=True)

    assert (found.is_ok, len(found.checks)) == (True, 9)
