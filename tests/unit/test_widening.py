"""How a schema takes in what later input holds."""

from __future__ import annotations

import pytest

from etl.errors import RowError
from etl.model import Schema
from etl.schema_contract import EVOLVE, RESCUE, STRICT, SchemaContract, Survey
from etl.widening import carried_on, fold, is_lossless, merge


def test_new_columns_come_last_in_their_order() -> None:
    assert list(merge({"b": "int64"}, {"z": "date", "b": "int64", "a": "string"})) == ["b", "z", "a"]


def test_new_fields_come_last_at_any_depth() -> None:
    old: Schema = {"x": {"list": {"struct": {"a": "int64"}}}}
    found: Schema = {"x": {"list": {"struct": {"b": "string", "a": "int64"}}}}
    assert merge(old, found) == {"x": {"list": {"struct": {"a": "int64", "b": "string"}}}}
    assert list(merge(old, found)["x"]["list"]["struct"]) == ["a", "b"]  # type: ignore[index]


def test_null_becomes_the_other_type_on_either_side() -> None:
    assert merge({"a": "null", "b": "int64"}, {"a": {"list": "int8"}, "b": "null"}) == {
        "a": {"list": "int8"},
        "b": "int64",
    }
    assert merge({"a": {"list": "null"}}, {"a": {"list": "date"}}) == {"a": {"list": "date"}}


def test_old_schema_is_not_changed_in_place() -> None:
    old: Schema = {"a": {"struct": {"x": "int64"}}}
    merge(old, {"a": {"struct": {"y": "int64"}}, "b": "date"})
    assert old == {"a": {"struct": {"x": "int64"}}}


@pytest.mark.parametrize("found", ["string", "float64", "int32", {"list": "int64"}, {"struct": {"a": "int64"}}])
def test_different_type_is_refused_with_column_and_place(found: str) -> None:
    with pytest.raises(
        RowError, match=r"(?s)^day/f\.jsonl: column s\.n\[\] is .* here and int64 elsewhere.*s\.n\[\]: string"
    ):
        merge(
            {"s": {"struct": {"n": {"list": "int64"}}}}, {"s": {"struct": {"n": {"list": found}}}}, where="day/f.jsonl"
        )


@pytest.mark.parametrize(
    ("old", "found", "both"),
    [
        ("int64", "float64", "float64"),
        ("float64", "int64", "float64"),
        ("int32", "int64", "int64"),
        ("int64", "uint32", "int64"),
        ("decimal(5,2)", "decimal(18,4)", "decimal(18,4)"),
    ],
)
def test_numbers_meet_while_inferring(old: str, found: str, both: str) -> None:
    assert merge({"n": old}, {"n": found}, widen_numbers=True) == {"n": both}


@pytest.mark.parametrize(
    ("old", "found"), [("int64", "string"), ("int64", "boolean"), ("int64", "uint64"), ("decimal(5,2)", "decimal(5,4)")]
)
def test_what_no_type_holds_is_refused_even_while_inferring(old: str, found: str) -> None:
    with pytest.raises(RowError):
        merge({"n": old}, {"n": found}, widen_numbers=True)


@pytest.mark.parametrize(
    ("found", "known", "fits"),
    [
        ("int8", "int16", True),
        ("int16", "int8", False),
        ("uint8", "int16", True),
        ("uint8", "int8", False),
        ("int8", "uint16", False),
        ("float32", "float64", True),
        ("float64", "float32", False),
        ("int32", "float64", False),
        ("decimal(5,2)", "decimal(6,3)", True),
        ("decimal(5,2)", "decimal(5,3)", False),
        ("timestamp", "timestamp(UTC)", False),
    ],
)
def test_lossless_means_every_value_fits(found: str, known: str, *, fits: bool) -> None:
    assert is_lossless(found, known) is fits


def surveyed(schema: Schema, *wide: str) -> Survey:
    return Survey(schema, frozenset(wide))


