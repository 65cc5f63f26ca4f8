from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.engine import open_runner
from etl.errors import ConfigError, EtlError, LeaseHeldError, QuarantineError, SourceError
from etl.operations.looking import Onlooker
from etl.operations.quarantining import (
    Intention,
    Listening,
    PipelineQuarantine,
    Portion,
    Resolved,
    RuleCount,
    Selection,
)
from etl.operations.status import batch_of, history, status_of, status_to_json
from etl.operations.tracing import Trace
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from etl.testing import FailingSeam

CHECKED = """\
version: 1
source: {{type: files, path: landing/orders/*.ndjson, batch: {{max_files: 1}}}}
{transforms}
expect:
  - {{name: positive, check: amount >= {least}}}
  - {{name: small, check: amount < 100}}
quarantine: {{{quarantine}}}
sink: {{type: delta, table: silver.orders}}
"""
ALL = Selection()


def edit(home: Workspace, least: int = 0, quarantine: str = "", transforms: str = "") -> Workspace:
    """Write the pipeline anew."""
    text = CHECKED.format(least=least, quarantine=quarantine, transforms=transforms)
    (home.folder / "pipelines" / "orders.yml").write_text(text)
    return Workspace(home.folder)


@pytest.fixture
def shop(home: Workspace, run_all: Any, put_orders: Any) -> Workspace:
    """Return a project whose pipeline rejected one row of each of two files."""
    put_orders("2", [{"order_id": 3, "amount": -7.5}, {"order_id": 4, "amount": 1.0}])
    edit(home)
    (outcome,) = run_all(Workspace(home.folder))
    assert outcome.error is None
    return Workspace(home.folder)


def of(workspace: Workspace) -> PipelineQuarantine:
    return PipelineQuarantine(Workspace(workspace.folder), "orders")


def replay(workspace: Workspace, selection: Selection = ALL) -> Resolved:
    return of(workspace).resolve("replay", selection, Listening(Seam(), Silent()))


def discard(workspace: Workspace, selection: Selection = ALL) -> Resolved:
    return of(workspace).resolve("discard", selection, Listening(Seam(), Silent()))


def rows(workspace: Workspace, table: str = "orders") -> list[dict[str, Any]]:
    return pl.read_delta(str(workspace.folder / "lake" / "silver" / table)).to_dicts()


def orders(workspace: Workspace) -> list[tuple[int, str, int, int]]:
    found = [
        (row["order_id"], row["_source_file"][-8:], row["_source_offset"], row["_batch_id"]) for row in rows(workspace)
    ]
    return sorted(found)


def statuses(workspace: Workspace) -> dict[str, tuple[str, int | None]]:
    return {row["row_id"]: (row["status"], row["resolved_in"]) for row in rows(workspace, "orders__quarantine")}


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


def test_the_status_tells_how_many_rows_wait(shop: Workspace) -> None:
    def waiting() -> int | None:
        found = status_of(Workspace(shop.folder).wired("orders", Onlooker()), Onlooker())
        assert status_to_json(found)["quarantine"] == {"open": found.open_rows}
        return found.open_rows

    assert waiting() == 2
    discard(shop, Selection(row_ids=("0-1",)))
    assert waiting() == 1
    replay(shop)
    assert waiting() == 1
    edit(shop, least=-50)
    replay(shop)
    assert waiting() == 0


def test_a_batch_tells_what_became_of_each_file(shop: Workspace) -> None:
    pipeline = shop.wired("orders", Onlooker())

    found = batch_of(pipeline, Onlooker(), 1)

    assert found.files == {"landing/orders/2.ndjson": {"read": 2, "written": 1, "quarantined": 1}}
    assert found.entry.result.checks == {"positive": 1, "small": 0}
    with pytest.raises(ConfigError, match="batch 9 is not committed"):
        batch_of(pipeline, Onlooker(), 9)


def test_a_file_leads_to_all_fates_of_its_rows_and_to_their_replay(shop: Workspace) -> None:
    edit(shop, least=-50)
    replay(shop, Selection(row_ids=("0-1",)))

    first, again = Trace(Workspace(shop.folder), "silver.orders").file("landing/orders/1.ndjson")
    (second,) = Trace(Workspace(shop.folder), "silver.orders").file("landing/orders/2.ndjson")

    assert (first.fates, first.open_rows, first.is_again) == ({"read": 2, "written": 1, "quarantined": 1}, 0, False)
    assert (again.batch_id, again.version, again.rows_read, again.rows_in_table) == (2, 2, 1, 1)
    assert (again.fates, again.is_again) == ({"read": 1, "written": 1}, True)
    assert (second.fates["quarantined"], second.open_rows) == (1, 1)


