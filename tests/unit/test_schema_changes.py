"""What differs between two schemas, for records and for people."""

from __future__ import annotations

from etl.model import Schema, SchemaChange
from etl.schema_changes import schema_changes


def test_equal_schemas_have_no_changes() -> None:
    assert schema_changes({"a": "int64"}, {"a": "int64"}) == ()
    assert schema_changes({}, {}) == ()


def test_new_wider_and_gone_columns_are_told_in_the_order_of_the_newer_schema() -> None:
    before: Schema = {"gone": "date", "a": "int64"}
    after: Schema = {"new": "string", "a": "float64"}
    assert schema_changes(before, after) == (
        SchemaChange("new", None, "string"),
        SchemaChange("a", "int64", "float64"),
        SchemaChange("gone", "date", None),
    )


def test_order_alone_is_no_change() -> None:
    assert schema_changes({"a": "int64", "b": "date"}, {"b": "date", "a": "int64"}) == ()


def test_fields_are_told_by_their_path_at_any_depth() -> None:
    before: Schema = {"s": {"struct": {"l": {"list": {"struct": {"x": "int64", "old": "date"}}}}}}
    after: Schema = {"s": {"struct": {"l": {"list": {"struct": {"x": "float64", "y": "string"}}}}}}
    assert schema_changes(before, after, {"s": "in/2"}) == (
        SchemaChange("s.l[].x", "int64", "float64", "in/2"),
        SchemaChange("s.l[].y", None, "string", "in/2"),
        SchemaChange("s.l[].old", "date", None, "in/2"),
    )


def test_items_of_a_list_are_told_with_brackets() -> None:
    assert schema_changes({"l": {"list": "int64"}}, {"l": {"list": "float64"}}) == (
        SchemaChange("l[]", "int64", "float64"),
    )


def test_a_type_that_becomes_known_is_new_and_one_that_stays_unknown_no_change() -> None:
    assert schema_changes({"a": "null"}, {"a": "date"}) == (SchemaChange("a", None, "date"),)
    assert schema_changes({}, {"a": "null"}) == ()
    assert schema_changes({"a": {"list": "null"}}, {"a": {"list": "date"}}) == (SchemaChange("a[]", None, "date"),)


def test_another_kind_of_type_is_one_change_of_the_column() -> None:
    assert schema_changes({"a": {"list": "int64"}}, {"a": "string"}) == (
        SchemaChange("a", {"list": "int64"}, "string"),
    )


def test_the_file_is_that_of_the_top_column() -> None:
    assert schema_changes({}, {"a": "date", "b": "date"}, {"a": "in/1"}) == (
        SchemaChange("a", None, "date", "in/1"),
        SchemaChange("b", None, "date", ""),
    )
