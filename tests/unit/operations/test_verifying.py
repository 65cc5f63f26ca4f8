"""Invariants proven from records and tables, and what is found where they were harmed."""

from __future__ import annotations

from typing import Any

import pytest
from deltalake import DeltaTable

from etl.operations.running import Running, run_pipelines
from etl.operations.verified import verification_to_json
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from etl.testing import crash_at
from tests.unit.operations.proving import check_of, failed, log_entry, proven, records, rewrite, table

CHECKS = ["plans", "manifests", "balance", "epochs", "tables", "files", "quarantine", "strays"]


def test_a_pipeline_that_never_ran_has_nothing_to_prove(home: Workspace) -> None:
    found = proven(home)

    assert (found.batches, found.checks, found.is_ok) == (0, (), True)


def test_a_sound_pipeline_is_proven_and_nothing_changes(shop: Workspace, snapshot: Any) -> None:
    before = snapshot(shop.folder)
    found = proven(shop)

    assert failed(found) == {}
    assert [check.name for check in found.checks] == CHECKS
    assert [check.looked_at for check in found.checks] == [
        {"plans": 2, "open": 0},
        {"commit entries": 2, "manifests": 2},
        {"batches": 2, "files": 2},
        {"epochs": 1},
        {"tables": 2, "versions": 4},
        {"live": 4, "rows": 4},
        {"waiting": 2, "rejected": 2, "resolved": 0},
        {"strays": 0},
    ]
    assert (found.batches, found.unproven) == (2, [])
    assert snapshot(shop.folder) == before


def test_a_verification_is_told_as_plain_values(home: Workspace, run_all: Any) -> None:
    run_all(home)
    records(home).joinpath("epochs/0000000001.json").unlink()
    told = verification_to_json(proven(home))

    assert (told["pipeline"], told["table"], told["batches"], told["is_ok"]) == ("orders", "silver.orders", 2, False)
    assert told["checks"][2]["repair"] == ""
    assert told["checks"][3] == {
        "check": "epochs",
        "proves": "takeovers have no gap, every record is of one",
        "is_ok": False,
        "looked_at": {"epochs": 0},
        "faults": ["a record of batch 0 is of epoch 1, which nobody took"],
        "unproven": [],
        "repair": told["checks"][3]["repair"],
    }
    assert "--full-refresh" in told["checks"][3]["repair"]


@pytest.mark.parametrize("effect", ["manifest.put.write", "table.commit.write", "commit.put.write"])
def test_a_batch_that_was_interrupted_is_no_fault(home: Workspace, effect: str) -> None:
    list(run_pipelines(home, None, Running(crash_at(effect, "full"), Silent())))
    found = proven(home)

    assert failed(found) == {}
    assert check_of(found, "plans").looked_at == {"plans": 1, "open": 1}
    assert check_of(found, "strays").looked_at.get("strays") == 0


def test_a_full_refresh_is_proven_by_itself(home: Workspace, run_all: Any) -> None:
    run_all(home)
    list(run_pipelines(Workspace(home.folder), ["orders"], Running(Seam(), Silent(), full_refresh=True)))
    found = proven(home)

    assert failed(found) == {}
    assert check_of(found, "strays").looked_at == {"of older versions": 2, "strays": 0}


@pytest.mark.parametrize(
    ("path", "check", "fault"),
    [
        ("offsets/0000000001.json", "plans", "the newest plan is of batch 0, the newest commit entry of batch 1"),
        ("manifests/0000000001.json", "manifests", "batch 1 is committed, and its manifest is lost"),
        ("offsets/0000000000.json", "plans", "the first plan is not that of batch 0"),
        ("commits/0000000000.json", "manifests", "the first commit entry is not that of batch 0"),
    ],
)
def test_a_record_that_is_lost_is_found(home: Workspace, run_all: Any, path: str, check: str, fault: str) -> None:
    run_all(home)
    (records(home) / path).unlink()

    assert fault in failed(proven(home))[check]


def test_a_gap_and_a_torn_record_are_found(home: Workspace, run_all: Any, put_orders: Any) -> None:
    put_orders("3", [{"order_id": 4, "amount": 1.0}])
    run_all(home)
    (records(home) / "offsets" / "0000000001.json").unlink()
    torn = records(home) / "manifests" / "0000000002.json"
    torn.write_bytes(torn.read_bytes()[:50])
    found = failed(proven(home))

    assert any("plan of batch 1 is missing, but there is one of batch 2" in fault for fault in found["plans"])
    assert any("torn or altered: its checksum does not hold" in fault for fault in found["manifests"])


def test_records_that_contradict_one_another_are_found(home: Workspace, run_all: Any) -> None:
    run_all(home)
    rewrite(records(home) / "commits" / "0000000000.json", lambda body: body["result"]["rows"].update(read=9))
    rewrite(records(home) / "commits" / "0000000001.json", lambda body: body.update(definition="other"))
    rewrite(records(home) / "offsets" / "0000000001.json", lambda body: body["inputs"]["source"].update(start=None))
    found = failed(proven(home))

    assert found == {
        "plans": ["batch 1 does not begin where batch 0 ended: source"],
        "manifests": [
            "batch 0: the commit entry counts other rows than the manifest",
            "batch 1: the commit entry is of another definition",
        ],
    }


