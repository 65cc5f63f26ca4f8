"""This release reads a checkpoint, a table and a quarantine of format version 2, and goes on from them."""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from etl.checkpoint.commit_log import SideState
from etl.checkpoint.folder import Checkpoint, find_checkpoint
from etl.checkpoint.schema_log import SchemaVersion
from etl.engine import run
from etl.model import Json, Schema, SchemaChange
from etl.progress import Silent
from etl.seam import Seam
from etl.storage import LocalStorage
from tests.golden.make_format_2 import FOLDER, pipeline
from tests.readers import table_files, table_rows

IDENTITY = "0000000000000001" * 2
COUNTS = {"added": 0, "filtered": 0, "deduplicated": 0, "late": 0, "folded": 0}
FIRST: Schema = {"id": "int64", "kind": "string", "amount": "float64"}
SECOND: Schema = {**FIRST, "note": {"struct": {"by": "string"}}}
NEW_NOTE = SchemaChange("note", None, {"struct": {"by": "string"}}, "in/2.ndjson")
TABLE: list[tuple[object, ...]] = [
    (1, "a b/é", 1.5, None, "in/1.ndjson", 0, 0),
    (3, "a b/é", 2.5, {"by": "x"}, "in/2.ndjson", 0, 1),
]
THIRD_FILE: list[tuple[object, ...]] = [(4, "c", 3.5, None, "in/3.ndjson", 0, 2)]
QUARANTINE: list[tuple[object, ...]] = [
    ("0-1", 0, "paid", "paid: amount >= 0", '{"id": 2, "kind": null, "amount": -2.0}', "in/1.ndjson", 43, "open"),
    (
        "2-1", 2, "paid", "paid: amount >= 0", '{"id": 5, "kind": "ü", "amount": -0.5, "note": null}',
        "in/3.ndjson", 38, "open",
    ),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "copy"))


@pytest.fixture
def checkpoint() -> Checkpoint:
    found = find_checkpoint(LocalStorage(FOLDER / "checkpoint", Seam()), Seam())
    assert found is not None
    return found


def rows(table: Path, *names: str) -> Counter[str]:
    return Counter(repr(tuple(row.get(name) for name in names)) for row in table_rows(table))


def main_rows(folder: Path) -> Counter[str]:
    return rows(folder / "table", "id", "kind", "amount", "note", "_source_file", "_source_offset", "_batch_id")


def rejected_rows(folder: Path) -> Counter[str]:
    names = ("row_id", "_batch_id", "rule", "reason", "raw", "_source_file", "_source_offset", "status")
    return rows(folder / "quarantine", *names)


def as_text(expected: list[tuple[object, ...]]) -> Counter[str]:
    return Counter(map(repr, expected))


def test_identity_and_epochs_are_read(checkpoint: Checkpoint) -> None:
    assert checkpoint.identity == IDENTITY
    assert checkpoint.epochs.newest() == 2


def test_plans_are_read(checkpoint: Checkpoint) -> None:
    plan = checkpoint.plans.read(2)
    assert checkpoint.plans.log.revisions() == {0: 1, 1: 1, 2: 1}
    assert (plan.batch_at, plan.schemas, plan.wide) == (
        datetime(2026, 1, 1, 0, 0, 22, tzinfo=UTC),
        {"source": SECOND},
        {"source": []},
    )
    assert (plan.resolution, plan.inputs["source"].replaces) == (None, ())


