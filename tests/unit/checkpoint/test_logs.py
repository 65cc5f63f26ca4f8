"""Plans, manifests and commit entries: read back as they were written, and one winner per batch."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from etl.checkpoint.commit_log import CommitEntry, commit_info
from etl.checkpoint.folder import Checkpoint
from etl.errors import RecordExistsError
from etl.model import BatchPlan, BatchResult, Manifest, PlannedInput, Span, StagedFile
from etl.storage import LocalStorage
from etl.testing import ManualClock

PLAN = BatchPlan(
    batch_id=3,
    batch_at=datetime(2026, 1, 1, 10, 30, 0, 123456, tzinfo=UTC),
    inputs={"source": PlannedInput(Span({"files": 2}, {"files": 4}), {"path": ["in/é.ndjson", "b"]}, 2, 1234)},
    schemas={"source": {"id": "int64", "tags": {"list": "string"}, "place": {"struct": {"x": "float64"}}}},
    definition="d1",
    wide={"source": ["id"]},
)
MANIFEST = Manifest(
    batch_id=3,
    attempt="a1",
    tables={
        "main": (
            StagedFile("kind=a%20b/part-1.parquet", 812, 2, {"kind": "a b"}, {"numRecords": 2, "minValues": {"id": 1}}),
            StagedFile("kind=__HIVE_DEFAULT_PARTITION__/part-2.parquet", 700, 1, {"kind": None}),
        )
    },
    table_schemas={"main": {"id": "int64", "kind": "string"}},
    source_schemas={"source": {"id": "int64"}},
    rows={"read": 3, "written": 3},
    units={"source": {"rows": [2, 1]}},
    watermark="2026-01-01T00:00:00+00:00",
    bytes_read=1234,
)
RESULT = BatchResult(
    "orders", 3, {"source": {"start": None, "end": {"n": 1}}}, {"silver.orders": 4}, {"read": 3}, None, 9, {}
)
ENTRY = CommitEntry(RESULT, "a1", "table-1", "2026-01-01T00:00:00+00:00", "d1")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    clock = ManualClock()
    return Checkpoint(LocalStorage(tmp_path, clock), "p-1", clock)


def body(checkpoint: Checkpoint, path: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(checkpoint.storage.read(path))["body"]
    return found


def test_plan_is_read_back_as_it_was_written(checkpoint: Checkpoint) -> None:
    checkpoint.plans.add(PLAN, epoch=1, attempt="a1")
    assert checkpoint.plans.read(3) == PLAN
    assert "reason" not in body(checkpoint, "offsets/0000000003.json")


def test_first_plan_has_no_start_and_may_have_no_schema(checkpoint: Checkpoint) -> None:
    planned = PlannedInput(Span(None, {"files": 1}), {})
    first = BatchPlan(0, PLAN.batch_at, {"source": planned}, {"source": None}, "d1", "w", {"source": []})
    checkpoint.plans.add(first, epoch=1, attempt="a1")
    assert checkpoint.plans.read(0) == first


def test_amended_plan_says_why(checkpoint: Checkpoint) -> None:
    checkpoint.plans.add(PLAN, epoch=1, attempt="a1")
    checkpoint.plans.add(PLAN, epoch=1, attempt="a2", revision=2, reason="in/b changed")
    assert body(checkpoint, "offsets/0000000003.2.json")["reason"] == "in/b changed"
    assert checkpoint.plans.read(3, 2) == PLAN


def test_second_plan_of_a_batch_is_refused(checkpoint: Checkpoint) -> None:
    checkpoint.plans.add(PLAN, epoch=1, attempt="a1")
    with pytest.raises(RecordExistsError):
        checkpoint.plans.add(PLAN, epoch=2, attempt="a2")


def test_manifest_is_read_back_as_it_was_written(checkpoint: Checkpoint) -> None:
    assert checkpoint.manifests.add(MANIFEST, epoch=1) == MANIFEST
    assert checkpoint.manifests.read(3) == MANIFEST
    assert "reason" not in body(checkpoint, "manifests/0000000003.json")


def test_loser_of_a_batch_is_handed_the_manifest_of_the_winner(checkpoint: Checkpoint) -> None:
    checkpoint.manifests.add(MANIFEST, epoch=1)
    other = Manifest(3, "a2", {"main": ()}, {"main": {}}, {"source": {}}, {"read": 0})
    assert checkpoint.manifests.add(other, epoch=2) == MANIFEST


def test_manifest_that_replaces_a_lost_one_says_why(checkpoint: Checkpoint) -> None:
    checkpoint.manifests.add(MANIFEST, epoch=1)
    again = Manifest(3, "a2", {"main": ()}, {"main": {}}, {"source": {}}, {"read": 0})
    assert checkpoint.manifests.add(again, epoch=2, revision=2, reason="a file is gone").attempt == "a2"
    assert body(checkpoint, "manifests/0000000003.2.json")["reason"] == "a file is gone"
    assert checkpoint.manifests.read(3, 2) == again


def test_commit_entry_is_read_back_as_it_was_written(checkpoint: Checkpoint) -> None:
    checkpoint.commits.add(ENTRY, epoch=1)
    checkpoint.commits.add(ENTRY, epoch=1)
    assert checkpoint.commits.read(3) == ENTRY


def test_commit_entry_of_another_runner_stands(checkpoint: Checkpoint) -> None:
    checkpoint.commits.add(ENTRY, epoch=1)
    checkpoint.commits.add(CommitEntry(RESULT, "a2", "table-1", "2026-01-02T00:00:00+00:00", "d1"), epoch=2)
    assert checkpoint.commits.read(3).attempt == "a1"


def test_commit_info_tells_which_offsets_made_the_version_and_is_all_text() -> None:
    info = commit_info("orders", "p-1", PLAN, MANIFEST)
    assert info == {
        "etl.pipeline": "orders",
        "etl.pipeline_id": "p-1",
        "etl.batch_id": "3",
        "etl.attempt": "a1",
        "etl.offsets": '{"source":{"path":["in/é.ndjson","b"]}}',
        "etl.rows": '{"read":3,"written":3}',
        "etl.definition": "d1",
    }


def test_a_plan_keeps_the_pins_of_static_tables(checkpoint: Checkpoint) -> None:
    plan = replace(PLAN, batch_id=0, pins={"transforms[1].join": {"delta": "t-1", "version": 7}})
    checkpoint.plans.add(plan, epoch=1, attempt="a1")

    assert checkpoint.plans.read(0) == plan
    assert body(checkpoint, "offsets/0000000000.json")["pins"] == {"transforms[1].join": {"delta": "t-1", "version": 7}}


@pytest.mark.parametrize(
    ("pins", "told"),
    [
        ({"join": {"delta": "t-1", "version": 7}}, {"join": {"delta": "t-1", "version": 7}}),
        (
            {"join": {"files": [[f"reference/{number:06}.csv", 9, "1.5"] for number in range(1000)]}},
            {"digest": "e43c", "plan": "offsets/0000000003.json"},
        ),
    ],
)
def test_commit_info_tells_the_pins_or_the_plan_that_has_them(pins: Any, told: dict[str, Any]) -> None:
    found = json.loads(str(commit_info("orders", "p-1", replace(PLAN, pins=pins), MANIFEST)["etl.pins"]))

    if "digest" in told:
        found["digest"] = found["digest"][:4]
    assert found == told


@pytest.mark.parametrize("count", [100, 101])
def test_commit_info_lists_up_to_a_hundred_units_and_digests_more(count: int) -> None:
    units = {"path": [f"{number}" for number in range(count)], "root": "in"}
    plan = BatchPlan(42, PLAN.batch_at, {"source": PlannedInput(Span(None, {}), units)}, {"source": None}, "d1")  # type: ignore[arg-type]
    offsets = json.loads(str(commit_info("orders", "p-1", plan, MANIFEST)["etl.offsets"]))["source"]
    if count == 100:
        assert offsets == units
    else:
        assert offsets == {"count": 101, "digest": offsets["digest"], "plan": "offsets/0000000042.json"}
        assert len(offsets["digest"]) == 32


def test_commit_info_of_a_source_without_lists_is_whole() -> None:
    plan = BatchPlan(1, PLAN.batch_at, {"source": PlannedInput(Span(None, {}), {})}, {"source": None}, "d1")
    assert commit_info("orders", "p-1", plan, MANIFEST)["etl.offsets"] == '{"source":{}}'
