"""Files that change or come twice, through pipelines as users write them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.readers import table_rows

if TYPE_CHECKING:
    from typer.testing import Result

PIPELINE = """\
version: 1
source: {{type: files, path: landing/*.ndjson, order: name, {options}}}
sink: {{type: delta, table: silver.orders{sink}}}
"""


@pytest.fixture
def declare(shop: Path) -> Callable[..., None]:
    def write(options: str, sink: str = "", more: str = "") -> None:
        (shop / "pipelines" / "orders.yml").write_text(PIPELINE.format(options=options, sink=sink) + more)

    return write


def ids(shop: Path) -> list[int]:
    return sorted(row["id"] for row in table_rows(shop / "lake/silver/orders"))


def put(shop: Path, name: str, *numbers: int, at: int) -> None:
    path = shop / "landing" / name
    path.write_text("".join(json.dumps({"id": number, "amount": 1.5}) + "\n" for number in numbers))
    os.utime(path, (at, at))


def test_a_file_that_is_delivered_again_takes_the_place_of_its_rows(
    shop: Path, etl: Callable[..., Result], declare: Callable[..., None]
) -> None:
    declare("identity: path_and_version, on_change: replace_rows")
    assert etl("run", "--all").exit_code == 0
    assert ids(shop) == [1, 2, 3]
    put(shop, "1.ndjson", 1, 7, at=2000)

    done = etl("run", "orders", "--json")

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"]["written"] == 2
    assert ids(shop) == [1, 3, 7]
    assert "nothing new" in etl("run", "--all").output


def test_a_file_that_grows_gives_its_new_rows(
    shop: Path, etl: Callable[..., Result], declare: Callable[..., None]
) -> None:
    declare("identity: path_and_version, on_change: append_tail")
    assert etl("run", "--all").exit_code == 0
    with (shop / "landing" / "2.ndjson").open("a") as file:
        file.write('{"id": 4, "amount": 2.5}\n')
    done = etl("run", "orders", "--json")
    assert (done.exit_code, json.loads(done.stdout)["bytes_read"]) == (0, 25)
    assert ids(shop) == [1, 2, 3, 4]

    put(shop, "2.ndjson", 9, at=3000)
    refused = etl("run", "orders")

    assert refused.exit_code == 1
    assert "landing/2.ndjson: is shorter than when it was read: 25 bytes, 50 then" in refused.output
    assert "`on_change: replace_rows` puts the new rows in place of the old ones" in refused.output
    assert ids(shop) == [1, 2, 3, 4]


def test_equal_content_is_read_once_across_batches_and_again_by_a_full_refresh(
    shop: Path, etl: Callable[..., Result], declare: Callable[..., None]
) -> None:
    declare("identity: content, batch: {max_files: 1}")
    assert etl("run", "--all").exit_code == 0
    shutil.copy(shop / "landing" / "1.ndjson", shop / "landing" / "3.ndjson")
    shutil.copy(shop / "landing" / "2.ndjson", shop / "landing" / "0.ndjson")
    assert "nothing new" in etl("run", "--all").output
    assert ids(shop) == [1, 2, 3]
    assert (
        "the same content as landing/1.ndjson" in etl("trace", "silver.orders", "--explain", "landing/3.ndjson").output
    )

    assert etl("run", "orders", "--full-refresh").exit_code == 0

    assert ids(shop) == [1, 2, 3]
    assert {row["_source_file"] for row in table_rows(shop / "lake/silver/orders")} == {
        "landing/0.ndjson",
        "landing/1.ndjson",
    }


def test_rows_that_are_not_found_by_their_file_cannot_be_replaced(
    etl: Callable[..., Result], declare: Callable[..., None]
) -> None:
    declare("identity: path_and_version, on_change: replace_rows", ", provenance: false")
    refused = etl("validate")
    assert refused.exit_code == 2
    assert "sink.provenance: `on_change: replace_rows` finds rows by their _source_file" in refused.output


def test_a_transform_that_drops_the_file_is_refused_where_rows_are_replaced(
    shop: Path, etl: Callable[..., Result], declare: Callable[..., None]
) -> None:
    options = "identity: path_and_version, on_change: replace_rows, schema: {id: int64, amount: float64}"
    declare(options, more="transforms:\n  - python: own:bare\n")
    (shop / "transforms").mkdir()
    (shop / "transforms" / "own.py").write_text("def bare(rows):\n    return rows.drop('_source_file')\n")
    refused = etl("validate")
    assert refused.exit_code == 2, refused.output
    assert "_source_file" in refused.output
