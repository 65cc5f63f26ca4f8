from __future__ import annotations

from datetime import UTC, datetime, timedelta

from etl.watermark import (
    Reading,
    Rule,
    Watermarks,
    advance,
    clocks_from_json,
    clocks_to_json,
    from_text,
    micros,
    moment,
    to_text,
)

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = 60_000_000


def event(hour: int, minute: int = 0) -> int:
    return micros(datetime(2026, 1, 1, hour, minute, tzinfo=UTC))


def test_the_watermark_is_the_newest_event_time_less_the_delay() -> None:
    after = advance(Watermarks(), {"": event(10, 30)}, {"": Rule(10 * MINUTE)}, AT)

    assert after.at_us == event(10, 20)
    assert after.clocks == {"": Reading(event(10, 20), micros(AT))}


def test_there_is_none_before_the_first_row() -> None:
    assert advance(Watermarks(), {}, {"": Rule()}, AT).at_us is None


def test_it_never_goes_back() -> None:
    before = advance(Watermarks(), {"": event(10)}, {"": Rule()}, AT)

    after = advance(before, {"": event(9)}, {"": Rule()}, AT)

    assert after.at_us == event(10)


def test_it_does_not_go_back_when_the_delay_is_made_longer() -> None:
    before = advance(Watermarks(), {"": event(10)}, {"": Rule()}, AT)

    after = advance(before, {"": event(10, 5)}, {"": Rule(30 * MINUTE)}, AT)

    assert after.at_us == event(10)


def test_a_batch_without_rows_leaves_it_where_it_is() -> None:
    before = advance(Watermarks(), {"": event(10)}, {"": Rule()}, AT)

    assert advance(before, {}, {"": Rule()}, AT + timedelta(days=1)).at_us == event(10)


def test_of_two_clocks_the_slower_one_counts() -> None:
    rules = {"a": Rule(), "b": Rule()}

    after = advance(Watermarks(), {"a": event(10), "b": event(9)}, rules, AT)

    assert after.at_us == event(9)
    assert advance(after, {"b": event(11)}, rules, AT).at_us == event(10)


def test_a_clock_that_never_had_rows_holds_the_others_back() -> None:
    rules = {"a": Rule(), "b": Rule()}

    assert advance(Watermarks(), {"a": event(10)}, rules, AT).at_us is None


def test_an_idle_clock_does_not_hold_the_others_back() -> None:
    rules = {"a": Rule(), "b": Rule(idle_timeout_us=5 * MINUTE)}
    before = advance(Watermarks(), {"a": event(9), "b": event(8)}, rules, AT)

    still = advance(before, {"a": event(10)}, rules, AT + timedelta(minutes=5))
    idle = advance(still, {"a": event(11)}, rules, AT + timedelta(minutes=6))

    assert still.at_us == event(8)
    assert idle.at_us == event(11)


def test_a_clock_that_never_had_rows_is_idle_its_timeout_after_the_first_batch() -> None:
    rules = {"a": Rule(), "b": Rule(idle_timeout_us=5 * MINUTE)}

    first = advance(Watermarks(), {"a": event(9)}, rules, AT)
    later = advance(first, {}, rules, AT + timedelta(minutes=6))

    assert first.at_us is None
    assert later.at_us == event(9)


def test_an_idle_clock_that_wakes_up_behind_does_not_pull_the_watermark_back() -> None:
    rules = {"a": Rule(), "b": Rule(idle_timeout_us=5 * MINUTE)}
    before = advance(Watermarks(), {"a": event(11), "b": event(8)}, rules, AT)
    idle = advance(before, {"a": event(11)}, rules, AT + timedelta(minutes=6))

    woken = advance(idle, {"b": event(9)}, rules, AT + timedelta(minutes=7))

    assert woken.at_us == event(11)
    assert woken.clocks["b"].at_us == event(9)


def test_when_all_are_idle_it_stays() -> None:
    rules = {"a": Rule(idle_timeout_us=MINUTE)}
    before = advance(Watermarks(), {"a": event(11)}, rules, AT)

    assert advance(before, {}, rules, AT + timedelta(hours=1)).at_us == event(11)


def test_a_clock_that_is_no_longer_declared_does_not_count() -> None:
    before = advance(Watermarks(), {"a": event(11), "b": event(8)}, {"a": Rule(), "b": Rule()}, AT)

    after = advance(before, {}, {"a": Rule()}, AT)

    assert after.at_us == event(11)
    assert list(after.clocks) == ["a"]


def test_moments_survive_the_way_through_a_record() -> None:
    at_us = micros(datetime(2026, 1, 1, 10, 30, 0, 123456, tzinfo=UTC))

    assert moment(at_us) == datetime(2026, 1, 1, 10, 30, 0, 123456, tzinfo=UTC)
    assert from_text(to_text(at_us)) == at_us
    assert from_text(to_text(-1)) == -1
    assert from_text(None) is None


def test_clocks_survive_the_way_through_a_record() -> None:
    clocks = {"": Reading(event(10), event(12)), "b": Reading(None, event(12))}

    assert clocks_from_json(clocks_to_json(clocks)) == clocks


def test_a_naive_moment_is_one_in_utc() -> None:
    assert micros(datetime(1970, 1, 1, 0, 0, 1)) == 1_000_000  # noqa: DTZ001  that is what is asked
