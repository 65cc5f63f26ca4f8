from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from etl.checkpoint.lease import FileLease
from etl.operations.looking import Onlooker
from etl.operations.status import history, status_of, status_to_json
from etl.operations.workspace import Workspace
from etl.seam import Seam


def status(home: Workspace) -> Any:
    seam = Onlooker()
    return status_of(home.wired("orders", seam), seam)


def checkpoint(home: Workspace) -> Path:
    return home.folder / "lake" / "_checkpoints" / "orders"


def test_a_pipeline_that_never_ran_waits_with_all_its_files(home: Workspace) -> None:
    found = status(home)

    assert (found.state, found.lag_files, found.last_batch, found.last_error) == ("never run", 2, None, None)
    assert found.lag_bytes == sum(path.stat().st_size for path in (home.folder / "landing" / "orders").iterdir())


def test_a_look_changes_nothing(home: Workspace, run_all: Any, snapshot: Any) -> None:
    before = snapshot(home.folder)
    status(home)
    assert snapshot(home.folder) == before

    run_all(home)
    before = snapshot(home.folder)
    status(home)
    assert snapshot(home.folder) == before


def test_a_look_at_a_source_that_starts_now_records_no_start(home: Workspace, snapshot: Any) -> None:
    path = home.folder / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("  type: files\n", "  type: files\n  start: now\n"))
    before = snapshot(home.folder)

    found = status(home)

    assert (found.state, found.lag_files) == ("never run", 0)
    assert snapshot(home.folder) == before


def test_a_pipeline_with_everything_read_is_idle(home: Workspace, run_all: Any) -> None:
    run_all(home)

    found = status(home)

    assert (found.state, found.lag_files, found.lag_bytes) == ("idle", 0, 0)
    assert found.last_batch is not None
    assert found.last_batch.result.batch_id == 1
    assert found.last_batch.result.tables == {"silver.orders": 1}


def test_new_files_are_waiting(home: Workspace, run_all: Any, put_orders: Any) -> None:
    run_all(home)
    put_orders("0", [{"order_id": 4, "amount": 1.0}])

    found = status(home)

    assert (found.state, found.lag_files, found.lag_bytes) == ("waiting", 1, 31)


def test_a_failed_run_is_told_with_its_hint(home: Workspace, run_all: Any, put_orders: Any) -> None:
    run_all(home)
    put_orders("3", []).write_text("{\n")
    run_all(home)

    found = status(home)

    assert (found.state, found.lag_files) == ("failed", 1)
    assert found.last_error is not None
    assert found.last_error.where == "silver.orders__quarantine"
    assert found.last_error.hint


def test_an_unfinished_batch_is_told_with_the_step_that_comes_next(home: Workspace, run_all: Any) -> None:
    run_all(home)
    for name in ("commits/0000000001.json", "manifests/0000000001.json"):
        (checkpoint(home) / name).unlink()
    (home.folder / "lake" / "silver" / "orders" / "_delta_log" / f"{1:020d}.json").unlink()

    found = status(home)

    assert (found.state, found.lag_files) == ("unfinished", 1)
    assert found.note == "batch 1: read, transform and stage the planned batch again under a new attempt"


def test_a_running_pipeline_is_told_with_its_holder(home: Workspace, run_all: Any) -> None:
    run_all(home)
    lease = FileLease(checkpoint(home) / "lease.lock", Seam())
    assert lease.acquire()

    found = status(home)
    lease.release()

    assert found.state == "running"
    assert f"process {os.getpid()} " in found.note


def test_a_pipeline_that_would_be_refused_says_why(home: Workspace, run_all: Any) -> None:
    run_all(home)
    (checkpoint(home) / "offsets" / "0000000000.json").unlink()
    (checkpoint(home) / "offsets" / "0000000001.json").rename(checkpoint(home) / "offsets" / "0000000003.json")

    found = status(home)

    assert found.state == "refused"
    assert found.last_error is not None
    assert found.last_error.exit_code == 4


def test_a_torn_plan_is_no_refusal(home: Workspace, run_all: Any) -> None:
    run_all(home)
    (checkpoint(home) / "offsets" / "0000000002.json").write_bytes(b"")

    assert status(home).state == "unfinished"


def test_a_source_that_cannot_be_listed_has_no_known_lag(home: Workspace, run_all: Any) -> None:
    run_all(home)
    (home.folder / "landing" / "orders").rename(home.folder / "gone")

    found = status(home)

    assert (found.state, found.lag_files, found.lag_bytes) == ("unknown", None, None)
    assert "landing/orders" in found.note


def test_history_lists_every_batch_oldest_first(home: Workspace, run_all: Any) -> None:
    pipeline = home.wired("orders", Onlooker())
    assert history(pipeline, Onlooker()) == []

    run_all(home)

    entries = history(pipeline, Onlooker())
    assert [entry.result.batch_id for entry in entries] == [0, 1]
    assert [entry.result.rows["filtered"] for entry in entries] == [1, 0]


def test_status_as_plain_values_has_stable_keys(home: Workspace, run_all: Any) -> None:
    run_all(home)

    told = status_to_json(status(home))

    keys = ["pipeline", "state", "table", "lag", "note", "watermark", "remembered", "quarantine", "health"]
    assert list(told) == [*keys, "last_batch", "last_error"]
    assert told["lag"] == {"files": 0, "bytes": 0}
    assert told["last_batch"]["rows"]["written"] == 1
    assert told["last_error"] is None
