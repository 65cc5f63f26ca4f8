"""A rewind killed or failing at each effect: it has not begun, or the next run finishes it; then all is as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.operations.looking import Onlooker
from etl.operations.verifying import verify
from etl.operations.workspace import Workspace
from tests.faults.state_lab import PIPELINES, SOURCE, lay_out
from tests.faults.test_crash_at_every_step import FAILURES, Lab, effects
from tests.faults.test_state_crashes import finish, found, places, strays

PLAIN = SOURCE + "expect: [{name: small, check: amount < 10}]\nsink: {type: delta, table: t.events}\n"
QUICK = {("chain", "kill_after")}
"""Run each time, at the first and the last effect of each name; `make slow` runs all, at every effect."""
CASES = [
    pytest.param(pipeline, failure, marks=() if (pipeline, failure) in QUICK else pytest.mark.slow)
    for pipeline in ("plain", *PIPELINES)
    for failure in FAILURES
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab("tests.faults.rewind_lab")
    yield made
    made.close()


def lay_out_any(folder: Path, pipeline: str) -> Path:
    lay_out(folder, "windows" if pipeline == "plain" else pipeline)
    if pipeline == "plain":
        (folder / "pipelines" / "events.yml").write_text(PLAIN)
    return folder


def is_begun(folder: Path) -> bool:
    return (folder / "lake" / "_checkpoints" / "events" / "pipeline.2.json").exists()


def faults(folder: Path, *, is_deep: bool = False) -> list[str]:
    checks = verify(Workspace(folder), "events", Onlooker(), is_deep=is_deep).checks
    return [fault for check in checks for fault in check.faults]


@pytest.mark.parametrize(("pipeline", "failure"), CASES)
def test_a_rewind_that_fails_at_any_effect_has_not_begun_or_is_finished_by_the_next_run(
    lab: Lab, tmp_path: Path, pipeline: str, failure: str
) -> None:
    template = lay_out_any(tmp_path / "template", pipeline)
    early = lay_out_any(tmp_path / "early", pipeline)
    for number in range(2, 5):
        (early / "in" / f"{number}.ndjson").unlink()
        (early / "refunds" / f"{number}.ndjson").unlink()
    assert lab.run(template, "project")["exit"] == lab.run(early, "project")["exit"] == 0
    whole = shutil.copytree(template, tmp_path / "whole")
    assert lab.run(whole, "rewind")["exit"] == 0
    names = effects(whole)
    assert found(whole) == found(early)
    assert faults(whole, is_deep=True) == []
    begun = 0
    for at in places(names, is_whole=(pipeline, failure) not in QUICK):
        folder = shutil.copytree(template, tmp_path / str(at))
        ended = lab.run(folder, "rewind", at, failure)
        if failure.startswith("kill"):
            assert ended["signal"] == 9
        if not is_begun(folder):
            assert found(folder) == found(template), f"effect {at}: {names[at - 1]}"
        begun += is_begun(folder)
        finish(lab, folder)
        assert found(folder) == found(template), f"effect {at}: {names[at - 1]}"
        assert faults(folder) == [], f"effect {at}: {names[at - 1]}"
        assert strays(folder) == [], f"effect {at}: {names[at - 1]}"
    assert begun > len(names) // 4 or (pipeline, failure) in QUICK


def test_a_rewind_can_be_said_again_after_it_was_killed(lab: Lab, tmp_path: Path) -> None:
    template = lay_out_any(tmp_path / "template", "chain")
    assert lab.run(template, "project")["exit"] == 0
    for name in ("identity.put.publish", "table.commit.publish", "commit.put.publish"):
        folder = shutil.copytree(template, tmp_path / name)
        assert lab.run(folder, "rewind", name, "kill_after")["signal"] == 9
        assert lab.run(folder, "rewind")["exit"] == 0
        assert json.loads((folder / "effects.json").read_text())
        finish(lab, folder)
        assert found(folder) == found(template)
        assert faults(folder) == []
