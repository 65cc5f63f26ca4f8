"""What files hold, taken together: in their order, wherever they are looked at, without those that cannot be read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from etl.errors import NotReadyError, RowError, UnreadableFileError
from etl.model import Schema
from etl.schema_contract import EVOLVE, RESCUE, Survey
from etl.sources.file_survey import FileSurvey
from etl.sources.file_units import UnitRow
from etl.widening import merge

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD_NS = int(NOW.timestamp() - 61) * 10**9
YOUNG_NS = int(NOW.timestamp() - 59) * 10**9
HELD: dict[str, Schema] = {
    "a": {"id": "int64"},
    "b": {"id": "float64", "x": {"struct": {"p": "int64"}}},
    "c": {"x": {"struct": {"p": "int64", "q": "date"}}, "id": "int64"},
    "text": {"id": "string"},
}
LookAt = Callable[[UnitRow, Survey | None], Survey | None]


def look_at(unit: UnitRow, known: Survey | None) -> Survey | None:
    """Find what ``HELD`` says: text beside numbers is set aside, ``gone`` is no more, ``cut`` and ``torn`` are cut."""
    if unit.path == "gone":
        return None
    if unit.path in ("cut", "torn"):
        raise UnreadableFileError(unit.path, "ends too early", hint="send it again" if unit.path == "cut" else "")
    before = {} if known is None else known.schema
    wide = frozenset() if known is None else known.wide
    try:
        return Survey(
            merge(before, HELD[unit.path], widen_numbers=True), wide | ({"id"} if unit.path == "a" else set())
        )
    except RowError:
        return Survey(before, wide)


def units(*paths: str, modified_ns: int = OLD_NS) -> list[UnitRow]:
    return [UnitRow(path, 1, modified_ns) for path in paths]


def survey(*paths: str, known: Survey | None = None, look: LookAt = look_at, workers: int = 2) -> Survey:
    return FileSurvey(look, EVOLVE, 60.0).of(units(*paths), known, NOW, workers)


def test_no_files_hold_nothing_that_was_not_known() -> None:
    assert survey() == Survey({})
    assert survey(known=Survey({"id": "int64"})) == Survey({"id": "int64"})


def test_files_are_taken_together_and_each_column_tells_where_it_was_first_seen() -> None:
    found = survey("a", "b", "c")
    assert found.schema == {"id": "float64", "x": {"struct": {"p": "int64", "q": "date"}}}
    assert found.wide == {"id"}
    assert found.origins == {"id": "a", "x": "b"}


def test_columns_come_in_the_order_of_the_files() -> None:
    assert list(survey("a", "b").schema) == ["id", "x"]
    assert list(survey("c", "a").schema) == ["x", "id"]


def test_what_was_known_stays_in_front_and_only_changes_have_an_origin() -> None:
    found = survey("a", "c", known=Survey({"z": "date", "id": "float64"}, frozenset({"z"})))
    assert list(found.schema) == ["z", "id", "x"]
    assert found.wide == {"z", "id"}
    assert found.origins == {"x": "c"}


def test_a_wider_type_tells_the_file_that_needed_it() -> None:
    assert survey("a", "b", known=Survey({"id": "int64"})).origins == {"id": "b", "x": "b"}


def test_a_file_that_means_something_else_behind_others_is_looked_at_again_behind_them() -> None:
    asked: list[tuple[str, Schema | None]] = []

    def note(unit: UnitRow, known: Survey | None) -> Survey | None:
        asked.append((unit.path, None if known is None else known.schema))
        return look_at(unit, known)

    assert survey("text", "a", look=note, workers=1).schema == {"id": "string"}
    assert asked == [("text", None), ("a", None), ("a", {"id": "string"})]
    assert survey("a", "text").schema == {"id": "int64"}


def test_the_result_does_not_depend_on_which_worker_is_first() -> None:
    passed = threading.Event()

    def late_first(unit: UnitRow, known: Survey | None) -> Survey | None:
        if unit.path == "a":
            assert passed.wait(20)
        if unit.path == "c":
            passed.set()
        return look_at(unit, known)

    found = survey("a", "b", "c", look=late_first, workers=3)
    assert (found, found.origins) == (survey("a", "b", "c", workers=1), {"id": "a", "x": "b"})


def test_a_file_that_is_gone_and_may_be_counts_for_nothing() -> None:
    found = survey("gone", "a")
    assert (found.schema, found.unreadable, found.origins) == ({"id": "int64"}, {}, {"id": "a"})
    assert survey("gone") == Survey({})


def test_an_old_file_that_cannot_be_read_is_told_with_its_reason_and_the_others_count() -> None:
    found = survey("a", "cut", "torn")
    assert found.schema == {"id": "int64"}
    assert found.unreadable == {"cut": "ends too early; send it again", "torn": "ends too early"}


def test_a_young_file_that_cannot_be_read_is_not_ready() -> None:
    files = [*units("a"), *units("cut", "torn", modified_ns=YOUNG_NS)]
    with pytest.raises(NotReadyError) as caught:
        FileSurvey(look_at, EVOLVE, 60.0).of(files, None, NOW, 2)
    assert caught.value.paths == ("cut", "torn")
    assert caught.value.where == "cut"
    assert caught.value.message == "not ready: ends too early; send it again, and 1 more"
    assert "it goes to the quarantine" in caught.value.hint


def test_a_file_is_young_at_the_time_of_the_batch_and_not_of_the_clock() -> None:
    files = units("cut", modified_ns=YOUNG_NS)
    later = NOW.replace(minute=1)
    assert FileSurvey(look_at, EVOLVE, 60.0).of(files, None, later, 1).unreadable == {
        "cut": "ends too early; send it again"
    }
    assert FileSurvey(look_at, EVOLVE, 0.0).of(files, None, NOW, 1).unreadable.keys() == {"cut"}


def test_a_contract_that_rescues_has_its_column_last() -> None:
    found = FileSurvey(look_at, RESCUE, 60.0).of(units("a"), None, NOW, 1)
    assert found.schema == {"id": "int64", "_rescued_data": "string"}


def test_what_a_format_refuses_is_raised() -> None:
    def refuse(unit: UnitRow, _known: Survey | None) -> Survey | None:
        raise RowError("row 3 does not fit", where=unit.path)

    with pytest.raises(RowError, match="row 3 does not fit"):
        survey("a", look=refuse)
