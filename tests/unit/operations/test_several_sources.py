"""Pipelines of several sources as people see them: run, plan, status, preview, trace, quarantine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import pytest

from etl.errors import ConfigError
from etl.model import Bounds
from etl.operations.planning import plan_next
from etl.operations.preview import preview
from etl.operations.running import Running, run_pipelines
from etl.operations.status import status_of
from etl.operations.tracing import Trace
from etl.operations.validation import validate
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from tests.unit.operations.resolving import discard, of, replay

T = TypeVar("T")

SHOP = """\
version: 1
sources:
  orders: {{type: files, path: landing/orders/*.ndjson, batch: {{max_files: 1}}}}
  refunds:
    type: files
    path: landing/refunds/*.csv
    schema: {{order_id: int64, amount: float64, reason: string}}
    transforms:
      - with_columns: {{amount: "{sign}amount"}}
transforms:
  - union: {{with: [refunds]}}
expect:
  - {{name: positive, check: "amount > {least}"}}
sink: {{type: delta, table: silver.orders}}
"""


@pytest.fixture
def shop(home: Workspace) -> Workspace:
    """Return a project of orders and refunds: one of each is broken, and one of each fails the check."""
    put_orders = home.folder / "landing" / "orders"
    (put_orders / "2.ndjson").write_text('{"order_id": 3, "amount": 7.5}\n{"order_id": 4\n')
    put(home, "1", "order_id,amount,reason\n1,5.0,late\n2,x,broken\n3,-2.0,lost\n")
    return edit(home)


def put(home: Workspace, name: str, text: str) -> Path:
    path = home.folder / "landing" / "refunds" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def edit(home: Workspace, least: int = 0, sign: str = "") -> Workspace:
    (home.folder / "pipelines" / "orders.yml").write_text(SHOP.format(least=least, sign=sign))
    return Workspace(home.folder)


def table(home: Workspace) -> list[tuple[Any, ...]]:
    rows = pl.read_delta(str(home.folder / "lake" / "silver" / "orders")).to_dicts()
    values = [(row["order_id"], row["amount"], row.get("reason"), row["_source_file"][-8:]) for row in rows]
    return by_key(values)


def rejected(home: Workspace, status: str = "open") -> list[tuple[Any, ...]]:
    frame = pl.read_delta(str(home.folder / "lake" / "silver" / "orders__quarantine"))
    rows = frame.filter(pl.col("status") == status).to_dicts()
    return sorted((row["source"], row["rule"], row["raw"]) for row in rows)


ACCEPTED = [(1, 5.0, "late", "ds/1.csv"), (1, 5.0, None, "1.ndjson"), (3, 7.5, None, "2.ndjson")]
REJECTED = [
    ("orders", "positive", '{"order_id": 2, "amount": -1}'),
    ("orders", "syntax", '{"order_id": 4'),
    ("refunds", "positive", '{"order_id": 3, "amount": -2, "reason": "lost"}'),
    ("refunds", "type", "2,x,broken"),
]


def by_key(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=repr)


def test_rows_of_all_land_and_rejected_ones_keep_the_name_of_their_source(shop: Workspace, run_all: Any) -> None:
    (outcome,) = run_all(shop)
    assert outcome.error is None
    assert [result.rows["read"] for result in outcome.results] == [5, 2]
    assert table(shop) == by_key(ACCEPTED)
    assert rejected(shop) == REJECTED


def test_a_replay_sends_each_row_to_its_own_source(shop: Workspace, run_all: Any) -> None:
    run_all(shop)
    edited = edit(shop, least=-9)
    resolved = replay(edited)
    assert (resolved.rows, resolved.written, resolved.rejected_again) == (4, 2, 2)
    replayed = [(2, -1.0, None, "1.ndjson"), (3, -2.0, "lost", "ds/1.csv")]
    assert table(shop) == by_key([*ACCEPTED, *replayed])
    assert rejected(shop) == [REJECTED[1], REJECTED[3]]
    assert rejected(shop, "replayed") == REJECTED
    (again,) = run_all(edited)
    assert (again.error, again.results) == (None, ())


def test_a_replay_of_rows_whose_source_is_gone_is_refused(shop: Workspace, run_all: Any) -> None:
    run_all(shop)
    text = "version: 1\nsources: {orders: {type: files, path: landing/orders/*.ndjson}}\n"
    (shop.folder / "pipelines" / "orders.yml").write_text(text + "sink: {type: delta, table: silver.orders}\n")
    with pytest.raises(ConfigError) as caught:
        replay(shop)
    assert caught.value.message == "2 of the rows are of source 'refunds', which the pipeline no longer has"
    assert rejected(shop) == REJECTED


def test_discarded_rows_are_settled_whichever_source_they_are_of(shop: Workspace, run_all: Any) -> None:
    run_all(shop)
    assert discard(shop).rows == 4
    assert rejected(shop, "discarded") == REJECTED


def test_plan_shows_the_files_of_all_sources_and_what_their_schemas_become(shop: Workspace) -> None:
    found = plan_next(shop.wired("orders", Seam()), Seam())
    assert [file.path[-8:] for file in found.files] == ["1.ndjson", "ds/1.csv"]
    assert [(change.source, change.column) for change in found.source_changes] == [
        ("orders", "order_id"), ("orders", "amount"),
    ]  # fmt: skip
    assert found.trouble is None
    columns = ["order_id", "amount", "reason", "_source_file", "_source_offset", "_batch_id"]
    assert [change.column for change in found.table_changes] == columns


def test_status_counts_what_waits_of_all_sources(shop: Workspace, run_all: Any) -> None:
    seam = Seam()
    before = status_of(shop.wired("orders", seam), seam)
    assert (before.state, before.lag_files) == ("never run", 3)
    run_all(shop)
    assert status_of(shop.wired("orders", seam), seam).state == "idle"
    put(shop, "2", "order_id,amount,reason\n9,1.0,late\n")
    found = status_of(shop.wired("orders", seam), seam)
    assert (found.state, found.lag_files, found.lag_bytes, found.open_rows) == ("waiting", 1, 34, 4)


def test_preview_shows_rows_of_all_after_any_transform_of_the_list(shop: Workspace) -> None:
    found = preview(shop.wired("orders", Seam()), Seam(), 10, "union")
    assert found is not None
    assert sorted(found.frame["order_id"]) == [1, 1, 2, 3]
    assert found.files == 2
    assert found.rejected["source"].to_list() == ["refunds"]


def test_a_file_is_traced_through_the_source_that_read_it(shop: Workspace, run_all: Any) -> None:
    run_all(shop)
    trace = Trace(shop, "silver.orders")
    (passage,) = trace.file("landing/refunds/1.csv")
    assert (passage.batch_id, passage.rows_read, passage.rows_in_table, passage.open_rows) == (0, 3, 1, 2)
    assert trace.explain("landing/refunds/1.csv")["reason"] == "known since batch 0"
    assert trace.explain("landing/orders/2.ndjson")["reason"] == "known since batch 1"
    reason = str(trace.explain("landing/none.txt")["reason"])
    assert reason.startswith("orders: ")
    assert "; refunds: " in reason


def test_validate_knows_the_columns_of_all_sources(shop: Workspace) -> None:
    (verdict,) = validate(shop)
    assert verdict.columns is not None
    assert list(verdict.columns)[:3] == ["order_id", "amount", "reason"]


def test_validate_says_which_source_has_no_input_yet(shop: Workspace) -> None:
    for path in (shop.folder / "landing" / "orders").iterdir():
        path.unlink()
    (verdict,) = validate(shop)
    assert (verdict.columns, verdict.note) == (None, "there is no input of orders yet")


class Overtaken(Seam):
    """A world in which a file changes once the first plan is durable."""

    def __init__(self, change: Callable[[], object]) -> None:
        self._change = change
        self._is_over = False

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        done = act()
        if name == "plan.put.publish" and not self._is_over:
            self._is_over = True
            self._change()
        return done


def test_a_change_of_one_source_s_file_amends_its_part_of_the_plan_alone(shop: Workspace) -> None:
    refunds = put(shop, "1", "order_id,amount,reason\n1,5.0,late\n")
    os.utime(refunds, (1_700_000_000, 1_700_000_000))
    seam = Overtaken(lambda: put(shop, "1", "order_id,amount,reason\n1,6.0,late\n2,7.0,late\n"))
    (outcome,) = run_pipelines(shop, None, Running(seam, Silent(), Bounds()))
    assert outcome.error is None
    assert [row for row in table(shop) if row[2]] == [(1, 6.0, "late", "ds/1.csv"), (2, 7.0, "late", "ds/1.csv")]
    folder = shop.folder / "lake" / "_checkpoints" / "orders" / "offsets"
    first, second = (
        json.loads((folder / name).read_text())["body"]["inputs"] for name in ("0000000000.json", "0000000000.2.json")
    )
    assert first["orders"] == second["orders"]
    assert first["refunds"]["units"] != second["refunds"]["units"]


def test_own_transforms_change_the_rows_of_their_source(shop: Workspace, run_all: Any) -> None:
    (outcome,) = run_all(edit(shop, least=-9, sign="-"))
    assert outcome.error is None
    assert [row[:3] for row in table(shop) if row[2]] == [(1, -5.0, "late"), (3, 2.0, "lost")]


def test_the_quarantine_of_a_single_source_has_no_column_for_it(shop: Workspace, run_all: Any) -> None:
    text = (
        "version: 1\nsource: {type: files, path: landing/orders/*.ndjson}\nsink: {type: delta, table: silver.orders}\n"
    )
    (shop.folder / "pipelines" / "orders.yml").write_text(text)
    run_all(Workspace(shop.folder))
    rows = of(shop).rows()
    assert rows is not None
    assert "source" not in rows.collect_schema()


LOGS_BESIDE = """\
version: 1
sources:
  orders: {type: files, path: landing/orders/*.ndjson, batch: {max_files: 1}}
  audit: {type: logs, path: landing/audit.log, format: ndjson, read_from: beginning}
transforms:
  - union: {with: [audit]}
sink: {type: delta, table: silver.orders}
"""


def test_logs_and_files_stand_side_by_side_through_restarts_and_a_rotation(
    home: Workspace, run_all: Any, put_orders: Any
) -> None:
    (home.folder / "pipelines" / "orders.yml").write_text(LOGS_BESIDE)
    log = home.folder / "landing" / "audit.log"
    log.write_text('{"order_id": 101}\n')
    run_all(home)
    for number in range(3, 6):
        put_orders(str(number), [{"order_id": number, "amount": 1.0}])
        run_all(home)
    with log.open("a") as appended:
        appended.write('{"order_id": 102}\n')
    log.rename(log.with_name("audit.log.1"))
    log.write_text('{"order_id": 103}\n')
    run_all(home)
    put_orders("6", [{"order_id": 6, "amount": 1.0}])
    with log.open("a") as appended:
        appended.write('{"order_id": 104}\n')
    run_all(home)
    assert sorted(row[0] for row in table(home)) == [1, 2, 3, 3, 4, 5, 6, 101, 102, 103, 104]
    found = status_of(home.wired("orders", Seam()), Seam())
    assert (found.state, found.lag_files, found.lag_bytes) == ("idle", 0, 0)
    with log.open("a") as appended:
        appended.write('{"order_id": 105}\n')
    put_orders("7", [{"order_id": 7, "amount": 1.0}])
    found = status_of(home.wired("orders", Seam()), Seam())
    assert (found.state, found.lag_files, found.lag_bytes) == ("waiting", 2, 18 + 31)
