"""Plain Parquet tables by the commands for tables, wherever they stand among the sinks of a pipeline."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from etl.errors import ConfigError, EtlError, TableStateError
from etl.operations.choosing import ready
from etl.operations.extent import extents_of
from etl.operations.library import read_table, run
from etl.operations.looking import Onlooker
from etl.operations.rebuilding import rebuild
from etl.operations.refreshing import begin_refresh
from etl.operations.repairing import repair
from etl.operations.rewinding import Target, rewind
from etl.operations.table_info import history, info
from etl.operations.table_upkeep import VacuumOrder, compact, vacuum
from etl.operations.verifying import verify
from etl.operations.workspace import Workspace
from etl.seam import Seam
from tests.plain_tables import listed_files
from tests.unit.operations.proving import define, records

PLAIN = """\
version: 1
source: {type: files, path: landing/orders/*.ndjson, batch: {max_files: 1}}
sinks:
  - {type: delta, table: silver.orders}
  - {type: parquet, table: silver.plain}
"""
ALL = Counter([1, 2, 3])


@pytest.fixture
def plain(home: Workspace) -> Workspace:
    """Return the project after two batches into a Delta table and a plain one beside it."""
    define(home, PLAIN)
    run("orders", home.folder)
    return Workspace(home.folder)


def table(home: Workspace) -> Path:
    return home.folder / "lake" / "silver" / "plain"


def found(home: Workspace) -> Counter[int]:
    rows = read_table("silver.plain", project=home.folder)
    return Counter(rows.collect()["order_id"].to_list())


def faults(home: Workspace) -> list[str]:
    checks = verify(Workspace(home.folder), "orders", Onlooker(), is_deep=True).checks
    return [fault for check in checks for fault in check.faults]


def record(home: Workspace, batch: int) -> Path:
    (path,) = (table(home) / "_commits").glob(f"orders.silver_plain-*-{batch:010d}.json")
    return path


def test_a_table_is_described_by_its_records(plain: Workspace) -> None:
    told = info(plain, "silver.plain", Onlooker())

    assert (told.writer, told.health.version, told.health.rows, told.health.files) == ("orders", 1, 3, 2)
    assert told.batches == {"orders (silver_plain)": 1}
    assert [(each.version, each.batch_id, each.rows) for each in history(plain, "silver.plain", Onlooker())] == [
        (1, 1, 1),
        (0, 0, 2),
    ]


def test_the_extent_of_each_table_of_a_pipeline_is_known(plain: Workspace) -> None:
    told = {each.table: each for each in extents_of(plain.spec("orders"), plain.project, Onlooker())}["silver.plain"]

    assert (told.version, told.rows, told.files, told.partitioned_by) == (1, 3, 2, ())
    assert told.columns == {
        "order_id": "int64",
        "amount": "float64",
        "_source_file": "string",
        "_source_offset": "int64",
        "_batch_id": "int64",
    }


def test_compacting_is_refused_with_the_way_out(plain: Workspace) -> None:
    with pytest.raises(ConfigError, match="its files stay as they are"):
        compact(plain, "silver.plain", Seam())


def test_a_vacuum_takes_old_files_of_ours_that_no_record_names_and_no_other(plain: Workspace) -> None:
    kept = [Path(path) for path in listed_files(table(plain))]
    strange = "part-0badf00d-0000000000-0123456789abcdef-00000.parquet"
    (table(plain) / "_staging").mkdir(exist_ok=True)
    lost = [table(plain) / strange, table(plain) / "_staging" / f"{strange}.staged"]
    young, foreign = table(plain) / strange.replace("00000.p", "00001.p"), table(plain) / "theirs.parquet"
    for path in (*lost, young, foreign):
        path.write_bytes(b"x")
    for path in (*lost, *kept, foreign):
        os.utime(path, (0, 0))

    assert sorted(vacuum(plain, "silver.plain", Onlooker(), VacuumOrder(is_dry=True)).files) == [
        f"_staging/{strange}.staged",
        strange,
    ]
    assert all(path.exists() for path in lost)
    assert vacuum(plain, "silver.plain", Seam(), VacuumOrder()).size_bytes == 2
    assert not any(path.exists() for path in lost)
    assert all(path.exists() for path in (*kept, young, foreign))
    assert found(plain) == ALL


def test_a_torn_record_is_refused_by_readers_and_written_again_by_a_repair(plain: Workspace) -> None:
    whole = record(plain, 1).read_bytes()
    record(plain, 1).write_bytes(whole[: len(whole) // 2])

    with pytest.raises(TableStateError, match="table_torn"):
        found(plain)
    repair(plain, "orders", Seam())

    assert found(plain) == ALL
    assert faults(plain) == []


@pytest.mark.parametrize("batch", [0, 1])
def test_a_record_that_is_gone_is_found_and_written_again_under_its_version(plain: Workspace, batch: int) -> None:
    record(plain, batch).unlink()
    assert faults(plain) != []

    repair(plain, "orders", Seam())

    assert found(plain) == ALL
    assert [each.version for each in history(plain, "silver.plain", Onlooker())] == [1, 0]
    assert faults(plain) == []


def test_a_table_that_lost_its_identity_is_refused(plain: Workspace) -> None:
    (table(plain) / "_commits" / "table.json").unlink()
    with pytest.raises(TableStateError, match=r"table\.json is gone"):
        found(plain)


def test_files_cannot_be_read_again_where_their_rows_cannot_be_taken_out(plain: Workspace) -> None:
    with pytest.raises(ConfigError, match="rows of single files cannot be taken out"):
        ready(plain, "orders", Seam())


def test_a_lost_checkpoint_is_made_again_from_the_records(plain: Workspace, put_orders: Any) -> None:
    records(plain).rename(plain.folder / "away")
    with pytest.raises(EtlError, match="table_ahead"):
        run("orders", plain.folder)

    assert rebuild(Workspace(plain.folder), "orders", Seam()).batches == 2
    put_orders("3", [{"order_id": 4, "amount": 1.0}])
    run("orders", plain.folder)

    assert found(plain) == ALL + Counter([4])
    assert faults(plain) == []


def test_a_rewind_and_a_refresh_bring_both_tables_along(plain: Workspace) -> None:
    rewind(plain, "orders", Target(batch=0), Seam())
    assert found(plain) == Counter([1, 2])
    run("orders", plain.folder)
    assert found(plain) == ALL
    begin_refresh(Workspace(plain.folder).wired("orders", Seam()), Seam())
    (plain.folder / "landing" / "orders" / "1.ndjson").unlink()
    run("orders", plain.folder)
    assert found(plain) == Counter([3])
    assert len(listed_files(table(plain))) == 1
    assert faults(plain) == []


def test_each_of_two_pipelines_of_one_table_proves_its_own_rows(home: Workspace) -> None:
    shared = PLAIN.partition("sinks:")[0] + "sink: {type: parquet, table: silver.plain}\n"
    define(home, shared)
    other = home.folder / "pipelines" / "other.yml"
    other.write_text(shared + "quarantine: {table: silver.rejected}\n")
    for name in ("orders", "other"):
        run(name, home.folder)

    assert found(home) == ALL + ALL
    assert faults(home) == []
    run("other", home.folder, full_refresh=True)
    assert found(home) == ALL + ALL
    assert faults(home) == []
