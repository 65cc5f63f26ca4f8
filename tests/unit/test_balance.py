"""The balance: every row that arrives leaves in one way, or nothing is committed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import polars as pl
import pytest

from etl.balance import ARRIVED, LEFT, Tally, check_balance, observed, rows_by_file
from etl.errors import BalanceError
from etl.rejects import rejects

if TYPE_CHECKING:
    from polars._typing import EngineType


def test_tally_starts_with_every_fate_at_zero() -> None:
    assert Tally().counts() == dict.fromkeys(
        ["read", "added", "written", "filtered", "deduplicated", "late", "quarantined", "folded"], 0
    )


def test_tally_sums_what_is_added_from_many_threads() -> None:
    tally = Tally()

    def count() -> None:
        for _ in range(500):
            tally.add("read", 2)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.counts()["read"] == 4000


def test_unknown_fate_is_refused() -> None:
    with pytest.raises(KeyError):
        Tally().add("lost", 1)


@pytest.mark.parametrize(
    "rows",
    [
        {},
        {"read": 3, "written": 3},
        {
            "read": 5,
            "added": 2,
            "written": 1,
            "filtered": 2,
            "deduplicated": 1,
            "late": 1,
            "quarantined": 1,
            "folded": 1,
        },
    ],
)
def test_balanced_rows_pass(rows: dict[str, int]) -> None:
    check_balance(rows, where="orders, batch 1")


@pytest.mark.parametrize("fate", [*ARRIVED, *LEFT])
def test_one_row_too_many_of_any_fate_is_refused(fate: str) -> None:
    rows = {"read": 2, "added": 0, "written": 2} | {fate: 3}
    with pytest.raises(BalanceError):
        check_balance(rows, where="orders, batch 1")


def test_refusal_shows_both_sides() -> None:
    with pytest.raises(BalanceError) as caught:
        check_balance({"read": 3, "written": 1, "filtered": 1}, where="orders, batch 1")
    assert str(caught.value) == (
        "orders, batch 1: 3 rows arrived, 2 left: read 3 + added 0 is not "
        "written 1 + filtered 1 + deduplicated 0 + late 0 + quarantined 0 + folded 0\n"
        "  nothing was committed; a transform lost or doubled rows without counting them"
    )


@pytest.mark.parametrize("engine", ["streaming", "in-memory"])
def test_observed_rows_pass_unchanged_and_each_is_seen_once(engine: EngineType) -> None:
    seen: list[int] = []
    rows = pl.LazyFrame({"id": range(250_000)})
    frame = observed(rows, lambda part: seen.append(part.height)).collect(engine=engine)
    assert frame.height == sum(seen) == 250_000
    assert frame["id"].n_unique() == 250_000


def frame_of(*files: str | None) -> pl.DataFrame:
    return pl.DataFrame({"id": range(len(files)), "_source_file": files}, schema_overrides={"_source_file": pl.String})


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("a", "a"), {"a": 2}),
        (("a", "b", "a"), {"a": 2, "b": 1}),
        ((None, "b", "b"), {"b": 2}),
        (("a", None), {"a": 1}),
        ((None, None), {}),
        ((), {}),
    ],
)
def test_rows_are_told_by_the_file_that_they_came_from(files: tuple[str | None, ...], expected: dict[str, int]) -> None:
    assert rows_by_file(frame_of(*files)) == expected


def test_rows_that_do_not_say_their_file_belong_to_none() -> None:
    assert rows_by_file(pl.DataFrame({"id": [1]})) == {}


def test_rows_may_count_several_times_or_not_at_all() -> None:
    assert rows_by_file(frame_of("a", "a"), pl.Series([3, 0])) == {"a": 3}
    assert rows_by_file(frame_of("a", "b", "a"), pl.Series([3, 0, 2])) == {"a": 5, "b": 0}


def test_counted_rows_are_summed_by_fate_and_by_file() -> None:
    tally = Tally()
    tally.count("read", frame_of("a", "b", "a"))
    tally.count("filtered", frame_of("b"))
    tally.count("added", frame_of("a", "a"), pl.Series([2, 0]))
    tally.count("late", frame_of())
    tally.add("written", 4)
    tally.add_of_files("written", {"a": 4})
    assert {fate: rows for fate, rows in tally.counts().items() if rows} == {
        "read": 3, "added": 2, "written": 4, "filtered": 1,
    }  # fmt: skip
    assert tally.by_file() == {"a": {"read": 2, "added": 2, "written": 4}, "b": {"read": 1, "filtered": 1}}


def test_quarantined_rows_are_set_aside_and_counted() -> None:
    tally = Tally()
    tally.quarantine(rejects([{"raw": b"x", "_source_file": "a"}, {"raw": b"y"}]))
    tally.quarantine(rejects([]))
    assert tally.counts()["quarantined"] == 2
    assert tally.by_file() == {"a": {"quarantined": 1}}
    assert tally.rejected.take()["raw"].to_list() == [b"x", b"y"]


def test_failures_are_counted_by_rule_beside_the_rows_that_were_asked() -> None:
    tally = Tally()
    tally.ask(3)
    tally.ask(2)
    for rule, rows in (("paid", 1), ("known", 0), ("paid", 2)):
        tally.fail(rule, rows)
    assert (tally.asked, tally.failed()) == (5, {"paid": 3, "known": 0})
    assert sum(tally.counts().values()) == 0
