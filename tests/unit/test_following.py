"""A continuous run: batches as input comes, patience for a batch to fill, an end on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from etl.following import POLL_S, follow
from etl.model import Bounds, ReadLimit
from etl.progress import Silent
from etl.storage import LocalStorage
from etl.testing import ManualClock, MemorySink, MemorySource, memory_pipeline


class Scripted:
    """A waker for which something happens at each wait; once the script is over, the run is asked to stop."""

    def __init__(self, clock: ManualClock, *script: Callable[[], object] | None, ends: bool = True) -> None:
        self._clock = clock
        self._ends = ends
        self._script = list(script)
        self.waited_s: list[float] = []
        self.watched: list[list[str]] = []

    @property
    def is_stopped(self) -> bool:
        return not self._script and self._ends

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
