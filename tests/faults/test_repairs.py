"""A repair killed or failing at each effect: starts refuse until another one finishes it; then all is as it was."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.parquet_lab import PROJECT
from tests.faults.test_crash_at_every_step import FAILURES, Lab, effects
from tests.faults.test_rewinds import faults, lay_out_any
from tests.faults.test_state_crashes import finish, places, strays
from tests.faults.test_state_crashes import found as found_in_delta
from tests.plain_tables import listed_files, listed_rows, multiset, recorded_files, recorded_rows

QUICK = {("plain", "kill_after"), ("parquet", "kill_before")}
"""Run each time, at the last effect of each name; `make slow` runs all, at every effect."""
CASES = [
    pytest.param(pipeline, failure, marks=() if (pipeline, failure) in QUICK else pytest.mark.slow)
    for pipeline in ("plain", "updates", "windows", "parquet")
    for failure in FAILURES
]
ASIDE = "the torn commit of batch 4 is set aside"
QUARANTINE = [
    "t.events__quarantine: the torn version 0 is set aside",
    "t.events__quarantine: batch 2 is committed again, as version 0 (quarantine)",
    "t.events__quarantine: batch 3 is committed again, as version 1 (quarantine)",
]
LATE = [
    "t.events__late: the torn version 0 is set aside",
    "t.events__late: batch 1 is committed again, as version 0 (late)",
    "t.events__late: batch 3 is committed again, as version 1 (late)",
]
MAIN = [
    "t.events: the torn version 2 is set aside",
    "t.events: batch 2 is committed again, as version 2 (main)",
    "t.events: batch 3 is committed again, as version 3 (main)",
]
PARQUET = [
    "t.events: the torn record of batch 1 is set aside",
    "t.events: batch 1 is committed again, as version 1 (main)",
    "t.events: batch 2 is committed again, as version 2 (main)",
]
MENDED = {
    "plain": [ASIDE, *QUARANTINE, *MAIN],
    "updates": [ASIDE, *MAIN],
    "windows": [ASIDE, *LATE, *MAIN],
    "parquet": [ASIDE, *QUARANTINE, *PARQUET],
}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab("tests.faults.repair_lab")
    yield made
    made.close()


def lay_out_one(folder: Path, pipeline: str) -> Path:
    lay_out_any(folder, "plain" if pipeline == "parquet" else pipeline)
    if pipeline == "parquet":
        (folder / "pipelines" / "events.yml").write_text(PROJECT)
    return folder


def mended(folder: Path) -> list[str]:
    """Return what the last repair says that it did; a record of a plain table by its batch, for its name is random."""
    told: list[str] = json.loads((folder / "mended.json").read_text())
    return [re.sub(r"_commits/\S+-0+(\d)\.json", r"record of batch \1", line) for line in told]


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def damage(folder: Path, pipeline: str) -> None:
    """Tear the newest commit entry and a version of each table, without the later ones of committed batches."""
    tear(max((folder / "lake" / "_checkpoints" / "events" / "commits").glob("*.json")))
    logs = sorted((folder / "lake" / "t").glob("*/_delta_log"))
    for log in logs:
        entries = sorted(log.glob("*.json"))
        keep = 2 if log.parent.name == "events" and len(entries) > 2 else 0
        for entry in entries[keep + 1 :]:
            entry.unlink()
        tear(entries[keep])
    if pipeline == "parquet":
        records = sorted((folder / "lake" / "t" / "events" / "_commits").glob("*.json"))
        tear(records[1])
        records[2].unlink()


def found(folder: Path, pipeline: str) -> object:
    """Return the multiset of what readers find, and require that readers of the folder of a plain table agree."""
    if pipeline != "parquet":
        return found_in_delta(folder)
    table = folder / "lake" / "t" / "events"
    columns = ("user", "ts", "amount")
    return multiset(recorded_rows(table), columns), multiset(listed_rows(table), columns)


def check_mended(folder: Path, whole: Path, pipeline: str, place: str) -> None:
    assert found(folder, pipeline) == found(whole, pipeline), place
    assert faults(folder) == [], place
    if pipeline == "parquet":
        table = folder / "lake" / "t" / "events"
        assert listed_files(table) == sorted(recorded_files(table)), place
    else:
        assert strays(folder) == [], place


def moments(names: list[str], pipeline: str, failure: str) -> list[int]:
    """Return the effects at which to fail: each, or the last of every name; of plain tables their own alone."""
    if (pipeline, failure) not in QUICK:
        return places(names, is_whole=True)
    own = ("data.", "table.identity") if pipeline == "parquet" else ""
    return [at for at in places(names, is_whole=False) if names[at - 1].startswith(own)]


@pytest.mark.parametrize(("pipeline", "failure"), CASES)
def test_a_repair_that_fails_at_any_effect_is_finished_by_the_next_one(
    lab: Lab, tmp_path: Path, pipeline: str, failure: str
) -> None:
    whole = lay_out_one(tmp_path / "whole", pipeline)
    assert lab.run(whole, "project")["exit"] == 0
    template = shutil.copytree(whole, tmp_path / "template")
    damage(template, pipeline)
    at_once = shutil.copytree(template, tmp_path / "at-once")
    refused = shutil.copytree(template, tmp_path / "refused")
    assert lab.run(refused, "project")["exit"] == 4
    assert lab.run(at_once, "repair")["exit"] == 0
    names = effects(at_once)
    assert mended(at_once) == MENDED[pipeline]
    for at in moments(names, pipeline, failure):
        place = f"effect {at}: {names[at - 1]}"
        folder = shutil.copytree(template, tmp_path / str(at))
        ended = lab.run(folder, "repair", at, failure)
        if failure.startswith("kill"):
            assert ended["signal"] == 9
        if at % 2:
            assert lab.run(folder, "project")["exit"] in (0, 4), place
        assert lab.run(folder, "repair")["exit"] == 0, f"{place}: {(folder / 'error.txt').read_text()}"
        assert lab.run(folder, "repair")["exit"] == 0, place
        assert mended(folder) == [], place
        finish(lab, folder)
        check_mended(folder, whole, pipeline, place)
    finish(lab, at_once)
    check_mended(at_once, whole, pipeline, "at once")
    assert faults(at_once, is_deep=True) == []
