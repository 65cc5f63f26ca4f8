"""A backfill killed or failing at each effect: every file is as it was or as it is now, and it goes on."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from tests.faults import backfill_lab as lab_of
from tests.faults.test_crash_at_every_step import FAILURES, Lab, effects
from tests.faults.test_rewinds import faults
from tests.faults.test_state_crashes import finish, places, strays

QUICK = "kill_after"
CASES = [
    pytest.param(QUICK, False, id="quick"),
    *(pytest.param(failure, True, id=failure, marks=pytest.mark.slow) for failure in FAILURES),
]
"""Run each time, at the last effect of each name; `make slow` runs all, at every effect."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab("tests.faults.backfill_lab")
    yield made
    made.close()


def found(folder: Path) -> Counter[Any]:
    """Return the rows of the table and those of the quarantine, which have no amount here."""
    tables = {name: DeltaTable(str(folder / "lake" / "t" / name)) for name in ("events", "events__quarantine")}
    kept = tables["events"].to_pyarrow_table(columns=["_source_file", "id", "amount"]).to_pylist()
    aside = tables["events__quarantine"].to_pyarrow_table(columns=["_source_file", "raw"]).to_pylist()
    rows = [tuple(row.values()) for row in kept]
    return Counter(rows + [(row["_source_file"], json.loads(row["raw"])["id"], None) for row in aside])


def by_file(rows: Counter[Any], table: str) -> dict[str, Counter[Any]]:
    wanted = {row: count for row, count in rows.items() if (row[2] is None) == (table == "quarantine")}
    return {
        f"in/{name}.ndjson": Counter({row: count for row, count in wanted.items() if row[0] == f"in/{name}.ndjson"})
        for name in lab_of.BEFORE
    }


@pytest.mark.parametrize(("failure", "is_whole"), CASES)
def test_a_backfill_that_fails_at_any_effect_goes_on(lab: Lab, tmp_path: Path, failure: str, is_whole: bool) -> None:
    template = lab_of.lay_out(tmp_path / "template")
    assert lab.run(template, "project")["exit"] == 0
    lab_of.put(template, lab_of.CHANGED)
    before, after = lab_of.rows_of(lab_of.BEFORE), lab_of.rows_of({**lab_of.BEFORE, **lab_of.CHANGED})
    assert found(template) == before
    whole = shutil.copytree(template, tmp_path / "whole")
    assert lab.run(whole, "backfill")["exit"] == 0
    names = effects(whole)
    assert found(whole) == after
    assert {name for name in names if name.startswith("backfill.")} >= {"backfill.put.publish"}
    for at in places(names, is_whole=is_whole):
        what = f"effect {at}: {names[at - 1]}"
        folder = shutil.copytree(template, tmp_path / "folder")
        ended = lab.run(folder, "backfill", at, failure)
        if failure.startswith("kill"):
            assert ended["signal"] == 9
        now = found(folder)
        for table in ("main", "quarantine"):
            then, later = by_file(before, table), by_file(after, table)
            for file, rows in by_file(now, table).items():
                assert rows in (then[file], later[file]), what
        finish(lab, folder)
        assert lab.run(folder, "backfill")["exit"] == 0, (folder / "error.txt").read_text()
        assert found(folder) == after, what
        finish(lab, folder)
        assert found(folder) == after, what
        assert faults(folder) == [], what
        assert strays(folder) == [], what
        shutil.rmtree(folder)
