"""What every sink keeps, whatever it writes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest

from etl.balance import Tally
from etl.errors import FencedError, TableStateError
from etl.model import Manifest
from etl.seam import Seam
from etl.sinks.contract import Sink, SinkSite
from etl.sinks.delta import DeltaSink
from etl.sinks.delta_options import DeltaOptions
from etl.sinks.parquet import ParquetSink
from etl.sinks.parquet_commits import Commits
from etl.sinks.parquet_options import ParquetOptions
from etl.sinks.parquet_reading import scan_parquet_table
from etl.storage import object_store_options, open_storage
from etl.testing import MemorySink
from tests.servers import S3Bucket


@dataclass(frozen=True, slots=True)
class Setup:
    """A table: ways to open its sink as another run would, and to read the ids in it."""

    open: Callable[[], Sink]
    ids: Callable[[], Counter[int]]


def delta_setup(url: str, options: dict[str, str]) -> Setup:
    scheme = url.partition("://")[0]
    table_options = object_store_options(scheme, options)

    def open_sink() -> Sink:
        storage = open_storage(url, Seam(), {scheme: options})
        sink = DeltaSink(DeltaOptions(path=url), SinkSite("t", url, storage, Seam(), table_options))
        sink.bind("0123456789abcdef/main")
        return sink

    def ids() -> Counter[int]:
        if open_sink().table_id() is None:
            return Counter()
        return Counter(pl.scan_delta(url, storage_options=table_options or None).collect()["id"].to_list())

    return Setup(open_sink, ids)


def parquet_setup(url: str, options: dict[str, str]) -> Setup:
    scheme = url.partition("://")[0]
    storage = open_storage(url, Seam(), {scheme: options})
    table_options = object_store_options(scheme, options)

    def open_sink() -> Sink:
        sink = ParquetSink(ParquetOptions(path=url), SinkSite("t", url, storage, Seam(), table_options))
        sink.bind("0123456789abcdef/main")
        return sink

    def ids() -> Counter[int]:
        rows = scan_parquet_table(Commits(storage, Seam()), table_options, "t")
        return Counter([] if rows is None else rows.collect()["id"].to_list())

    return Setup(open_sink, ids)


def memory_setup() -> Setup:
    sink = MemorySink()
    return Setup(lambda: sink, lambda: Counter(row["id"] for row in sink.rows()))


TABLES = {"delta": delta_setup, "parquet": parquet_setup}
ON_S3 = [pytest.param(f"{name} on S3", marks=pytest.mark.s3) for name in TABLES]


@pytest.fixture(params=[*TABLES, *ON_S3, "memory"])
def setup(request: pytest.FixtureRequest, tmp_path: Path) -> Setup:
    if request.param == "memory":
        return memory_setup()
    kind, _, is_remote = request.param.partition(" on ")
    if not is_remote:
        return TABLES[kind](str(tmp_path / "t"), {})
    bucket: S3Bucket = request.getfixturevalue("s3_bucket")
    return TABLES[kind](f"{bucket.url}/silver/t", bucket.options)


def staged(sink: Sink, batch_id: int, ids: list[int], attempt: str = "a") -> Manifest:
    """Stage a batch of ids."""
    rows, tally = pl.LazyFrame({"id": ids}, {"id": pl.Int64}), Tally()
    schema = sink.prepare(rows.collect_schema())
    files = sink.stage(batch_id, attempt * 32, rows, tally)
    assert tally.counts()["written"] == sum(file.rows for file in files) == len(ids)
    return Manifest(batch_id, attempt * 32, {"main": files}, {"main": schema}, {}, tally.counts())


def append(sink: Sink, batch_id: int, ids: list[int], attempt: str = "a") -> int:
    return sink.commit(staged(sink, batch_id, ids, attempt), {"etl.batch_id": str(batch_id)})


def test_new_table_holds_no_batch_and_has_no_identity(setup: Setup) -> None:
    assert setup.open().last_batch_id() is None
    assert setup.open().table_id() is None
    setup.open().tend()


def test_preparing_and_staging_show_nothing(setup: Setup) -> None:
    sink = setup.open()
    assert sink.prepare(pl.Schema({"id": pl.Int64})) == {"id": "int64"}
    staged(sink, 0, [1])
    assert setup.open().last_batch_id() is None
    assert setup.ids() == Counter()


def test_committed_batch_is_there_once_and_known_by_its_id(setup: Setup) -> None:
    append(setup.open(), 0, [1, 2, 2])
    assert setup.open().last_batch_id() == 0
    assert setup.ids() == Counter({1: 1, 2: 2})


def test_versions_rise_and_batches_add_up(setup: Setup) -> None:
    sink = setup.open()
    versions = [append(sink, batch_id, [batch_id]) for batch_id in range(3)]
    assert versions == sorted(set(versions))
    assert sink.last_batch_id() == 2
    assert sink.last_batch_id((2, versions[2])) == 2
    assert setup.ids() == Counter({0: 1, 1: 1, 2: 1})


def test_commit_again_changes_nothing_and_returns_the_version_of_the_first_time(setup: Setup) -> None:
    sink = setup.open()
    manifest = staged(sink, 0, [1])
    first = sink.commit(manifest, {})
    append(sink, 1, [2])
    assert sink.commit(manifest, {}) == setup.open().commit(manifest, {}) == first
    assert setup.ids() == Counter({1: 1, 2: 1})


def test_manifest_is_committed_by_another_run_than_staged_it(setup: Setup) -> None:
    manifest = staged(setup.open(), 0, [1])
    other = setup.open()
    assert other.missing(manifest) == []
    other.commit(manifest, {})
    assert setup.ids() == Counter({1: 1})


def test_missing_names_the_files_that_are_not_there(setup: Setup) -> None:
    sink = setup.open()
    manifest = staged(sink, 0, [1])
    lost = replace(manifest.tables["main"][0], path="part-lost.parquet")
    assert sink.missing(replace(manifest, tables={"main": (*manifest.tables["main"], lost)})) == ["part-lost.parquet"]


def test_discarding_loses_the_other_attempts_alone(setup: Setup) -> None:
    sink = setup.open()
    loser, winner = staged(sink, 0, [1], "a"), staged(sink, 0, [1], "b")
    sink.discard(0, [file.path for file in winner.tables["main"]])
    assert sink.missing(loser) == [file.path for file in loser.tables["main"]]
    assert sink.missing(winner) == []
    sink.commit(winner, {})
    sink.discard(0, [file.path for file in winner.tables["main"]])
    assert setup.ids() == Counter({1: 1})


def test_identity_comes_with_the_first_batch_and_stays(setup: Setup) -> None:
    sink = setup.open()
    append(sink, 0, [1])
    identity = sink.table_id()
    assert identity
    append(sink, 1, [2])
    sink.tend()
    assert setup.open().table_id() == identity


def test_batch_without_rows_counts_as_a_batch(setup: Setup) -> None:
    sink = setup.open()
    append(sink, 0, [1])
    append(sink, 1, [])
    assert setup.open().last_batch_id() == 1
    assert setup.ids() == Counter({1: 1})


def test_another_checkpoint_sees_the_claim_of_its_pipeline_and_cannot_commit_beside_it(setup: Setup) -> None:
    first = setup.open()
    first.bind("1" * 32 + "/main", "orders")
    assert first.claimed_batch_id() is None
    append(first, 0, [1])
    second = setup.open()
    second.bind("2" * 32 + "/main", "orders")
    assert (second.last_batch_id(), second.claimed_batch_id()) == (None, 0)
    with pytest.raises(TableStateError, match="table_ahead"):
        append(second, 0, [2])
    assert setup.ids() == {1: 1}


def test_the_first_batch_of_a_refresh_takes_the_place_of_everything_and_later_ones_append(setup: Setup) -> None:
    old, new = "1" * 32 + "/main", "2" * 32 + "/main"
    first = setup.open()
    first.bind(old, "orders")
    append(first, 0, [1])
    append(first, 1, [2])
    refresh = setup.open()
    refresh.bind(new, "orders", [old])
    assert refresh.last_batch_id() is None
    manifest = staged(refresh, 0, [3])
    assert setup.ids() == {1: 1, 2: 1}
    assert refresh.commit(manifest, {}) == refresh.commit(manifest, {}) == 2
    assert setup.ids() == {3: 1}
    append(refresh, 1, [3, 4])
    assert setup.ids() == {3: 2, 4: 1}
    assert refresh.last_batch_id() == refresh.claimed_batch_id() == 1


def test_a_checkpoint_that_a_refresh_replaced_is_fenced(setup: Setup) -> None:
    old, new = "1" * 32 + "/main", "2" * 32 + "/main"
    first = setup.open()
    first.bind(old, "orders")
    append(first, 0, [1])
    late = staged(first, 1, [2], "b")
    refresh = setup.open()
    refresh.bind(new, "orders", [old])
    append(refresh, 0, [3])
    zombie = setup.open()
    zombie.bind(old, "orders")
    with pytest.raises(FencedError):
        zombie.commit(late, {})
    assert setup.ids() == {3: 1}


def test_a_batch_without_rows_leaves_alone_a_table_that_holds_batches_of_ours(setup: Setup) -> None:
    sink = setup.open()
    first = staged(sink, 0, [])
    assert not sink.is_left_alone(first.tables["main"], first.table_schemas["main"], None)
    sink.commit(first, {})
    empty, full = staged(sink, 1, [], "b"), staged(sink, 1, [1], "c")
    assert sink.is_left_alone(empty.tables["main"], empty.table_schemas["main"], None)
    assert not sink.is_left_alone(full.tables["main"], full.table_schemas["main"], None)