def test_manifests_are_read(checkpoint: Checkpoint) -> None:
    first, second, third = (checkpoint.manifests.read(number) for number in range(3))
    assert first.rows == COUNTS | {"read": 2, "written": 1, "quarantined": 1}
    assert first.files == {"in/1.ndjson": {"read": 2, "written": 1, "quarantined": 1}}
    assert [manifest.checks for manifest in (first, second, third)] == [
        {"paid": 1, "small": 0},
        {"paid": 0, "small": 0},
        {"paid": 1, "small": 1},
    ]
    assert second.schema_changes == (NEW_NOTE,)
    assert second.source_schemas == {"source": SECOND}
    assert [sorted(manifest.tables) for manifest in (first, second, third)] == [
        ["main", "quarantine"],
        ["main"],
        ["main", "quarantine"],
    ]
    assert third.revisions == {}
    for role, table in (("main", "table"), ("quarantine", "quarantine")):
        (file,) = third.tables[role]
        assert (file.rows, file.is_rewrite) == (1, False)
        assert file.size_bytes == (FOLDER / table / file.path).stat().st_size


def test_schema_versions_are_read(checkpoint: Checkpoint) -> None:
    new = tuple(SchemaChange(name, None, tree, "in/1.ndjson") for name, tree in FIRST.items())
    assert checkpoint.schemas.all() == [
        SchemaVersion(0, 0, "source", FIRST, new),
        SchemaVersion(1, 1, "source", SECOND, (NEW_NOTE,)),
    ]


def test_commit_entries_are_read(checkpoint: Checkpoint) -> None:
    first, second = (checkpoint.commits.read(number) for number in range(2))
    side = SideState("00000000-0000-000a-0000-00000000000a", 0, 0)
    assert first.sides == second.sides == {"quarantine": side}
    assert first.result.tables == {"table": 0, "quarantine": 0}
    assert second.result.tables == {"table": 1}
    assert second.result.checks == {"paid": 0, "small": 0}
    assert [dict(change) for change in second.result.schema_changes] == [
        {"column": "note", "before": None, "after": {"struct": {"by": "string"}}, "file": "in/2.ndjson"}
    ]


def test_nothing_in_the_folder_names_the_place_where_it_was_made() -> None:
    for path in FOLDER.rglob("*"):
        assert not path.is_file() or b"/tmp" not in path.read_bytes()


def test_rows_of_both_tables_are_read(folder: Path) -> None:
    assert main_rows(folder) == as_text(TABLE)
    assert rejected_rows(folder) == as_text(QUARANTINE)


def test_unfinished_batch_whose_quarantine_is_committed_is_brought_to_its_end_and_new_input_follows(
    folder: Path,
) -> None:
    more = '{"id": 6, "kind": "c", "amount": 4.5, "more": "new"}\n{"id": 7, "amount": null}\n'
    (folder / "in" / "0.ndjson").write_text(more)
    results = run(pipeline(folder, Seam()), Seam(), Silent())
    assert [(result.batch_id, dict(result.tables)) for result in results] == [
        (2, {"table": 2, "quarantine": 1}),
        (3, {"table": 3, "quarantine": 2}),
    ]
    added: list[tuple[object, ...]] = [(6, "c", 4.5, None, "in/0.ndjson", 0, 3)]
    assert main_rows(folder) == as_text(TABLE + THIRD_FILE + added)
    refused: list[Any] = [("3-1", 3, "paid", "paid: amount >= 0", '{"id": 7}', "in/0.ndjson", len(more) - 26, "open")]
    assert rejected_rows(folder) == as_text(QUARANTINE + refused)
    assert run(pipeline(folder, Seam()), Seam(), Silent()) == []


def test_rows_of_the_quarantine_can_be_marked_in_a_batch_of_their_own(folder: Path) -> None:
    from etl.engine import open_runner
    from tests.leases import Free

    with open_runner(pipeline(folder, Seam()), Seam(), Silent(), Free()) as runner:
        runner.recover()
        units: dict[str, Json] = {"path": [], "size_bytes": [], "modified_ns": []}
        result = runner.run_resolution({"action": "discard", "rows": ["0-1"]}, {"source": units})
    assert dict(result.tables) == {"quarantine": 2}
    names = ("row_id", "status", "resolved_in")
    assert rows(folder / "quarantine", *names) == as_text([("0-1", "discarded", 3), ("2-1", "open", None)])
    assert len(table_files(folder / "quarantine")) == 2
