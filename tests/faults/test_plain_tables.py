"""Plain Parquet tables killed or failing at each effect: readers of the records see whole batches, each row once."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etl.operations.looking import Onlooker
from etl.operations.verifying import verify
from etl.operations.workspace import Workspace
from tests.faults.parquet_lab import BATCHES, COLUMNS, PROJECT
from tests.faults.state_lab import lay_out
from tests.faults.test_crash_at_every_step import FAILURES, Lab, effects
from tests.faults.test_state_crashes import finish as finish_project
from tests.faults.test_state_crashes import places
from tests.plain_tables import arrow_rows, file_rows, listed_files, listed_rows, multiset, recorded_files, recorded_rows
from tests.readers import table_rows

QUICK = {"kill_after"}
"""Run each time, at the last of each effect that these tables have; `make slow` runs all, at every effect."""
CASES = [pytest.param(failure, marks=() if failure in QUICK else pytest.mark.slow) for failure in FAILURES]

Rows = Counter[tuple[Any, ...]]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab("tests.faults.parquet_lab")
    yield made
    made.close()


def rows_of(batches: list[list[dict[str, Any]]]) -> Rows:
    kept = [row for batch in batches for row in batch if row["id"] != 99]
    return multiset(kept, COLUMNS)


WHOLE = [rows_of(BATCHES[:upto]) for upto in range(4)]
"""What a reader of the records may see: whole batches, one after the other."""
ANEW = [rows_of(BATCHES[1 : 1 + upto]) for upto in (1, 2)]


def recorded(folder: Path) -> Rows:
    return multiset(recorded_rows(folder / "table"), COLUMNS)


def check_done(folder: Path, wanted: Rows, case: object) -> None:
    """Expect every row once, whoever reads, and no file that is not in the table."""
    table = folder / "table"
    assert recorded(folder) == wanted, case
    assert multiset(listed_rows(table), COLUMNS) == wanted, case
    assert listed_files(table) == sorted(recorded_files(table)), case
    assert [str(path) for path in (table / "_staging").rglob("*") if path.is_file()] == [], case
    assert [row["rule"] for row in table_rows(folder / "quarantine")] == ["known"], case


def moments(names: list[str], failure: str) -> list[int]:
    """Return the effects at which to fail: each, or those of the table alone."""
    if failure not in QUICK:
        return places(names, is_whole=True)
    own = ("data.publish", "data.remove", "table.")
    return [at for at in places(names, is_whole=False) if names[at - 1].startswith(own)]


def finish(lab: Lab, folder: Path, pipeline: str = "plain") -> None:
    for _ in range(2):
        if lab.run(folder, pipeline)["exit"] == 0:
            return
    pytest.fail((folder / "error.txt").read_text())


@pytest.mark.parametrize("failure", CASES)
def test_every_row_lands_once_when_a_run_fails_at_any_effect(lab: Lab, tmp_path: Path, failure: str) -> None:
    (tmp_path / "whole").mkdir()
    lab.run(tmp_path / "whole", "plain")
    check_done(tmp_path / "whole", WHOLE[3], "whole")
    names = effects(tmp_path / "whole")
    assert names.count("data.publish") == 8
    for at in moments(names, failure):
        folder = tmp_path / str(at)
        folder.mkdir()
        ended = lab.run(folder, "plain", at, failure)
        if failure.startswith("kill"):
            assert ended["signal"] == 9
        case = f"effect {at}: {names[at - 1]}"
        assert recorded(folder) in WHOLE, case
        file_rows(listed_files(folder / "table"))  # whole files alone: else DuckDB refuses them
        finish(lab, folder)
        check_done(folder, WHOLE[3], case)


def publications(names: list[str], batch: int) -> list[int]:
    """Return the effects that give the files of a batch their names."""
    found = [at for at, name in enumerate(names, 1) if name == "data.publish"]
    sizes = (2, 5, 1)
    return found[sum(sizes[:batch]) : sum(sizes[: batch + 1])]


def test_a_batch_of_which_some_files_have_their_names_is_seen_by_nobody_who_reads_the_records(
    lab: Lab, tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    lab.run(whole, "plain")
    for number, at in enumerate(publications(effects(whole), 1), 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert lab.run(folder, "plain", at, "kill_after")["signal"] == 9
        assert recorded(folder) == WHOLE[1]
        assert len(listed_files(folder / "table")) == 2 + number
        finish(lab, folder)
        check_done(folder, WHOLE[3], number)


@pytest.mark.slow
@pytest.mark.parametrize("first", ["manifest.put.publish", "data.publish", "table.commit.publish"])
def test_every_row_lands_once_when_the_recovery_is_killed_too(lab: Lab, tmp_path: Path, first: str) -> None:
    second = 0
    while True:
        second += 1
        folder = tmp_path / str(second)
        folder.mkdir()
        assert lab.run(folder, "plain", first, "kill_after")["signal"] == 9
        ended = lab.run(folder, "plain", second, "kill_after")
        assert recorded(folder) in WHOLE
        if ended["signal"] != 9:
            break
        second += 4 if second > 24 else 0
        finish(lab, folder)
        check_done(folder, WHOLE[3], f"{first}, then {second}")
    assert second > 20


def delta_rows(folder: Path) -> Rows:
    return multiset(table_rows(folder / "table") if (folder / "table").exists() else [], COLUMNS)


@pytest.mark.parametrize("failure", CASES)
def test_a_delta_table_and_a_plain_one_beside_it_take_every_batch_once(lab: Lab, tmp_path: Path, failure: str) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    assert lab.run(whole, "beside")["exit"] == 0
    for at in moments(effects(whole), failure):
        folder = tmp_path / str(at)
        folder.mkdir()
        lab.run(folder, "beside", at, failure)
        assert multiset(recorded_rows(folder / "plain"), COLUMNS) in WHOLE, at
        finish(lab, folder, "beside")
        assert multiset(recorded_rows(folder / "plain"), COLUMNS) == WHOLE[3] == delta_rows(folder), at
        assert listed_files(folder / "plain") == sorted(recorded_files(folder / "plain")), at


@pytest.mark.parametrize("failure", CASES)
def test_a_refresh_takes_the_place_of_all_rows_in_one_step(lab: Lab, tmp_path: Path, failure: str) -> None:
    template, whole = tmp_path / "template", tmp_path / "whole"
    template.mkdir()
    lab.run(template, "plain")
    shutil.copytree(template, whole)
    assert lab.run(whole, "anew")["exit"] == 0
    names = effects(whole)
    for at in moments(names, failure):
        folder = shutil.copytree(template, tmp_path / str(at))
        lab.run(folder, "anew", at, failure)
        assert recorded(folder) in (WHOLE[3], *ANEW), f"effect {at}: {names[at - 1]}"
        finish(lab, folder)
        is_begun = (folder / "checkpoint" / "pipeline.2.json").exists()
        table = folder / "table"
        assert recorded(folder) == (ANEW[1] if is_begun else WHOLE[3]), f"effect {at}: {names[at - 1]}"
        assert listed_files(table) == sorted(recorded_files(table)), f"effect {at}: {names[at - 1]}"


def table_of(folder: Path) -> Path:
    return folder / "lake" / "t" / "events"


def found(folder: Path) -> Rows:
    return multiset(recorded_rows(table_of(folder)), ("user", "ts", "amount"))


def faults(folder: Path, *, is_deep: bool = False) -> list[str]:
    checks = verify(Workspace(folder), "events", Onlooker(), is_deep=is_deep).checks
    return [fault for check in checks for fault in check.faults]


@pytest.mark.parametrize("failure", CASES)
def test_a_rewind_that_fails_at_any_effect_has_not_begun_or_is_finished_by_the_next_run(
    lab: Lab, tmp_path: Path, failure: str
) -> None:
    template = lay_out(tmp_path / "template", "windows")
    (template / "pipelines" / "events.yml").write_text(PROJECT)
    early = shutil.copytree(template, tmp_path / "early")
    for number in range(2, 5):
        (early / "in" / f"{number}.ndjson").unlink()
    assert lab.run(template, "project")["exit"] == lab.run(early, "project")["exit"] == 0
    whole = shutil.copytree(template, tmp_path / "whole")
    assert lab.run(whole, "rewind")["exit"] == 0
    names = effects(whole)
    assert found(whole) == found(early)
    assert faults(whole, is_deep=True) == []
    for at in moments(names, failure):
        folder = shutil.copytree(template, tmp_path / str(at))
        lab.run(folder, "rewind", at, failure)
        assert found(folder) in (found(template), found(early)), f"effect {at}: {names[at - 1]}"
        finish_project(lab, folder)
        assert found(folder) == found(template), f"effect {at}: {names[at - 1]}"
        assert faults(folder) == [], f"effect {at}: {names[at - 1]}"
        assert listed_files(table_of(folder)) == sorted(recorded_files(table_of(folder))), f"effect {at}"


def test_pyarrow_reads_the_same_rows(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    lab.run(tmp_path / "t", "plain")
    assert multiset(arrow_rows(tmp_path / "t" / "table", COLUMNS), COLUMNS) == WHOLE[3]
