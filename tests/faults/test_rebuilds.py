"""Checkpoints made again, copied and put back, killed or failing at each effect: none counts until it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.errors import CheckpointError
from tests.faults.rebuild_lab import is_there
from tests.faults.test_crash_at_every_step import FAILURES, Lab, effects
from tests.faults.test_rewinds import faults, lay_out_any
from tests.faults.test_state_crashes import finish, found, places, strays

QUICK = {("rebuild", "kill_after"), ("import", "kill_before")}
"""Run each time, at the first and the last effect of each name; `make slow` runs all, at every effect."""
CASES = [
    pytest.param(what, failure, marks=() if (what, failure) in QUICK else pytest.mark.slow)
    for what in ("rebuild", "export", "import")
    for failure in FAILURES
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab("tests.faults.rebuild_lab")
    yield made
    made.close()


def checkpoint(folder: Path) -> Path:
    return folder / "lake" / "_checkpoints" / "events"


def prepared(lab: Lab, folder: Path, what: str) -> Path:
    """Return a project that has run, with a copy of the checkpoint, or with none at all."""
    lay_out_any(folder, "plain" if what == "rebuild" else "chain")
    assert lab.run(folder, "project")["exit"] == 0
    if what == "import":
        assert lab.run(folder, "export")["exit"] == 0
    if what != "export":
        shutil.rmtree(checkpoint(folder))
    return folder


@pytest.mark.parametrize(("what", "failure"), CASES)
def test_what_fails_at_any_effect_does_not_count_until_it_is_whole(
    lab: Lab, tmp_path: Path, what: str, failure: str
) -> None:
    template = prepared(lab, tmp_path / "template", what)
    whole = shutil.copytree(template, tmp_path / "whole")
    assert lab.run(whole, what)["exit"] == 0
    names = effects(whole)
    assert found(whole) == found(template)
    assert faults(whole, is_deep=True) == []
    for at in places(names, is_whole=(what, failure) not in QUICK):
        place = f"effect {at}: {names[at - 1]}"
        folder = shutil.copytree(template, tmp_path / str(at))
        lab.run(folder, what, at, failure)
        try:
            is_made = is_there(folder)
        except CheckpointError:  # records without their identity
            is_made = False
        assert found(folder) == found(template), place
        if what == "export":
            assert lab.run(folder, what)["exit"] == 0, place
            shutil.rmtree(checkpoint(folder))
        if what == "export" or not is_made:
            again = "import" if what == "export" else what
            assert lab.run(folder, again)["exit"] == 0, (folder / "error.txt").read_text()
        finish(lab, folder)
        assert found(folder) == found(template), place
        assert faults(folder) == [], place
        assert strays(folder) == [], place
