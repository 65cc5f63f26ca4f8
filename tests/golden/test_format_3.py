"""This release reads a project whose checkpoint of format version 3 remembers things, and goes on from it."""

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
from etl.model import BatchResult, Json, SchemaChange, Span
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from etl.state.reading import StateReader
from etl.storage import LocalStorage
from etl.testing import ManualClock
from tests.golden.make_format_3 import FILES, FOLDER, WITH_OLD, declare
from tests.readers import table_rows

HEAD = "id,user,at,amount\n"
PINS = {"transforms[2].join: ref.users": {"delta": "00000000-0000-000a-0000-00000000000a", "version": 0}}
WINDOWS = [("DE", 10, 0, 2, 0.5, 1, 0), ("FR", 9, 45, 1, 2.0, 1, 0)]
THIRD = [("DE", 10, 15, 1, 4.0, 1, 2), ("FR", 10, 15, 2, 7.5, 1, 2), (None, 10, 15, 1, 16.0, 1, 2)]
LATE = [(9, "a", 32.0, 10, "events/2.ndjson", 1), (11, "b", 128.0, 10, "events/3.ndjson", 2)]
QUARANTINE = [
    ("0-1", "type", "events/1.ndjson", "events", "open"),
    ("0-2", "syntax", "refunds/1.csv", "refunds", "open"),
]


