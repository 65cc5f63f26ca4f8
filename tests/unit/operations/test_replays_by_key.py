"""Rows of the quarantine that are replayed into a table that batches merge into, or replace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etl.errors import ConfigError
from etl.operations.workspace import Workspace
from tests.unit.operations.resolving import discard, interrupted, orders, replay, rows, statuses

SHOP = """\
version: 1
source: {{type: files, path: landing/orders/*.ndjson, batch: {{max_files: 1}}}}
expect:
  - {{name: positive, check: amount >= {least}}}
sink: {{type: delta, table: silver.orders, {mode}}}
"""
MERGE = "write_mode: upsert, primary_key: [order_id]"
Put = Callable[[str, list[dict[str, Any]]], Path]


def edit(home: Workspace, mode: str, least: int = 0) -> Workspace:
    (home.folder / "pipelines" / "orders.yml").write_text(SHOP.format(mode=mode, least=least))
    return Workspace(home.folder)


@pytest.fixture
def filled(home: Workspace, put_orders: Put, run_all: Any) -> Callable[[str], Workspace]:
    """Return a function that runs two files, of which the first has a row that is rejected: order 2 of -1.0."""

    def fill(mode: str) -> Workspace:
        put_orders("2", [{"order_id": 3, "amount": 7.5}, {"order_id": 2, "amount": 2.0}])
        (outcome,) = run_all(edit(home, mode))
        assert outcome.error is None
        return home

    return fill


def test_a_replayed_row_takes_the_place_of_its_key_once(filled: Callable[[str], Workspace]) -> None:
    home = filled(MERGE)
    assert {row["order_id"]: row["amount"] for row in rows(home)} == {1: 5.0, 2: 2.0, 3: 7.5}
    edit(home, MERGE, least=-5)
    interrupted(home)
    replay(home)
    assert orders(home) == [(1, "1.ndjson", 0, 0), (2, "1.ndjson", 31, 2), (3, "2.ndjson", 0, 1)]
    assert {row["order_id"]: row["amount"] for row in rows(home)} == {1: 5.0, 2: -1.0, 3: 7.5}
    assert statuses(home) == {"0-1": ("replayed", 2)}
    assert replay(home).rows == 0


def test_rows_are_given_up_without_a_change_of_a_table_that_batches_merge_into(
    filled: Callable[[str], Workspace],
) -> None:
    home = filled(MERGE)
    discard(home)
    assert {row["order_id"]: row["amount"] for row in rows(home)} == {1: 5.0, 2: 2.0, 3: 7.5}


def test_a_replay_never_takes_the_place_of_a_whole_table(filled: Callable[[str], Workspace]) -> None:
    home = filled("write_mode: replace")
    edit(home, "write_mode: replace", least=-5)
    with pytest.raises(ConfigError, match="these rows would take the place of all others"):
        replay(home)
    assert statuses(home) == {"0-1": ("open", None)}
    discard(home)
    assert {row["order_id"]: row["amount"] for row in rows(home)} == {2: 2.0, 3: 7.5}
    assert statuses(home) == {"0-1": ("discarded", 2)}
