"""A full refresh in several batches: readers see the old table or the new one, whole, wherever it is killed."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.engine import run
from etl.model import Bounds
from etl.operations.looking import Onlooker
from etl.operations.refreshing import begin_refresh
from etl.operations.verifying import verify
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from tests.faults.beside_lab import REFRESHED, lay_out, renew
from tests.faults.state_lab import project
from tests.faults.test_crash_at_every_step import FAILURES, Lab, effects
from tests.faults.test_state_crashes import found, places
from tests.readers import table_rows

QUICK = {("merged", "kill_before"), ("chain", "kill_after")}
"""Run each time, at the last effect of each of these names; `make slow` runs all, at every effect."""
MOMENTS = (
    "refresh.commit.publish",
    "manifest.put.publish",
    "table.commit.publish",
    "commit.put.publish",
    "refresh.remove",
)
CASES = [
    pytest.param(pipeline, failure, marks=() if (pipeline, failure) in QUICK else pytest.mark.slow)
    for pipeline in REFRESHED
    for failure in FAILURES
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab("tests.faults.beside_lab")
    yield made
    made.close()


def run_all(folder: Path, max_batches: int | None = None) -> list[int]:
    return [each.batch_id for each in run(project(folder, Seam()), Seam(), Silent(), Bounds(max_batches))]


def visible(folder: Path) -> Counter[str]:
    """Return what a reader finds in the pipeline's own table, at any moment."""
    return Counter(repr(sorted(row.items())) for row in table_rows(folder / "lake" / "t" / "events"))


def faults(folder: Path) -> list[str]:
    checks = verify(Workspace(folder), "events", Onlooker(), is_deep=True).checks
    return [fault for check in checks for fault in check.faults]


def logs_beside(folder: Path) -> list[str]:
    return [path.name for path in (folder / "lake" / "t" / "events").rglob("_refresh/**/*") if path.is_file()]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each pipeline what one that never had another input has."""
    made = {}
    for pipeline in REFRESHED:
        made[pipeline] = lay_out(tmp_path_factory.mktemp("new") / pipeline, pipeline, is_new=True)
        run_all(made[pipeline])
    return made


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each pipeline a project whose table has the old input, with the new one beside it."""
    made = {}
    for pipeline in REFRESHED:
        made[pipeline] = lay_out(tmp_path_factory.mktemp("old") / pipeline, pipeline, is_new=False)
        run_all(made[pipeline])
        renew(made[pipeline])
    return made


@pytest.mark.parametrize("pipeline", REFRESHED)
def test_readers_see_the_old_table_until_the_refresh_ends(
    templates: dict[str, Path], expected: dict[str, Path], tmp_path: Path, pipeline: str
) -> None:
    folder = tmp_path / "home"
    shutil.copytree(templates[pipeline], folder)
    old = visible(folder)
    begin_refresh(project(folder, Seam()), Seam())
    for number in range(4):
        assert run_all(folder, max_batches=1) == [number]
        assert visible(folder) == old
    assert faults(folder) == []
    assert logs_beside(folder) != []
    assert run_all(folder) == [4, 5]
    assert found(folder) == found(expected[pipeline])
    assert faults(folder) == []
    assert logs_beside(folder) == []
    assert run_all(folder) == []


@pytest.mark.parametrize(("pipeline", "failure"), CASES)
def test_a_refresh_that_fails_at_any_effect_shows_the_old_table_or_the_new_one(
    lab: Lab, templates: dict[str, Path], expected: dict[str, Path], tmp_path: Path, pipeline: str, failure: str
) -> None:
    is_whole = (pipeline, failure) not in QUICK
    shutil.copytree(templates[pipeline], tmp_path / "first")
    lab.run(tmp_path / "first", "renew")
    names = effects(tmp_path / "first")
    assert {"refresh.commit.publish", "table.commit.publish", "refresh.remove"} <= {*names}
    old, new = visible(templates[pipeline]), visible(expected[pipeline])
    assert visible(tmp_path / "first") == new
    for at in places(names, is_whole=is_whole):
        if not is_whole and names[at - 1] not in MOMENTS:
            continue
        folder = tmp_path / str(at)
        shutil.copytree(templates[pipeline], folder)
        ended = lab.run(folder, "renew", at, failure)
        assert ended["signal"] == 9 or not failure.startswith("kill")
        assert visible(folder) in (old, new), f"effect {at}, {names[at - 1]}"
        if not (folder / "lake" / "_checkpoints" / "events" / "pipeline.2.json").exists():
            assert visible(folder) == old
            continue
        assert lab.run(folder, "project")["exit"] == 0, (folder / "error.txt").read_text()
        assert found(folder) == found(expected[pipeline]), f"effect {at}, {names[at - 1]}"
        assert logs_beside(folder) == [], f"effect {at}, {names[at - 1]}"
        assert lab.run(folder, "project")["exit"] == 0
        shutil.rmtree(folder)


def test_a_second_refresh_gives_up_one_that_has_not_ended(
    templates: dict[str, Path], expected: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "home"
    shutil.copytree(templates["merged"], folder)
    old = visible(folder)
    begin_refresh(project(folder, Seam()), Seam())
    run_all(folder, max_batches=2)
    begin_refresh(project(folder, Seam()), Seam())
    assert visible(folder) == old
    assert run_all(folder) == [0, 1, 2, 3, 4, 5]
    assert found(folder) == found(expected["merged"])
    assert logs_beside(folder) == []
