"""What a changed definition may go on with, and what it is told."""

from __future__ import annotations

import pytest

from etl.errors import StateError
from etl.state.contract import Fingerprint
from etl.state.fingerprints import (
    Comparison,
    compare,
    fingerprint_from_json,
    fingerprint_to_json,
    refuse_other,
)

STORED = Fingerprint("group_by", {"by": ["country"], "window": "5m"}, {"n": "count()", "total": "sum(amount)"})


def changed(**changes: object) -> Fingerprint:
    return Fingerprint(
        str(changes.get("kind", STORED.kind)),
        changes.get("fixed", STORED.fixed),  # type: ignore[arg-type]
        changes.get("parts", STORED.parts),  # type: ignore[arg-type]
    )


def test_the_same_definition_is_the_same() -> None:
    assert compare(STORED, STORED) == Comparison("same")


def test_what_was_read_from_a_record_is_the_same_as_what_was_given() -> None:
    given = changed(fixed={"by": ("country",), "window": "5m"})
    assert compare(fingerprint_from_json(fingerprint_to_json(STORED)), given) == Comparison("same")


def test_a_new_part_starts_empty_and_one_that_is_left_out_is_forgotten() -> None:
    wanted = changed(parts={"n": "count()", "most": "max(amount)"})
    details = ("most is new and starts empty", "total is left out and forgotten")
    assert compare(STORED, wanted) == Comparison("compatible", details)


def test_a_part_that_means_another_thing_is_refused() -> None:
    wanted = changed(parts={"n": "count()", "total": "sum(price)"})
    assert compare(STORED, wanted) == Comparison("refused", ("total was sum(amount) and is sum(price) now",))


@pytest.mark.parametrize(
    ("fixed", "detail"),
    [
        ({"by": ["country"], "window": "10m"}, "window was 5m and is 10m now"),
        ({"by": ["country"]}, "window was 5m and is not there now"),
        ({"by": ["country"], "window": "5m", "slide": "1m"}, "slide was not there and is 1m now"),
        ({"by": ["page"], "window": "5m"}, "by was (country) and is (page) now"),
    ],
)
def test_another_meaning_of_the_rows_is_refused(fixed: dict[str, object], detail: str) -> None:
    assert compare(STORED, changed(fixed=fixed)) == Comparison("refused", (detail,))


@pytest.mark.parametrize(
    ("before", "after", "detail"),
    [
        ({"window": {"column": "at", "every_us": 300_000_000}}, {"window": {"column": "at", "every_us": 5_400_000_000}},
         "window.every was 5m and is 90m now"),
        ({"window": None}, {"window": {"column": "at", "session_gap_us": 1_500_000}},
         "window was none and is (column: at, session_gap: 1500ms) now"),
        ({"by": {"country": '"country"'}}, {"by": {"country": '"country"', "day": "CAST(at AS DATE)"}},
         "by was (country) and is (country, day: CAST(at AS DATE)) now"),
        ({"by": {"country": '"country"'}}, {"by": {"country": "UPPER(country)"}},
         "by.country was country and is UPPER(country) now"),
        ({"within_us": [0, 60_000_000]}, {"within_us": None}, "within was (0s, 1m) and is none now"),
        ({"time": "at", "is_bounded": True}, {"time": "", "is_bounded": True}, "time was at and is none now"),
        ({"is_bounded": True}, {"is_bounded": False}, "is_bounded was true and is false now"),
        ({"on": [["a", "a"]]}, {"on": []}, "on was ((a, a)) and is none now"),
    ],
)  # fmt: skip
def test_what_differs_is_told_as_a_pipeline_file_says_it(
    before: dict[str, object], after: dict[str, object], detail: str
) -> None:
    found = compare(changed(fixed=before), changed(fixed=after))
    assert found == Comparison("refused", (detail,))


def test_a_timeout_is_called_as_in_the_pipeline_file() -> None:
    wanted = changed(parts={**STORED.parts, "_due_at": "event_time"})
    assert compare(STORED, wanted).details == ("timeout_by is new and starts empty",)


def test_another_kind_is_refused() -> None:
    expected = Comparison("refused", ("it was a group_by and is a deduplicate now",))
    assert compare(STORED, changed(kind="deduplicate")) == expected


def test_a_refusal_names_what_differs_and_the_command() -> None:
    with pytest.raises(StateError) as caught:
        refuse_other(STORED, changed(kind="join"), where="state/agg")
    assert str(caught.value).startswith("state/agg: its definition changed: it was a group_by and is a join now\n")
    assert "etl run NAME --full-refresh" in caught.value.hint
    assert caught.value.exit_code == 4
