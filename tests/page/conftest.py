from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from etl.operations.running import Running, run_pipelines
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from tests.asking import Asked, open_page

HOSTILE = "<img src=x onerror=alert(1)>&\"' \u202ebad\x1b[31m.ndjson"
"""A file name: markup, quotes, a character that turns the direction of text, and a terminal escape."""

ORDERS = """\
version: 1
description: Orders <b>of</b> the shop.
source: {type: files, path: landing/orders/*.ndjson, batch: {max_files: 1}}
transforms:
  - filter: amount >= 0
sink: {type: delta, table: silver.orders}
quarantine: {max_fraction: 0.9}
"""
BIG = """\
version: 1
source: {type: delta, table: silver.orders}
transforms:
  - filter: amount > 6
sink: {type: delta, table: gold.big}
"""
FILES = {
    "1.ndjson": '{"id": 1, "amount": 5.0}\n{"id": 2, "amount": -1.0}\n',
    HOSTILE: '{"id": 3, "amount": 7.5}\n<script>alert("row")</script>\n',
}


@pytest.fixture(scope="session")
def make_shop(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Workspace]:
    """Return a function that makes a project with two pipelines that have run."""

    def make() -> Workspace:
        folder = tmp_path_factory.mktemp("page") / "shop"
        (folder / "pipelines").mkdir(parents=True)
        (folder / "landing" / "orders").mkdir(parents=True)
        (folder / "pipelines" / "orders.yml").write_text(ORDERS)
        (folder / "pipelines" / "big.yml").write_text(BIG)
        for name, content in FILES.items():
            (folder / "landing" / "orders" / name).write_text(content)
        run(Workspace(folder), "orders", "big")
        return Workspace(folder)

    return make


@pytest.fixture(scope="session")
def shop(make_shop: Callable[[], Workspace]) -> Workspace:
    """Return a project that tests only look at."""
    return make_shop()


@pytest.fixture(scope="session")
def looked(shop: Workspace) -> Iterator[Asked]:
    """Return the page of that project; it may not act."""
    asked = open_page(shop)
    yield asked
    asked.page.close()


@pytest.fixture(scope="session")
def acting_once(shop: Workspace) -> Iterator[Asked]:
    """Return a page of the same project that may act; tests only look at it."""
    asked = open_page(shop, actions=True)
    yield asked
    asked.page.close()


@pytest.fixture
def acting(make_shop: Callable[[], Workspace]) -> Iterator[Asked]:
    """Return the page of a project of its own; it may act."""
    asked = open_page(make_shop(), actions=True)
    yield asked
    asked.page.close()


def run(workspace: Workspace, *names: str) -> None:
    list(run_pipelines(workspace, list(names), Running(Seam(), Silent())))


def put(workspace: Workspace, name: str, content: str) -> Path:
    path = workspace.folder / "landing" / "orders" / name
    path.write_text(content)
    return path
