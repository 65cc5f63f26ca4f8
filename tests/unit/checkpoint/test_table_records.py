"""What the commits of a table keep of the checkpoint."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from etl.checkpoint.commit_log import CommitEntry
from etl.checkpoint.folder import Checkpoint, open_checkpoint
from etl.checkpoint.table_records import TableRecords, kept_batches
from etl.errors import CheckpointError
from etl.model import BatchPlan, BatchResult, Manifest, PlannedInput, Span
from etl.seam import Seam
from etl.storage import LocalStorage


def plan_of(batch: int) -> BatchPlan:
    part = PlannedInput(Span({"n": batch}, {"n": batch + 1}), {"path": [f"{batch}.ndjson"]}, 1, 7)
    return BatchPlan(batch, datetime(2026, 1, 1, tzinfo=UTC), {"in": part}, {"in": {"a": "int64"}}, "hash")


def manifest_of(batch: int) -> Manifest:
    return Manifest(batch, f"attempt-{batch}", {}, {}, {"in": {"a": "int64"}}, {"read": 1, "filtered": 1})


def commit(checkpoint: Checkpoint, batch: int, tables: dict[str, int]) -> None:
    checkpoint.plans.add(plan_of(batch), epoch=1, attempt="one")
    checkpoint.manifests.add(manifest_of(batch), epoch=1)
    result = BatchResult("p", batch, {}, tables, {"read": 1}, None, 7, {})
    checkpoint.commits.add(CommitEntry(result, "one", "", "2026-01-01T00:00:00+00:00", "hash"), epoch=1)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return open_checkpoint(LocalStorage(tmp_path, Seam()), "p", Seam())


def batches(records: TableRecords, batch: int) -> list[int]:
    info = records.told(plan_of(batch), manifest_of(batch))
    return [each.plan.batch_id for each in kept_batches(info, where="t")]


def test_a_plan_and_a_manifest_read_back_as_they_were(checkpoint: Checkpoint) -> None:
    info = TableRecords(checkpoint).told(plan_of(0), manifest_of(0))

    (kept,) = kept_batches(info, where="t")

    assert kept.plan == replace(plan_of(0), wide={"in": []})
    assert kept.manifest == manifest_of(0)


def test_batches_since_the_last_that_a_table_has_are_kept_too(checkpoint: Checkpoint) -> None:
    for batch, tables in enumerate(({"t": 0}, {}, {})):
        commit(checkpoint, batch, tables)

    assert batches(TableRecords(checkpoint), 3) == [1, 2, 3]


def test_a_runner_remembers_what_no_table_has(checkpoint: Checkpoint) -> None:
    records = TableRecords(checkpoint)
    records.settle(plan_of(0), manifest_of(0), is_seen=True)
    records.settle(plan_of(1), manifest_of(1), is_seen=False)

    assert batches(records, 2) == [1, 2]
    records.settle(plan_of(2), manifest_of(2), is_seen=True)
    assert batches(records, 3) == [3]


def test_of_many_batches_that_no_table_has_the_newest_hundred_are_kept(checkpoint: Checkpoint) -> None:
    records = TableRecords(checkpoint)
    records.settle(plan_of(0), manifest_of(0), is_seen=True)
    for batch in range(1, 121):
        records.settle(plan_of(batch), manifest_of(batch), is_seen=False)

    assert batches(records, 121) == list(range(21, 122))


def test_a_commit_without_records_keeps_none_and_a_damaged_one_is_refused() -> None:
    assert kept_batches({"etl.batch_id": "1"}, where="t") == []
    with pytest.raises(CheckpointError, match="cannot be read"):
        kept_batches({"etl.records": "AAAA"}, where="t")
