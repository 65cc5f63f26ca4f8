"""A full refresh: crashed at every effect, raced by the runner that it replaced, from every refused state."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from etl.checkpoint.refreshing import begin_generation
from etl.engine import open_runner, run
from etl.errors import FencedError, LeaseHeldError
from etl.operations.refreshing import begin_refresh
from etl.progress import Silent, Stopwatch
from etl.seam import Seam
from etl.storage import LocalStorage
from tests.faults.crash_lab import refreshed_files
from tests.faults.refresh_lab import (
    NEW_ROWS,
    OLD_ROWS,
    VISIBLE,
    found,
    is_begun,
    multiset,
    refresh,
    run_all,
    stray_files,
    with_late_file,
)
from tests.faults.test_crash_at_every_step import Lab
from tests.faults.test_two_runners import InterruptedSeam
from tests.leases import Free

SLOW = ("kill_before", "error_before", "error_after", "torn", "full")
FAILURES = ["kill_after", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


def refresh_quietly(folder: Path) -> None:
    refresh(folder)


def run_without_lease(folder: Path, seam: Seam) -> None:
    with open_runner(refreshed_files(folder, seam), seam, Silent(), Free()) as runner:
        runner.recover()
        while runner.run_batch() is not None:
            pass


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab()
    yield made
    made.close()


def test_a_full_refresh_replaces_rows_types_and_partitioning_in_one_version(home: Path) -> None:
    table_id = DeltaTable(home / "table").metadata().id
    results = refresh(home)
    assert [(result.batch_id, result.tables) for result in results] == [(0, {}), (1, {}), (2, {"table": 2})]
    assert found(home) == NEW_ROWS
    table = DeltaTable(home / "table")
    assert table.metadata().id == table_id
    assert table.metadata().partition_columns == []
    assert multiset(pl.read_delta(str(home / "table"), version=1).to_dicts()) == OLD_ROWS
    assert table.version() == 2
    assert run_all(home) == []


def test_a_full_refresh_keeps_the_records_of_its_generation_apart(home: Path) -> None:
    before = {path: path.read_bytes() for path in (home / "checkpoint").rglob("*.json")}
    refresh(home)
    second = home / "checkpoint" / "generation-0002"
    assert sorted(path.name for path in second.iterdir()) == [
        "commits",
        "epochs",
        "lease.lock",
        "manifests",
        "offsets",
        "schemas",
    ]
    assert {path: path.read_bytes() for path in before} == before
    identity = json.loads((home / "checkpoint" / "pipeline.2.json").read_text())
    first = json.loads((home / "checkpoint" / "pipeline.json").read_text())
    assert identity["body"]["replaces"] == [first["pipeline"]]
    assert identity["body"]["refresh"] is True


@pytest.mark.parametrize("failure", FAILURES)
def test_a_full_refresh_that_fails_at_any_effect_is_continued_by_a_plain_run(
    lab: Lab, template: Path, tmp_path: Path, failure: str
) -> None:
    """The loop ends when a refresh survives; a refresh that was not begun leaves everything as it was."""
    at = begun = 0
    while True:
        at += 1
        folder = tmp_path / str(at)
        shutil.copytree(template, folder)
        ended = lab.run(folder, "refresh", at, failure)
        effects = folder / "effects.json"
        has_survived = effects.exists() and len(json.loads(effects.read_text())) < at
        if failure.startswith("kill"):
            assert has_survived or ended["signal"] == 9
        assert found(folder) in VISIBLE, f"effect {at}"
        begun += is_begun(folder)
        assert lab.run(folder, "refreshed")["exit"] == 0, f"effect {at}"
        assert found(folder) == (NEW_ROWS if is_begun(folder) else OLD_ROWS), f"effect {at}"
        assert stray_files(folder) == set(), f"effect {at}"
        if has_survived:
            break
    assert at > 40
    assert begun > 30


def test_a_full_refresh_killed_at_any_effect_can_be_begun_again(lab: Lab, template: Path, tmp_path: Path) -> None:
    at = 0
    while True:
        at += 3
        folder = tmp_path / str(at)
        shutil.copytree(template, folder)
        if lab.run(folder, "refresh", at)["signal"] == 0:
            break
        assert lab.run(folder, "refresh")["exit"] == 0, f"effect {at}"
        assert found(folder) == NEW_ROWS, f"effect {at}"
    assert at > 40


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_runner_that_slept_through_a_full_refresh_changes_nothing_at_any_effect(
    template: Path, tmp_path: Path, is_after: bool
) -> None:
    """It is of the old generation, and has no lease: a heartbeat that expired."""
    fenced = at = 0
    while True:
        at += 1
        folder = with_late_file(template, tmp_path / str(at))
        seam = InterruptedSeam(at, partial(refresh_quietly, folder), is_after=is_after)
        try:
            run_without_lease(folder, seam)
        except (FencedError, LeaseHeldError):
            fenced += 1
        if seam.count < at:
            break
        assert found(folder) == NEW_ROWS, f"effect {at}"
        assert run_all(folder) == [], f"effect {at}"
    assert fenced > 15


def test_a_refresh_that_slept_while_the_old_generation_ran_on_replaces_it_or_does_not_begin(
    template: Path, tmp_path: Path
) -> None:
    refused = at = 0
    while True:
        at += 1
        folder = with_late_file(template, tmp_path / str(at))
        seam = InterruptedSeam(at, partial(run_without_lease, folder, Seam()), is_after=False)
        try:
            begin_generation(LocalStorage(folder / "checkpoint", seam), "test", seam)
        except (FencedError, LeaseHeldError):
            refused += 1
        if seam.count < at:
            break
        run_all(folder)
        late = Counter({json.dumps([9, "a", 9.5]): 1})
        assert found(folder) == (NEW_ROWS if is_begun(folder) else OLD_ROWS + late), f"effect {at}"
    assert at > 5
    assert refused > 0


def test_a_runner_of_the_old_generation_is_fenced_by_the_table_alone(template: Path, tmp_path: Path) -> None:
    """Its epoch is the highest of its generation: only what the refresh left in the table stops it."""
    home = with_late_file(template, tmp_path / "home")
    zombie = refreshed_files(home, Seam())
    with open_runner(zombie, Seam(), Silent(), Free()) as runner:
        runner.recover()
        plan = runner.plan()
        assert plan is not None
        refresh(home)
        for newer in (home / "checkpoint" / "epochs").glob("000000000[3-9].json"):
            newer.unlink()
        with pytest.raises(FencedError, match="a full refresh took the place of this checkpoint's batches"):
            runner._carry_out(plan, Stopwatch(Seam()))
    assert found(home) == NEW_ROWS


def test_a_start_that_lost_the_race_against_a_full_refresh_is_told(home: Path) -> None:
    late = refreshed_files(home, Seam())
    begin_refresh(refreshed_files(home, Seam()), Seam())
    with pytest.raises(FencedError, match="a full refresh has just begun"):
        run(late, Seam(), Silent())
    assert found(home) == OLD_ROWS


def test_a_full_refresh_waits_for_the_runner_at_work(home: Path) -> None:
    with open_runner(refreshed_files(home, Seam()), Seam(), Silent()), pytest.raises(LeaseHeldError):
        refresh(home)
    assert not is_begun(home)


def test_a_second_full_refresh_replaces_the_first_one_also_before_its_first_batch(home: Path) -> None:
    for _ in range(2):
        begin_refresh(refreshed_files(home, Seam()), Seam())
    assert found(home) == OLD_ROWS
    run_all(home)
    assert found(home) == NEW_ROWS
    body = json.loads((home / "checkpoint" / "pipeline.3.json").read_text())["body"]
    assert len(body["replaces"]) == 2
