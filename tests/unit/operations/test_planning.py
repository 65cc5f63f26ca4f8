from __future__ import annotations

import os
from typing import Any

import pytest

from etl.errors import SourceError
from etl.model import SchemaChange
from etl.operations.files import InputFile, files_of
from etl.operations.looking import Onlooker
from etl.operations.planning import NextBatch, plan_next
from etl.operations.workspace import Workspace


def plan(home: Workspace) -> NextBatch:
    seam = Onlooker()
    return plan_next(home.wired("orders", seam), seam)


def test_the_first_batch_is_told_before_anything_exists(home: Workspace, snapshot: Any) -> None:
    before = snapshot(home.folder)

    found = plan(home)

    assert (found.batch_id, found.recovery, found.definition, found.trouble) == (0, None, "new", None)
    assert found.files == (InputFile("landing/orders/1.ndjson", 63),)
    assert found.size_bytes == 63
    assert found.source_changes == (
        SchemaChange("order_id", None, "int64", "landing/orders/1.ndjson"),
        SchemaChange("amount", None, "float64", "landing/orders/1.ndjson"),
    )
    assert SchemaChange("double", None, "float64") in found.table_changes
    assert snapshot(home.folder) == before


def test_nothing_new_is_a_plan_without_files(home: Workspace, run_all: Any) -> None:
    run_all(home)

    found = plan(home)

    assert (found.batch_id, found.files, found.size_bytes, found.definition) == (2, (), 0, "unchanged")


def test_a_new_column_is_told_for_input_and_table(home: Workspace, run_all: Any, put_orders: Any) -> None:
    run_all(home)
    put_orders("3", [{"order_id": 4, "amount": 1.0, "coupon": "x"}])

    found = plan(home)

    assert found.source_changes == (SchemaChange("coupon", None, "string", "landing/orders/3.ndjson"),)
    assert found.table_changes == (SchemaChange("coupon", None, "string"),)


def test_an_edited_pipeline_is_told(home: Workspace, run_all: Any) -> None:
    run_all(home)
    path = home.folder / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("amount * 2", "amount * 3"))

    assert plan(home).definition == "edited: holds from batch 2 on, rows already in the table stay as they are"


def test_an_unfinished_batch_is_told_with_its_files(home: Workspace, run_all: Any, put_orders: Any) -> None:
    run_all(home)
    put_orders("3", []).write_text("{\n")
    run_all(home)

    found = plan(home)

    assert found.batch_id == 2
    assert found.recovery == "read, transform and stage the planned batch again under a new attempt"
    assert [file.path for file in found.files] == ["landing/orders/3.ndjson"]
    assert found.trouble is None  # how many rows are rejected shows only once they are read


def test_a_source_that_cannot_be_listed_is_an_error(home: Workspace) -> None:
    (home.folder / "landing" / "orders").rename(home.folder / "gone")

    with pytest.raises(SourceError, match="landing/orders"):
        plan(home)


def test_units_of_other_sources_are_named_by_number(memory: Any) -> None:
    source, _, wired = memory

    found = plan_next(wired(), Onlooker())

    assert found.files == (InputFile("0"),)
    assert source.acknowledged == []


def test_duplicates_come_last_and_rows_are_those_of_the_manifest(home: Workspace) -> None:
    path = home.folder / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("  type: files\n", "  type: files\n  identity: content\n"))
    orders = home.folder / "landing" / "orders"
    for at, name in enumerate(("1", "2", "1-again")):
        (orders / f"{name}.ndjson").write_bytes((orders / f"{name[0]}.ndjson").read_bytes())
        os.utime(orders / f"{name}.ndjson", (at, at))
    path.write_text(path.read_text().replace("{max_files: 1}", "{max_files: 9}"))
    seam = Onlooker()

    planned = home.wired("orders", seam).source.latest(None, home.project.limit)

    assert planned is not None
    files = files_of(planned, {"rows": [2, 1]})
    assert [(file.path, file.rows, file.same_as) for file in files] == [
        ("landing/orders/1.ndjson", 2, None),
        ("landing/orders/2.ndjson", 1, None),
        ("landing/orders/1-again.ndjson", 0, "landing/orders/1.ndjson"),
    ]


def test_a_decided_batch_is_not_read_again_to_be_told(home: Workspace, run_all: Any) -> None:
    run_all(home)
    (home.folder / "lake" / "_checkpoints" / "orders" / "commits" / "0000000001.json").unlink()
    (home.folder / "landing" / "orders" / "2.ndjson").unlink()

    found = plan(home)

    assert (found.batch_id, found.trouble) == (1, None)
    assert found.recovery == "the table holds the batch: write its commit entry"
    assert [file.path for file in found.files] == ["landing/orders/2.ndjson"]
