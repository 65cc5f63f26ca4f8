"""A project whose files, checkpoint and tables all lie on S3, from its YAML files to its rows."""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import pytest

from etl.config.loader import load
from etl.config.wiring import wire
from etl.engine import run
from etl.errors import SourceError
from etl.progress import Silent
from etl.seam import Seam
from tests.faults.s3_lab import Lake, Store
from tests.faults.s3_proxy import Fault, Rule
from tests.properties.test_any_history import Crash
from tests.readers import table_rows

pytestmark = pytest.mark.s3

T = TypeVar("T")
CITIES = ["Köln/x", "a b%20", "a=b#?", "..", "a:b&c+d", "'q\"", None]
KEYS = 'access_key_id: x, secret_access_key: "y"'


class CrashAfter(Seam):
    """A seam that ends a run after the first effect of a name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        del torn
        result = act()
        if name == self._name:
            raise Crash(name)
        return result


def project(lake: Lake, folder: Path, pattern: str, source: str = "", keys: str = KEYS) -> Path:
    """Write a project of one pipeline, from ``landing`` to the table ``silver.orders``, and return its folder."""
    (folder / "pipelines").mkdir()
    (folder / "etl.yml").write_text(
        f"version: 1\nlake: s3://{lake.bucket}/{lake.prefix}/lake\n"
        f"storage: {{s3: {{endpoint_url: {lake.proxy.endpoint}, region: eu-west-1, {keys}}}}}\n"
    )
    (folder / "pipelines" / "orders.yml").write_text(
        f"version: 1\nsource: {{type: files, path: 's3://{lake.bucket}/{lake.prefix}/landing/{pattern}'{source}}}\n"
        "sink: {type: delta, table: silver.orders, partition_by: [city]}\n"
    )
    return folder


def take(folder: Path) -> list[tuple[int, int]]:
    """Run the pipeline as a new process would; return the rows read and written by each batch."""
    loaded, specs = load(folder)
    results = run(wire(specs[0], loaded, Seam()), Seam(), Silent())
    return [(result.rows["read"], result.rows["written"]) for result in results]


def put(lake: Lake, key: str, content: bytes) -> str:
    lake.client.put_object(Bucket=lake.bucket, Key=f"{lake.prefix}/{key}", Body=content)
    return f"s3://{lake.bucket}/{lake.prefix}/{key}"


def ndjson(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def rows(lake: Lake, folder: Path) -> list[dict[str, Any]]:
    """Return the rows of ``silver.orders`` by id, read from a copy."""
    for key in lake.keys("lake/silver/"):
        copy = folder / key
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(lake.read(key))
    return sorted(table_rows(folder / "lake" / "silver" / "orders"), key=lambda row: int(row["id"]))


def test_files_on_s3_become_a_table_on_s3_and_are_archived(store: Store, tmp_path: Path) -> None:
    lake = store.lake()
    archive = f"s3://{lake.bucket}/{lake.prefix}/archive"
    home = project(lake, tmp_path, "**/*.jsonl", f", after_commit: {{archive: '{archive}'}}, batch: {{max_files: 1}}")
    wanted = []
    for number, name in enumerate(["b c#1", "d=1/a%20"]):
        orders = [{"id": 10 * number + index, "city": city} for index, city in enumerate(CITIES)]
        url = put(lake, f"landing/{name}.jsonl", ndjson(orders))
        wanted += [(order["id"], order["city"], url) for order in orders]
    assert take(home) == [(7, 7), (7, 7)]
    late = put(lake, "landing/a.jsonl", ndjson([{"id": 99, "city": "x"}]))
    assert take(home) == [(1, 1)]
    assert take(home) == []
    found = [(row["id"], row["city"], row["_source_file"]) for row in rows(lake, tmp_path)]
    assert found == [*wanted, (99, "x", late)]
    assert lake.keys("landing/") == []
    assert lake.keys("archive/") == ["archive/a.jsonl", "archive/b c#1.jsonl", "archive/d=1/a%20.jsonl"]


def test_files_are_deleted_only_once_their_batch_is_committed(store: Store, tmp_path: Path) -> None:
    lake = store.lake()
    home = project(lake, tmp_path, "*.jsonl", ", after_commit: delete")
    put(lake, "landing/a.jsonl", ndjson([{"id": 1, "city": "x"}]))
    assert take(home) == [(1, 1)]
    assert lake.keys("landing/") == []
    asked = [(method, path.rsplit("/", 1)[-1]) for method, path in store.proxy.requests if method in ("PUT", "DELETE")]
    assert asked.index(("DELETE", "a.jsonl")) > asked.index(("PUT", "0000000000.json"), -4)


@pytest.mark.parametrize(
    ("effect", "wish"),
    [
        ("commit.put", "delete"),
        ("source.delete", "delete"),
        ("commit.put", "{archive: ARCHIVE}"),
        ("source.archive", "{archive: ARCHIVE}"),
        ("source.delete", "{archive: ARCHIVE}"),
    ],
)
def test_what_a_crash_left_of_a_committed_batch_is_disposed_of_by_the_next_start(
    store: Store, tmp_path: Path, effect: str, wish: str
) -> None:
    lake = store.lake()
    wish = wish.replace("ARCHIVE", f"'s3://{lake.bucket}/{lake.prefix}/archive'")
    home = project(lake, tmp_path, "*.jsonl", f", after_commit: {wish}")
    for number in range(2):
        put(lake, f"landing/{number}.jsonl", ndjson([{"id": number, "city": "x"}]))
    loaded, specs = load(home)
    seam = CrashAfter(effect)
    with pytest.raises(Crash):
        run(wire(specs[0], loaded, seam), seam, Silent())
    assert len(lake.keys("landing/")) == {"commit.put": 2, "source.archive": 2, "source.delete": 1}[effect]
    assert take(home) == []
    assert lake.keys("landing/") == []
    assert len(lake.keys("archive/")) == (0 if wish == "delete" else 2)
    assert [row["id"] for row in rows(lake, tmp_path)] == [0, 1]


def test_a_listing_that_breaks_off_takes_nothing_for_missing(store: Store, tmp_path: Path) -> None:
    lake = store.lake()
    home = project(lake, tmp_path, "*.jsonl")
    put(lake, "landing/a.jsonl", ndjson([{"id": 1, "city": "x"}]))
    assert take(home) == [(1, 1)]
    put(lake, "landing/b.jsonl", ndjson([{"id": 2, "city": "x"}]))
    store.proxy.rules = [Rule("403", "GET", "list-type=2&prefix=[^&]*landing", times=math.inf)]
    with pytest.raises(SourceError, match="source unavailable: cannot be listed"):
        take(home)
    store.proxy.rules.clear()
    assert take(home) == [(1, 1)]


def test_a_copy_in_the_archive_that_cannot_be_checked_leaves_the_file_where_it_is(store: Store, tmp_path: Path) -> None:
    lake = store.lake()
    archive = f"s3://{lake.bucket}/{lake.prefix}/archive"
    home = project(lake, tmp_path, "*.jsonl", f", after_commit: {{archive: '{archive}'}}")
    put(lake, "landing/a.jsonl", ndjson([{"id": 1, "city": "x"}]))
    store.proxy.rules = [Rule("garbled", "GET", "/archive/a")]
    with pytest.raises(SourceError, match="cannot be disposed of"):
        take(home)
    assert lake.keys("landing/") == ["landing/a.jsonl"]
    assert take(home) == []
    assert lake.keys("landing/") == []
    assert lake.keys("archive/") == ["archive/a.jsonl"]


def test_the_command_takes_credentials_and_the_endpoint_from_the_environment(store: Store, tmp_path: Path) -> None:
    lake = store.lake()
    home = project(lake, tmp_path, "*.jsonl")
    (home / "etl.yml").write_text(f"version: 1\nlake: s3://{lake.bucket}/{lake.prefix}/lake\n")
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_ENDPOINT_URL": lake.proxy.endpoint,
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    for number in range(2):
        put(lake, f"landing/{number}.jsonl", ndjson([{"id": number, "city": "x"}]))
        ended = subprocess.run(
            [sys.executable, "-W", "error::ResourceWarning", "-m", "etl", "-C", str(home), "run", "orders"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, ""), ended
    assert [row["id"] for row in rows(lake, tmp_path)] == [0, 1]


# Lines of one length: half of the NDJSON file ends with a line.
ORDERS = [{"id": number, "city": "x" * 50} for number in range(1000, 3000)]


def as_parquet() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(ORDERS).write_parquet(buffer, compression="uncompressed")
    return buffer.getvalue()


FORMATS: dict[str, Callable[[], bytes]] = {
    "jsonl": lambda: ndjson(ORDERS),
    "jsonl.gz": lambda: gzip.compress(ndjson(ORDERS)),
    "csv": lambda: pl.DataFrame(ORDERS).write_csv().encode(),
    "parquet": as_parquet,
}


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("fault", ["cut", "short", "garbled"])
def test_a_source_file_that_arrives_damaged_is_read_again_or_refused_never_in_part(
    store: Store, tmp_path: Path, fault: Fault, ending: str
) -> None:
    lake = store.lake()
    home = project(lake, tmp_path, f"*.{ending}")
    put(lake, f"landing/a.{ending}", FORMATS[ending]())
    store.proxy.rules = [rule := Rule(fault, "GET", "/landing/", times=1 if fault == "cut" else math.inf)]
    if fault == "cut":
        assert take(home) == [(2000, 2000)]
    else:
        with pytest.raises(SourceError):
            take(home)
        assert lake.keys("lake/silver/") == []
        store.proxy.rules.clear()
        assert take(home) == [(2000, 2000)]
    assert rule.has_struck
    assert [int(row["id"]) for row in rows(lake, tmp_path)] == list(range(1000, 3000))  # CSV gives text
