"""Files that are read again: what they gave before goes, what they give now comes, once."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError, EtlError, SourceError
from etl.operations.backfilling import Backfilled, abandon, backfill, look_at_backfill, resume
from etl.operations.choosing import Wish
from etl.operations.looking import Onlooker
from etl.operations.quarantining import Listening
from etl.operations.verifying import verify
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from etl.sources.file_choosing import Choice
from etl.testing import FailingSeam

CHECKED = """\
version: 1
source: {{type: files, path: landing/orders/*.ndjson, batch: {{max_files: 2}}{source}}}
{transforms}
expect: [{{name: small, check: amount < 100}}]
sink: {{type: delta, table: silver.orders{sink}}}
"""
ALL = Choice()
ROW = tuple[int, float]


def shop_of(home: Workspace, source: str = "", transforms: str = "", sink: str = "") -> Workspace:
    text = CHECKED.format(source=source, transforms=transforms, sink=sink)
    (home.folder / "pipelines" / "orders.yml").write_text(text)
    return Workspace(home.folder)


@pytest.fixture
def shop(home: Workspace, put_orders: Any, run_all: Any) -> Workspace:
    """Return a project that has read three files, of which two have a row that is rejected."""
    for number in ("1", "2", "3"):
        amount = 5.0 if number == "3" else 500.0
        put_orders(number, [{"order_id": int(number), "amount": 1.5}, {"order_id": 10, "amount": amount}])
    shop = shop_of(home)
    (outcome,) = run_all(shop)
    assert outcome.error is None
    return shop


def again(shop: Workspace, *patterns: str, seam: Seam | None = None) -> Backfilled:
    wish = Wish(Choice(patterns), "some")
    return backfill(Workspace(shop.folder), "orders", wish, Listening(seam or Seam(), Silent()))


def go_on(shop: Workspace) -> Backfilled:
    return resume(Workspace(shop.folder), "orders", Listening(Seam(), Silent()))


def held(shop: Workspace, table: str = "orders") -> Counter[Any]:
    rows = pl.read_delta(str(shop.folder / "lake" / "silver" / table))
    if table == "orders":
        return Counter(rows.select(pl.col("_source_file").str.slice(-8), "order_id", "amount").rows())
    return Counter(rows.select(pl.col("_source_file").str.slice(-8), "_batch_id").rows())


def faults(shop: Workspace, *, is_deep: bool = True) -> list[str]:
    checks = verify(Workspace(shop.folder), "orders", Onlooker(), is_deep=is_deep).checks
    return [fault for check in checks for fault in check.faults]


def test_rows_of_chosen_files_are_replaced_in_the_table_and_in_the_quarantine(shop: Workspace, put_orders: Any) -> None:
    put_orders("2", [{"order_id": 22, "amount": 2.0}, {"order_id": 23, "amount": 2.0}])
    put_orders("1", [{"order_id": 1, "amount": 900.0}])

    done = again(shop, "landing/orders/[12].ndjson")

    assert (done.files, done.done, len(done.batches)) == (2, 2, 1)
    assert held(shop) == Counter(
        [("2.ndjson", 22, 2.0), ("2.ndjson", 23, 2.0), ("3.ndjson", 3, 1.5), ("3.ndjson", 10, 5.0)]
    )
    assert held(shop, "orders__quarantine") == Counter([("1.ndjson", 2)])
    assert faults(shop) == []


def test_a_backfill_reads_with_the_pipeline_as_it_is_now(shop: Workspace) -> None:
    shop_of(shop, transforms="transforms: [{with_columns: {amount: amount * 2}}]")

    again(shop, "landing/orders/3.ndjson")

    assert held(shop)["3.ndjson", 3, 3.0] == 1
    assert held(shop)["1.ndjson", 1, 1.5] == 1


def test_what_was_never_read_is_left_to_the_next_run(shop: Workspace, put_orders: Any, run_all: Any) -> None:
    before = held(shop)
    put_orders("4", [{"order_id": 4, "amount": 4.0}])

    done = again(shop, "landing/orders/*")

    assert [path[-8:] for path in done.unread] == ["4.ndjson"]
    assert held(shop) == before
    (outcome,) = run_all(Workspace(shop.folder))
    assert [result.rows["read"] for result in outcome.results] == [1]
    assert held(shop) == before + Counter([("4.ndjson", 4, 4.0)])


def test_files_are_chosen_by_when_they_were_last_changed(shop: Workspace) -> None:
    for number, modified_s in (("1", 1000), ("2", 2000), ("3", 3000)):
        os.utime(shop.folder / "landing" / "orders" / f"{number}.ndjson", (modified_s, modified_s))
    choice = Choice(since_ns=1000 * 10**9, until_ns=2000 * 10**9)

    found = look_at_backfill(Workspace(shop.folder), "orders", Wish(choice, "some"), Onlooker())

    assert [path[-8:] for path in found.files["source"]] == ["1.ndjson"]


def test_a_look_changes_nothing(shop: Workspace, snapshot: Any) -> None:
    before = snapshot(shop.folder)

    found = look_at_backfill(Workspace(shop.folder), "orders", Wish(ALL, "all"), Onlooker())

    assert (found.count, found.by) == (3, "file")
    assert snapshot(shop.folder) == before


def test_an_interrupted_backfill_goes_on_where_it_stopped(shop: Workspace, put_orders: Any) -> None:
    for number in ("1", "2", "3"):
        put_orders(number, [{"order_id": 7, "amount": float(number)}])
    stops = iter((False, True))
    listening = Listening(Seam(), Silent(), lambda: next(stops))

    first = backfill(Workspace(shop.folder), "orders", Wish(ALL, "all of it"), listening)
    assert (first.done, first.files) == (2, 3)
    with pytest.raises(ConfigError, match=r"a backfill \(all of it\) stopped after 2 of 3 files"):
        again(shop)
    rest = go_on(shop)

    assert (rest.done, len(rest.batches)) == (3, 1)
    assert held(shop) == Counter((f"{number}.ndjson", 7, float(number)) for number in "123")
    with pytest.raises(ConfigError, match="there is nothing to go on with"):
        go_on(shop)
    assert faults(shop) == []


def test_a_backfill_that_is_given_up_lets_another_begin(shop: Workspace) -> None:
    with pytest.raises(EtlError, match=r"data\.write failed"):
        again(shop, seam=FailingSeam("data.write", "error_before"))

    assert abandon(Workspace(shop.folder), "orders", Listening(Seam(), Silent())).done == 2
    assert again(shop).done == 3


@pytest.mark.parametrize("identity", ["path", "path_and_version", "content"])
def test_files_read_again_are_not_read_a_third_time(
    home: Workspace, put_orders: Any, run_all: Any, identity: str
) -> None:
    change = ", on_change: reingest" if identity == "path_and_version" else ""
    shop = shop_of(home, source=f", identity: {identity}{change}")
    run_all(shop)
    if identity != "content":
        put_orders("2", [{"order_id": 9, "amount": 9.0}])

    assert again(shop).done == 2

    (outcome,) = run_all(Workspace(shop.folder))
    assert list(outcome.results) == []
    second = (9, 9.0) if identity != "content" else (3, 7.5)
    assert held(shop) == Counter([("1.ndjson", 1, 5.0), ("1.ndjson", 2, -1.0), ("2.ndjson", *second)])


def test_a_file_that_grew_is_read_whole_and_grows_on(home: Workspace, put_orders: Any, run_all: Any) -> None:
    shop = shop_of(home, source=", identity: path_and_version, on_change: append_tail")
    run_all(shop)
    put_orders("2", [{"order_id": 3, "amount": 7.5}, {"order_id": 4, "amount": 4.0}])
    again(shop, "landing/orders/2.ndjson")
    put_orders("2", [{"order_id": 3, "amount": 7.5}, {"order_id": 4, "amount": 4.0}, {"order_id": 5, "amount": 5.0}])

    run_all(Workspace(shop.folder))

    assert sorted(row[1] for row in held(shop).elements()) == [1, 2, 3, 4, 5]


def test_a_backfill_that_the_pipeline_refuses_leaves_the_rows_as_they_are(shop: Workspace, put_orders: Any) -> None:
    before = held(shop)
    put_orders("1", [{"order_id": 1, "amount": 2.0}])
    shop_of(shop, transforms="transforms: [{with_columns: {amount: CAST('x' AS DOUBLE) + amount}}]")

    with pytest.raises(EtlError):
        again(shop, "landing/orders/1.ndjson")

    assert held(shop) == before
    shop_of(shop)
    assert go_on(shop).done == 1
    assert held(shop)["1.ndjson", 1, 2.0] == 1


def test_a_file_that_is_gone_when_the_batch_is_read_leaves_all_rows(shop: Workspace) -> None:
    before = held(shop)
    path = shop.folder / "landing" / "orders" / "2.ndjson"

    class Removing(FailingSeam):
        def effect(self, name: str, act: Any, torn: Any = None) -> Any:
            if name.startswith("plan.put") and path.exists():
                path.rename(path.with_suffix(".away"))
            return super().effect(name, act, torn)

    with pytest.raises(SourceError, match="the files were not read again"):
        again(shop, seam=Removing())

    assert held(shop) == before
    path.with_suffix(".away").rename(path)
    assert go_on(shop).done == 3
    assert held(shop) == before
    assert faults(shop) == []


def test_a_path_where_nothing_lies_is_told(shop: Workspace) -> None:
    with pytest.raises(SourceError, match=r"landing/orders/9\.ndjson"):
        again(shop, "landing/orders/9.ndjson")
    with pytest.raises(SourceError, match="matches no file of the source"):
        again(shop, "elsewhere/*")


MERGING = ", write_mode: merge, primary_key: [order_id]"


def test_by_key_the_newest_row_stays(home: Workspace, put_orders: Any, run_all: Any) -> None:
    put_orders("1", [{"order_id": 1, "amount": 1.0, "seq": 1}, {"order_id": 2, "amount": 2.0, "seq": 1}])
    put_orders("2", [{"order_id": 1, "amount": 9.0, "seq": 2}])
    shop = shop_of(home, sink=f"{MERGING}, sequence_by: seq")
    run_all(shop)
    put_orders("1", [{"order_id": 1, "amount": 1.0, "seq": 1}, {"order_id": 2, "amount": 2.5, "seq": 1}])

    again(shop, "landing/orders/1.ndjson")

    found = pl.read_delta(str(shop.folder / "lake" / "silver" / "orders")).select("order_id", "amount")
    assert Counter(found.rows()) == Counter([(1, 9.0), (2, 2.5)])


@pytest.mark.parametrize(
    ("sink", "transforms", "why"),
    [
        (MERGING, "", "without sequence_by the last row to arrive counts"),
        (", write_mode: insert_only, primary_key: [order_id]", "", "keeps the first row of each key"),
        (", write_mode: overwrite", "", "would take the place of all rows"),
        (", provenance: false", "", "does not say which file a row came from"),
        ("", "transforms: [{deduplicate: {keys: [order_id]}}]", "deduplicate remembers what came before"),
    ],
)
def test_what_cannot_be_exact_is_refused(
    home: Workspace, run_all: Any, snapshot: Any, sink: str, transforms: str, why: str
) -> None:
    shop = shop_of(home, sink=sink, transforms=transforms)
    (outcome,) = run_all(shop)
    assert outcome.error is None
    before = snapshot(Path(shop.folder))

    with pytest.raises(ConfigError, match=why):
        again(shop)

    assert snapshot(Path(shop.folder)) == before


def test_rows_of_nobody_knows_which_file_are_refused(shop: Workspace) -> None:
    table = str(shop.folder / "lake" / "silver" / "orders")
    pl.DataFrame({"order_id": [8], "amount": [8.0]}).write_delta(
        table, mode="append", delta_write_options={"schema_mode": "merge"}
    )

    with pytest.raises(ConfigError, match="1 rows do not say their file"):
        again(shop)


def test_a_pipeline_that_never_ran_has_nothing_to_read_again(home: Workspace) -> None:
    with pytest.raises(ConfigError, match="never ran"):
        again(shop_of(home))
