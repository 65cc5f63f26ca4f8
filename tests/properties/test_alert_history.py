"""Whatever comes and goes, a receiver can tell from its messages alone what holds."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from etl.notifying import CONDITIONS, Condition
from etl.service.conditions import Ledger, News, Trouble

REMIND_S = 600.0
LONGEST_SETTLE_S = 3600.0
KEYS = [(pipeline, condition) for pipeline in ("orders", "users") for condition in CONDITIONS[:2]]

looks = st.lists(
    st.tuples(st.floats(0.1, 2000.0), st.sets(st.sampled_from(KEYS))), min_size=1, max_size=60
)  # how long after the look before, and what holds then


def told_of(history: list[tuple[float, set[tuple[str, Condition]]]]) -> list[tuple[float, News, tuple[str, Condition]]]:
    """Return what a receiver is told, when and of what."""
    ledger, now_s, found = Ledger(REMIND_S), 0.0, []
    for wait_s, present in history:
        now_s += wait_s
        troubles = [Trouble(pipeline, condition, "why") for pipeline, condition in sorted(present)]
        found += [(now_s, news, trouble.key) for news, trouble in ledger.step(troubles, now_s)]
    return found


@given(looks)
def test_every_condition_begins_lasts_and_is_over_in_this_order(
    history: list[tuple[float, set[tuple[str, Condition]]]],
) -> None:
    is_open: dict[tuple[str, Condition], bool] = defaultdict(bool)

    for _, news, key in told_of(history):
        assert is_open[key] is (news != "begins")
        is_open[key] = news != "over"


@given(looks)
def test_what_holds_has_been_told_and_what_is_long_gone_is_told_to_be_over(
    history: list[tuple[float, set[tuple[str, Condition]]]],
) -> None:
    told = told_of([*history, (0.1, set()), (LONGEST_SETTLE_S, set())])
    until_s = sum(wait_s for wait_s, _ in history)
    before = {key: news for at_s, news, key in told if at_s <= until_s}

    assert all(before[key] in ("begins", "lasts") for key in history[-1][1])
    assert all(news == "over" for news in {key: news for _, news, key in told}.values())


@given(looks)
def test_nothing_is_told_twice_within_the_time_of_a_reminder(
    history: list[tuple[float, set[tuple[str, Condition]]]],
) -> None:
    newest: dict[tuple[str, Condition], float] = {}

    for at_s, news, key in told_of(history):
        if news == "lasts":
            assert at_s - newest[key] >= REMIND_S
        newest[key] = at_s
