"""What became of rows that were rejected, as status, history and trace tell it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from etl.errors import ConfigError
from etl.operations.looking import Onlooker
from etl.operations.quarantining import (
    Selection,
)
from etl.operations.status import batch_of, history, status_of, status_to_json
from etl.operations.tracing import Trace
from etl.operations.workspace import Workspace
from etl.seam import Seam
from tests.unit.operations.resolving import discard, edit, replay


def test_the_status_tells_how_many_rows_wait(shop: Workspace) -> None:
    def waiting() -> int | None:
        found = status_of(Workspace(shop.folder).wired("orders", Onlooker()), Onlooker())
        assert status_to_json(found)["quarantine"] == {"open": found.open_rows}
        return found.open_rows

    assert waiting() == 2
    discard(shop, Selection(row_ids=("0-1",)))
    assert waiting() == 1
    replay(shop)
    assert waiting() == 1
    edit(shop, least=-50)
    replay(shop)
    assert waiting() == 0


def test_a_batch_tells_what_became_of_each_file(shop: Workspace) -> None:
    pipeline = shop.wired("orders", Onlooker())

    found = batch_of(pipeline, Onlooker(), 1)

    assert found.files == {"landing/orders/2.ndjson": {"read": 2, "written": 1, "quarantined": 1}}
    assert found.entry.result.checks == {"positive": 1, "small": 0}
    with pytest.raises(ConfigError, match="batch 9 is not committed"):
        batch_of(pipeline, Onlooker(), 9)


def test_a_file_leads_to_all_fates_of_its_rows_and_to_their_replay(shop: Workspace) -> None:
    edit(shop, least=-50)
    replay(shop, Selection(row_ids=("0-1",)))

    first, again = Trace(Workspace(shop.folder), "silver.orders").file("landing/orders/1.ndjson")
    (second,) = Trace(Workspace(shop.folder), "silver.orders").file("landing/orders/2.ndjson")

    assert (first.fates, first.open_rows, first.is_again) == ({"read": 2, "written": 1, "quarantined": 1}, 0, False)
    assert (again.batch_id, again.version, again.rows_read, again.rows_in_table) == (2, 2, 1, 1)
    assert (again.fates, again.is_again) == ({"read": 1, "written": 1}, True)
    assert (second.fates["quarantined"], second.open_rows) == (1, 1)


def test_the_versions_of_the_quarantine_are_told_apart_from_those_of_the_table(
    shop: Workspace, run_all: Any, put_orders: Any
) -> None:
    put_orders("3", [{"order_id": 5, "amount": 2.0}])
    run_all(Workspace(shop.folder))
    put_orders("4", [{"order_id": 6, "amount": -2.0}])
    run_all(Workspace(shop.folder))
    own, side = Trace(shop, "silver.orders"), Trace(shop, "silver.orders__quarantine")

    assert [own.version(version).batch_id for version in range(3)] == [0, 1, 2]
    assert [side.version(version).batch_id for version in range(3)] == [0, 1, 3]
    (origin,) = side.rows("row_id=3-1")
    assert (origin.file, origin.batch_id, origin.version) == ("landing/orders/4.ndjson", 3, 2)


def test_the_history_of_a_table_says_nothing_large_of_rows_that_were_read_again(shop: Workspace) -> None:
    replay(shop)

    log = Path(shop.folder / "lake" / "silver" / "orders__quarantine" / "_delta_log" / f"{2:020d}.json").read_text()
    info = json.loads(log.splitlines()[0])["commitInfo"]

    assert json.loads(info["etl.offsets"]) == {"source": {"again": 2, "plan": "offsets/0000000002.json"}}
    assert history(shop.wired("orders", Seam()), Seam())[-1].result.resolution == {
        "action": "replay",
        "rows": ["0-1", "1-1"],
    }
