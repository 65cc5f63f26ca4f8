from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

import etl
from etl.errors import LeaseHeldError, SourceError, StorageError, TableStateError
from etl.model import Bounds, SchemaChange
from etl.operations.looking import Onlooker
from etl.operations.planning import NextBatch, plan_next, plan_refresh
from etl.operations.refreshing import begin_refresh
from etl.operations.running import Outcome, Running, run_pipelines
from etl.operations.status import history, status_of
from etl.operations.tracing import Trace
from etl.operations.validation import validate
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from tests.unit.operations.conftest import ORDERS

UNDER_WAY = "full refresh under way: the table stays as it is until one version has all of the new one"


def refresh(home: Workspace, bounds: Bounds | None = None) -> Outcome:
    running = Running(Seam(), Silent(), bounds or Bounds(), full_refresh=True)
    (outcome,) = run_pipelines(home, ["orders"], running)
    return outcome


def edit(home: Workspace, old: str, new: str) -> Workspace:
    path = home.folder / "pipelines" / "orders.yml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return Workspace(home.folder)


def ids(home: Workspace) -> list[int]:
    return sorted(pl.read_delta(str(home.folder / "lake" / "silver" / "orders"))["order_id"])


def told_plan(home: Workspace) -> NextBatch:
    return plan_refresh(home, "orders", Onlooker())


def test_a_full_refresh_reads_everything_again_by_the_pipeline_as_it_is_now(home: Workspace, run_all: Any) -> None:
    run_all(home)
    home = edit(home, "amount >= 0", "amount < 100")
    outcome = refresh(home)
    assert outcome.exit_code == 0
    assert [(result.batch_id, result.rows["read"]) for result in outcome.results] == [(0, 3)]
    assert ids(home) == [1, 2, 3]
    assert [each.results for each in run_all(home)] == [()]


def test_a_full_refresh_of_a_pipeline_that_never_ran_is_its_first_run(home: Workspace) -> None:
    assert refresh(home).exit_code == 0
    assert ids(home) == [1, 3]


def test_readers_see_the_old_table_until_one_version_has_all_of_the_new_one(home: Workspace, run_all: Any) -> None:
    run_all(home)
    home = edit(home, "amount >= 0", "amount < 100")
    refresh(home, Bounds(max_batches=1))
    table = str(home.folder / "lake" / "silver" / "orders")
    assert [sorted(pl.read_delta(table, version=each)["order_id"]) for each in (0, 1, 2)] == [[1], [1, 3], [1, 2, 3]]
    assert DeltaTable(table).version() == 2


def test_a_full_refresh_in_several_batches_that_was_stopped_goes_on(home: Workspace, run_all: Any) -> None:
    home = edit(home, "table: silver.orders}", "table: silver.orders, write_mode: merge, primary_key: [order_id]}")
    run_all(home)
    home = edit(home, "amount >= 0", "amount < 100")
    refresh(home, Bounds(max_batches=1))
    assert ids(home) == [1, 3]
    waiting = status_of(home.wired("orders", Onlooker()), Onlooker())
    assert (waiting.state, waiting.note) == ("unfinished", UNDER_WAY)
    (outcome,) = run_all(home)
    assert [result.batch_id for result in outcome.results] == [1, 2]
    assert ids(home) == [1, 2, 3]
    assert status_of(home.wired("orders", Onlooker()), Onlooker()).state == "idle"


def test_status_history_and_trace_tell_of_the_generation_that_counts(home: Workspace, run_all: Any) -> None:
    run_all(home)
    seam = Onlooker()
    begin_refresh(home.wired("orders", Seam()), Seam())
    waiting = status_of(home.wired("orders", seam), seam)
    assert (waiting.state, waiting.lag_files, waiting.last_batch) == ("unfinished", 2, None)
    assert waiting.note == UNDER_WAY
    run_all(home)
    assert status_of(home.wired("orders", seam), seam).state == "idle"
    entries = history(home.wired("orders", seam), seam)
    assert [entry.result.tables for entry in entries] == [{"silver.orders": 2}]
    (passage,) = Trace(home, "silver.orders").file("landing/orders/2.ndjson")
    assert (passage.batch_id, passage.version, passage.rows_in_table) == (0, 2, 1)


