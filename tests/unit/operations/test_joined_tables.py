"""Static tables that other pipelines write: the order of pipelines, what validate knows, loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.config.faults import ConfigFaults
from etl.model import Bounds
from etl.operations.preview import preview
from etl.operations.running import Running, run_pipelines
from etl.operations.validation import validate
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam

ORDERS = """\
version: 1
source: {type: files, path: landing/orders/*.ndjson}
transforms:
  - filter: order_id > 0
  - join: {table: silver.users, on: order_id, columns: [name]}
sink: {type: delta, table: silver.a_orders}
"""
USERS = """\
version: 1
source: {type: files, path: landing/users/*.ndjson}
sink: {type: delta, table: silver.users}
"""


@pytest.fixture
def shop(home: Workspace) -> Workspace:
    """Return a project in which ``a_orders`` joins what ``users`` writes."""
    folder = home.folder
    (folder / "pipelines" / "orders.yml").unlink()
    write(folder, "a_orders", ORDERS)
    write(folder, "users", USERS)
    (folder / "landing" / "users").mkdir()
    (folder / "landing" / "users" / "1.ndjson").write_text('{"order_id": 1, "name": "ann"}\n')
    return Workspace(folder)


def write(folder: Path, name: str, text: str) -> None:
    (folder / "pipelines" / f"{name}.yml").write_text(text)


def run_all(workspace: Workspace) -> list[Any]:
    return list(run_pipelines(workspace, None, Running(Seam(), Silent(), Bounds())))


def test_a_pipeline_comes_after_the_one_whose_table_it_joins(shop: Workspace) -> None:
    outcomes = run_all(shop)

    assert [(outcome.pipeline, outcome.exit_code) for outcome in outcomes] == [("users", 0), ("a_orders", 0)]
    table = pl.read_delta(f"{shop.folder}/lake/silver/a_orders")
    assert sorted(table.select("order_id", "name").rows()) == [(1, "ann"), (2, None), (3, None)]


def test_a_pipeline_waits_for_the_one_whose_table_it_joins_when_that_fails(shop: Workspace) -> None:
    (shop.folder / "landing" / "users" / "1.ndjson").write_text('{"order_id": \n')
    write(shop.folder, "users", USERS + "quarantine: {max_fraction: 0}\n")

    failed, skipped = run_all(Workspace(shop.folder))

    assert (failed.pipeline, failed.exit_code) == ("users", 1)
    assert (skipped.pipeline, skipped.skipped_for) == ("a_orders", "users")


def test_columns_are_not_checked_before_another_pipeline_has_written_the_table(shop: Workspace) -> None:
    users, orders = validate(shop)

    assert (users.pipeline, users.note) == ("users", "")
    assert orders.columns is None
    assert orders.note == "columns not checked: there is no table silver.users yet, users writes it"
    run_all(shop)
    assert {verdict.pipeline: verdict.columns and verdict.columns.get("name") for verdict in validate(shop)} == {
        "users": "String",
        "a_orders": "String",
    }


@pytest.mark.parametrize(
    ("changed", "place", "message"),
    [
        ("table: silver.usres", "transforms[1].join", "there is no table silver.usres"),
        ("table: users", "transforms[1].join.table", "'users' is no table name"),
        ("table: silver.a_orders", "transforms[1].join", "joins a table of its own (silver.a_orders)"),
        ("path: lake/silver/a_orders__quarantine", "transforms[1].join", "joins a table of its own"),
        ("path: lake/_checkpoints/x/*.ndjson", "transforms[1].join", "joins the lake's checkpoints"),
        ("path: 'lake/silver/*/*.parquet'", "transforms[1].join", "joins a table of its own"),
    ],
)
def test_a_table_that_nobody_writes_or_that_is_the_pipelines_own_is_refused(
    shop: Workspace, changed: str, place: str, message: str
) -> None:
    write(shop.folder, "a_orders", ORDERS.replace("table: silver.users", changed))

    with pytest.raises(ConfigFaults) as caught:
        validate(Workspace(shop.folder))

    fault = caught.value.faults[0]
    assert (fault.line, fault.path) == (5, place)
    assert message in fault.message


def test_pipelines_that_join_each_others_tables_are_a_cycle(shop: Workspace) -> None:
    joining = "transforms:\n  - join: {table: silver.a_orders, on: order_id, how: semi}\n"
    write(shop.folder, "users", USERS + joining)

    with pytest.raises(ConfigFaults, match="a cycle of pipelines"):
        validate(Workspace(shop.folder))


def test_a_preview_joins_tables_as_they_are_now(shop: Workspace) -> None:
    run_all(shop)

    found = preview(shop.wired("a_orders", Seam()), Seam(), 10)

    assert found is not None
    assert sorted(found.frame.select("order_id", "name").rows()) == [(1, "ann"), (2, None), (3, None)]