def at(hour: int, minute: int) -> datetime:
    return datetime(2025, 12, 31, hour, minute, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = Path(shutil.copytree(FOLDER, tmp_path / "copy"))
    for name in FILES:
        os.utime(copy / name, (1_700_000_000, 1_700_000_000))
    return copy


@pytest.fixture
def checkpoint() -> Checkpoint:
    found = find_checkpoint(LocalStorage(FOLDER / "lake" / "_checkpoints" / "events", Seam()), Seam())
    assert found is not None
    return found


def go_on(folder: Path) -> list[BatchResult]:
    clock = ManualClock(datetime(2026, 1, 1, 0, 2, tzinfo=UTC))
    return run(Workspace(folder).wired("events", clock), clock, Silent())


def windows(folder: Path) -> Counter[Any]:
    """Return the rows of the table; of the start of a window its hour and minute."""
    found = table_rows(folder / "lake" / "gold" / "spent")
    assert all((row["window_end"] - row["window_start"]).total_seconds() == 900 for row in found)
    names = ("n", "total", "users", "_batch_id")
    return Counter(
        (row["country"], row["window_start"].hour, row["window_start"].minute, *(row[name] for name in names))
        for row in found
    )


def late_rows(folder: Path) -> Counter[Any]:
    found = table_rows(folder / "lake" / "gold" / "spent__late")
    assert {row["_watermark"] for row in found} == {at(10, 15)}
    return Counter(
        (row["id"], row["user"], row["amount"], row["_watermark"].hour, row["_source_file"], row["_batch_id"])
        for row in found
    )


def rejected_rows(folder: Path) -> Counter[Any]:
    names = ("row_id", "rule", "_source_file", "source", "status")
    return Counter(
        tuple(row[name] for name in names) for row in table_rows(folder / "lake" / "gold" / "spent__quarantine")
    )


def test_plans_are_read_with_clocks_pins_and_the_places_of_all_sources(checkpoint: Checkpoint) -> None:
    first, second, third = (checkpoint.plans.read(number) for number in range(3))

    assert (first.watermark, first.clocks, first.pins) == (None, {}, PINS)
    assert third.watermark == "2025-12-31T10:15:00+00:00"
    assert third.clocks == {
        "": {"at": "2025-12-31T10:16:00+00:00", "seen_at": "2026-01-01T00:00:34+00:00"},
        "refunds": {"at": "2025-12-31T10:15:00+00:00", "seen_at": "2026-01-01T00:00:22+00:00"},
    }
    assert third.pins == PINS
    refunds, old = second.inputs["refunds"], third.inputs["old"]
    place: dict[str, Json] = {"files": 1, "batches": 1}
    assert (refunds.span, refunds.units, refunds.previous, refunds.is_retired) == (Span(place, place), {}, None, False)
    assert (old.span, old.units, old.previous, old.is_retired) == (Span(place, place), {}, 0, True)
    assert third.inputs["refunds"].previous == 0


def test_manifests_are_read_with_event_time_state_and_counts(checkpoint: Checkpoint) -> None:
    first, second, third = (checkpoint.manifests.read(number) for number in range(3))

    assert [each.watermark for each in (second, third)] == ["2025-12-31T10:15:00+00:00", "2025-12-31T10:40:00+00:00"]
    assert third.clocks["refunds"] == {"at": "2025-12-31T10:40:00+00:00", "seen_at": "2026-01-01T00:00:45+00:00"}
    assert [each.rows["late"] for each in (first, second, third)] == [0, 1, 1]
    assert (second.rows["deduplicated"], first.rows["folded"], third.rows["added"]) == (1, 6, 3)
    assert {name: ref.rows for name, ref in third.state.items()} == {"deduplicate": 2, "group_by": 1}
    assert SchemaChange("amount", None, "float64", "old/1.ndjson", "old") in first.schema_changes
    assert [sorted(each.tables) for each in (first, second, third)] == [
        ["main", "quarantine"],
        ["late"],
        ["late", "main"],
    ]


def test_commit_entries_are_read_with_the_size_of_state(checkpoint: Checkpoint) -> None:
    entry = checkpoint.commits.read(1)

    assert entry.result.watermark == "2025-12-31T10:15:00+00:00"
    assert {name: size["rows"] for name, size in entry.result.state.items()} == {"deduplicate": 4, "group_by": 3}
    assert {role: (side.batch_id, side.version) for role, side in entry.sides.items()} == {
        "main": (0, 0),
        "late": (1, 0),
        "quarantine": (0, 0),
    }


@pytest.mark.parametrize(("batch", "keys"), [(0, [3, 5, 7]), (1, [3, 5, 7, 8]), (2, [10, 12])])
def test_state_of_every_batch_is_read(batch: int, keys: list[int], checkpoint: Checkpoint) -> None:
    storage = checkpoint.storage.at("state").at("deduplicate")
    reader = StateReader(storage, checkpoint.manifests.read(batch).state["deduplicate"])
    (table,) = reader.tables

    assert sorted(key for frame in reader.scan(table) for key in frame["id"]) == keys


def test_nothing_in_the_folder_names_the_place_where_it_was_made() -> None:
    for path in FOLDER.rglob("*"):
        assert not path.is_file() or b"/tmp" not in path.read_bytes()


def test_rows_of_all_tables_are_read(folder: Path) -> None:
    assert windows(folder) == Counter(WINDOWS)
    assert late_rows(folder) == Counter(LATE)
    assert rejected_rows(folder) == Counter(QUARANTINE)


def test_unfinished_batch_is_brought_to_its_end_and_state_and_event_time_go_on(folder: Path) -> None:
    (folder / "events" / "4.ndjson").write_text(
        '{"id": 10, "user": "a", "at": "2025-12-31T10:59:00Z", "amount": 64.0}\n'
        '{"id": 13, "user": "b", "at": "2025-12-31T11:30:00Z", "amount": 1.0}\n'
    )
    (folder / "refunds" / "3.csv").write_text(f"{HEAD}14,a,2025-12-31T11:20:00Z,-4.0\n")

    results = go_on(folder)

    assert [(result.batch_id, dict(result.tables)) for result in results] == [
        (2, {"gold.spent": 1, "gold.spent__late": 1}),
        (3, {"gold.spent": 2}),
    ]
    assert results[1].watermark == "2025-12-31T11:10:00+00:00"
    assert results[1].rows["deduplicated"] == 1
    assert windows(folder) == Counter([*WINDOWS, *THIRD, ("DE", 10, 45, 2, 62.0, 1, 3)])
    assert late_rows(folder) == Counter(LATE)
    assert rejected_rows(folder) == Counter(QUARANTINE)
    assert go_on(folder) == []


def test_source_that_was_taken_away_goes_on_where_it_stood(folder: Path) -> None:
    declare(folder, WITH_OLD)
    (folder / "old" / "2.ndjson").write_text('{"id": 15, "user": "b", "at": "2025-12-31T10:45:00Z", "amount": 3.0}\n')

    results = go_on(folder)

    assert [result.batch_id for result in results] == [2, 3]
    assert results[1].offsets["old"] == {"start": {"files": 1, "batches": 1}, "end": {"files": 2, "batches": 2}}
    assert (results[1].rows["read"], results[1].rows["folded"]) == (1, 1)
    assert windows(folder) == Counter([*WINDOWS, *THIRD])
