"""What every sink that takes changing results keeps, whatever it writes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.balance import Tally
from etl.errors import ConfigError
from etl.model import Manifest
from etl.seam import Seam
from etl.sinks.contract import Edit, Sink, SinkSite
from etl.sinks.delta import DeltaSink
from etl.sinks.delta_options import DeltaOptions
from etl.storage import object_store_options, open_storage
from etl.testing import MemorySink
from tests.servers import S3Bucket

KEY = ["a", "b"]
TYPES = pl.Schema({"a": pl.Int64, "b": pl.String, "v": pl.Int64})
CHANGING = pl.Schema([*TYPES.items(), ("_change", pl.String())])


@dataclass(frozen=True, slots=True)
class Setup:
    """A table by key: ways to open its sink as another run would, and to read its rows."""

    open: Callable[[], Sink]
    rows: Callable[[], Counter[tuple[Any, ...]]]


def delta_setup(url: str, options: dict[str, str]) -> Setup:
    scheme = url.partition("://")[0]
    table_options = object_store_options(scheme, options)

    def open_sink() -> Sink:
        site = SinkSite("t", url, open_storage(url, Seam(), {scheme: options}), Seam(), table_options)
        sink = DeltaSink(DeltaOptions(path=url, write_mode="merge", primary_key=KEY), site)
        sink.bind("0123456789abcdef/main")
        return sink

    return Setup(open_sink, lambda: Counter(pl.read_delta(url, storage_options=table_options or None).rows()))


def memory_setup() -> Setup:
    sink = MemorySink("t", KEY)
    return Setup(lambda: sink, lambda: Counter(tuple(row.values()) for row in sink.rows()))


@pytest.fixture(params=["delta", pytest.param("delta on S3", marks=pytest.mark.s3), "memory"])
def setup(request: pytest.FixtureRequest, tmp_path: Path) -> Setup:
    if request.param == "memory":
        return memory_setup()
    if request.param == "delta":
        return delta_setup(str(tmp_path / "t"), {})
    bucket: S3Bucket = request.getfixturevalue("s3_bucket")
    return delta_setup(f"{bucket.url}/silver/t", bucket.options)


def staged(sink: Sink, batch_id: int, frame: pl.DataFrame, name: str = "a") -> Manifest:
    """Stage a batch of rows."""
    tally = Tally()
    schema = sink.prepare(frame.schema)
    new = sink.stage(batch_id, name * 32, frame.lazy(), tally)
    old, revision = sink.revise(batch_id, name * 32, Edit(schema))
    revisions = {} if revision is None else {"main": revision}
    tables = {"main": (*new, *old)}
    return Manifest(batch_id, name * 32, tables, {"main": schema}, {}, tally.counts(), revisions=revisions)


def bring(sink: Sink, batch_id: int, *rows: tuple[Any, ...], changes: str = "") -> Manifest:
    """Bring rows into the table; ``changes`` has a letter for each: insert, update, delete."""
    frame = pl.DataFrame(list(rows), schema=TYPES, orient="row")
    if changes:
        words = {"i": "insert", "u": "update", "d": "delete"}
        frame = frame.with_columns(_change=pl.Series([words[letter] for letter in changes]))
    manifest = staged(sink, batch_id, frame)
    sink.commit(manifest, {})
    return manifest


def fates(manifest: Manifest) -> dict[str, int]:
    return {fate: rows for fate, rows in manifest.rows.items() if rows}


def test_plain_rows_are_inserted_or_take_the_place_of_their_key(setup: Setup) -> None:
    sink = setup.open()
    bring(sink, 0, (1, "x", 1), (1, None, 2), (None, None, 3))
    manifest = bring(sink, 1, (1, None, 20), (None, None, 3), (2, "x", 4))
    assert fates(manifest) == {"written": 3}
    assert setup.rows() == {(1, "x", 1): 1, (1, None, 20): 1, (None, None, 3): 1, (2, "x", 4): 1}


def test_a_changing_result_is_applied_and_deletes_count_as_written(setup: Setup) -> None:
    sink = setup.open()
    bring(sink, 0, (1, "x", 1), (2, "x", 2), (3, "x", 3), changes="iii")
    manifest = bring(sink, 1, (1, "x", 10), (2, "x", 2), (4, "x", 4), (9, "x", 9), changes="udid")
    assert fates(manifest) == {"written": 4}
    assert setup.rows() == {(1, "x", 10): 1, (3, "x", 3): 1, (4, "x", 4): 1}


def test_a_key_that_is_twice_in_a_batch_is_there_once(setup: Setup) -> None:
    manifest = bring(setup.open(), 0, (1, "x", 1), (1, "x", 7), (1, "x", 3), (2, "x", 2))
    assert fates(manifest) == {"written": 2, "deduplicated": 2}
    assert setup.rows() == {(1, "x", 7): 1, (2, "x", 2): 1}


def test_committing_again_changes_nothing(setup: Setup) -> None:
    sink = setup.open()
    manifest = bring(sink, 0, (1, "x", 1))
    bring(sink, 1, (1, "x", 2))
    assert setup.open().commit(manifest, {}) == sink.commit(manifest, {})
    assert setup.rows() == {(1, "x", 2): 1}


def test_the_last_of_several_attempts_counts(setup: Setup) -> None:
    sink = setup.open()
    bring(sink, 0, (1, "x", 1), (2, "x", 2))
    loser = staged(sink, 1, pl.DataFrame([(1, "x", 5)], schema=TYPES, orient="row"), "b")
    winner = staged(sink, 1, pl.DataFrame([(2, "x", 6)], schema=TYPES, orient="row"), "c")
    sink.discard(1, [file.path for file in winner.tables["main"]])
    assert sink.missing(winner) == []
    assert sink.missing(loser) == [file.path for file in loser.tables["main"]]
    sink.commit(winner, {})
    assert setup.rows() == {(1, "x", 1): 1, (2, "x", 6): 1}


def test_rows_without_the_key_or_with_one_that_has_no_equality_are_refused(setup: Setup) -> None:
    with pytest.raises(ConfigError, match="primary_key names 'b'"):
        setup.open().prepare(pl.Schema({"a": pl.Int64}))
    with pytest.raises(ConfigError, match="primary_key column 'a'"):
        setup.open().prepare(pl.Schema({"a": pl.List(pl.Int64), "b": pl.String()}))


def test_the_change_of_a_row_is_no_column_of_the_table(setup: Setup) -> None:
    rows = CHANGING
    assert setup.open().prepare(rows) == {"a": "int64", "b": "string", "v": "int64"}


@pytest.mark.parametrize("kind", ["memory", "delta"])
def test_a_sink_without_keys_refuses_a_changing_result(tmp_path: Path, kind: str) -> None:
    site = SinkSite("t", str(tmp_path), open_storage(str(tmp_path), Seam(), {}), Seam())
    sink: Sink = MemorySink() if kind == "memory" else DeltaSink(DeltaOptions(path=str(tmp_path)), site)
    with pytest.raises(ConfigError, match="changing result"):
        sink.prepare(CHANGING)
