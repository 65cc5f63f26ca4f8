"""The walk of a batch where nothing crashes: bounds, amendments, edits, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from etl.balance import Tally
from etl.engine import open_runner, run
from etl.errors import FencedError, SourceChangedError, StorageError
from etl.model import BatchPlan, BatchResult, Bounds, PlannedInput
from etl.progress import Silent
from etl.schema_contract import Survey
from etl.seam import Seam
from etl.sources.contract import Reading
from etl.storage import LocalStorage
from etl.testing import ManualClock, MemorySink, MemorySource, crash_at
from tests.faults.crash_lab import memory_rows
from tests.wiring import fed, pipeline_in


def batch_ids(results: list[BatchResult]) -> list[int]:
    return [result.batch_id for result in results]


class Notes(Silent):
    """A listener that writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def planned(self, pipeline: str, plan: BatchPlan) -> None:
        self.heard.append(f"planned {plan.batch_id}")

    def committed(self, result: BatchResult) -> None:
        self.heard.append(f"committed {result.batch_id}")

    def noted(self, pipeline: str, message: str) -> None:
        self.heard.append(message)


def test_run_takes_everything_and_says_so(tmp_path: Path) -> None:
    notes, sink = Notes(), MemorySink()
    results = run(pipeline_in(tmp_path, fed(), sink), Seam(), notes)
    assert batch_ids(results) == [0, 1, 2]
    assert notes.heard == [f"{word} {number}" for number in range(3) for word in ("planned", "committed")]
    assert results[1].offsets == {"source": {"start": {"units": 1}, "end": {"units": 2}}}
    assert results[1].tables == {"memory": 1}
    assert (results[1].rows["read"], results[1].rows["written"]) == (1, 1)
    assert list(results[1].seconds) == ["plan", "stage", "commit", "total"]


def test_run_with_nothing_to_take_changes_nothing_but_the_epoch(tmp_path: Path) -> None:
    assert run(pipeline_in(tmp_path, MemorySource(), MemorySink()), Seam(), Silent()) == []
    assert not (tmp_path / "offsets").exists()


def test_run_ends_after_its_number_of_batches(tmp_path: Path) -> None:
    source, sink = fed(), MemorySink()
    assert batch_ids(run(pipeline_in(tmp_path, source, sink), Seam(), Silent(), Bounds(max_batches=2))) == [0, 1]
    assert run(pipeline_in(tmp_path, source, sink), Seam(), Silent(), Bounds(max_batches=0)) == []
    assert batch_ids(run(pipeline_in(tmp_path, source, sink), Seam(), Silent(), Bounds(max_batches=2))) == [2]


class Slow(MemorySource):
    """A source whose reading takes ten seconds."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def read(self, planned: PlannedInput, known: Survey, system: tuple[str, ...], tally: Tally) -> Reading:
        self._clock.advance(10)
        return super().read(planned, known, system, tally)


def test_run_ends_once_its_time_is_over(tmp_path: Path) -> None:
    clock = ManualClock()
    source = fed(source=Slow(clock))
    results = run(pipeline_in(tmp_path, source, MemorySink(), clock), clock, Silent(), Bounds(max_seconds=15))
    assert batch_ids(results) == [0, 1]


def test_run_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    answers = iter([False, True])
    results = run(pipeline_in(tmp_path, fed(), MemorySink()), Seam(), Silent(), should_stop=lambda: next(answers))
    assert batch_ids(results) == [0]


class Changing(MemorySource):
    """A source that finds other bytes than planned so many times, and then those that it was refreshed to."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.seen: list[int] = []

    def read(self, planned: PlannedInput, known: Survey, system: tuple[str, ...], tally: Tally) -> Reading:
        self.seen.append(planned.size_bytes)
        if self.times:
            self.times -= 1
            raise SourceChangedError("memory:0", "its bytes changed")
        return super().read(planned, known, system, tally)

    def refresh(self, planned: PlannedInput, cause: SourceChangedError) -> PlannedInput:
        return replace(planned, size_bytes=planned.size_bytes + 1)


def test_plan_whose_input_changed_is_amended_and_the_amendment_is_what_is_read(tmp_path: Path) -> None:
    source, notes, sink = Changing(3), Notes(), MemorySink()
    assert batch_ids(run(pipeline_in(tmp_path, fed([{"id": 1}], source=source), sink), Seam(), notes)) == [0]
    assert source.seen == [0, 1, 2, 3]
    assert notes.heard[1:4] == ["batch 0: plan amended, its bytes changed"] * 3
    names = sorted(path.name for path in (tmp_path / "offsets").iterdir())
    assert names == ["0000000000.2.json", "0000000000.3.json", "0000000000.4.json", "0000000000.json"]
    assert json.loads((tmp_path / "offsets" / names[2]).read_text())["body"]["inputs"]["source"]["size_bytes"] == 3
    assert sink.rows() == [{"id": 1}]


