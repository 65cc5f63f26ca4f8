from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from etl.balance import Tally
from etl.errors import QuarantineError
from etl.model import BatchPlan
from etl.rejects import LateRows
from etl.sinks.late import Late
from etl.testing import MemorySink
from etl.watermark import micros

TEN = datetime(2026, 1, 1, 10, tzinfo=UTC)
PLAN = BatchPlan(4, TEN, {}, {}, "definition")


def test_late_rows_are_counted_by_their_file_and_keep_the_watermark_that_they_came_behind() -> None:
    tally = Tally()
    tally.set_late(pl.DataFrame({"id": [1, 2], "_source_file": ["a", "b"]}), micros(TEN))
    tally.set_late(pl.DataFrame({"id": [3], "_source_file": ["a"]}), None)
    tally.set_late(pl.DataFrame({"id": []}), None)

    assert tally.counts()["late"] == 3
    assert tally.by_file() == {"a": {"late": 2}, "b": {"late": 1}}
    assert [frame.to_dicts() for frame in tally.late.take()] == [
        [{"id": 1, "_source_file": "a", "_watermark": TEN}, {"id": 2, "_source_file": "b", "_watermark": TEN}],
        [{"id": 3, "_source_file": "a", "_watermark": None}],
    ]
    assert tally.late.take() == []


def test_rows_that_nobody_keeps_are_counted_all_the_same() -> None:
    tally = Tally()
    tally.late.keeps = False
    tally.set_late(pl.DataFrame({"id": [1]}), None)

    assert tally.counts()["late"] == 1
    assert tally.late.take() == []


def test_too_many_late_rows_for_memory_end_the_batch() -> None:
    late = LateRows(most_bytes=8)
    late.add(pl.DataFrame({"id": [1]}), None)

    with pytest.raises(QuarantineError, match="more than 8 bytes of late rows"):
        late.add(pl.DataFrame({"id": [2]}), None)


def staged(*frames: pl.DataFrame) -> Any:
    return Late(MemorySink()).stage(PLAN, "a", frames)


def test_nothing_is_staged_where_no_row_is_late() -> None:
    assert staged() is None


def test_frames_of_several_transforms_lie_in_one_table() -> None:
    files, schema = staged(
        pl.DataFrame({"id": [1], "ts": [TEN], "_watermark": [TEN]}),
        pl.DataFrame({"id": [2], "other": ["x"], "_watermark": [TEN]}),
    )

    assert [file.rows for file in files] == [2]
    assert schema == {
        "id": "int64",
        "ts": "timestamp(UTC)",
        "_watermark": "timestamp(UTC)",
        "other": "string",
    }
