"""What a start refuses and our records can write again."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from etl.errors import ConfigError
from etl.operations.looking import Onlooker
from etl.operations.repairing import Repaired, look_at_repair, repair
from etl.operations.running import Running, run_pipelines
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from etl.testing import crash_at, multiset
from tests.unit.operations.proving import BY_KEY, define, failed, log_entry, proven, records, table

AGAIN = "silver.orders: batch 1 is committed again, as version 1 (main)"
ASIDE = "silver.orders: the torn version 1 is set aside"


def mended(home: Workspace) -> Repaired:
    return repair(Workspace(home.folder), "orders", Seam())


def rows(home: Workspace) -> Any:
    return multiset(pl.read_delta(str(table(home))).to_dicts())


def test_a_sound_pipeline_has_nothing_to_mend(home: Workspace, run_all: Any) -> None:
    with pytest.raises(ConfigError, match="never ran"):
        mended(home)
    run_all(home)

    assert mended(home) == Repaired("orders")


@pytest.mark.parametrize("pipeline", ["", BY_KEY], ids=["append", "merge"])
@pytest.mark.parametrize("left", [None, b"", b'{"commitInfo":{"times'], ids=["lost", "empty", "torn"])
def test_a_commit_that_the_table_lost_is_made_again(
    home: Workspace, run_all: Any, put_orders: Any, pipeline: str, left: bytes | None
) -> None:
    if pipeline:
        put_orders("2", [{"order_id": 1, "amount": 7.5}])
        define(home, pipeline)
    run_all(Workspace(home.folder))
    before = rows(home)
    if left is None:
        log_entry(home, 1).unlink()
    else:
        log_entry(home, 1).write_bytes(left)
    wanted = [AGAIN] if left is None else [ASIDE, AGAIN]

    assert look_at_repair(Workspace(home.folder), "orders", Onlooker()) == Repaired("orders", wanted)
    assert mended(home) == Repaired("orders", wanted)
    assert rows(home) == before
    assert failed(proven(home, is_deep=True)) == {}
    (outcome,) = run_all(Workspace(home.folder))
    assert (outcome.error, outcome.results) == (None, ())


def test_a_look_changes_nothing(home: Workspace, run_all: Any, snapshot: Any) -> None:
    run_all(home)
    log_entry(home, 1).write_bytes(b"")
    before = snapshot(home.folder)
    look_at_repair(Workspace(home.folder), "orders", Onlooker())

    assert snapshot(home.folder) == before


def test_several_commits_that_the_table_lost_are_made_again_in_order(
    home: Workspace, run_all: Any, put_orders: Any
) -> None:
    put_orders("3", [{"order_id": 4, "amount": 1.0, "note": "x"}])
    run_all(home)
    before = rows(home)
    for version in (1, 2):
        log_entry(home, version).unlink()

    assert len(mended(home).mended) == 2
    assert rows(home) == before
    assert failed(proven(home, is_deep=True)) == {}


@pytest.mark.parametrize("left", [None, b"", b'{"commitInfo":{"times'], ids=["lost", "empty", "torn"])
def test_a_table_that_lost_all_versions_is_made_again_under_its_identity(
    home: Workspace, run_all: Any, left: bytes | None
) -> None:
    run_all(home)
    before, identity = rows(home), DeltaTable(table(home)).metadata().id
    log_entry(home, 1).unlink()
    log_entry(home, 0).unlink()
    if left is not None:
        log_entry(home, 0).write_bytes(left)

    assert mended(home).mended[-2:] == [AGAIN.replace("1", "0"), AGAIN]
    assert (rows(home), DeltaTable(table(home)).metadata().id) == (before, identity)
    assert failed(proven(home, is_deep=True)) == {}


def test_a_torn_commit_of_a_batch_under_way_is_set_aside_and_the_run_goes_on(home: Workspace, run_all: Any) -> None:
    list(run_pipelines(home, None, Running(crash_at("commit.put.write", "full"), Silent())))
    log_entry(home, 0).write_bytes(b"")

    assert mended(home).mended == ["silver.orders: the torn version 0 is set aside"]
    run_all(Workspace(home.folder))
    assert sorted(pl.read_delta(str(table(home)))["order_id"].to_list()) == [1, 3]


def test_a_torn_version_of_another_writer_is_left_alone(home: Workspace, run_all: Any) -> None:
    run_all(home)
    log_entry(home, 2).write_bytes(b"")
    done = mended(home)

    assert done.mended == []
    assert "version 2 is torn, and none of our records tells what it was" in done.left
    assert log_entry(home, 2).exists()


def test_torn_records_that_nothing_was_built_on_are_set_aside(home: Workspace, run_all: Any) -> None:
    run_all(home)
    torn = records(home) / "commits" / "0000000001.json"
    torn.write_bytes(torn.read_bytes()[:40])

    assert mended(home).mended == ["the torn commit of batch 1 is set aside"]
    (outcome,) = run_all(Workspace(home.folder))
    assert outcome.error is None
    assert failed(proven(home, is_deep=True)) == {}


def test_a_lost_commit_whose_files_are_lost_too_is_told_with_what_goes_on(home: Workspace, run_all: Any) -> None:
    run_all(home)
    log_entry(home, 1).unlink()
    next(table(home).glob("part-*-0000000001-*.parquet")).unlink()
    done = mended(home)

    assert done.mended == []
    assert "version 1 of batch 1 is lost, and so is part-" in done.left
    assert "etl rewind orders --to-batch N" in done.left


def test_a_table_that_was_restored_is_told_with_what_goes_on(home: Workspace, run_all: Any) -> None:
    run_all(home)
    DeltaTable(table(home)).restore(0)
    done = mended(home)

    assert done.mended == []
    assert "table_behind" in done.left
    assert "etl rewind orders --to-batch N" in done.left