def test_the_plan_of_a_refresh_that_waits_tells_all_columns_as_new(home: Workspace, run_all: Any) -> None:
    run_all(home)
    assert plan_next(home.wired("orders", Onlooker()), Onlooker()).is_replacing is False
    begin_refresh(home.wired("orders", Seam()), Seam())
    found = plan_next(home.wired("orders", Onlooker()), Onlooker())
    assert (found.batch_id, found.is_replacing, len(found.files), found.trouble) == (0, True, 2, None)
    assert SchemaChange("double", None, "float64") in found.table_changes


def test_planning_a_refresh_changes_nothing_and_tells_its_first_batch(
    home: Workspace, run_all: Any, snapshot: Any
) -> None:
    run_all(home)
    home = edit(home, "table: silver.orders}", "table: silver.orders, partition_by: [order_id]}")
    before = snapshot(home.folder)
    found = told_plan(home)
    assert (found.batch_id, found.is_replacing, found.trouble) == (0, True, None)
    assert [file.path for file in found.files] == ["landing/orders/1.ndjson", "landing/orders/2.ndjson"]
    assert SchemaChange("order_id", None, "int64") in found.table_changes
    assert snapshot(home.folder) == before


def test_a_lost_checkpoint_is_told_before_a_run_and_left_to_the_user(home: Workspace, run_all: Any) -> None:
    run_all(home)
    shutil.rmtree(home.folder / "lake" / "_checkpoints")
    found = status_of(home.wired("orders", Onlooker()), Onlooker())
    assert found.state == "refused"
    assert found.last_error is not None
    assert found.last_error.message.startswith("table_ahead: the table holds batches of this pipeline up to 1")
    with pytest.raises(TableStateError, match="table_ahead"):
        plan_next(home.wired("orders", Onlooker()), Onlooker())
    (outcome,) = run_all(home)
    assert outcome.exit_code == 4
    assert refresh(home).exit_code == 0
    assert ids(home) == [1, 3]


@pytest.mark.parametrize(
    ("options", "place"),
    [("after_commit: delete", "source.after_commit"), ("start: now", "source.start")],
)
def test_a_source_that_cannot_be_read_from_the_beginning_is_not_refreshed(
    home: Workspace, run_all: Any, options: str, place: str
) -> None:
    run_all(home)
    home = edit(home, "  batch:", f"  {options}\n  batch:")
    for begin in (lambda: begin_refresh(home.wired("orders", Seam()), Seam()), lambda: told_plan(home)):
        with pytest.raises(SourceError, match="would lack their rows") as caught:
            begin()
        assert caught.value.where == place
    assert not list(home.folder.rglob("pipeline.2.json"))
    assert ids(home) == [1, 3]


def test_a_torn_table_is_refused_and_nothing_is_begun(home: Workspace, run_all: Any) -> None:
    run_all(home)
    (home.folder / "lake" / "silver" / "orders" / "_delta_log" / f"{1:020d}.json").write_bytes(b"{")
    outcome = refresh(home)
    assert outcome.exit_code == 4
    assert not list(home.folder.rglob("pipeline.2.json"))


def test_a_runner_at_work_is_not_disturbed(home: Workspace, run_all: Any) -> None:
    from etl.engine import open_runner

    run_all(home)
    with open_runner(home.wired("orders", Seam()), Seam(), Silent()):
        outcome = refresh(home)
    assert isinstance(outcome.error, LeaseHeldError)


def test_a_disk_that_fails_is_a_storage_error(home: Workspace) -> None:
    class Broken(Seam):
        def effect(self, name: str, act: Any, torn: Any = None) -> Any:
            raise OSError(5, "Input/output error")

    with pytest.raises(StorageError, match="Input/output error"):
        begin_refresh(home.wired("orders", Seam()), Broken())


def test_a_program_may_ask_for_a_full_refresh(home: Workspace, run_all: Any) -> None:
    run_all(home)
    results = etl.run("orders", home.folder, full_refresh=True)
    assert [result.batch_id for result in results] == [0]
    assert ids(home) == [1, 3]


def test_a_checkpoint_folder_that_cannot_be_listed_is_an_error_but_not_a_fault_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "orders.yml").write_text(
        ORDERS.replace("batch:", "schema: {order_id: int64, amount: float64}\n  batch:")
    )
    (tmp_path / "lake" / "_checkpoints").mkdir(parents=True)
    (tmp_path / "lake" / "_checkpoints" / "orders").write_text("a file where the folder should be")
    home = Workspace(tmp_path)
    with pytest.raises(StorageError, match="cannot be listed: Not a directory"):
        home.wired("orders", Seam())
    (verdict,) = validate(home)
    assert verdict.columns is not None