@pytest.mark.parametrize(
    ("known", "found", "both"),
    [
        (surveyed({"a": "int64"}), surveyed({"b": "date", "a": "int64"}), surveyed({"a": "int64", "b": "date"})),
        (surveyed({"a": "null"}), surveyed({"a": {"list": "int64"}}, "a[]"), surveyed({"a": {"list": "int64"}}, "a[]")),
        (surveyed({"a": "int64"}, "a"), surveyed({"a": "null"}), surveyed({"a": "int64"}, "a")),
        (surveyed({"a": "int64"}), surveyed({"a": "float64"}), surveyed({"a": "float64"})),
        (surveyed({"a": "float64"}), surveyed({"a": "int64"}), surveyed({"a": "float64"})),
        (surveyed({"a": "int64"}, "a"), surveyed({"a": "int64"}), surveyed({"a": "int64"}, "a")),
        (
            surveyed({"s": {"struct": {}}}),
            surveyed({"s": {"struct": {"x": {"list": "null"}}}}),
            surveyed({"s": {"struct": {"x": {"list": "null"}}}}),
        ),
    ],
)
def test_surveys_fold_where_no_single_row_matters(known: Survey, found: Survey, both: Survey) -> None:
    folded = fold(known, found)
    assert folded == both
    assert list(folded.schema) == list(both.schema)


@pytest.mark.parametrize(
    ("known", "found"),
    [
        (surveyed({"a": "int64"}), surveyed({"a": "string"})),
        (surveyed({"a": "int64"}, "a"), surveyed({"a": "float64"})),
        (surveyed({"a": "float64"}), surveyed({"a": "int64"}, "a")),
        (
            surveyed({"l": {"list": {"struct": {"x": "float64"}}}}),
            surveyed({"l": {"list": {"struct": {"x": "int64"}}}}, "l[].x"),
        ),
        (surveyed({"s": {"struct": {"x": "int64"}}}), surveyed({"s": {"list": "int64"}})),
        (surveyed({"s": {"struct": {}}}), surveyed({"s": "boolean"})),
    ],
)
def test_surveys_whose_rows_have_to_be_taken_one_by_one_do_not_fold(known: Survey, found: Survey) -> None:
    assert fold(known, found) is None


def test_surveys_fold_as_far_as_the_contract_lets_the_schema_evolve() -> None:
    old, found = surveyed({"s": {"struct": {"x": "int64"}}}), surveyed({"s": {"struct": {"y": "int64"}}})
    assert fold(old, found, EVOLVE) == surveyed({"s": {"struct": {"x": "int64", "y": "int64"}}})
    assert fold(old, found, STRICT) is None
    assert fold(surveyed({"a": "int64"}), surveyed({"a": "float64"}), STRICT) is None


def test_files_that_either_survey_could_not_read_are_kept() -> None:
    known, found = Survey({}, unreadable={"f": "cut off"}), Survey({}, unreadable={"g": "empty"})
    assert fold(known, found) == Survey({}, unreadable={"f": "cut off", "g": "empty"})


def test_what_is_neither_declared_nor_seen_is_to_be_inferred() -> None:
    assert carried_on(None, None, EVOLVE) is None


def test_an_inferred_schema_goes_on_as_it_was() -> None:
    before = Survey({"id": "int64"}, frozenset({"id"}))
    assert carried_on(None, before, STRICT) == before


def test_a_declared_schema_begins_as_it_is_declared() -> None:
    declared: Schema = {"id": "int64"}
    assert carried_on(declared, None, EVOLVE) == Survey({"id": "int64"})
    assert carried_on(declared, None, RESCUE) == Survey({"id": "int64", "_rescued_data": "string"})
    assert declared == {"id": "int64"}


def test_a_strict_schema_is_the_declared_one_whatever_was_before() -> None:
    before = Survey({"id": "float64", "more": "date"}, frozenset({"id"}))
    assert carried_on({"id": "int64"}, before, STRICT) == Survey({"id": "int64"})


def test_a_declared_schema_keeps_what_evolution_made_of_it() -> None:
    before = Survey({"id": "float64", "s": {"struct": {"a": "int64", "b": "date"}}, "more": "date"}, frozenset({"s.a"}))
    declared: Schema = {"id": "int64", "s": {"struct": {"a": "int64"}}}
    assert carried_on(declared, before, EVOLVE) == Survey(
        {"id": "float64", "s": {"struct": {"a": "int64", "b": "date"}}, "more": "date"}, frozenset({"s.a"})
    )


def test_a_declaration_that_was_edited_against_what_evolved_wins() -> None:
    before = Survey({"id": "float64", "at": "date"})
    edited: Schema = {"id": "string", "at": "date", "new": "int8"}
    assert carried_on(edited, before, EVOLVE) == Survey({"id": "string", "at": "date", "new": "int8"})


@pytest.mark.parametrize("contract", [SchemaContract("evolve", "quarantine"), SchemaContract("ignore", "widen")])
def test_a_contract_that_evolves_in_one_way_keeps_what_evolved(contract: SchemaContract) -> None:
    before = Survey({"id": "float64"})
    assert carried_on({"id": "int64"}, before, contract) == before
