"""Table, state and offsets back together."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from etl.checkpoint.lease import FileLease
from etl.checkpoint.rewinding import UnfinishedRewindError
from etl.errors import ConfigError, EtlError, LeaseHeldError, SourceError, TableStateError
from etl.operations.looking import Onlooker
from etl.operations.rewinding import GoingBack, TableBack, Target, look_at_rewind, rewind
from etl.operations.status import status_of
from etl.operations.workspace import Workspace
from etl.seam import Seam
from etl.testing import crash_at, multiset
from tests.unit.operations.conftest import ORDERS
from tests.unit.operations.proving import BY_KEY, WINDOWS, define, failed, log_entry, proven, records, table


def back(home: Workspace, batch: int | None = None, version: int | None = None) -> GoingBack:
    return rewind(Workspace(home.folder), "orders", Target(batch, version), Seam())


def rows(home: Workspace) -> Any:
    return multiset(pl.read_delta(str(table(home))).to_dicts())


def append_other(home: Workspace) -> None:
    """Add a row as another writer does."""
    options = {"schema_mode": "merge"}
    other = pl.DataFrame({"order_id": [99], "amount": [1.0]})
    other.write_delta(str(table(home)), mode="append", delta_write_options=options)


@pytest.fixture
def ran(home: Workspace, run_all: Any, put_orders: Any) -> Workspace:
    """Return a pipeline of four batches, the last of which brought a column."""
    put_orders("3", [{"order_id": 4, "amount": 1.0}])
    put_orders("4", [{"order_id": 5, "amount": 1.5, "note": "x"}])
    run_all(home)
    return home


def test_a_rewind_brings_the_table_back_and_the_next_run_reads_again(ran: Workspace, run_all: Any) -> None:
    before, early = rows(ran), multiset(pl.read_delta(str(table(ran)), version=1).to_dicts())
    told = back(ran, batch=1)

    assert told == GoingBack("orders", 1, 2, (TableBack("silver.orders", 3, 1, 2, 0),))
    assert rows(ran) == early
    assert pl.read_delta(str(table(ran))).columns == pl.read_delta(str(table(ran)), version=1).columns
    assert failed(proven(ran, is_deep=True)) == {}
    (outcome,) = run_all(ran)
    assert [result.batch_id for result in outcome.results] == [2, 3]
    assert rows(ran) == before
    assert failed(proven(ran, is_deep=True)) == {}
    assert run_all(ran)[0].results == ()


def test_a_rewind_tells_the_table_that_it_was_one(ran: Workspace) -> None:
    back(ran, batch=1)
    newest = DeltaTable(table(ran)).history(1)[0]

    assert (newest["operation"], newest["operationParameters"]["version"], newest["etl.rewind"]) == (
        "RESTORE",
        "1",
        "1",
    )


def test_a_rewind_can_be_repeated_and_go_further_back(ran: Workspace, run_all: Any) -> None:
    before = rows(ran)
    back(ran, batch=2)
    back(ran, batch=2)
    back(ran, batch=0)
    run_all(ran)

    assert rows(ran) == before
    assert failed(proven(ran, is_deep=True)) == {}


def test_a_version_means_the_newest_batch_that_it_held(ran: Workspace) -> None:
    assert back(ran, version=2).batch_id == 2
    with pytest.raises(ConfigError, match="the table held no batch in version -1"):
        back(ran, version=-1)


def test_a_look_changes_nothing(ran: Workspace, snapshot: Any) -> None:
    before = snapshot(ran.folder)

    assert look_at_rewind(Workspace(ran.folder), "orders", Target(0), Onlooker()).undone == 3
    assert snapshot(ran.folder) == before


def test_rejected_rows_go_back_too(home: Workspace, run_all: Any, put_orders: Any) -> None:
    define(
        home, ORDERS.replace("max_fraction: 0", "max_fraction: 1") + "expect: [{name: small, check: amount < 100}]\n"
    )
    put_orders("3", [{"order_id": 4, "amount": 1000.0}])
    run_all(home)
    told = back(home, batch=1)

    assert told.tables[0] == TableBack("silver.orders__quarantine", 0, -1, 1, 0)
    assert pl.read_delta(str(table(home, "orders__quarantine"))).height == 0
    run_all(home)
    assert pl.read_delta(str(table(home, "orders__quarantine")))["row_id"].to_list() == ["2-1"]
    assert failed(proven(home, is_deep=True)) == {}


def test_rows_by_key_are_as_they_were(home: Workspace, run_all: Any, put_orders: Any) -> None:
    put_orders("2", [{"order_id": 1, "amount": 7.5}, {"order_id": 3, "amount": 1.5}])
    home = define(home, BY_KEY)
    run_all(home)
    before = rows(home)
    told = back(home, batch=0)

    assert told.tables == (TableBack("silver.orders", 1, 0, 2, 1),)
    assert [row["amount"] for row in pl.read_delta(str(table(home))).sort("order_id").to_dicts()] == [5.0, -1.0]
    run_all(home)
    assert rows(home) == before
    assert failed(proven(home, is_deep=True)) == {}


def test_state_goes_back_with_the_table(home: Workspace, run_all: Any, put_orders: Any) -> None:
    for number in range(5):
        put_orders(str(number), [{"at": f"2026-01-01T0{number}:10:00Z", "kind": "a", "amount": 1.0 + number}])
    home = define(home, WINDOWS)
    run_all(home)
    before = rows(home)
    back(home, batch=2)

    assert failed(proven(home, is_deep=True)) == {}
    run_all(home)
    assert rows(home) == before
    assert failed(proven(home, is_deep=True)) == {}


def test_a_batch_whose_state_is_not_kept_is_refused_with_those_that_are(
    home: Workspace, run_all: Any, put_orders: Any
) -> None:
    for number in range(4):
        put_orders(str(number), [{"at": f"2026-01-01T0{number}:10:00Z", "kind": "a", "amount": 1.0}])
    home = define(home, WINDOWS)
    run_all(home)
    for path in (records(home) / "state" / "group_by").glob("0000000001-*.json"):
        path.unlink()

    with pytest.raises(ConfigError, match="no longer kept") as raised:
        back(home, batch=1)
    assert raised.value.hint.startswith("possible batches: 2 to 3;")


def test_what_cannot_be_gone_back_to_is_refused(home: Workspace, run_all: Any) -> None:
    with pytest.raises(ConfigError, match="never ran"):
        back(home, batch=0)
    run_all(home)
    with pytest.raises(ConfigError, match="it is not committed") as raised:
        back(home, batch=7)
    assert "0 to 1" in raised.value.hint


def test_rows_of_another_writer_are_not_undone(ran: Workspace) -> None:
    append_other(ran)
    before = rows(ran)

    with pytest.raises(TableStateError, match="another writer changed rows in version 4"):
        back(ran, batch=1)
    assert rows(ran) == before
    assert not (records(ran) / "pipeline.2.json").exists()


def test_a_layout_that_another_writer_changed_is_undone(ran: Workspace, run_all: Any) -> None:
    before = rows(ran)
    DeltaTable(table(ran)).optimize.compact()
    back(ran, batch=1)
    run_all(ran)

    assert rows(ran) == before


def test_a_file_that_vacuum_removed_is_missed_beforehand(home: Workspace, run_all: Any, put_orders: Any) -> None:
    put_orders("2", [{"order_id": 1, "amount": 7.5}])
    home = define(home, BY_KEY)
    run_all(home)
    DeltaTable(table(home)).vacuum(0, dry_run=False, enforce_retention_duration=False)

    with pytest.raises(TableStateError, match="is gone \\(vacuum\\)"):
        back(home, batch=0)


def test_a_table_that_was_rolled_back_meets_its_checkpoint_again(ran: Workspace, run_all: Any) -> None:
    before = rows(ran)
    DeltaTable(table(ran)).restore(1)
    assert "table_behind" in str(run_all(ran)[0].error)

    assert back(ran, batch=1).undone == 2
    (outcome,) = run_all(ran)
    assert outcome.error is None
    assert rows(ran) == before


def test_input_that_could_not_be_read_again_is_refused(ran: Workspace) -> None:
    define(ran, ORDERS.replace("type: files", "type: files\n  after_commit: {archive: done}"))

    with pytest.raises(SourceError, match="what came after batch 1 could not be read again"):
        back(ran, batch=1)


def test_a_pipeline_that_runs_is_left_alone(ran: Workspace) -> None:
    lease = FileLease(records(ran) / "lease.lock", Seam())
    assert lease.acquire()
    with pytest.raises(LeaseHeldError):
        back(ran, batch=1)
    lease.release()


@pytest.mark.parametrize("effect", ["table.commit.write", "plan.put.write", "commit.put.write"])
def test_a_rewind_that_was_interrupted_is_told_and_finished_by_the_next_run(
    ran: Workspace, run_all: Any, effect: str
) -> None:
    before = rows(ran)
    with pytest.raises(EtlError):
        rewind(Workspace(ran.folder), "orders", Target(1), crash_at(effect, "full"))
    home = Workspace(ran.folder)

    assert status_of(home.wired("orders", Onlooker()), Onlooker()).state == "unfinished"
    with pytest.raises(UnfinishedRewindError, match="a rewind to batch 1 has begun"):
        proven(home)
    (outcome,) = run_all(home)
    assert [result.batch_id for result in outcome.results] == [2, 3]
    assert rows(home) == before
    assert failed(proven(home, is_deep=True)) == {}


def test_rows_that_another_writer_adds_to_a_begun_rewind_stay(ran: Workspace, run_all: Any) -> None:
    with pytest.raises(EtlError):
        rewind(Workspace(ran.folder), "orders", Target(1), crash_at("table.commit.write", "full"))
    append_other(ran)
    run_all(Workspace(ran.folder))

    assert sorted(pl.read_delta(str(table(ran)))["order_id"].to_list()) == [1, 3, 4, 5, 99]


def test_a_begun_rewind_is_refused_where_another_writer_took_files_out(ran: Workspace, run_all: Any) -> None:
    with pytest.raises(EtlError):
        rewind(Workspace(ran.folder), "orders", Target(1), crash_at("table.commit.write", "full"))
    DeltaTable(table(ran)).delete("order_id = 5")
    (outcome,) = run_all(Workspace(ran.folder))

    assert "another writer took files out in version 4, while it was rewound" in str(outcome.error)


def test_a_cleaned_log_is_made_good_from_the_manifests(home: Workspace, run_all: Any, put_orders: Any) -> None:
    put_orders("2", [{"order_id": 1, "amount": 7.5}])
    put_orders("3", [{"order_id": 2, "amount": 7.5}])
    home = define(home, BY_KEY)
    run_all(home)
    before = json.dumps(pl.read_delta(str(table(home)), version=1).sort("order_id").to_dicts())
    DeltaTable(table(home), version=1).create_checkpoint()
    log_entry(home, 0).unlink()
    log_entry(home, 1).unlink()
    back(home, batch=1)

    assert json.dumps(pl.read_delta(str(table(home))).sort("order_id").to_dicts()) == before
