"""A full refresh that has not ended, or has: what other commands make of it, and what it makes of what it finds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from etl.errors import ConfigError, SinkError, TableStateError
from etl.operations.backfilling import backfill
from etl.operations.choosing import Wish
from etl.operations.looking import Onlooker
from etl.operations.quarantining import Listening
from etl.operations.rebuilding import rebuild
from etl.operations.refreshing import begin_refresh
from etl.operations.repairing import repair
from etl.operations.rewinding import Target, rewind
from etl.operations.table_upkeep import VacuumOrder, vacuum
from etl.operations.tracing import Trace
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from etl.sources.file_choosing import Choice
from tests.faults.beside_lab import lay_out, renew
from tests.faults.state_lab import project
from tests.faults.test_beside import faults, logs_beside, run_all, visible
from tests.faults.test_state_crashes import found


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = lay_out(tmp_path_factory.mktemp("new") / "merged", "merged", is_new=True)
    run_all(made)
    return made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project whose table has the old input, with the new one beside it, and two batches of a refresh."""
    folder = lay_out(tmp_path / "home", "merged", is_new=False)
    run_all(folder)
    renew(folder)
    begin_refresh(project(folder, Seam()), Seam())
    run_all(folder, max_batches=2)
    return folder


def table(folder: Path) -> Path:
    return folder / "lake" / "t" / "events"


def test_vacuum_leaves_what_a_refresh_has_written(home: Path, expected: Path) -> None:
    old = visible(home)
    vacuum(Workspace(home), "t.events", Seam(), VacuumOrder("0s", is_forced=True))
    assert visible(home) == old
    assert run_all(home) == [2, 3, 4, 5]
    assert found(home) == found(expected)
    vacuum(Workspace(home), "t.events", Seam(), VacuumOrder("0s", is_forced=True))
    assert found(home) == found(expected)
    assert faults(home) == []


def test_a_batch_before_the_end_of_a_refresh_is_not_gone_back_to_one_behind_it_is(home: Path, expected: Path) -> None:
    with pytest.raises(ConfigError, match="batch 1 cannot be gone back to: it is of a full refresh"):
        rewind(Workspace(home), "events", Target(batch=1), Seam())
    assert run_all(home) == [2, 3, 4, 5]
    with pytest.raises(ConfigError, match="batch 4 cannot be gone back to: it is of a full refresh"):
        rewind(Workspace(home), "events", Target(batch=4), Seam())
    (home / "in" / "9.ndjson").write_text('{"user": "z", "ts": "2026-01-02T00:00:00Z", "amount": 1.0}\n')
    assert run_all(home) == [6]
    (home / "in" / "9.ndjson").unlink()
    rewind(Workspace(home), "events", Target(batch=5), Seam())
    assert visible(home) == visible(expected)


def test_a_backfill_waits_for_the_end_of_a_refresh(home: Path) -> None:
    with pytest.raises(ConfigError, match="a full refresh has begun"):
        backfill(Workspace(home), "events", Wish(Choice(("in/0.ndjson",)), "some"), Listening(Seam(), Silent()))


def test_a_trace_tells_the_version_that_ended_the_refresh(home: Path) -> None:
    (before,) = Trace(Workspace(home), "t.events").file("in/1.ndjson")
    assert (before.batch_id, before.version, before.rows_in_table) == (1, None, 0)
    run_all(home)
    newest = DeltaTable(table(home)).version()
    (after,) = Trace(Workspace(home), "t.events").file("in/1.ndjson")
    assert (after.batch_id, after.version) == (1, newest)


def lose_log(folder: Path) -> None:
    shutil.rmtree(table(folder) / "_refresh")


def cut_log(folder: Path) -> None:
    max(table(folder).glob("_refresh/*/_delta_log/*.json")).unlink()


@pytest.mark.parametrize(("harm", "kind"), [(lose_log, "table_missing"), (cut_log, "table_behind")])
def test_a_refresh_whose_log_is_lost_is_refused_and_can_be_begun_again(
    home: Path, expected: Path, harm: Callable[[Path], None], kind: str
) -> None:
    old = visible(home)
    harm(home)
    with pytest.raises(TableStateError, match=kind):
        run_all(home)
    assert visible(home) == old
    begin_refresh(project(home, Seam()), Seam())
    assert run_all(home) == [0, 1, 2, 3, 4, 5]
    assert found(home) == found(expected)


def test_a_data_file_that_is_gone_ends_no_refresh(home: Path) -> None:
    old = visible(home)
    for number in (2, 3, 4):
        (home / "in" / f"{number}.ndjson").unlink()
    entry = max(table(home).glob("_refresh/*/_delta_log/*.json"))
    added = [action["add"]["path"] for action in map(json.loads, entry.read_text().splitlines()) if "add" in action]
    (table(home) / added[0]).unlink()
    with pytest.raises(SinkError, match="which the full refresh has written, is gone or has another size"):
        run_all(home)
    assert visible(home) == old


def test_the_table_may_be_changed_or_gone_meanwhile(home: Path, expected: Path) -> None:
    write_deltalake(table(home), pl.DataFrame({"user": ["foreign"]}), mode="append", schema_mode="merge")
    assert run_all(home) == [2, 3, 4, 5]
    assert found(home) == found(expected)


def test_a_table_that_was_lost_is_made_by_the_end_of_the_refresh(home: Path, expected: Path) -> None:
    shutil.rmtree(table(home) / "_delta_log")
    assert run_all(home) == [2, 3, 4, 5]
    assert visible(home) == visible(expected)


def test_a_lost_checkpoint_is_made_again_once_the_refresh_has_ended(home: Path, expected: Path) -> None:
    lake = home / "lake" / "_checkpoints"
    shutil.copytree(lake, home / "copy")
    shutil.rmtree(lake)
    with pytest.raises(ConfigError, match="of different checkpoints"):
        rebuild(Workspace(home), "events", Seam())
    shutil.copytree(home / "copy", lake, dirs_exist_ok=True)
    run_all(home)
    state = lake / "events" / "generation-0002" / "state"
    shutil.copytree(state, home / "state")
    shutil.rmtree(lake)
    shutil.copytree(home / "state", lake / "events" / "state")
    rebuild(Workspace(home), "events", Seam())
    assert faults(home) == []
    assert run_all(home) == []
    assert found(home) == found(expected)
    with pytest.raises(ConfigError, match="batch 4 cannot be gone back to: it is of a full refresh"):
        rewind(Workspace(home), "events", Target(batch=4), Seam())


def test_a_version_that_ended_a_refresh_and_was_lost_is_committed_again(home: Path, expected: Path) -> None:
    run_all(home)
    max((table(home) / "_delta_log").glob("*.json")).unlink()
    with pytest.raises(TableStateError, match="table_behind"):
        run_all(home)
    repair(Workspace(home), "events", Seam())
    assert found(home) == found(expected)
    assert run_all(home) == []


def test_an_older_copy_of_the_checkpoint_is_refused_once_the_refresh_has_ended(home: Path, expected: Path) -> None:
    lake = home / "lake" / "_checkpoints"
    shutil.copytree(lake, home / "copy")
    run_all(home)
    shutil.rmtree(lake)
    shutil.copytree(home / "copy", lake)
    with pytest.raises(TableStateError, match="table_ahead"):
        run_all(home)
    assert found(home) == found(expected)
    assert Workspace(home).wired("events", Onlooker()).generation == 2
    assert logs_beside(home) == []
