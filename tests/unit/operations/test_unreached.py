"""Looking at pipelines whose server is down: what is known is said, and which server is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etl.errors import EtlError
from etl.operations.looking import Onlooker
from etl.operations.planning import NextBatch, plan_next
from etl.operations.preview import preview
from etl.operations.workspace import Workspace
from tests.key_servers import RedisServer
from tests.unit.operations.proving import define

BESIDE = """\
version: 1
source: {type: files, path: landing/orders/*.ndjson, batch: {max_files: 1}}
sinks:
  - {type: delta, table: silver.orders}
  - {type: key_value, url: URL, table: orders, primary_key: [order_id]}
"""
ALONE = """\
version: 1
source: {type: files, path: landing/orders/*.ndjson, batch: {max_files: 1}}
sink: {type: key_value, url: URL, table: orders, primary_key: [order_id]}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test alone, which may die."""
    (tmp_path / "redis").mkdir()
    made = RedisServer(tmp_path / "redis")
    made.start()
    yield made
    made.kill()


def planned(home: Workspace) -> NextBatch:
    return plan_next(Workspace(home.folder).wired("orders", Onlooker()), Onlooker())


def previewed(home: Workspace) -> list[int]:
    found = preview(Workspace(home.folder).wired("orders", Onlooker()), Onlooker(), 10)
    assert found is not None
    return sorted(found.frame["order_id"].to_list())


def check_told(found: NextBatch, url: str) -> None:
    (note,) = found.notes
    assert note.startswith(f"redis:orders does not answer, taken to be where the checkpoint says: {url}: Error 111")
    assert found.trouble is None


@pytest.mark.parametrize("pipeline", [BESIDE, ALONE], ids=["beside", "alone"])
def test_a_plan_and_a_preview_do_without_a_server_that_is_down(
    home: Workspace, server: RedisServer, run_all: Any, put_orders: Any, pipeline: str
) -> None:
    define(home, pipeline.replace("URL", server.url))
    assert [outcome.error for outcome in run_all(Workspace(home.folder))] == [None]
    put_orders("3", [{"order_id": 4, "amount": 1.5}])
    before = planned(home)
    assert (before.batch_id, before.notes, before.trouble, before.table_changes) == (2, (), None, ())
    server.kill()

    found = planned(home)

    assert (found.batch_id, [file.path for file in found.files]) == (2, ["landing/orders/3.ndjson"])
    assert (found.source_changes, found.table_changes) == ((), ())
    check_told(found, server.url)
    assert previewed(home) == [4]


@pytest.mark.parametrize("pipeline", [BESIDE, ALONE], ids=["beside", "alone"])
def test_so_do_those_of_a_pipeline_that_never_ran(home: Workspace, server: RedisServer, pipeline: str) -> None:
    server.kill()
    define(home, pipeline.replace("URL", server.url))

    found = planned(home)

    assert (found.batch_id, len(found.files)) == (0, 1)
    check_told(found, server.url)
    assert previewed(home) == [1, 2]


def test_a_batch_that_waits_for_the_server_is_told_with_its_files(
    home: Workspace, server: RedisServer, run_all: Any, put_orders: Any
) -> None:
    define(home, BESIDE.replace("URL", server.url))
    run_all(Workspace(home.folder))
    put_orders("3", [{"order_id": 4, "amount": 1.5}])
    server.kill()
    (outcome,) = run_all(Workspace(home.folder))
    assert isinstance(outcome.error, EtlError)

    found = planned(home)

    assert (found.batch_id, [file.path for file in found.files]) == (2, ["landing/orders/3.ndjson"])
    check_told(found, server.url)
    assert previewed(home) == [4]
    server.start()
    assert [outcome.error for outcome in run_all(Workspace(home.folder))] == [None]
