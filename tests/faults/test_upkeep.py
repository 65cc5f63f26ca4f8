"""Compaction, vacuum and log clean-up, killed anywhere and beside everybody else: no row comes, goes or is doubled."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from etl.engine import run
from etl.errors import EtlError
from etl.model import Bounds
from etl.operations.table_upkeep import VacuumOrder, compact, vacuum
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from tests.faults.test_crash_at_every_step import FAILURES, Lab, effects
from tests.faults.test_state_crashes import places
from tests.faults.upkeep_lab import TABLE, THEIRS, append_theirs, arrive, expected, found, lay_out
from tests.readers import table_files

T = TypeVar("T")
BATCHES = 6
QUICK = {("maintain", "kill_after"), ("vacuum", "kill_before")}
"""Run each time, at the last effect of each name; `make slow` runs all, at every effect."""
CASES = [
    pytest.param(act, failure, marks=() if (act, failure) in QUICK else pytest.mark.slow)
    for act in ("compact", "vacuum", "maintain")
    for failure in FAILURES
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab("tests.faults.upkeep_lab")
    yield made
    made.close()


@pytest.fixture(scope="module")
def template(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose table has many small files, of another writer too, and a reader that lags behind."""
    folder = lay_out(tmp_path_factory.mktemp("upkeep") / "home", "{min_files: 2}")
    for number in range(BATCHES):
        arrive(folder, number)
        run(Workspace(folder).wired("orders", Seam()), Seam(), Silent(), Bounds(1))
        append_theirs(folder, number)
        if number == 2:
            assert lab.run(folder, "copy")["exit"] == 0
    return folder


def end(lab: Lab, folder: Path, name: str) -> None:
    for _ in range(3):
        if lab.run(folder, name)["exit"] == 0:
            return
    pytest.fail(f"{name}: {(folder / 'error.txt').read_text()}")


@pytest.mark.parametrize(("act", "failure"), CASES)
def test_upkeep_that_fails_at_any_effect_changes_no_row_and_takes_nothing_from_a_reader(
    lab: Lab, template: Path, tmp_path: Path, act: str, failure: str
) -> None:
    rows = expected(BATCHES, BATCHES)
    whole = tmp_path / "whole"
    shutil.copytree(template, whole)
    assert lab.run(whole, act)["exit"] == 0
    names = effects(whole)
    assert found(whole) == rows
    for at in places(names, is_whole=(act, failure) not in QUICK):
        what = f"effect {at}: {names[at - 1]}"
        folder = tmp_path / str(at)
        shutil.copytree(template, folder)
        ended = lab.run(folder, act, at, failure)
        assert ended["signal"] == 9 or not failure.startswith("kill"), what
        assert found(folder) == rows, what
        end(lab, folder, act)
        assert found(folder) == rows, what
        assert len(table_files(folder / "lake" / "silver" / "orders")) == len(
            table_files(whole / "lake" / "silver" / "orders")
        ), what
        arrive(folder, BATCHES)
        end(lab, folder, "orders")
        end(lab, folder, "copy")
        assert found(folder) == found(folder, "gold.copy") == expected(BATCHES + 1, BATCHES), what


class Beside(Seam):
    """A seam on whose effects, now and then, something else happens first: what a random number chooses."""

    def __init__(self, chosen: random.Random, acts: list[Callable[[], object]]) -> None:
        self._chosen, self._acts = chosen, acts
        self.happened: Counter[int] = Counter()
        self._is_within = False

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        if not self._is_within and self._chosen.random() < 0.15:
            self._is_within = True
            number = self._chosen.randrange(len(self._acts))
            self._acts[number]()
            self.happened[number] += 1
            self._is_within = False
        return act()

    def sleep(self, delay_s: float) -> None:
        """Do not wait."""


def run_quietly(folder: Path, name: str, seam: Seam) -> bool:
    """Run a pipeline; tell whether it ended well."""
    try:
        run(Workspace(folder).wired(name, seam), seam, Silent())
    except EtlError:
        return False
    return True


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 40))])
def test_a_merging_pipeline_a_reader_an_appender_compaction_and_vacuum_go_side_by_side(
    tmp_path: Path, seed: int
) -> None:
    folder = lay_out(tmp_path / "home", "{min_files: 4}")
    chosen = random.Random(seed)
    theirs: list[int] = []
    states = [expected(0)]

    def append() -> None:
        append_theirs(folder, len(theirs))
        theirs.append(1)

    def look() -> None:
        assert Counter({row: n for row, n in found(folder).items() if row[0] < THEIRS}) in states

    forced = VacuumOrder("0s", is_forced=True)
    acts: list[Callable[[], object]] = [
        append,
        look,
        lambda: compact(Workspace(folder), TABLE, Seam()),
        lambda: vacuum(Workspace(folder), TABLE, Seam(), forced),
        lambda: run_quietly(folder, "copy", Seam()),
    ]
    seam = Beside(chosen, acts)
    for number in range(BATCHES):
        arrive(folder, number)
        states.append(expected(number + 1))
        assert any(run_quietly(folder, "orders", seam if number else Seam()) for _ in range(30))
        assert found(folder) == expected(number + 1, len(theirs))
    assert run_quietly(folder, "copy", Seam())
    assert sorted(seam.happened) == [0, 1, 2, 3, 4]
    assert found(folder, "gold.copy") == found(folder) == expected(BATCHES, len(theirs))
