"""Rows are replayed as they came, whatever stood between source and table."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError
from etl.operations.workspace import Workspace
from tests.unit.operations.resolving import discard, edit, interrupted, orders, replay, rows, statuses


def test_rows_are_replayed_before_any_column_is_known(home: Workspace, run_all: Any, put_orders: Any) -> None:
    text = "source: {type: files, path: landing/orders/*.ndjson}\nsink: {type: delta, table: a.b}\n"
    (home.folder / "pipelines" / "orders.yml").write_text(text)
    for name in ("1", "2"):
        put_orders(name, []).write_text('{"id": 1} {"id": 2}\n')
    run_all(Workspace(home.folder))

    done = replay(home)
    gone = discard(home)

    assert (done.rows, done.written, done.rejected_again, gone.rows) == (2, 0, 2, 2)
    put_orders("3", [{"id": 5}])
    (outcome,) = run_all(Workspace(home.folder))
    assert outcome.error is None
    assert pl.read_delta(str(home.folder / "lake" / "a" / "b"))["id"].to_list() == [5]


EXPLODED = """\
source: {type: files, path: landing/orders/*.ndjson}
transforms:
  - explode: [items]
expect:
  - {name: small, check: items < %d}
sink: {type: delta, table: silver.orders}
"""


def test_one_of_several_rows_that_came_of_one_is_not_replayed(home: Workspace, run_all: Any, put_orders: Any) -> None:
    pipeline = home.folder / "pipelines" / "orders.yml"
    pipeline.write_text(EXPLODED % 10)
    put_orders("1", [{"order_id": 1, "items": [1, 2, 30]}])
    put_orders("2", [])
    run_all(Workspace(home.folder))
    pipeline.write_text(EXPLODED % 100)

    with pytest.raises(ConfigError, match="none of the 1 rows can be replayed: they were not kept as a whole"):
        replay(home)
    assert [row["items"] for row in rows(home)] == [1, 2]
    assert discard(home).rows == 1


def test_a_row_that_stayed_one_is_replayed_behind_a_transform_that_adds_rows(
    home: Workspace, run_all: Any, put_orders: Any
) -> None:
    pipeline = home.folder / "pipelines" / "orders.yml"
    pipeline.write_text(EXPLODED % 10)
    put_orders("1", [{"order_id": 1, "items": [30]}])
    put_orders("2", [])
    run_all(Workspace(home.folder))
    pipeline.write_text(EXPLODED % 100)

    assert replay(home).written == 1
    assert [row["items"] for row in rows(home)] == [30]


PARSED = """\
source: {type: files, path: landing/orders/*.ndjson}
transforms:
  - with_columns: {twice: order_id * 2}
  - parse: {column: text, format: json, schema: {a: int64}%s}
sink: {type: delta, table: silver.orders}
"""


def test_a_row_that_a_transform_sets_aside_is_kept_as_it_came(home: Workspace, run_all: Any, put_orders: Any) -> None:
    pipeline = home.folder / "pipelines" / "orders.yml"
    pipeline.write_text(PARSED % "")
    put_orders("1", [{"order_id": 1, "text": "nope"}, {"order_id": 2, "text": '{"a": 5}'}])
    put_orders("2", [])
    run_all(Workspace(home.folder))
    (rejected,) = rows(home, "orders__quarantine")
    pipeline.write_text(PARSED % ', otherwise: "null"')

    done = replay(home)

    assert (rejected["rule"], json.loads(rejected["raw"])) == ("parse", {"order_id": 1, "text": "nope"})
    assert done.written == 1
    assert sorted((row["order_id"], row["twice"], row["a"] or 0) for row in rows(home)) == [(1, 2, 0), (2, 4, 5)]


def test_a_replay_that_is_refused_later_holds_nothing_up_either(shop: Workspace, run_all: Any, put_orders: Any) -> None:
    edit(shop, least=-50)
    interrupted(shop)
    path = shop.folder / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("check: amount >= -50", "check: amount >= 0, otherwise: fail"))
    put_orders("3", [{"order_id": 5, "amount": 2.0}])

    (outcome,) = run_all(Workspace(shop.folder))

    assert outcome.error is None
    assert [(result.resolution or {}).get("rows") for result in outcome.results] == [[], None]
    assert [order for order, *_ in orders(shop)] == [1, 4, 5]
    assert statuses(shop) == {"0-1": ("open", None), "1-1": ("open", None)}
