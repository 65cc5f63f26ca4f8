"""A project on S3: going back, reading again, copies of the checkpoint, and upkeep of its table."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from etl.errors import TableStateError
from etl.operations.backfilling import backfill
from etl.operations.choosing import Wish
from etl.operations.copying import bring_back, export
from etl.operations.looking import Onlooker
from etl.operations.quarantining import Listening
from etl.operations.rebuilding import rebuild
from etl.operations.rewinding import Target, rewind
from etl.operations.table_upkeep import VacuumOrder, compact, vacuum
from etl.operations.verifying import verify
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from etl.sources.file_choosing import Choice
from tests.faults.s3_lab import Lake, Store
from tests.faults.test_s3_project import ndjson, project, put, rows, take

pytestmark = pytest.mark.s3

Orders = list[tuple[int, str | None]]
FILES: dict[int, Orders] = {0: [(1, "a"), (2, "b/c")], 1: [(2, "b/c"), (3, "a"), (4, None), (4, None)]}
TABLE = "silver.orders"
BY_ID = "transforms: [{deduplicate: {keys: [id]}}]"


def arrive(lake: Lake, number: int, orders: Orders) -> None:
    put(lake, f"landing/{number}.jsonl", ndjson([{"id": id_, "city": city} for id_, city in orders]))


def prepared(store: Store, folder: Path, transforms: str = "") -> tuple[Lake, Path]:
    """Return a lake in which two files were taken, one a batch."""
    lake = store.lake()
    home = project(lake, folder, "*.jsonl", ", order: name, batch: {max_files: 1}")
    pipeline = home / "pipelines" / "orders.yml"
    pipeline.write_text(pipeline.read_text().replace("sink:", f"{transforms}\nsink:"))
    for number, orders in FILES.items():
        arrive(lake, number, orders)
    assert len(take(home)) == 2
    return lake, home


def held(lake: Lake, home: Path) -> Counter[tuple[int, str | None]]:
    return Counter((row["id"], row["city"]) for row in rows(lake, home))


def faults(home: Path) -> list[str]:
    checks = verify(Workspace(home), "orders", Onlooker(), is_deep=True).checks
    return [fault for check in checks for fault in check.faults]


def all_of(*numbers: int) -> Counter[tuple[int, str | None]]:
    return Counter(order for number in numbers for order in FILES[number])


def lose_checkpoint(lake: Lake) -> None:
    for key in lake.keys("lake/_checkpoints/orders/"):
        lake.client.delete_object(Bucket=lake.bucket, Key=f"{lake.prefix}/{key}")


def test_a_rewind_brings_rows_offsets_and_state_back_and_the_next_run_goes_on(store: Store, tmp_path: Path) -> None:
    lake, home = prepared(store, tmp_path, BY_ID)
    whole = Counter([(1, "a"), (2, "b/c"), (3, "a"), (4, None)])
    assert held(lake, home) == whole

    done = rewind(Workspace(home), "orders", Target(batch=0), Seam())

    assert done.batch_id == 0
    assert held(lake, home) == all_of(0)
    arrive(lake, 3, [(1, "again"), (5, "d")])
    assert take(home) == [(4, 2), (2, 1)]
    assert held(lake, home) == whole + Counter([(5, "d")])
    assert faults(home) == []


def test_a_backfill_replaces_the_rows_of_its_files_and_the_next_run_goes_on(store: Store, tmp_path: Path) -> None:
    lake, home = prepared(store, tmp_path)
    arrive(lake, 1, [(3, "moved"), (6, None)])
    pattern = f"s3://{lake.bucket}/{lake.prefix}/landing/1.*"

    done = backfill(Workspace(home), "orders", Wish(Choice((pattern,)), pattern), Listening(Seam(), Silent()))

    assert (done.done, len(done.batches)) == (1, 1)
    wanted = all_of(0) + Counter([(3, "moved"), (6, None)])
    assert held(lake, home) == wanted
    arrive(lake, 3, [(7, "e")])
    assert take(home) == [(1, 1)]
    assert held(lake, home) == wanted + Counter([(7, "e")])
    assert faults(home) == []


@pytest.mark.parametrize("transforms", [pytest.param("", marks=pytest.mark.slow), BY_ID], ids=["plain", "state"])
def test_a_copy_of_the_checkpoint_on_s3_is_put_back_and_the_next_run_goes_on(
    store: Store, tmp_path: Path, transforms: str
) -> None:
    lake, home = prepared(store, tmp_path, transforms)
    before = held(lake, home)
    copy = f"s3://{lake.bucket}/{lake.prefix}/backup/orders"
    copied = export(Workspace(home), "orders", copy, Seam())
    assert (copied.url, copied.committed) == (copy, 1)
    lose_checkpoint(lake)
    with pytest.raises(TableStateError, match="there is no checkpoint of them"):
        take(home)

    assert bring_back(Workspace(home), "orders", copy, Seam()).files == copied.files

    assert take(home) == []
    arrive(lake, 3, [(1, "a"), (8, "f")])
    assert take(home) == [(2, 1 if transforms else 2)]
    assert held(lake, home) == before + Counter([(8, "f")]) + (Counter() if transforms else Counter([(1, "a")]))
    assert faults(home) == []


@pytest.mark.slow
def test_a_lost_checkpoint_on_s3_is_made_again_from_the_table(store: Store, tmp_path: Path) -> None:
    lake, home = prepared(store, tmp_path)
    lose_checkpoint(lake)

    rebuild(Workspace(home), "orders", Seam())

    assert take(home) == []
    arrive(lake, 3, [(9, "g")])
    assert take(home) == [(1, 1)]
    assert held(lake, home) == all_of(0, 1) + Counter([(9, "g")])
    assert faults(home) == []


def data(lake: Lake) -> list[str]:
    return [key for key in lake.keys("lake/silver/orders/") if key.endswith(".parquet") and "_delta_log" not in key]


def test_a_table_on_s3_is_compacted_without_a_change_of_its_rows(store: Store, tmp_path: Path) -> None:
    lake, home = prepared(store, tmp_path)
    before, files = held(lake, home), len(data(lake))

    made = compact(Workspace(home), TABLE, Seam())

    assert (made.files, made.written) == (4, 2)
    assert len(data(lake)) == files + 2
    assert held(lake, home) == before
    arrive(lake, 3, [(9, "a")])
    assert take(home) == [(1, 1)]
    assert held(lake, home) == before + Counter([(9, "a")])
    assert faults(home) == []


def test_vacuum_on_s3_deletes_what_no_version_holds_any_more_and_nothing_else(store: Store, tmp_path: Path) -> None:
    lake, home = prepared(store, tmp_path)
    before, files = held(lake, home), set(data(lake))
    compact(Workspace(home), TABLE, Seam())
    written = set(data(lake)) - files
    order = VacuumOrder("0s", is_forced=True)
    would = vacuum(Workspace(home), TABLE, Seam(), VacuumOrder("0s", is_forced=True, is_dry=True))
    assert set(data(lake)) == files | written

    done = vacuum(Workspace(home), TABLE, Seam(), order)

    assert sorted(done.files) == sorted(would.files)
    assert len(done.files) == 4
    assert written < set(data(lake))
    assert len(data(lake)) == len(files) + 2 - 4
    assert held(lake, home) == before
    arrive(lake, 3, [(9, "a")])
    assert take(home) == [(1, 1)]
    assert held(lake, home) == before + Counter([(9, "a")])
    assert faults(home) == []
