"""A continuous run: batches as input comes, patience for a batch to fill, an end on request."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from etl.errors import ConfigError, EtlError, FencedError
from etl.following import POLL_S, follow
from etl.model import Bounds, Offset, PlannedInput, ReadLimit
from etl.pipeline import Pipeline
from etl.progress import Silent
from etl.storage import LocalStorage
from etl.testing import ManualClock, MemorySink, MemorySource, memory_pipeline


class Scripted:
    """A waker for which something happens at each wait; once the script is over, the run is asked to stop."""

    def __init__(
        self, clock: ManualClock, *script: Callable[[], object] | None, ends: bool = True, has_events: bool = False
    ) -> None:
        self._clock = clock
        self._ends = ends
        self._has_events = has_events
        self._script = list(script)
        self.waited_s: list[float] = []
        self.watched: list[list[str]] = []

    @property
    def is_stopped(self) -> bool:
        return not self._script and self._ends

    @property
    def has_events(self) -> bool:
        return self._has_events

    def watch(self, folders: Sequence[str]) -> None:
        self.watched.append(list(folders))

    def wait(self, timeout_s: float) -> bool:
        self.waited_s.append(timeout_s)
        act = self._script.pop(0)
        self._clock.advance(min(timeout_s, 0.5))
        if act is None:
            return False
        act()
        return True


def test_batches_run_as_input_comes_until_the_run_is_asked_to_stop(tmp_path: Path) -> None:
    clock, source, sink = ManualClock(), MemorySource(), MemorySink()
    source.add([{"id": 1}])
    waker = Scripted(clock, lambda: source.add([{"id": 2}]), None, lambda: source.add([{"id": 3}]), None)
    pipeline = memory_pipeline(source, sink, LocalStorage(tmp_path, clock))
    assert follow(pipeline, clock, Silent(), waker) == 3
    assert [row["id"] for row in sink.rows()] == [1, 2, 3]
    assert waker.waited_s == [POLL_S] * 4


def test_run_ends_after_its_number_of_batches_without_waiting(tmp_path: Path) -> None:
    clock, source, sink = ManualClock(), MemorySource(), MemorySink()
    for number in range(3):
        source.add([{"id": number}])
    waker = Scripted(clock, ends=False)
    pipeline = memory_pipeline(source, sink, LocalStorage(tmp_path, clock))
    assert follow(pipeline, clock, Silent(), waker, Bounds(max_batches=2)) == 2
    assert waker.waited_s == []


def test_run_ends_once_its_time_is_over(tmp_path: Path) -> None:
    clock, source = ManualClock(), MemorySource()
    waker = Scripted(clock, *[None] * 20)
    pipeline = memory_pipeline(source, MemorySink(), LocalStorage(tmp_path, clock))
    assert follow(pipeline, clock, Silent(), waker, Bounds(max_seconds=2.0)) == 0
    assert len(waker.waited_s) == 4


def test_small_inputs_are_gathered_into_one_batch_for_as_long_as_the_latency_allows(tmp_path: Path) -> None:
    clock, source, sink = ManualClock(), MemorySource(), MemorySink()
    more = [lambda: source.add([{"id": 1}]), lambda: source.add([{"id": 2}]), lambda: source.add([{"id": 3}])]
    waker = Scripted(clock, *more, None, None, None)
    pipeline = memory_pipeline(source, sink, LocalStorage(tmp_path, clock), limit=ReadLimit(max_files=100))
    patient = replace(pipeline, max_latency_s=1.0)
    assert follow(patient, clock, Silent(), waker) == 1
    assert [row["id"] for row in sink.rows()] == [1, 2, 3]
    assert waker.waited_s[:3] == [POLL_S, 1.0, 0.5]


def test_full_batch_does_not_wait_for_the_latency(tmp_path: Path) -> None:
    clock, source, sink = ManualClock(), MemorySource(), MemorySink()

    def arrive() -> None:
        source.add([{"id": 1}])
        source.add([{"id": 2}])

    waker = Scripted(clock, arrive, None)
    pipeline = memory_pipeline(source, sink, LocalStorage(tmp_path, clock), limit=ReadLimit(max_files=2))
    patient = replace(pipeline, max_latency_s=60.0)
    assert follow(patient, clock, Silent(), waker) == 1
    assert waker.waited_s == [POLL_S, POLL_S]


def test_unfinished_batch_is_brought_to_its_end_first(tmp_path: Path) -> None:
    clock, source, sink = ManualClock(), MemorySource(), MemorySink()
    source.add([{"id": 1}])
    pipeline = memory_pipeline(source, sink, LocalStorage(tmp_path, clock))
    from etl.engine import open_runner

    with open_runner(pipeline, clock, Silent()) as runner:
        runner.recover()
        assert runner.plan() is not None
    waker = Scripted(clock, ends=False)
    assert follow(pipeline, clock, Silent(), waker, Bounds(max_batches=1)) == 1
    assert [row["id"] for row in sink.rows()] == [1]


class Watching(MemorySource):
    """A source in whose folder new input shows, and which says when it is let go of."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder
        self.is_closed = False

    def watched(self) -> tuple[str, ...]:
        return (self.folder,)

    def close(self) -> None:
        self.is_closed = True


