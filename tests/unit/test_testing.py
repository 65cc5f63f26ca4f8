"""The testing kit keeps the promises that users' tests rest on."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.balance import Tally
from etl.engine import run
from etl.errors import EtlError, RowError, SchemaDriftError, SourceChangedError, TableStateError
from etl.model import Manifest, PlannedInput, ReadLimit
from etl.operations.refreshing import begin_refresh
from etl.progress import Silent
from etl.schema_contract import Survey
from etl.seam import Seam
from etl.storage import LocalStorage
from etl.testing import FailingSeam, ManualClock, MemorySink, MemorySource, crash_at, memory_pipeline, multiset

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DYING = """
import sys
from etl.testing import crash_at
crash_at(1, sys.argv[1]).effect("step", lambda: print("done", flush=True))
print("survived", flush=True)
"""


def test_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock()
    assert (clock.now(), clock.monotonic()) == (datetime(2026, 1, 1, tzinfo=UTC), 0.0)
    clock.advance(90)
    clock.sleep(0.5)
    assert (clock.now(), clock.monotonic()) == (datetime(2026, 1, 1, 0, 1, 30, 500000, tzinfo=UTC), 90.5)


def test_real_seam_tells_aware_time_and_carries_effects_out() -> None:
    seam = Seam()
    assert seam.now().tzinfo is UTC
    assert seam.monotonic() <= seam.monotonic()
    assert len({seam.new_id() for _ in range(100)}) == 100
    assert seam.effect("name", lambda: 5) == 5
    seam.sleep(0)


def test_failing_seam_counts_effects_and_fails_at_its_own_alone() -> None:
    done: list[str] = []
    seam = crash_at(2, "error_before")
    seam.effect("one", lambda: done.append("one"))
    with pytest.raises(OSError, match=r"\[Errno 5\] two failed"):
        seam.effect("two", lambda: done.append("two"))
    seam.effect("three", lambda: done.append("three"))
    assert (seam.names, done) == (["one", "two", "three"], ["one", "three"])


def test_failing_seam_fails_at_the_first_effect_of_a_name() -> None:
    seam = crash_at("b", "error_before")
    assert seam.effect("a", lambda: 1) == 1
    with pytest.raises(OSError, match="b failed"):
        seam.effect("b", lambda: 2)
    assert seam.effect("b", lambda: 2) == 2


def test_lost_answer_comes_after_the_effect() -> None:
    done: list[int] = []
    with pytest.raises(OSError, match="the answer to put was lost after None"):
        crash_at(1, "error_after").effect("put", lambda: done.append(1))
    assert done == [1]


@pytest.mark.parametrize("failure", ["torn", "full"])
def test_torn_and_full_leave_half_of_the_effect(failure: Any) -> None:
    done: list[str] = []
    with pytest.raises(OSError, match="no space left on device"):
        crash_at(1, failure).effect("put", lambda: done.append("whole"), lambda: done.append("half"))
    with pytest.raises(OSError, match="no space left on device"):
        crash_at(1, failure).effect("put", lambda: done.append("whole"))
    assert done == ["half"]


@pytest.mark.parametrize(("failure", "printed"), [("kill_before", ""), ("kill_after", "done\n")])
def test_kill_ends_the_process_at_once(failure: str, printed: str) -> None:
    ended = subprocess.run([sys.executable, "-c", DYING, failure], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (-9, printed)


@pytest.mark.parametrize("failure", ["kill_before", "kill_after"])
def test_kill_sends_the_signal_to_its_own_process(monkeypatch: pytest.MonkeyPatch, failure: Any) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda process, number: sent.append((process, number)))
    with pytest.raises(OSError, match="was lost"):
        crash_at(1, failure).effect("put", lambda: None)
    assert sent == [(os.getpid(), 9)]


def test_failing_seam_does_not_wait() -> None:
    FailingSeam().sleep(1e9)


def planned(source: MemorySource, max_files: int | None = None) -> PlannedInput:
    found = source.latest(None, ReadLimit(max_files=max_files))
    assert found is not None
    return found


def test_memory_source_takes_rows_and_frames() -> None:
    source = MemorySource()
    source.add([{"id": 1}, {"id": None}])
    source.add(pl.DataFrame({"id": [3], "x": ["a"]}))
    found = planned(source)
    assert source.survey(found, None, NOW).schema == {"id": "int64", "x": "string"}
    assert (found.files, found.span.start, found.span.end) == (2, None, {"units": 2})
    assert planned(source, 1).span.end == {"units": 1}


def test_memory_source_keeps_a_declared_schema() -> None:
    source = MemorySource({"id": "int8", "x": "string"})
    source.add([{"id": 1}])
    rows = source.read(planned(source), Survey({"id": "int8", "x": "string"}), (), Tally()).rows.collect()
    assert rows.schema == pl.Schema({"id": pl.Int8, "x": pl.String})
    assert source.declared_schema == {"id": "int8", "x": "string"}


def test_memory_source_refuses_columns_that_the_schema_lacks() -> None:
    source = MemorySource()
    source.add([{"id": 1, "new": 2}])
    with pytest.raises(SchemaDriftError, match=r"columns \['new'\] are not in the schema"):
        source.read(planned(source), Survey({"id": "int64"}), (), Tally())


def test_memory_source_takes_the_type_of_a_column_from_the_first_value() -> None:
    source = MemorySource()
    source.add([{"id": 1, "later": None}])
    source.add([{"id": 2, "later": "x"}])
    assert source.survey(planned(source), None, NOW).schema == {"id": "int64", "later": "string"}
    with pytest.raises(SchemaDriftError):
        source.read(planned(source), Survey({"id": "int64", "later": "null"}), (), Tally())


def test_memory_source_refuses_a_type_that_contradicts_the_schema() -> None:
    source = MemorySource()
    source.add([{"id": 1}])
    source.add([{"id": "x"}])
    with pytest.raises(RowError, match="column id is string here and int64 elsewhere"):
        source.survey(planned(source), None, NOW)


def test_memory_source_never_changes_its_units() -> None:
    source = MemorySource()
    source.add([{"id": 1}])
    cause = SourceChangedError("memory:0", "changed")
    with pytest.raises(SourceChangedError) as caught:
        source.refresh(planned(source), cause)
    assert caught.value is cause


def pipeline(folder: Path, source: MemorySource, sink: MemorySink, **changes: Any) -> Any:
    return memory_pipeline(source, sink, LocalStorage(folder, Seam()), **changes)


def test_memory_pipeline_moves_every_row_once_through_restarts(tmp_path: Path) -> None:
    source, sink = MemorySource(), MemorySink()
    for number in range(3):
        source.add([{"id": number, "later": None if number == 0 else "x"}])
    seam = Seam()
    assert [result.batch_id for result in run(pipeline(tmp_path, source, sink), seam, Silent())] == [0, 1, 2]
    assert run(pipeline(tmp_path, source, sink), seam, Silent()) == []
    source.add([{"id": 3, "later": None}])
    assert [result.batch_id for result in run(pipeline(tmp_path, source, sink), seam, Silent())] == [3]
    assert multiset(sink.rows()) == multiset(
        {"id": number, "later": "x" if number in (1, 2) else None} for number in range(4)
    )
    assert sorted(set(source.acknowledged)) == [0, 1, 2, 3]
    assert sink.table_id() == "memory"


def test_memory_sink_holds_a_batch_once() -> None:
    sink = MemorySink("t")
    files = sink.stage(0, "a", pl.LazyFrame({"id": [1]}), Tally())
    manifest = Manifest(0, "a", {"main": files}, {}, {}, {})
    assert sink.missing(manifest) == []
    assert [sink.commit(manifest, {}), sink.commit(manifest, {})] == [0, 0]
    assert sink.rows() == [{"id": 1}]
    sink.discard(0, [])
    assert sink.missing(manifest) == ["a"]


def test_memory_sink_with_a_primary_key_holds_the_newest_row_of_each(tmp_path: Path) -> None:
    source, sink = MemorySource(), MemorySink(primary_key=["id"])
    source.add([{"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": 2, "v": "c"}])
    source.add([{"id": 1.0, "v": "d"}, {"id": 2.5, "v": "e"}])
    source.add([{"id": None, "v": "f"}])
    results = run(pipeline(tmp_path, source, sink), Seam(), Silent())
    assert [result.rows["deduplicated"] for result in results] == [1, 0, 0]
    assert multiset(sink.rows()) == multiset(
        [{"id": 2, "v": "c"}, {"id": 1.0, "v": "d"}, {"id": 2.5, "v": "e"}, {"id": None, "v": "f"}]
    )


def test_memory_sink_applies_a_changing_result(tmp_path: Path) -> None:
    source, sink = MemorySource(), MemorySink(primary_key=["id"])
    source.add([{"id": 1, "v": "a", "_change": "insert"}, {"id": 2, "v": "b", "_change": "insert"}])
    source.add([{"id": 1, "v": "a", "_change": "delete"}, {"id": 2, "v": "c", "_change": "update"}])
    run(pipeline(tmp_path, source, sink), Seam(), Silent())
    assert sink.rows() == [{"id": 2, "v": "c"}]


def test_memory_pipeline_is_built_anew_by_a_full_refresh(tmp_path: Path) -> None:
    source, sink, storage = MemorySource(), MemorySink(), LocalStorage(tmp_path, Seam())
    source.add([{"id": 1}])
    run(memory_pipeline(source, sink, storage), Seam(), Silent())
    source.add([{"id": 2}])
    begin_refresh(memory_pipeline(source, sink, storage), Seam())
    assert [row["id"] for row in sink.rows()] == [1]
    results = run(memory_pipeline(source, sink, storage), Seam(), Silent())
    assert [(result.batch_id, result.tables) for result in results] == [(0, {"memory": 1}), (1, {"memory": 2})]
    assert [row["id"] for row in sink.rows()] == [1, 2]


def test_memory_pipeline_refuses_a_lost_checkpoint(tmp_path: Path) -> None:
    source, sink = MemorySource(), MemorySink()
    source.add([{"id": 1}])
    run(memory_pipeline(source, sink, LocalStorage(tmp_path / "one", Seam())), Seam(), Silent())
    with pytest.raises(TableStateError, match="table_ahead"):
        run(memory_pipeline(source, sink, LocalStorage(tmp_path / "two", Seam())), Seam(), Silent())
    assert [row["id"] for row in sink.rows()] == [1]


def test_pipeline_resumes_after_a_failure_on_demand(tmp_path: Path) -> None:
    source, sink = MemorySource(), MemorySink()
    source.add([{"id": 1}])
    seam = crash_at("commit.put.write", "full")
    with pytest.raises(EtlError):
        run(memory_pipeline(source, sink, LocalStorage(tmp_path, seam)), seam, Silent())
    run(pipeline(tmp_path, source, sink), Seam(), Silent())
    assert sink.rows() == [{"id": 1}]


def test_multiset_counts_equal_rows_and_minds_no_order_of_columns() -> None:
    assert multiset([{"a": 1, "b": 2}, {"b": 2, "a": 1}]) == {"[('a', 1), ('b', 2)]": 2}