def test_rows_that_do_not_add_up_are_found_by_batch_and_by_file(home: Workspace, run_all: Any) -> None:
    run_all(home)

    def lose(body: dict[str, Any]) -> None:
        body["rows"]["filtered"] = 0
        body["files"]["landing/orders/1.ndjson"]["filtered"] = 0

    rewrite(records(home) / "manifests" / "0000000000.json", lose)
    faults = failed(proven(home))["balance"]

    assert [fault.partition(":")[0] for fault in faults] == ["batch 0", "batch 0, landing/orders/1.ndjson"]
    assert "2 rows arrived, 1 left" in faults[0]


def test_a_table_that_lost_its_newest_commit_is_behind(home: Workspace, run_all: Any) -> None:
    run_all(home)
    log_entry(home, 1).unlink()
    found = failed(proven(home))

    assert found["tables"] == ["silver.orders: table_behind: it holds batch 0, batch 1 is committed"]


def test_a_table_that_was_restored_is_behind(home: Workspace, run_all: Any) -> None:
    run_all(home)
    DeltaTable(table(home)).restore(0)
    (fault,) = failed(proven(home))["tables"]

    assert "table_behind: the table was restored to version 0" in fault


def test_a_table_that_is_gone_or_torn_is_found(shop: Workspace) -> None:
    (table(shop) / "_delta_log").rename(table(shop) / "hidden")
    log_entry(shop, 1, "orders__quarantine").write_bytes(b"")
    faults = failed(proven(shop))["tables"]

    assert faults[1] == "silver.orders: table_missing: not where it was"
    assert "is torn or empty" in faults[0]


def test_a_checkpoint_that_is_older_than_its_table_is_found(home: Workspace, run_all: Any) -> None:
    run_all(home)
    for folder in ("offsets", "manifests", "commits"):
        (records(home) / folder / "0000000001.json").unlink()

    assert failed(proven(home))["tables"] == ["silver.orders: table_ahead: it holds batch 1, batch 0 is planned"]


def test_a_version_that_says_another_batch_is_found(home: Workspace, run_all: Any) -> None:
    run_all(home)
    entry = log_entry(home, 0)
    entry.write_text(entry.read_text().replace('"etl.batch_id":"0"', '"etl.batch_id":"7"'))

    assert failed(proven(home))["tables"] == ["silver.orders: version 0 says that it is batch 7"]


def test_files_that_are_gone_short_or_of_another_size_are_found(home: Workspace, run_all: Any) -> None:
    run_all(home)
    first, second = sorted(table(home).glob("*.parquet"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    faults = failed(proven(home))["files"]

    assert faults[0] == f"silver.orders: {first.name} of batch 0 is gone"
    assert faults[1].startswith(f"silver.orders: {second.name} of batch 1 has ")


def test_files_that_another_writer_took_out_are_told_and_no_fault(home: Workspace, run_all: Any) -> None:
    run_all(home)
    DeltaTable(table(home)).optimize.compact()
    found = proven(home)

    assert failed(found) == {}
    assert check_of(found, "files").looked_at == {"taken out": 2, "of others": 1}


def test_a_file_that_left_the_table_without_a_trace_is_found(home: Workspace, run_all: Any) -> None:
    run_all(home)
    entry = log_entry(home, 1)
    lines = [line for line in entry.read_text().splitlines() if not line.startswith('{"add"')]
    entry.write_text("\n".join(lines))
    (fault,) = failed(proven(home))["files"]

    assert fault.endswith("of batch 1 is neither in the table nor was it taken out")


def test_what_a_cleaned_log_cannot_tell_is_said(home: Workspace, run_all: Any) -> None:
    run_all(home)
    DeltaTable(table(home)).create_checkpoint()
    log_entry(home, 0).unlink()
    found = proven(home)

    assert failed(found) == {}
    assert found.unproven == ["silver.orders: versions whose log entries were cleaned up"]
    assert check_of(found, "tables").looked_at == {"tables": 1, "versions": 1}


def test_rejected_rows_that_do_not_add_up_are_found(shop: Workspace) -> None:
    DeltaTable(table(shop, "orders__quarantine")).update(updates={"status": "'replayed'"}, predicate="_batch_id = 1")
    found = failed(proven(shop))

    assert found == {
        "quarantine": [
            "silver.orders__quarantine: 1 rows wait, the newest commit entry says 2",
            "2 rows were rejected and 0 resolved, 1 wait",
        ]
    }


def test_data_files_that_nobody_referred_to_are_told(home: Workspace, run_all: Any) -> None:
    run_all(home)
    (table(home) / "part-0-stray.parquet").write_bytes(b"PAR1")
    found = proven(home)

    assert failed(found) == {}
    assert found.unproven == ["stray: silver.orders: part-0-stray.parquet"]
    assert check_of(found, "strays").looked_at == {"strays": 1}
