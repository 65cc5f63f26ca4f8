"""The balance: every row that arrives leaves in one way, or nothing is committed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import polars as pl
import pytest

from etl.balance import ARRIVED, LEFT, Tally, check_balance, observed
from etl.errors import BalanceError

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
