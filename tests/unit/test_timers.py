"""Batches without rows: they come where time alone has something to give, and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from etl.engine import run
from etl.flow import Branch
from etl.progress import Silent
from etl.storage import LocalStorage
from etl.testing import ManualClock, MemorySink, MemorySource, memory_pipeline
from etl.transforms import TRANSFORMS
from etl.transforms.contract import TransformSite

SCHEMA: Any = {"id": "string", "ts": "timestamp(UTC)"}
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def step(key: str, options: dict[str, Any], **site: Any) -> Any:
    made = TRANSFORMS[key]
    return made(made.options_model.model_validate(options), TransformSite(Path(), 0, **site))


def row(name: str, hour: int) -> dict[str, Any]:
    return {"id": name, "ts": datetime(2026, 1, 1, hour, tzinfo=UTC)}


class Pair:
    """Two sources: the newest row of each id of the first, once the clocks of both have passed it."""

    def __init__(self, folder: Path, idle_timeout: str | None) -> None:
        self.clock = ManualClock(START)
        self.main, self.beside, self.sink = MemorySource(SCHEMA), MemorySource(SCHEMA), MemorySink()
        self._folder = folder
        self._options = {"column": "ts"} | ({} if idle_timeout is None else {"idle_timeout": idle_timeout})

    def run(self) -> int:
        beside = Branch("beside", self.beside, [step("watermark", self._options, source="beside")])
        transforms = [
            step("watermark", {"column": "ts"}),
            step("union", {"with": ["beside"]}),
            step("deduplicate", {"keys": ["id"], "keep": "last"}, has_watermark=True, time_column="ts"),
        ]
        storage = LocalStorage(self._folder, self.clock)
        pipeline = memory_pipeline(self.main, self.sink, storage, transforms=transforms, branches=(beside,))
        return len(run(pipeline, self.clock, Silent()))

    def ids(self) -> list[str]:
        return sorted(each["id"] for each in self.sink.rows())


def test_a_source_that_becomes_idle_lets_the_others_go_on_without_a_row(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "10m")
    pair.beside.add([row("x", 8)])
    pair.main.add([row("a", 9), row("b", 11)])
    assert pair.run() == 1
    assert pair.ids() == ["x"]

    pair.clock.advance(601)

    assert pair.run() == 1
    assert pair.ids() == ["a", "b", "x"]


def test_nothing_is_done_again_once_time_has_given_what_it_had(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "10m")
    pair.beside.add([row("x", 8)])
    pair.main.add([row("a", 9)])
    pair.run()
    pair.clock.advance(601)
    pair.run()

    pair.clock.advance(100_000)

    assert pair.run() == 0


def test_without_a_timeout_a_silent_source_holds_the_others_back(tmp_path: Path) -> None:
    pair = Pair(tmp_path, None)
    pair.beside.add([row("x", 8)])
    pair.main.add([row("a", 9)])
    pair.run()
    pair.clock.advance(100_000)

    assert pair.run() == 0
    assert pair.ids() == ["x"]


def test_before_the_first_batch_there_is_nothing_to_wait_for(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "10m")
    pair.clock.advance(100_000)

    assert pair.run() == 0
