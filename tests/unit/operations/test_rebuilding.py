"""A checkpoint that is lost, made again from what the tables tell."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from etl.checkpoint.folder import open_checkpoint
from etl.errors import ConfigError, EtlError
from etl.operations.looking import Onlooker
from etl.operations.rebuilding import Rebuilt, look_at_rebuild, rebuild
from etl.operations.refreshing import begin_refresh
from etl.operations.rewinding import Target, rewind
from etl.operations.workspace import Workspace
from etl.seam import Seam
from etl.storage import LocalStorage
from etl.testing import crash_at, multiset
from tests.unit.operations.proving import BY_KEY, WINDOWS, define, failed, proven, records, table

FULL = """\
version: 1
source: {type: files, path: landing/orders/*.ndjson, batch: {max_files: 1}}
transforms: [{filter: amount >= 0}]
expect: [{name: small, check: amount < 100}]
sink: {type: delta, table: silver.orders}
quarantine: {max_fraction: 1}
"""


def rebuilt(home: Workspace) -> Rebuilt:
    return rebuild(Workspace(home.folder), "orders", Seam())


def lose(home: Workspace) -> Path:
    """Take the checkpoint away; return where it is now."""
    away = home.folder / "away"
    shutil.rmtree(away, ignore_errors=True)
    records(home).rename(away)
    return away


def rows(home: Workspace, name: str = "orders") -> Any:
    return multiset(pl.read_delta(str(table(home, name))).to_dicts())


def bodies(folder: Path, kind: str) -> dict[str, Any]:
    """Return what the newest records of each batch say."""
    found = {}
    for path in sorted((folder / kind).glob("*.json")):
        body = json.loads(path.read_text())["body"]
        body.pop("reason", None)
        found[path.name[:10]] = body
    return found


def test_plans_and_manifests_are_those_that_were_lost(home: Workspace, run_all: Any, put_orders: Any) -> None:
    put_orders("3", [{"order_id": 4, "amount": 500.0}])
    put_orders("4", [{"order_id": 5, "amount": -1.0}])
    put_orders("5", [{"order_id": 6, "amount": 6.5, "note": "x"}])
    define(home, FULL)
    run_all(Workspace(home.folder))
    before = rows(home)
    away = lose(home)

    found = rebuilt(home)

    assert (found.batches, found.committed, found.is_open) == (5, 4, False)
    for kind in ("offsets", "manifests", "schemas"):
        assert bodies(records(home), kind) == bodies(away, kind)
    for name, body in bodies(away, "commits").items():
        again = bodies(records(home), "commits")[name]
        for entry in (body, again):
            del entry["committed_at"], entry["result"]["seconds"]
            entry["sides"].get("quarantine", {}).pop("open_rows", None)
        assert again == body
    put_orders("6", [{"order_id": 7, "amount": 1.0}])
    (outcome,) = run_all(Workspace(home.folder))
    assert (outcome.error, [result.rows["read"] for result in outcome.results]) == (None, [1])
    assert rows(home) - before == multiset(pl.read_delta(str(table(home))).filter(order_id=7).to_dicts())
    assert failed(proven(home, is_deep=True)) == {}


@pytest.mark.parametrize("definition", [FULL, BY_KEY, BY_KEY.replace("merge,", "insert_only,")])
def test_a_run_goes_on_as_if_nothing_had_been_lost(
    home: Workspace, run_all: Any, put_orders: Any, definition: str
) -> None:
    put_orders("2", [{"order_id": 1, "amount": 7.5}])
    put_orders("3", [{"order_id": 1, "amount": 7.5}])
    put_orders("4", [{"order_id": 1, "amount": 5.0}])
    define(home, definition)
    run_all(Workspace(home.folder))
    before = rows(home)
    lose(home)

    rebuilt(home)

    (outcome,) = run_all(Workspace(home.folder))
    assert (outcome.error, [result.tables for result in outcome.results if result.tables]) == (None, [])
    assert rows(home) == before
    assert failed(proven(home, is_deep=True)) == {}


@pytest.mark.parametrize("also", [(), ("manifests",), ("commits",), ("offsets", "commits"), ("manifests", "schemas")])
def test_a_checkpoint_without_its_identity_and_other_records_is_made_whole(
    home: Workspace, run_all: Any, also: tuple[str, ...]
) -> None:
    run_all(home)
    before = rows(home)
    (records(home) / "pipeline.json").unlink()
    for name in also:
        shutil.rmtree(records(home) / name)
    (refused,) = run_all(Workspace(home.folder))
    assert "etl checkpoint rebuild orders" in str(refused.error)

    rebuilt(home)

    (outcome,) = run_all(Workspace(home.folder))
    assert (outcome.error, outcome.results) == (None, ())
    assert rows(home) == before
    assert failed(proven(home, is_deep=True)) == {}


def test_batches_that_changed_no_table_are_kept_by_the_next_that_does(
    home: Workspace, run_all: Any, put_orders: Any
) -> None:
    define(home, BY_KEY)
    run_all(Workspace(home.folder))
    put_orders("3", [{"order_id": 3, "amount": 7.5}])  # as the table has it
    run_all(Workspace(home.folder))
    put_orders("4", [{"order_id": 3, "amount": 8.5}])
    run_all(Workspace(home.folder))
    lose(home)

    assert rebuilt(home).batches == 4
    (outcome,) = run_all(Workspace(home.folder))
    assert outcome.results == ()
    assert pl.read_delta(str(table(home))).filter(order_id=3)["amount"].to_list() == [8.5]


def test_a_batch_that_was_not_finished_is_finished(home: Workspace, run_all: Any, put_orders: Any) -> None:
    put_orders("2", [{"order_id": 3, "amount": 500.0}, {"order_id": 4, "amount": 1.0}])
    define(home, FULL)
    run_all(Workspace(home.folder))
    before = rows(home), rows(home, "orders__quarantine")
    newest = max((table(home) / "_delta_log").glob("*.json"))
    newest.unlink()  # as if it had been killed between the quarantine and the own table
    lose(home)

    found = rebuilt(home)

    assert (found.committed, found.is_open) == (0, True)
    run_all(Workspace(home.folder))
    assert (rows(home), rows(home, "orders__quarantine")) == before
    assert failed(proven(home, is_deep=True)) == {}


def test_a_pipeline_that_was_rewound_or_refreshed_is_made_again(home: Workspace, run_all: Any, put_orders: Any) -> None:
    define(home, FULL)
    run_all(Workspace(home.folder))
    rewind(Workspace(home.folder), "orders", Target(batch=0), Seam())
    put_orders("2", [{"order_id": 30, "amount": 1.5}, {"order_id": 31, "amount": 400.0}])
    for again in range(2):
        lose(home)
        assert rebuilt(home).committed == again
        assert failed(proven(home, is_deep=True)) == {}
        run_all(Workspace(home.folder))
        assert pl.read_delta(str(table(home)))["order_id"].sort().to_list() == [1, 30]
    begin_refresh(Workspace(home.folder).wired("orders", Seam()), Seam())
    run_all(Workspace(home.folder))
    before = rows(home)
    lose(home)

    assert rebuilt(home).committed == 0
    run_all(Workspace(home.folder))
    assert rows(home) == before
    assert failed(proven(home, is_deep=True)) == {}


def test_tables_of_different_checkpoints_are_refused(home: Workspace, run_all: Any, put_orders: Any) -> None:
    put_orders("2", [{"order_id": 3, "amount": 500.0}])
    define(home, FULL)
    run_all(Workspace(home.folder))
    shutil.copytree(table(home), home.folder / "old")
    begin_refresh(Workspace(home.folder).wired("orders", Seam()), Seam())
    run_all(Workspace(home.folder))
    shutil.rmtree(table(home))
    (home.folder / "old").rename(table(home))  # as if the refresh had not come as far as the own table
    lose(home)

    with pytest.raises(ConfigError, match="hold batches of different checkpoints"):
        rebuilt(home)


def test_a_look_changes_nothing(home: Workspace, run_all: Any, snapshot: Any) -> None:
    run_all(home)
    lose(home)
    before = snapshot(home.folder)

    assert look_at_rebuild(Workspace(home.folder), "orders", Onlooker()).batches == 2
    assert snapshot(home.folder) == before


def test_a_rebuild_that_was_interrupted_goes_on(home: Workspace, run_all: Any) -> None:
    run_all(home)
    lose(home)
    with pytest.raises(EtlError, match="no space left"):
        rebuild(Workspace(home.folder), "orders", crash_at("identity.put.write", "full"))

    assert rebuilt(home).batches == 2
    assert failed(proven(home, is_deep=True)) == {}


def test_an_identity_without_records_is_no_checkpoint(home: Workspace, run_all: Any) -> None:
    run_all(home)
    lose(home)
    open_checkpoint(LocalStorage(records(home), Seam()), "orders", Seam())

    assert rebuilt(home).batches == 2
    assert (records(home) / "pipeline.2.json").exists()
    (outcome,) = run_all(Workspace(home.folder))
    assert (outcome.error, outcome.results) == (None, ())
    assert failed(proven(home, is_deep=True)) == {}


def test_a_checkpoint_that_is_there_is_not_touched(home: Workspace, run_all: Any, snapshot: Any) -> None:
    with pytest.raises(ConfigError, match="no table holds a batch"):
        rebuilt(home)
    run_all(home)
    before = snapshot(home.folder)

    with pytest.raises(ConfigError, match="the checkpoint is there"):
        rebuilt(home)
    assert snapshot(home.folder) == before


def test_what_no_table_tells_is_refused(home: Workspace, run_all: Any, put_orders: Any, snapshot: Any) -> None:
    put_orders("1", [{"at": "2026-01-01T10:00:00Z", "kind": "a", "amount": 1.0}])
    put_orders("2", [{"at": "2026-01-01T12:00:00Z", "kind": "a", "amount": 1.0}])
    define(home, WINDOWS)
    run_all(Workspace(home.folder))
    away = lose(home)
    before = snapshot(home.folder)

    with pytest.raises(EtlError, match="group_by remembered was in the checkpoint alone"):
        rebuilt(home)
    assert snapshot(home.folder) == before
    shutil.copytree(away / "state", records(home) / "state")
    rebuilt(home)
    assert failed(proven(home, is_deep=True)) == {}


def test_a_log_that_no_longer_tells_all_is_refused(home: Workspace, run_all: Any) -> None:
    run_all(home)
    DeltaTable(str(table(home))).create_checkpoint()
    (table(home) / "_delta_log" / f"{0:020d}.json").unlink()
    lose(home)

    with pytest.raises(ConfigError, match="the tables do not tell all of batch 0: its log begins with version 1"):
        rebuilt(home)
