"""Pipelines that would go on from a plain Parquet table: what is said, and that it helps."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from etl.errors import EtlError
from etl.operations.library import read_table
from etl.operations.looking import Onlooker
from etl.operations.planning import plan_next
from etl.operations.workspace import Workspace

WRITER = """\
version: 1
source: {type: files, path: landing/orders/*.ndjson, batch: {max_files: 1}}
sink: {type: parquet, table: silver.plain, partition_by: [order_id]}
"""
FOLLOWER = """\
version: 1
source: %s
sink: {type: delta, table: gold.copy}
"""
JOINER = """\
version: 1
source: {type: files, path: landing/orders/*.ndjson}
transforms:
  - join: {%s, on: [amount], columns: {_batch_id: batch}}
sink: {type: delta, table: gold.joined}
"""


@pytest.fixture
def plain(home: Workspace, run_all: Any) -> Workspace:
    """Return the project after two batches into a plain table."""
    (home.folder / "pipelines" / "orders.yml").write_text(WRITER)
    assert [outcome.error for outcome in run_all(Workspace(home.folder), "orders")] == [None]
    return Workspace(home.folder)


def define(home: Workspace, name: str, text: str) -> Workspace:
    (home.folder / "pipelines" / f"{name}.yml").write_text(text)
    return Workspace(home.folder)


def ids(home: Workspace, table: str) -> Counter[Any]:
    return Counter(read_table(table, project=home.folder).collect()["order_id"].to_list())


def test_a_source_that_would_follow_a_plain_table_is_refused_with_what_reads_it(plain: Workspace, run_all: Any) -> None:
    workspace = define(plain, "copy", FOLLOWER % "{type: delta, table: silver.plain}")

    (outcome,) = run_all(workspace, "copy")

    url = f"{plain.folder}/lake/silver/plain"
    assert isinstance(outcome.error, EtlError)
    assert outcome.error.message == "is a plain Parquet table, which has no log to follow"
    said = f"{{type: files, path: '{url}/**/*.parquet', hive_partitions: true}}"
    assert outcome.error.hint == f"let its pipeline write `type: delta`, or read its files: {said}"
    with pytest.raises(EtlError, match="is a plain Parquet table"):
        plan_next(workspace.wired("copy", Onlooker()), Onlooker())
    workspace = define(plain, "copy", FOLLOWER % said)
    assert [outcome.error for outcome in run_all(workspace, "copy")] == [None]
    assert ids(plain, "gold.copy") == Counter(["1", "2", "3"])


def test_a_join_of_a_plain_table_is_refused_with_what_joins_it(plain: Workspace, run_all: Any) -> None:
    workspace = define(plain, "joined", JOINER % "table: silver.plain")

    (outcome,) = run_all(workspace, "joined")

    assert isinstance(outcome.error, EtlError)
    assert outcome.error.message == "silver.plain is a plain Parquet table, which has no versions to join"
    url = f"{plain.folder}/lake/silver/plain"
    assert f"or join its files: `path: {url}` in place of `table`" in outcome.error.hint
    workspace = define(plain, "joined", JOINER % f"path: {url}")
    assert [outcome.error for outcome in run_all(workspace, "joined")] == [None]
    assert ids(plain, "gold.joined") == Counter([1, 2, 3])
