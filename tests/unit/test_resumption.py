"""What a start finds, and what it hands on."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable

from etl.engine import run
from etl.errors import CheckpointError, EtlError, StorageError, TableStateError
from etl.model import Bounds, PlannedInput
from etl.progress import Silent
from etl.resumption import take_stock
from etl.seam import Seam
from etl.testing import MemorySink, MemorySource, crash_at
from tests.faults.crash_lab import memory_rows
from tests.readers import table_rows
from tests.wiring import fed, pipeline_in


def test_manifest_without_its_plan_is_refused(tmp_path: Path) -> None:
    run(memory_rows(tmp_path, Seam()), Seam(), Silent(), Bounds(2))
    seam = crash_at("table.commit.write", "full")
    with pytest.raises(StorageError):
        run(memory_rows(tmp_path, seam), seam, Silent())
    (tmp_path / "checkpoint" / "offsets" / "0000000002.json").unlink()
    with pytest.raises(
        CheckpointError, match="the newest manifest is of batch 2, the newest plan of batch 1"
    ) as caught:
        run(memory_rows(tmp_path, Seam()), Seam(), Silent())
    assert "etl checkpoint rebuild test" in caught.value.hint
    assert len(table_rows(tmp_path / "table")) == 4


def test_batch_that_was_rolled_back_before_its_entry_was_written_is_refused(tmp_path: Path) -> None:
    run(memory_rows(tmp_path, Seam()), Seam(), Silent())
    (tmp_path / "checkpoint" / "commits" / "0000000002.json").unlink()
    DeltaTable(tmp_path / "table").restore(1)
    with pytest.raises(TableStateError) as caught:
        run(memory_rows(tmp_path, Seam()), Seam(), Silent())
    assert caught.value.kind == "table_behind"
    assert not (tmp_path / "checkpoint" / "commits" / "0000000002.json").exists()


def test_looking_at_a_torn_record_changes_nothing(tmp_path: Path) -> None:
    pipeline = memory_rows(tmp_path, Seam())
    run(pipeline, Seam(), Silent())
    torn = tmp_path / "checkpoint" / "offsets" / "0000000003.json"
    torn.write_bytes(b"{")
    from etl.checkpoint.folder import find_checkpoint

    checkpoint = find_checkpoint(pipeline.checkpoint, Seam())
    assert checkpoint is not None
    with pytest.raises(EtlError, match="torn or altered"):
        take_stock(checkpoint, pipeline.flow, mend=False)
    assert torn.read_bytes() == b"{"


def test_standing_of_a_pipeline_that_never_ran_is_the_beginning(tmp_path: Path) -> None:
    from etl.checkpoint.folder import open_checkpoint

    pipeline = pipeline_in(tmp_path, fed(), MemorySink())
    standing = take_stock(open_checkpoint(pipeline.checkpoint, "test", Seam()), pipeline.flow, mend=False)
    assert (standing.planned, standing.committed, standing.offset("source"), standing.known("source")) == (
        -1,
        -1,
        None,
        None,
    )


class Folding(MemorySource):
    """A source whose own ledger holds the first two batches."""

    def __init__(self) -> None:
        super().__init__()
        self.restored: list[int] = []

    @property
    def folded_upto(self) -> int | None:
        return 1

    def restore(self, committed: list[tuple[int, PlannedInput]]) -> None:
        self.restored += [batch_id for batch_id, _ in committed]


def test_source_is_handed_the_plans_that_its_own_ledger_lacks(tmp_path: Path) -> None:
    sink, source = MemorySink(), Folding()
    fed(*[[{"id": number}] for number in range(4)], source=source)
    run(pipeline_in(tmp_path, source, sink), Seam(), Silent())
    source.restored.clear()
    run(pipeline_in(tmp_path, source, sink), Seam(), Silent())
    assert source.restored == [2, 3]