def test_the_versions_of_the_quarantine_are_told_apart_from_those_of_the_table(
    shop: Workspace, run_all: Any, put_orders: Any
) -> None:
    put_orders("3", [{"order_id": 5, "amount": 2.0}])
    run_all(Workspace(shop.folder))
    put_orders("4", [{"order_id": 6, "amount": -2.0}])
    run_all(Workspace(shop.folder))
    own, side = Trace(shop, "silver.orders"), Trace(shop, "silver.orders__quarantine")

    assert [own.version(version).batch_id for version in range(4)] == [0, 1, 2, 3]
    assert [side.version(version).batch_id for version in range(3)] == [0, 1, 3]
    (origin,) = side.rows("row_id=3-1")
    assert (origin.file, origin.batch_id, origin.version) == ("landing/orders/4.ndjson", 3, 2)


def test_the_history_of_a_table_says_nothing_large_of_rows_that_were_read_again(shop: Workspace) -> None:
    replay(shop)

    log = Path(shop.folder / "lake" / "silver" / "orders" / "_delta_log" / f"{2:020d}.json").read_text()
    info = json.loads(log.splitlines()[0])["commitInfo"]

    assert json.loads(info["etl.offsets"]) == {"source": {"again": 2, "plan": "offsets/0000000002.json"}}
    assert history(shop.wired("orders", Seam()), Seam())[-1].result.resolution == {
        "action": "replay",
        "rows": ["0-1", "1-1"],
    }


def test_rows_are_replayed_before_any_column_is_known(home: Workspace, run_all: Any, put_orders: Any) -> None:
    text = "source: {type: files, path: landing/orders/*.ndjson}\nsink: {type: delta, table: a.b}\n"
    (home.folder / "pipelines" / "orders.yml").write_text(text)
    for name in ("1", "2"):
        put_orders(name, []).write_text('{"id": 1} {"id": 2}\n')
    run_all(Workspace(home.folder))

    done = replay(home)
    gone = discard(home)

    assert (done.rows, done.written, done.rejected_again, gone.rows) == (2, 0, 2, 2)
    put_orders("3", [{"id": 5}])
    (outcome,) = run_all(Workspace(home.folder))
    assert outcome.error is None
    assert pl.read_delta(str(home.folder / "lake" / "a" / "b"))["id"].to_list() == [5]


EXPLODED = """\
source: {type: files, path: landing/orders/*.ndjson}
transforms:
  - explode: [items]
expect:
  - {name: small, check: items < %d}
sink: {type: delta, table: silver.orders}
"""


def test_one_of_several_rows_that_came_of_one_is_not_replayed(home: Workspace, run_all: Any, put_orders: Any) -> None:
    pipeline = home.folder / "pipelines" / "orders.yml"
    pipeline.write_text(EXPLODED % 10)
    put_orders("1", [{"order_id": 1, "items": [1, 2, 30]}])
    put_orders("2", [])
    run_all(Workspace(home.folder))
    pipeline.write_text(EXPLODED % 100)

    with pytest.raises(ConfigError, match="none of the 1 rows can be replayed: they were not kept as a whole"):
        replay(home)
    assert [row["items"] for row in rows(home)] == [1, 2]
    assert discard(home).rows == 1


def test_a_row_that_stayed_one_is_replayed_behind_a_transform_that_adds_rows(
    home: Workspace, run_all: Any, put_orders: Any
) -> None:
    pipeline = home.folder / "pipelines" / "orders.yml"
    pipeline.write_text(EXPLODED % 10)
    put_orders("1", [{"order_id": 1, "items": [30]}])
    put_orders("2", [])
    run_all(Workspace(home.folder))
    pipeline.write_text(EXPLODED % 100)

    assert replay(home).written == 1
    assert [row["items"] for row in rows(home)] == [30]


PARSED = """\
source: {type: files, path: landing/orders/*.ndjson}
transforms:
  - with_columns: {twice: order_id * 2}
  - parse: {column: text, format: json, schema: {a: int64}%s}
sink: {type: delta, table: silver.orders}
"""


def test_a_row_that_a_transform_sets_aside_is_kept_as_it_came(home: Workspace, run_all: Any, put_orders: Any) -> None:
    pipeline = home.folder / "pipelines" / "orders.yml"
    pipeline.write_text(PARSED % "")
    put_orders("1", [{"order_id": 1, "text": "nope"}, {"order_id": 2, "text": '{"a": 5}'}])
    put_orders("2", [])
    run_all(Workspace(home.folder))
    (rejected,) = rows(home, "orders__quarantine")
    pipeline.write_text(PARSED % ', otherwise: "null"')

    done = replay(home)

    assert (rejected["rule"], json.loads(rejected["raw"])) == ("parse", {"order_id": 1, "text": "nope"})
    assert done.written == 1
    assert sorted((row["order_id"], row["twice"], row["a"] or 0) for row in rows(home)) == [(1, 2, 0), (2, 4, 5)]


def interrupted(workspace: Workspace) -> None:
    """Begin a replay that fails once its plan is written."""
    seam = FailingSeam("data.write", "error_before")
    with pytest.raises(EtlError, match=r"data\.write failed"):
        of(workspace).resolve("replay", ALL, Listening(seam, Silent()))


