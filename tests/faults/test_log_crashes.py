"""A run that reads rotating logs dies at every step: the table has each line once."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from etl.engine import run
from etl.model import PROVENANCE_COLUMNS, ReadLimit
from etl.pipeline import Pipeline
from etl.progress import Silent
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.delta import DeltaSink
from etl.sinks.delta_options import DeltaOptions
from etl.sources.contract import SourceSite
from etl.sources.log_options import LogOptions
from etl.sources.log_positions import SnapshotAt
from etl.sources.log_source import LogSource
from etl.storage import LocalStorage
from etl.testing import memory_pipeline
from tests.readers import table_rows

T = TypeVar("T")
EXPECTED = [f"line {number}" for number in range(8)]


class Crash(BaseException):
    """The process died here."""


class CrashingSeam(Seam):
    """A seam that ends a run at the k-th effect, before or after it."""

    def __init__(self, at: int, *, is_after: bool) -> None:
        self._at = at
        self._is_after = is_after
        self.count = 0

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        self.count += 1
        if self.count == self._at and not self._is_after:
            raise Crash(name)
        result = act()
        if self.count == self._at:
            raise Crash(name)
        return result


def pipeline(folder: Path, seam: Seam) -> Pipeline:
    checkpoint = LocalStorage(folder / "checkpoint", seam)
    site = SourceSite("source", folder, checkpoint.at("sources/source"), seam)
    source = LogSource(LogOptions(path="app.log"), None, site, SnapshotAt(batches=2, events=1))
    table = folder / "table"
    sink_site = SinkSite("table", str(table), LocalStorage(table, seam), seam, provenance=PROVENANCE_COLUMNS)
    sink = DeltaSink(DeltaOptions(path=str(table)), sink_site)
    limit = ReadLimit(max_bytes=14)
    return memory_pipeline(source, sink, checkpoint, system=PROVENANCE_COLUMNS, limit=limit)


def write(folder: Path, *numbers: int) -> None:
    with open(folder / "app.log", "a") as file:
        file.writelines(f"line {number}\n" for number in numbers)


def between(folder: Path, step: int) -> None:
    """What happens to the log while nobody looks."""
    if step == 0:
        write(folder, 0, 1, 2)
    elif step == 1:
        write(folder, 3)
        os.rename(folder / "app.log", folder / "app.log.1")
        write(folder, 4)
    elif step == 2:
        (folder / "app.log.1.gz").write_bytes(gzip.compress((folder / "app.log.1").read_bytes()))
        (folder / "app.log.1").unlink()
        write(folder, 5)
        (folder / "app.log.0").write_bytes((folder / "app.log").read_bytes())
        os.truncate(folder / "app.log", 0)
        write(folder, 6, 7)


def history(folder: Path, crash_at: int, *, is_after: bool) -> int:
    """Three runs with a rotation before each; the first that reaches the k-th effect dies there and starts again."""
    seam = CrashingSeam(crash_at, is_after=is_after)
    for step in range(3):
        between(folder, step)
        try:
            run(pipeline(folder, seam), seam, Silent())
        except Crash:
            run(pipeline(folder, Seam()), Seam(), Silent())
    run(pipeline(folder, Seam()), Seam(), Silent())
    return seam.count


def lines(folder: Path) -> list[str]:
    return sorted(row["line"] for row in table_rows(folder / "table"))


def test_an_undisturbed_history_gives_each_line_once(tmp_path: Path) -> None:
    assert history(tmp_path, 0, is_after=False) > 60
    assert lines(tmp_path) == EXPECTED


@pytest.mark.parametrize("is_after", [False, True])
def test_every_seventeenth_step_may_be_the_last(tmp_path: Path, is_after: bool) -> None:
    for crash_at in range(4 + 3 * is_after, 120, 17):
        folder = tmp_path / str(crash_at)
        folder.mkdir()
        history(folder, crash_at, is_after=is_after)
        assert lines(folder) == EXPECTED, crash_at


@pytest.mark.slow
@pytest.mark.parametrize("is_after", [False, True])
def test_any_step_may_be_the_last(tmp_path: Path, is_after: bool) -> None:
    crash_at = 1
    while True:
        folder = tmp_path / str(crash_at)
        folder.mkdir()
        count = history(folder, crash_at, is_after=is_after)
        assert lines(folder) == EXPECTED, crash_at
        if count < crash_at:
            return
        crash_at += 1