def test_input_that_never_comes_to_rest_fails_the_batch(tmp_path: Path) -> None:
    source = Changing(4)
    with pytest.raises(SourceChangedError, match="its bytes changed"):
        run(pipeline_in(tmp_path, fed([{"id": 1}], source=source), MemorySink()), Seam(), Silent())
    assert source.seen == [0, 1, 2, 3]


def test_plan_of_an_edited_pipeline_is_amended_when_nothing_was_staged_for_it(tmp_path: Path) -> None:
    source, sink, notes = fed([{"id": 1}]), MemorySink(), Notes()
    seam = crash_at("manifest.put.write", "full")
    with pytest.raises(StorageError):
        run(pipeline_in(tmp_path, source, sink, seam, definition="old"), seam, Silent())
    results = run(pipeline_in(tmp_path, source, sink, definition="new"), Seam(), notes)
    assert batch_ids(results) == [0]
    assert "batch 0: plan amended, the pipeline was edited before anything was staged" in notes.heard
    body = json.loads((tmp_path / "offsets" / "0000000000.2.json").read_text())["body"]
    assert (body["definition"], body["inputs"]["source"]["schema"]) == ("new", None)
    assert json.loads((tmp_path / "commits" / "0000000000.json").read_text())["body"]["definition"] == "new"


def test_plan_of_an_edited_pipeline_takes_the_schema_that_was_declared_meanwhile(tmp_path: Path) -> None:
    sink, seam = MemorySink(), crash_at("manifest.put.write", "full")
    with pytest.raises(StorageError):
        run(pipeline_in(tmp_path, fed([{"id": 1}]), sink, seam, definition="old"), seam, Silent())
    declared = fed([{"id": 1}], source=MemorySource({"id": "int8"}))
    run(pipeline_in(tmp_path, declared, sink, definition="new"), Seam(), Silent())
    body = json.loads((tmp_path / "offsets" / "0000000000.2.json").read_text())["body"]
    assert body["inputs"]["source"]["schema"] == {"id": "int8"}


def test_staged_batch_of_an_edited_pipeline_ends_as_it_was_planned(tmp_path: Path) -> None:
    seam = crash_at("table.commit.write", "full")
    with pytest.raises(StorageError):
        run(memory_rows(tmp_path, seam), seam, Silent(), Bounds(1))
    edited = replace(memory_rows(tmp_path, Seam()), definition="new")
    results = run(edited, Seam(), Silent())
    assert batch_ids(results) == [0, 1, 2]
    definitions = [
        json.loads(path.read_text())["body"]["definition"]
        for path in sorted((tmp_path / "checkpoint/commits").iterdir())
    ]
    assert definitions == ["test", "new", "new"]


def test_disk_trouble_is_told_as_an_error_of_ours_with_the_place(tmp_path: Path) -> None:
    seam = crash_at("checkpoint.sweep", "error_before")
    (tmp_path / "offsets").mkdir()
    (tmp_path / "offsets" / ".tmp-x").write_text("half")
    with pytest.raises(StorageError, match="failed") as caught:
        run(pipeline_in(tmp_path, fed(), MemorySink(), seam), seam, Silent())
    assert caught.value.hint == "what was committed stays; mend the cause and run again"


class Interrupted(Seam):
    """A seam on whose effect of a name something else happens first."""

    def __init__(self, name: str, act: Callable[[], object]) -> None:
        self._waiting = {name: act}

    def effect(self, name: str, act: Callable[[], Any], torn: Callable[[], object] | None = None) -> Any:
        if name in self._waiting:
            self._waiting.pop(name)()
        return act()


def test_plan_that_the_overtaken_runner_wrote_at_the_last_moment_is_left_to_the_next_start(tmp_path: Path) -> None:
    sink = MemorySink()

    def slip_in() -> None:
        """Write the plan that a runner with a lower epoch had under way."""
        other = LocalStorage(tmp_path / "offsets", Seam())
        (tmp_path / "other").mkdir()
        run(pipeline_in(tmp_path / "other", fed([{"id": 1}]), MemorySink()), Seam(), Silent())
        other.create("0000000000.json", (tmp_path / "other/offsets/0000000000.json").read_bytes(), effect="e")

    seam = Interrupted("plan.put.publish", slip_in)
    with pytest.raises(
        FencedError, match="batch 0 was just planned by a runner that this one took over from"
    ) as caught:
        run(pipeline_in(tmp_path, fed(), sink, seam), seam, Silent())
    assert caught.value.hint == "run again: its plan is recovered like any other"


@pytest.mark.parametrize("trouble", [OSError(5, "gone"), StorageError("gone")], ids=["OSError", "EtlError"])
def test_error_of_a_runner_that_was_overtaken_is_told_as_being_fenced(tmp_path: Path, trouble: Exception) -> None:
    def fail() -> None:
        with open_runner(pipeline_in(tmp_path, fed(), MemorySink()), Seam(), Silent()):
            (tmp_path / "epochs" / "0000000002.json").write_text("")
            raise trouble

    with pytest.raises(FencedError):
        fail()
