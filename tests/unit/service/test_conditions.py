from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etl.config.specification import SlaOptions
from etl.service.conditions import Ledger, Trouble, rejected_share, troubles_of
from etl.service.contract import Phase, Served
from etl.service.watch import Seen
from tests.fleets import batch

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def served(**facts: Any) -> Served:
    return Served(**{"name": "orders", "trigger": "", "phase": Phase.WAITING, "since": NOW, **facts})


def promise(**keys: Any) -> SlaOptions:
    return SlaOptions.model_validate(keys)


def told(of: Served, seen: Seen | None = None) -> list[tuple[str, str]]:
    seen = Seen(NOW - HOUR) if seen is None else seen
    return [(each.condition, each.text) for each in troubles_of(of, seen, seen.result, NOW)]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, []),
        ({"phase": Phase.PAUSED, "reason": "holidays"}, []),
        ({"phase": Phase.DEGRADED, "failures": 1, "reason": "disk full"}, [("failure", "disk full")]),
        ({"phase": Phase.RUNNING, "failures": 2, "reason": "full"}, [("failure", "full (2 times in a row)")]),
        (
            {"phase": Phase.PAUSED, "failures": 8, "reason": "full"},
            [("failure", "full (8 times in a row)"), ("degraded", "paused after 8 failures: full")],
        ),
        ({"fault": "orders.yml:3:1 sink"}, [("degraded", "its file cannot be taken: orders.yml:3:1 sink")]),
        ({"phase": Phase.FAULTY, "reason": "no sink"}, [("degraded", "its file cannot be taken: no sink")]),
    ],
)
def test_failure_and_degradation_follow_from_what_the_service_knows(facts: dict[str, Any], expected: object) -> None:
    assert told(served(**facts)) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (Seen(NOW - HOUR), []),
        (Seen(NOW - HOUR, promise(max_age="1h")), []),
        (
            Seen(NOW - HOUR, promise(max_age="30m")),
            ["no commit for 1:00:00, since the service started; promised are 0:30:00"],
        ),
        (Seen(NOW - HOUR, promise(max_age="30m"), committed_at=NOW - HOUR / 4), []),
        (
            Seen(NOW, promise(max_age="30m"), committed_at=NOW - 2 * HOUR),
            ["the newest commit is 2:00:00 old; promised are 0:30:00"],
        ),
        (
            Seen(
                NOW,
                promise(max_age="30m", of="data"),
                result=batch(watermark="2026-01-01T10:30:00+00:00"),
                committed_at=NOW,
            ),
            ["the watermark is 1:30:00 old; promised are 0:30:00"],
        ),
        (Seen(NOW, promise(max_age="30m", of="data"), result=batch(), committed_at=NOW), []),
    ],
)
def test_a_pipeline_is_stale_when_its_promise_is_over(seen: Seen, expected: list[str]) -> None:
    assert told(served(), seen) == [("freshness", text) for text in expected]


@pytest.mark.parametrize(
    ("most", "expected"), [(0.1, []), (0.05, ["batch 0 rejected 10.0% of its rows, more than 5.0%"])]
)
def test_a_share_of_rejected_rows_beyond_the_promise_is_told(most: float, expected: list[str]) -> None:
    assert told(served(), Seen(NOW, promise(max_quarantined=most), result=batch())) == [
        ("quarantine", text) for text in expected
    ]


def test_a_batch_without_rows_or_of_rows_that_are_sent_again_says_nothing_of_the_share() -> None:
    assert rejected_share(None) is None
    assert rejected_share(batch(rows={"read": 0, "written": 0})) is None
    assert rejected_share(batch(resolution={"action": "replay"})) is None
    assert rejected_share(batch()) == 0.1


FAILURE = Trouble("orders", "failure", "disk full")


def news(ledger: Ledger, trouble: list[Trouble], now_s: float) -> list[str]:
    return [word for word, _ in ledger.step(trouble, now_s)]


def test_a_condition_is_told_once_while_it_lasts_and_again_after_the_time_to_remind() -> None:
    ledger = Ledger(remind_s=3600)

    assert ledger.step([FAILURE], 0) == [("begins", FAILURE)]
    assert [news(ledger, [FAILURE], now_s) for now_s in (1, 1800, 3599)] == [[], [], []]
    assert ledger.step([Trouble("orders", "failure", "other")], 3600) == [
        ("lasts", Trouble("orders", "failure", "other"))
    ]
    assert news(ledger, [FAILURE], 3601) == []


def test_that_it_is_over_is_told_once_it_stays_away() -> None:
    ledger = Ledger(remind_s=3600)
    news(ledger, [FAILURE], 0)

    assert news(ledger, [], 10) == []
    assert news(ledger, [], 69) == []
    assert ledger.step([], 70) == [("over", FAILURE)]
    assert news(ledger, [], 200) == []


def test_one_that_comes_and_goes_is_told_ever_less_often() -> None:
    ledger = Ledger(remind_s=86_400)
    told_at = []
    for now_s in range(0, 36_000, 10):  # fails for a minute and a half, is well for as long
        is_failing = now_s % 180 < 90
        told_at += [(now_s, word) for word in news(ledger, [FAILURE] if is_failing else [], now_s)]

    assert told_at == [(0, "begins"), (150, "over"), (180, "begins")]


def test_one_that_comes_back_after_a_quiet_hour_is_told_as_the_first_time() -> None:
    ledger = Ledger(remind_s=86_400)
    news(ledger, [FAILURE], 0)
    news(ledger, [], 10)
    assert news(ledger, [], 70) == ["over"]

    assert news(ledger, [FAILURE], 70 + 3600) == ["begins"]
    assert news(ledger, [], 4000) == []
    assert news(ledger, [], 4060) == ["over"]


def test_conditions_of_several_pipelines_do_not_touch_each_other() -> None:
    ledger = Ledger(remind_s=60)
    stale = Trouble("users", "freshness", "old")

    assert news(ledger, [FAILURE], 0) == ["begins"]
    assert ledger.step([FAILURE, stale], 59) == [("begins", stale)]
    assert ledger.step([stale], 60) == []
    assert ledger.step([stale], 120) == [("lasts", stale), ("over", FAILURE)]
