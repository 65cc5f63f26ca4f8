"""Tables kept by hand and by policy: what vacuum and log clean-up delete, what they leave to readers and batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from etl.engine import run
from etl.errors import ConfigError, EtlError
from etl.maintenance import maintain
from etl.model import Bounds
from etl.operations.table_info import history, info
from etl.operations.table_upkeep import VacuumOrder, compact, vacuum
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from etl.storage import LocalStorage
from etl.testing import FailingSeam
from tests.faults.test_foreign_writers import Meanwhile
from tests.faults.upkeep_lab import Later
from tests.readers import table_files, table_rows

TABLE = "silver.orders"
NOW = VacuumOrder("0s", is_forced=True)
COPY = """\
version: 1
source: {type: delta, table: silver.orders, read: %s, batch: {max_files: 1}}
sink: {type: delta, table: gold.copy, write_mode: merge, primary_key: [order_id]}
"""


@pytest.fixture
def feed(home: Workspace, put_orders: Any, run_all: Any) -> Callable[[int], None]:
    """Return a function that brings so many batches of one row, which the policy leaves alone."""
    path = home.folder / "pipelines" / "orders.yml"
    path.write_text(
        path.read_text().replace("table: silver.orders}", "table: silver.orders, maintain: {compact: off}}")
    )

    def bring(batches: int) -> None:
        known = len(list((home.folder / "landing" / "orders").iterdir()))
        for number in range(known, known + batches):
            put_orders(f"{number:03}", [{"order_id": 100 + number, "amount": 1.0}])
        assert [outcome.error for outcome in run_all(home, "orders")] == [None]

    return bring


def folder(home: Workspace) -> Path:
    return home.folder / "lake" / "silver" / "orders"


def lying(home: Workspace) -> set[str]:
    return {path.name for path in folder(home).glob("*.parquet")}


def live(home: Workspace) -> set[str]:
    return {Path(path).name for path in table_files(folder(home))}


def ids(home: Workspace, table: str = "silver/orders") -> Counter[int]:
    return Counter(row["order_id"] for row in table_rows(home.folder / "lake" / table))


def test_files_of_earlier_versions_go_when_their_time_is_over(home: Workspace, feed: Any) -> None:
    feed(4)
    before = ids(home)
    made = compact(home, TABLE, Seam())
    assert (made.files, made.written, made.rows) == (6, 1, 6)

    assert vacuum(home, TABLE, Seam(), VacuumOrder()).files == []
    would = vacuum(home, TABLE, Later(Seam()), VacuumOrder(is_dry=True))
    assert len(lying(home)) == 7
    done = vacuum(home, TABLE, Later(Seam()), VacuumOrder())

    assert (would.files, would.size_bytes) == (done.files, done.size_bytes)
    assert len(done.files) == 5  # that of the newest batch may be needed to commit it again
    assert len(lying(home)) == 2
    assert live(home) <= lying(home)
    assert ids(home) == before


@pytest.mark.parametrize("reads", ["appends", "changes, primary_key: [order_id]"])
def test_what_a_lagging_reader_has_not_read_stays(home: Workspace, feed: Any, run_all: Any, reads: str) -> None:
    (home.folder / "pipelines" / "copy.yml").write_text(COPY % reads)
    feed(1)
    run_all(Workspace(home.folder), "copy", bounds=Bounds(1))
    feed(4)
    compact(home, TABLE, Seam())

    done = vacuum(Workspace(home.folder), TABLE, Later(Seam()), VacuumOrder())

    assert list(done.readers) == ["copy"]
    (outcome,) = run_all(Workspace(home.folder), "copy")
    assert outcome.error is None
    assert ids(home, "gold/copy") == ids(home)
    assert vacuum(Workspace(home.folder), TABLE, Later(Seam()), VacuumOrder()).readers == {}
    assert len(lying(home)) == 2


def test_files_of_a_batch_under_way_stay(home: Workspace, feed: Any, put_orders: Any) -> None:
    feed(1)
    put_orders("900", [{"order_id": 900, "amount": 1.0}])

    def die() -> None:
        raise KeyboardInterrupt

    seam = Meanwhile("table.commit.publish", die)
    with pytest.raises(KeyboardInterrupt):
        run(home.wired("orders", seam), seam, Silent())
    staged = lying(home) - live(home)

    vacuum(home, TABLE, Later(Seam()), NOW)

    assert len(staged) == 1
    assert staged <= lying(home)
    feed(0)
    assert ids(home)[900] == 1


def test_leftovers_of_a_killed_compaction_go_after_an_hour(home: Workspace, feed: Any) -> None:
    feed(3)
    stray = folder(home) / "part-compact-0000000000-0123456789abcdef-00000.parquet"
    stray.write_bytes(b"PAR1")

    assert vacuum(home, TABLE, Seam(), VacuumOrder()).files == []
    assert vacuum(home, TABLE, InTwoHours(), VacuumOrder()).files == [stray.name]


class InTwoHours(Seam):
    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(hours=2)


def test_less_than_a_day_wants_force(home: Workspace, feed: Any) -> None:
    feed(1)
    with pytest.raises(ConfigError, match="less than a day"):
        vacuum(home, TABLE, Seam(), VacuumOrder("1h"))
    with pytest.raises(ConfigError, match="--retain"):
        vacuum(home, TABLE, Seam(), VacuumOrder("soon"))


def test_nothing_is_deleted_where_a_checkpoint_cannot_be_read(home: Workspace, feed: Any) -> None:
    feed(3)
    compact(home, TABLE, Seam())
    records = home.folder / "lake" / "_checkpoints" / "orders" / "manifests"
    max(records.iterdir()).write_text("{")
    before = lying(home)
    with pytest.raises(EtlError):
        vacuum(home, TABLE, Later(Seam()), VacuumOrder())
    assert lying(home) == before


def test_nothing_is_deleted_where_the_log_has_a_gap(home: Workspace, feed: Any) -> None:
    feed(3)
    compact(home, TABLE, Seam())
    (folder(home) / "_delta_log" / f"{2:020d}.json").unlink()
    before = lying(home)
    with pytest.raises(EtlError, match="lacks versions"):
        vacuum(home, TABLE, Later(Seam()), VacuumOrder())
    assert lying(home) == before


def test_a_policy_compacts_and_deletes_when_no_batch_waits(home: Workspace, feed: Any) -> None:
    feed(6)
    path = home.folder / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("{compact: off}", "{compact: {min_files: 4}, vacuum: 1d, retain: 1d}"))
    before = ids(home)
    workspace = Workspace(home.folder)

    done = maintain(workspace.wired("orders", Later(Seam())), Later(Seam()))

    assert (done.is_done, done.failure, done.compacted_files, done.written_files) == (True, "", 8, 1)
    assert done.deleted_files == 0  # its own version is new
    assert ids(home) == before
    again = maintain(workspace.wired("orders", Later(Later(Seam()))), Later(Seam()))
    assert (again.compacted_files, again.is_done) == (0, True)


def test_a_policy_that_fails_is_told_and_harms_no_batch(home: Workspace, feed: Any) -> None:
    feed(6)
    path = home.folder / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("{compact: off}", "{compact: {min_files: 4}}"))
    seam = FailingSeam("compact.write", "error_before")

    done = maintain(Workspace(home.folder).wired("orders", seam), seam)

    assert not done.is_done
    assert done.failure.startswith("upkeep failed, batches go on:")
    feed(1)


def test_old_log_entries_go_and_the_table_stays_readable(home: Workspace, feed: Any) -> None:
    feed(4)
    DeltaTable(folder(home)).create_checkpoint()
    path = home.folder / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("{compact: off}", "{compact: off, retain: 1d}"))
    before = DeltaTable(folder(home)).to_pyarrow_table().num_rows

    done = vacuum(Workspace(home.folder), TABLE, Later(Seam()), VacuumOrder())

    assert done.entries == [f"_delta_log/{version:020d}.json" for version in range(5)]
    assert DeltaTable(folder(home)).to_pyarrow_table().num_rows == before
    feed(1)
    assert DeltaTable(folder(home)).to_pyarrow_table().num_rows == before + 1


def test_info_and_history_tell_of_batches_readers_and_layouts(home: Workspace, feed: Any, run_all: Any) -> None:
    (home.folder / "pipelines" / "copy.yml").write_text(COPY % "appends")
    workspace = Workspace(home.folder)
    feed(2)
    run_all(workspace, "copy", bounds=Bounds(1))
    compact(workspace, TABLE, Seam())

    found = info(workspace, TABLE, Seam())

    assert (found.writer, found.batches, dict(found.readers or {})) == ("orders", {"orders": 3}, {"copy": 3})
    assert (found.health.files, found.health.version, found.columns) == (1, 4, 6)
    versions = history(workspace, TABLE, Seam(), limit=2)
    told = [(each.operation, each.pipeline, each.batch_id, each.is_data_change) for each in versions]
    assert told == [("OPTIMIZE", None, None, False), ("WRITE", "orders", 3, True)]
    with pytest.raises(ConfigError, match="unknown table"):
        info(workspace, "silver.order", Seam())


def test_a_table_of_plain_files_is_told_to_be_one(home: Workspace, run_all: Any) -> None:
    path = home.folder / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("type: delta", "type: parquet"))
    run_all(Workspace(home.folder))
    with pytest.raises(ConfigError, match="who lists the folder of a plain Parquet table would see rows twice"):
        compact(Workspace(home.folder), TABLE, Seam())


def test_a_retention_that_is_too_short_is_refused_in_the_pipeline_file(home: Workspace) -> None:
    path = home.folder / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("silver.orders}", "silver.orders, maintain: {vacuum: 5m}}"))
    with pytest.raises(ConfigError, match="at least 1h"):
        Workspace(home.folder).wired("orders", Seam())


def test_a_policy_is_no_other_definition(home: Workspace) -> None:
    before = home.wired("orders", Seam()).definition
    path = home.folder / "pipelines" / "orders.yml"
    path.write_text(
        path.read_text().replace("silver.orders}", "silver.orders, z_order_by: [amount], maintain: {vacuum: 7d}}")
    )
    assert Workspace(home.folder).wired("orders", Seam()).definition == before


def test_a_storage_tells_when_a_file_was_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    at = LocalStorage(tmp_path, Seam()).modified_at("a")
    assert at is not None
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert LocalStorage(tmp_path, Seam()).modified_at("b") is None
