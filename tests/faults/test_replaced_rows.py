"""``on_change: replace_rows``: the newest version of each file is in the table, whole and once, whatever fails."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import deltalake
import pytest

from etl.engine import open_runner, run
from etl.errors import SinkError
from etl.model import Manifest
from etl.progress import Silent
from etl.seam import Seam
from tests.faults.replacing_lab import (
    FIRST,
    NEWEST,
    SECOND,
    accepted,
    found,
    lay_out,
    put,
    rejected,
    replaced_files,
    run_all,
    stray_files,
)
from tests.faults.test_crash_at_every_step import Lab, effects

FAILURES = ("kill_before", "kill_after", "error_before", "error_after", "torn", "full")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab("tests.faults.replacing_lab")
    yield made
    made.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("replacing") / "t")


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "home")
    return tmp_path / "home"


def versions(folder: Path) -> int:
    return deltalake.DeltaTable(str(folder / "table")).version()


def test_new_versions_of_files_take_the_place_of_their_rows_in_one_version(home: Path) -> None:
    assert found(home) == (accepted(FIRST), rejected(FIRST))
    before = versions(home)

    (result,) = run_all(home)

    assert found(home) == (accepted(NEWEST), rejected(NEWEST))
    assert versions(home) == before + 1
    assert (result.rows["read"], result.rows["written"], result.rows["quarantined"]) == (4, 3, 1)
    assert run_all(home) == []


def test_a_file_that_comes_back_as_it_was_replaces_once_more(home: Path) -> None:
    run_all(home)
    put(home, FIRST, 3000)
    run_all(home)
    assert found(home) == (accepted({**NEWEST, **FIRST}), rejected({**NEWEST, **FIRST}))


def test_rows_stay_where_nothing_of_them_is_replaced(home: Path) -> None:
    before = set(deltalake.DeltaTable(str(home / "table")).file_uris())
    for name in "acd":
        (home / "in" / f"{name}.ndjson").unlink()
    put(home, {"d": SECOND["d"]}, 2000)
    run_all(home)
    assert before < set(deltalake.DeltaTable(str(home / "table")).file_uris())


def fail_and_restart(lab: Lab, folder: Path, at: int, failure: str) -> bool:
    """Fail at an effect, look, run again, compare; return whether the first run survived."""
    ended = lab.run(folder, "replacing", at, failure)
    has_survived = (folder / "effects.json").exists() and len(effects(folder)) < at
    assert has_survived or ended["signal"] == 9 or not failure.startswith("kill")
    kept, aside = found(folder)
    assert kept in (accepted(FIRST), accepted(NEWEST)), f"effect {at}"
    assert aside in (rejected(FIRST), rejected(NEWEST)), f"effect {at}"
    assert lab.run(folder, "replacing")["exit"] == 0, (folder / "error.txt").read_text()
    assert found(folder) == (accepted(NEWEST), rejected(NEWEST)), f"effect {at}"
    assert stray_files(folder) == set(), f"effect {at}"
    return has_survived


@pytest.mark.parametrize("at", [11, 16, 18, 21, 24], ids=["rewritten", "staged", "decided", "half", "committed"])
def test_rows_are_replaced_once_when_a_run_is_killed(lab: Lab, home: Path, at: int) -> None:
    assert not fail_and_restart(lab, home, at, "kill_after")


@pytest.mark.slow
@pytest.mark.parametrize("failure", FAILURES)
def test_rows_are_replaced_once_when_a_run_fails_at_any_effect(
    lab: Lab, template: Path, tmp_path: Path, failure: str
) -> None:
    for at in range(1, 200):
        folder = tmp_path / str(at)
        shutil.copytree(template, folder)
        if fail_and_restart(lab, folder, at, failure):
            break
    assert at > 25


def test_a_foreign_compaction_between_staging_and_commit_neither_doubles_nor_keeps_old_rows(home: Path) -> None:
    pipeline = replaced_files(home, Seam())
    calls: list[str] = []

    class Compacted:
        """The sink, with another writer that comes first."""

        def __getattr__(self, name: str) -> Any:
            return getattr(pipeline.sink, name)

        def commit(self, manifest: Manifest, info: dict[str, Any]) -> int:
            calls.append(manifest.attempt)
            if len(calls) == 1:
                deltalake.DeltaTable(str(home / "table")).optimize.compact()
            return commit(manifest, info)

    # two data files in one partition, or there is nothing to compact
    kind = {"e": [{"id": 8, "kind": "x", "amount": 8.0}], "f": [{"id": 9, "kind": "x", "amount": 9.0}]}
    put(home, {"e": kind["e"]}, 1500)
    run(pipeline, Seam(), Silent())
    put(home, {"a": FIRST["a"], "f": kind["f"]}, 3000)
    pipeline = replaced_files(home, Seam())
    commit = pipeline.sink.commit
    between = replace(pipeline, flow=replace(pipeline.flow, sink=Compacted()))
    with open_runner(between, Seam(), Silent()) as runner:
        runner.recover()
        assert runner.run_batch() is not None
    assert len(calls) == 2
    newest = {**NEWEST, **kind, "a": FIRST["a"]}
    assert found(home) == (accepted(newest), rejected(newest))


def test_a_table_without_the_column_of_files_is_refused(home: Path) -> None:
    table = deltalake.DeltaTable(str(home / "table")).to_pyarrow_table().drop_columns(["_source_file"])
    deltalake.write_deltalake(
        str(home / "table"), table, mode="overwrite", schema_mode="overwrite", partition_by=["kind"]
    )
    with pytest.raises(SinkError, match="no _source_file, by which the rows of a file are found"):
        run_all(home)


def test_a_replacing_file_that_vanishes_before_it_is_read_keeps_its_old_rows(tmp_path: Path) -> None:
    home = lay_out(tmp_path / "home")
    pipeline = replaced_files(home, Seam())
    with open_runner(pipeline, Seam(), Silent()) as runner:
        runner.recover()
        assert runner.plan() is not None
    (home / "in" / "c.ndjson").unlink()
    assert Counter(each.batch_id for each in run_all_leniently(home)) == {1: 1}
    newest = {**NEWEST, "c": FIRST["c"]}
    assert found(home) == (accepted(newest), rejected(newest))


def run_all_leniently(folder: Path) -> list[Any]:
    pipeline = replaced_files(folder, Seam(), ignore_missing=True)
    return run(pipeline, Seam(), Silent())
