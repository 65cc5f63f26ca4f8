"""``write_mode: merge`` and ``overwrite``: every batch is applied once, whole, whatever fails, whoever else writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from etl.engine import run
from etl.model import Bounds
from etl.progress import Silent
from etl.seam import Seam
from tests.faults.merging_lab import VISIBLE, found, multiset, pipeline_of
from tests.faults.test_crash_at_every_step import FAILURES, Lab, effects, finish, stray_files
from tests.faults.test_foreign_writers import Meanwhile, our_strays
from tests.readers import table_rows


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab("tests.faults.merging_lab")
    yield made
    made.close()


def fail_and_restart(lab: Lab, folder: Path, pipeline: str, at: int, failure: str) -> bool:
    """Fail at an effect, look, run again, compare; return whether the first run survived."""
    folder.mkdir()
    ended = lab.run(folder, pipeline, at, failure)
    has_survived = (folder / "effects.json").exists() and len(effects(folder)) < at
    assert has_survived or ended["signal"] == 9 or not failure.startswith("kill")
    assert found(folder) in VISIBLE[pipeline], f"effect {at}"
    assert finish(lab, folder, pipeline) == 1, f"effect {at}"
    assert found(folder) == VISIBLE[pipeline][-1], f"effect {at}"
    assert [row["rule"] for row in table_rows(folder / "quarantine")] == ["known_kind"]
    assert stray_files(folder) == [], f"effect {at}"
    return has_survived


MOMENTS = ["data.write", "data.sync", "manifest.put.publish", "table.commit.publish", "commit.put.publish"]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("pipeline", VISIBLE)
def test_every_change_is_applied_once_when_a_run_is_killed_at_the_end_of_a_batch(
    lab: Lab, tmp_path: Path, pipeline: str, moment: str
) -> None:
    (tmp_path / "whole").mkdir()
    lab.run(tmp_path / "whole", pipeline)
    at = max(number for number, effect in enumerate(effects(tmp_path / "whole"), 1) if effect == moment)
    assert not fail_and_restart(lab, tmp_path / "killed", pipeline, at, "kill_after")


@pytest.mark.slow
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("pipeline", VISIBLE)
def test_every_change_is_applied_once_when_a_run_fails_at_any_effect(
    lab: Lab, tmp_path: Path, failure: str, pipeline: str
) -> None:
    at = 1
    while not fail_and_restart(lab, tmp_path / str(at), pipeline, at, failure):
        at += 1
    assert at > 75


@pytest.mark.parametrize("pipeline", VISIBLE)
def test_each_batch_that_changes_rows_or_columns_is_one_version_with_what_it_must_hold(
    tmp_path: Path, pipeline: str
) -> None:
    version, before = -1, None
    for number, expected in enumerate(VISIBLE[pipeline][1:]):
        (result,) = run(pipeline_of(pipeline, tmp_path, Seam()), Seam(), Silent(), Bounds(1))
        assert found(tmp_path) == expected
        assert result.batch_id == number
        is_changed = expected != before or bool(result.schema_changes)
        version += is_changed
        assert result.tables.get("table") == (version if is_changed else None)
        before = expected
    assert run(pipeline_of(pipeline, tmp_path, Seam()), Seam(), Silent()) == []


def compact(table: Path) -> None:
    DeltaTable(table).optimize.compact()


def append(table: Path) -> None:
    rows = pl.DataFrame({"id": [0, 50], "part": ["p", "p"], "v": [5, 5], "kind": ["b", "c"]})
    write_deltalake(table, rows, mode="append", schema_mode="merge")


def manifests(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoint" / "manifests").glob("0000000002*"))


@pytest.mark.parametrize("effect", ["manifest.put.publish", "table.commit.publish"])
@pytest.mark.parametrize("act", [compact, append])
def test_a_table_that_another_writer_changes_after_staging_is_merged_into_as_it_is_now(
    tmp_path: Path, effect: str, act: Callable[[Path], None]
) -> None:
    run(pipeline_of("changing", tmp_path, Seam()), Seam(), Silent(), Bounds(2))
    seam = Meanwhile(effect, lambda: act(tmp_path / "table"))
    run(pipeline_of("changing", tmp_path, seam), seam, Silent(), Bounds(1))
    theirs = multiset([{"id": 50, "part": "p", "v": 5, "kind": "c"}]) if act is append else multiset(())
    assert found(tmp_path) == VISIBLE["changing"][3] + theirs
    assert manifests(tmp_path) == ["0000000002.2.json", "0000000002.json"]
    assert our_strays(tmp_path) == []


@pytest.mark.parametrize("act", [compact, append])
def test_a_table_that_is_to_be_replaced_needs_no_second_look(tmp_path: Path, act: Callable[[Path], None]) -> None:
    run(pipeline_of("whole", tmp_path, Seam()), Seam(), Silent(), Bounds(2))
    seam = Meanwhile("table.commit.publish", lambda: act(tmp_path / "table"))
    run(pipeline_of("whole", tmp_path, seam), seam, Silent(), Bounds(1))
    assert found(tmp_path) == VISIBLE["whole"][3]
    assert manifests(tmp_path) == ["0000000002.json"]
    assert our_strays(tmp_path) == []


def test_a_merge_whose_table_moved_while_no_runner_lived_is_staged_again(tmp_path: Path) -> None:
    run(pipeline_of("changing", tmp_path, Seam()), Seam(), Silent(), Bounds(2))

    def die() -> None:
        raise KeyboardInterrupt

    seam = Meanwhile("table.commit.publish", die)
    with pytest.raises(KeyboardInterrupt):
        run(pipeline_of("changing", tmp_path, seam), seam, Silent())
    compact(tmp_path / "table")
    run(pipeline_of("changing", tmp_path, Seam()), Seam(), Silent())
    assert found(tmp_path) == VISIBLE["changing"][-1]
    assert manifests(tmp_path) == ["0000000002.2.json", "0000000002.json"]
    assert our_strays(tmp_path) == []
