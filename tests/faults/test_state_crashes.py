"""Pipelines that remember, killed or failing at each effect: all is as if nothing had happened."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from etl.checkpoint.folder import find_checkpoint
from etl.seam import Seam
from etl.storage import LocalStorage
from tests.faults.state_lab import PIPELINES, lay_out
from tests.faults.test_crash_at_every_step import FAILURES, Lab, effects
from tests.readers import committed_files, table_rows

QUICK = {("chain", "kill_after"), ("join", "torn")}
"""Run each time, at the last effect of each name; `make slow` runs all, at every effect."""
CASES = [
    pytest.param(pipeline, failure, marks=() if (pipeline, failure) in QUICK else pytest.mark.slow)
    for pipeline in PIPELINES
    for failure in FAILURES
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab("tests.faults.state_lab")
    yield made
    made.close()


def found(folder: Path) -> Counter[str]:
    """Return the multiset of what an independent reader finds in the table and in the late table."""
    tables = {name: folder / "lake" / "t" / name for name in ("events", "events__late")}
    return Counter(
        repr((name, sorted(row.items())))
        for name, table in tables.items()
        if table.exists()
        for row in table_rows(table)
    )


def counts(folder: Path) -> list[dict[str, int]]:
    """Return the rows of each batch by their fate."""
    checkpoint = find_checkpoint(LocalStorage(folder / "lake" / "_checkpoints" / "events", Seam()), Seam())
    assert checkpoint is not None
    return [dict(checkpoint.commits.read(each).result.rows) for each in checkpoint.commits.log.revisions()]


def strays(folder: Path) -> list[str]:
    """Return data files that no version of the tables ever referred to."""
    lake = folder / "lake" / "t"
    referred = {path for table in lake.iterdir() for path in committed_files(table)}
    return sorted({str(path) for path in lake.rglob("*.parquet") if "_delta_log" not in path.parts} - referred)


def remembered(folder: Path) -> Counter[str]:
    """Return the files of state by what they are: which batch of which transform wrote them, and their number."""
    state = folder / "lake" / "_checkpoints" / "events" / "state"
    return Counter(f"{path.parent.name} {re.sub('-[0-9a-f]+', '', path.name, count=1)}" for path in state.glob("*/*"))


def finish(lab: Lab, folder: Path) -> None:
    for _ in range(3):
        if lab.run(folder, "project")["exit"] == 0:
            return
    pytest.fail((folder / "error.txt").read_text())


def places(names: Sequence[str], *, is_whole: bool) -> list[int]:
    """Return the effects at which to fail: each, or the last of every name."""
    every = range(1, len(names) + 1)
    return list(every) if is_whole else sorted(dict(zip(names, every, strict=True)).values())


@pytest.mark.parametrize(("pipeline", "failure"), CASES)
def test_what_is_remembered_survives_a_failure_at_any_effect(
    lab: Lab, tmp_path: Path, pipeline: str, failure: str
) -> None:
    whole = lay_out(tmp_path / "whole", pipeline)
    assert lab.run(whole, "project")["exit"] == 0
    names = effects(whole)
    assert any(name.startswith("state.") for name in names)
    for at in places(names, is_whole=(pipeline, failure) not in QUICK):
        folder = lay_out(tmp_path / str(at), pipeline)
        ended = lab.run(folder, "project", at, failure)
        if failure.startswith("kill"):
            assert ended["signal"] == 9
        finish(lab, folder)
        assert found(folder) == found(whole), f"effect {at}: {names[at - 1]}"
        assert counts(folder) == counts(whole), f"effect {at}: {names[at - 1]}"
        assert strays(folder) == [], f"effect {at}: {names[at - 1]}"
        assert remembered(folder) == remembered(whole), f"effect {at}: {names[at - 1]}"
