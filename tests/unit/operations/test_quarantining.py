"""Rejected rows are listed, shown, replayed and discarded, each once."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from etl.engine import open_runner
from etl.errors import ConfigError, LeaseHeldError, QuarantineError
from etl.operations.quarantining import (
    Intention,
    Listening,
    PipelineQuarantine,
    Portion,
    Resolved,
    RuleCount,
    Selection,
)
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from tests.unit.operations.resolving import ALL, discard, edit, of, orders, replay, rows, statuses


def test_rejected_rows_are_counted_by_rule_and_status(shop: Workspace) -> None:
    assert of(shop).counts(ALL) == [RuleCount("positive", "open", 2, 0, 1)]
    assert of(shop).counts(Selection(batch_id=1)) == [RuleCount("positive", "open", 1, 1, 1)]
    assert of(shop).counts(Selection(rule="small")) == []


def test_without_a_quarantine_there_is_nothing_to_tell_or_to_do(home: Workspace) -> None:
    assert of(home).counts(ALL) == []
    assert of(home).shown(ALL, 5) is None
    assert of(home).intention("replay", ALL) == Intention({}, 0, 0, 0)
    assert replay(home) == Resolved("orders", "replay")
    assert not (home.folder / "lake").exists()


def test_rows_are_shown_in_the_order_in_which_they_were_rejected(shop: Workspace) -> None:
    found = of(shop).shown(ALL, 20)

    assert found is not None
    assert found["row_id"].to_list() == ["0-1", "1-1"]
    assert json.loads(found["raw"][0]) == {"order_id": 2, "amount": -1.0}
    assert found.select("_source_file", "_source_offset").row(0) == ("landing/orders/1.ndjson", 31)


def test_a_file_is_named_as_people_name_it(shop: Workspace) -> None:
    whole = str(shop.folder / "landing" / "orders" / "2.ndjson")

    assert of(shop).file_text(whole) == "landing/orders/2.ndjson"
    assert of(shop).file_text("landing/orders/2.ndjson") == "landing/orders/2.ndjson"


def test_a_replay_sends_rows_through_the_pipeline_as_it_is_now(shop: Workspace) -> None:
    edit(shop, least=-5)

    done = replay(shop)

    assert (done.rows, done.written, done.rejected_again, len(done.batches)) == (2, 1, 1, 1)
    assert done.batches[0].tables == {"silver.orders": 2, "silver.orders__quarantine": 2}
    assert orders(shop) == [(1, "1.ndjson", 0, 0), (2, "1.ndjson", 31, 2), (4, "2.ndjson", 32, 1)]
    assert statuses(shop) == {"0-1": ("replayed", 2), "1-1": ("replayed", 2), "2-1": ("open", None)}


def test_a_replay_happens_once(shop: Workspace) -> None:
    edit(shop, least=-50)

    assert replay(shop).written == 2
    assert replay(shop) == Resolved("orders", "replay")
    assert [order for order, *_ in orders(shop)] == [1, 2, 3, 4]


def test_rows_are_replayed_though_their_file_is_gone(shop: Workspace) -> None:
    edit(shop, least=-50)
    (shop.folder / "landing" / "orders" / "1.ndjson").unlink()

    assert replay(shop).written == 2


def test_only_selected_rows_are_replayed(shop: Workspace) -> None:
    edit(shop, least=-50)

    assert replay(shop, Selection(rule="small")) == Resolved("orders", "replay")
    assert replay(shop, Selection(row_ids=("1-1",))).written == 1
    assert replay(shop, Selection(file="landing/orders/1.ndjson")).written == 1
    assert statuses(shop) == {"0-1": ("replayed", 3), "1-1": ("replayed", 2)}


def test_a_row_that_is_not_open_or_not_there_is_refused_by_its_id(shop: Workspace) -> None:
    discard(shop, Selection(row_ids=("0-1",)))

    with pytest.raises(ConfigError, match="row 0-1 was discarded already"):
        replay(shop, Selection(row_ids=("0-1", "1-1")))
    with pytest.raises(ConfigError, match="there is no row 9-9"):
        discard(shop, Selection(row_ids=("9-9",)))
    assert statuses(shop)["1-1"] == ("open", None)


def test_discarded_rows_stay_marked_and_the_table_is_as_it_was(shop: Workspace) -> None:
    before = orders(shop)

    done = discard(shop, Selection(batch_id=0))

    assert (done.rows, done.written) == (1, 0)
    assert orders(shop) == before
    assert statuses(shop) == {"0-1": ("discarded", 2), "1-1": ("open", None)}


def test_new_files_are_read_behind_a_replay_and_none_twice(shop: Workspace, run_all: Any, put_orders: Any) -> None:
    edit(shop, least=-50)
    replay(shop)
    put_orders("3", [{"order_id": 5, "amount": 2.0}])

    (outcome,) = run_all(Workspace(shop.folder))

    assert [result.batch_id for result in outcome.results] == [3]
    assert Counter(order for order, *_ in orders(shop)) == Counter([1, 2, 3, 4, 5])


def test_many_rows_take_several_batches(shop: Workspace) -> None:
    few = PipelineQuarantine(edit(shop, least=-50), "orders", Portion(max_rows=1))
    intention = few.intention("replay", ALL)

    done = few.resolve("replay", ALL, Listening(Seam(), Silent()))

    assert intention == Intention({"positive": 2}, 2, 2, 0)
    assert [result.resolution for result in done.batches] == [
        {"action": "replay", "rows": ["0-1"]},
        {"action": "replay", "rows": ["1-1"]},
    ]


def test_a_replay_may_be_ended_between_batches(shop: Workspace) -> None:
    few = PipelineQuarantine(edit(shop, least=-50), "orders", Portion(max_bytes=1))
    asked: list[bool] = []

    def should_stop() -> bool:
        asked.append(True)
        return len(asked) > 1

    done = few.resolve("replay", ALL, Listening(Seam(), Silent(), should_stop))

    assert (done.rows, statuses(shop)) == (1, {"0-1": ("replayed", 2), "1-1": ("open", None)})


def test_a_replay_needs_the_pipeline_to_itself(shop: Workspace) -> None:
    seam = Seam()

    with open_runner(shop.wired("orders", seam), seam, Silent()), pytest.raises(LeaseHeldError):
        replay(shop)


def test_rows_that_were_not_kept_are_not_replayed(home: Workspace, run_all: Any) -> None:
    edit(home, quarantine="raw: false")
    run_all(Workspace(home.folder))

    with pytest.raises(ConfigError, match="none of the 1 rows can be replayed"):
        replay(home)
    assert of(home).counts(ALL)[0].status == "open"
    assert discard(home).rows == 1


def test_rows_that_were_not_kept_stay_open_beside_those_that_were(
    home: Workspace, run_all: Any, put_orders: Any
) -> None:
    edit(home, quarantine="raw: false")
    run_all(Workspace(home.folder))
    edit(home)
    put_orders("3", [{"order_id": 5, "amount": -2.0}])
    run_all(Workspace(home.folder))
    edit(home, least=-50)

    done = replay(home)

    assert (done.rows, done.not_kept) == (1, 1)
    assert of(home).counts(Selection(status="open")) == [RuleCount("positive", "open", 1, 0, 0)]


def test_a_row_that_lacks_a_column_of_today_is_replayed_with_null(
    shop: Workspace, run_all: Any, put_orders: Any
) -> None:
    edit(shop, least=-50)
    put_orders("3", [{"order_id": 5, "amount": 1.0, "note": "x"}])
    run_all(Workspace(shop.folder))

    assert replay(shop).written == 2
    assert {row["order_id"]: row["note"] for row in rows(shop)} == {1: None, 2: None, 3: None, 4: None, 5: "x"}


def test_a_replay_that_the_pipeline_refuses_changes_nothing_and_holds_nothing_up(
    shop: Workspace, run_all: Any, put_orders: Any
) -> None:
    path = shop.folder / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("check: amount >= 0", "check: amount >= 0, otherwise: fail"))

    with pytest.raises(QuarantineError, match=r"the rows were not replayed: .*positive: .* not satisfy"):
        replay(shop)

    assert statuses(shop) == {"0-1": ("open", None), "1-1": ("open", None)}
    assert [order for order, *_ in orders(shop)] == [1, 4]
    put_orders("3", [{"order_id": 5, "amount": 2.0}])
    (outcome,) = run_all(Workspace(shop.folder))
    assert (outcome.error, len(outcome.results)) == (None, 1)
    assert [order for order, *_ in orders(shop)] == [1, 4, 5]
    edit(shop, least=-50)
    assert replay(shop).written == 2


def test_rows_may_go_back_however_many_they_are(home: Workspace, run_all: Any) -> None:
    edit(home, quarantine="max_fraction: 0.6")
    run_all(Workspace(home.folder))

    done = replay(home)

    assert (done.rows, done.rejected_again) == (1, 1)
    assert statuses(home) == {
        "0-1": ("replayed", done.batches[0].batch_id),
        f"{done.batches[0].batch_id}-1": ("open", None),
    }