def test_a_replay_that_is_refused_later_holds_nothing_up_either(shop: Workspace, run_all: Any, put_orders: Any) -> None:
    edit(shop, least=-50)
    interrupted(shop)
    path = shop.folder / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("check: amount >= -50", "check: amount >= 0, otherwise: fail"))
    put_orders("3", [{"order_id": 5, "amount": 2.0}])

    (outcome,) = run_all(Workspace(shop.folder))

    assert outcome.error is None
    assert [(result.resolution or {}).get("rows") for result in outcome.results] == [[], None]
    assert [order for order, *_ in orders(shop)] == [1, 4, 5]
    assert statuses(shop) == {"0-1": ("open", None), "1-1": ("open", None)}


BROKEN = "source: {type: files, path: 'landing/orders/*', unready_for: 0s}\nsink: {type: delta, table: silver.orders}\n"


@pytest.fixture
def broken(home: Workspace, run_all: Any) -> Path:
    """Return a Parquet file that was rejected as a whole, of the pipeline ``orders``."""
    (home.folder / "pipelines" / "orders.yml").write_text(BROKEN)
    path = home.folder / "landing" / "orders" / "9.parquet"
    path.write_bytes(b"PAR1 and no more")
    (outcome,) = run_all(Workspace(home.folder))
    assert outcome.error is None
    assert of(home).counts(ALL) == [RuleCount("unreadable_file", "open", 1, 0, 0)]
    return path


def test_a_file_that_was_rejected_whole_is_read_as_it_is_now(broken: Path, home: Workspace) -> None:
    pl.DataFrame({"order_id": [8, 9], "amount": [1.0, 2.0]}).write_parquet(broken)

    done = replay(home)

    assert (done.written, done.rejected_again) == (2, 0)
    assert orders(home)[-2:] == [(8, ".parquet", 0, 1), (9, ".parquet", 1, 1)]
    assert statuses(home) == {"0-1": ("replayed", 1)}


@pytest.mark.usefixtures("broken")
def test_a_file_that_is_still_broken_is_rejected_again(home: Workspace) -> None:
    assert replay(home).rejected_again == 1
    assert statuses(home) == {"0-1": ("replayed", 1), "1-1": ("open", None)}


def test_a_file_that_was_rejected_whole_must_be_there(broken: Path, home: Workspace) -> None:
    broken.unlink()

    with pytest.raises(SourceError, match=r"9\.parquet: is gone, and nothing of it was kept"):
        replay(home)
    assert statuses(home) == {"0-1": ("open", None)}


def test_a_file_that_vanishes_in_the_middle_of_a_replay_is_rejected_again(
    broken: Path, home: Workspace, run_all: Any
) -> None:
    pl.DataFrame({"order_id": [8], "amount": [1.0]}).write_parquet(broken)
    interrupted(home)
    broken.unlink()

    (outcome,) = run_all(Workspace(home.folder))

    assert outcome.error is None
    assert statuses(home) == {"0-1": ("replayed", 1), "1-1": ("open", None)}
    found = of(home).shown(Selection(status="open"), 1)
    assert found is not None
    assert found["reason"].to_list() == ["it is no longer there"]
    assert [order for order, *_ in orders(home)] == [1, 2, 3]


def test_a_file_that_was_read_again_by_itself_is_not_replayed(broken: Path, home: Workspace, run_all: Any) -> None:
    versions = BROKEN.replace("unready_for: 0s", "unready_for: 0s, identity: path_and_version, on_change: reingest")
    (home.folder / "pipelines" / "orders.yml").write_text(versions)
    pl.DataFrame({"order_id": [8], "amount": [1.0]}).write_parquet(broken)
    run_all(Workspace(home.folder))
    assert [order for order, *_ in orders(home)] == [1, 2, 3, 8]

    with pytest.raises(SourceError, match=r"9\.parquet: was read again since, by batch 1"):
        replay(home)
    assert [order for order, *_ in orders(home)] == [1, 2, 3, 8]


def test_a_line_of_what_a_file_has_grown_by_is_replayed_alone(home: Workspace, run_all: Any) -> None:
    grows = BROKEN.replace("unready_for: 0s", "unready_for: 0s, identity: path_and_version, on_change: append_tail")
    (home.folder / "pipelines" / "orders.yml").write_text(grows.replace("orders/*'", "orders/*.txt', format: text"))
    path = home.folder / "landing" / "orders" / "a.txt"
    path.write_bytes(b"one\n")
    run_all(Workspace(home.folder))
    path.write_bytes(b"one\n\xfftwo\nthree\n")
    run_all(Workspace(home.folder))

    done = replay(home)

    assert Counter(row["line"] for row in rows(home)) == Counter(["one", "three"])
    assert (done.rows, done.rejected_again) == (1, 1)