class Notes(Silent):
    def __init__(self) -> None:
        self.told: list[str] = []

    def noted(self, pipeline: str, message: str) -> None:
        self.told.append(message)


class Edited:
    """What an edit makes of a pipeline, handed out once; an error is raised."""

    def __init__(self) -> None:
        self.next: Pipeline | EtlError | None = None

    def __call__(self) -> Pipeline | None:
        found, self.next = self.next, None
        if isinstance(found, EtlError):
            raise found
        return found


def definitions(folder: Path) -> list[str]:
    return [json.loads(path.read_text())["body"]["definition"] for path in sorted((folder / "commits").glob("*.json"))]


def test_a_pipeline_that_is_edited_while_it_waits_goes_on_behind_what_was_read(tmp_path: Path) -> None:
    clock, sink, notes, edited = ManualClock(), MemorySink(), Notes(), Edited()
    before, after = Watching("before"), Watching("after")
    for number in range(3):
        before.add([{"id": number}])
        after.add([{"id": 10 + number}])

    def wired(source: MemorySource, definition: str) -> Pipeline:
        made = memory_pipeline(source, sink, LocalStorage(tmp_path, clock), definition=definition)
        return replace(made, edited=edited)

    def edit() -> None:
        after.add([{"id": 13}])
        edited.next = wired(after, "new")

    waker = Scripted(clock, edit, None)
    assert follow(wired(before, "old"), clock, notes, waker) == 4
    assert [row["id"] for row in sink.rows()] == [0, 1, 2, 13]
    assert definitions(tmp_path) == ["old", "old", "old", "new"]
    assert notes.told == ["edited: another definition holds from batch 3 on"]
    assert waker.watched == [["before"], ["after"]]
    assert len(list((tmp_path / "epochs").glob("*.json"))) == 1
    assert (before.is_closed, after.is_closed) == (True, True)


def test_an_edit_that_cannot_be_taken_leaves_the_pipeline_as_it_was(tmp_path: Path) -> None:
    clock, source, sink, notes, edited = ManualClock(), Watching("a"), MemorySink(), Notes(), Edited()
    other = Watching("b")
    pipeline = replace(memory_pipeline(source, sink, LocalStorage(tmp_path, clock)), edited=edited)
    source.add([{"id": 1}])

    def say_so() -> None:
        edited.next = ConfigError("unknown key", where="pipelines/a.yml:2:1")

    def rename() -> None:
        source.add([{"id": 2}])
        flow = replace(pipeline.flow, source_name="renamed", source=other)
        edited.next = replace(pipeline, flow=flow)

    waker = Scripted(clock, say_so, rename, None)
    assert follow(pipeline, clock, notes, waker) == 2
    assert [row["id"] for row in sink.rows()] == [1, 2]
    assert notes.told[0] == "edited, and not taken: it goes on as it was\npipelines/a.yml:2:1: unknown key"
    assert "if it was renamed, all of it would be read again" in notes.told[1]
    assert waker.watched == [["a"]]
    assert (source.is_closed, other.is_closed) == (True, True)


def test_trouble_that_is_not_of_the_edit_ends_the_run(tmp_path: Path) -> None:
    clock, edited = ManualClock(), Edited()
    pipeline = memory_pipeline(MemorySource(), MemorySink(), LocalStorage(tmp_path, clock))
    edited.next = FencedError("taken over")
    with pytest.raises(FencedError):
        follow(replace(pipeline, edited=edited), clock, Silent(), Scripted(clock, None))


class Watched(MemorySource):
    """A source whose input shows by events; ``looks`` counts how often it was asked."""

    looks = 0

    def watched(self) -> tuple[str, ...]:
        return ("/landing",)

    def latest(self, after: Offset | None, limit: ReadLimit) -> PlannedInput | None:
        self.looks += 1
        return super().latest(after, limit)


def looks_in(tmp_path: Path, waits: int, *, has_events: bool) -> int:
    clock, source = ManualClock(), Watched()
    waker = Scripted(clock, *[None] * waits, has_events=has_events)
    follow(memory_pipeline(source, MemorySink(), LocalStorage(tmp_path, clock)), clock, Silent(), waker)
    return source.looks


def test_after_many_vain_looks_events_are_waited_for_where_there_are_events(tmp_path: Path) -> None:
    many, few = (looks_in(tmp_path / str(has), 78, has_events=has) for has in (False, True))

    assert many - few == 48 - 4


def test_an_event_after_a_long_silence_is_looked_into_at_once(tmp_path: Path) -> None:
    clock, source, sink = ManualClock(), Watched(), MemorySink()
    waker = Scripted(clock, *[None] * 40, lambda: source.add([{"id": 1}]), None, has_events=True)
    assert follow(memory_pipeline(source, sink, LocalStorage(tmp_path, clock)), clock, Silent(), waker) == 1
    assert [row["id"] for row in sink.rows()] == [1]
