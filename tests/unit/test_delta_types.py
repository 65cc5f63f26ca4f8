"""Types of ours and of Delta, both ways, and how a table's schema grows without losing a value."""

from __future__ import annotations

from typing import Any

import pytest

from etl.delta_types import UNKNOWN_ITEMS, from_delta_fields, merge_fields, stored, to_delta_fields
from etl.errors import SinkError
from etl.model import Schema, TypeTree


def column(name: str, delta_type: Any) -> dict[str, Any]:
    return {"name": name, "type": delta_type, "nullable": True, "metadata": {}}


def struct(**fields: Any) -> dict[str, Any]:
    return {"type": "struct", "fields": [column(name, delta_type) for name, delta_type in fields.items()]}


def array(element: Any) -> dict[str, Any]:
    return {"type": "array", "elementType": element, "containsNull": True}


BOTH_WAYS: list[tuple[TypeTree, Any]] = [
    ("string", "string"),
    ("int8", "byte"),
    ("int16", "short"),
    ("int32", "integer"),
    ("int64", "long"),
    ("float32", "float"),
    ("float64", "double"),
    ("boolean", "boolean"),
    ("date", "date"),
    ("timestamp", "timestamp_ntz"),
    ("timestamp(UTC)", "timestamp"),
    ("binary", "binary"),
    ("decimal(18,2)", "decimal(18,2)"),
    ({"list": "string"}, array("string")),
    ({"struct": {"x": "int64", "y": {"list": "date"}}}, struct(x="long", y=array("date"))),
    ({"list": {"struct": {"x": "int8"}}}, array(struct(x="byte"))),
]


@pytest.mark.parametrize(("ours", "delta"), BOTH_WAYS)
def test_type_is_itself_again_after_both_ways(ours: TypeTree, delta: Any) -> None:
    assert to_delta_fields({"a": ours}) == [column("a", delta)]
    assert from_delta_fields([column("a", delta)]) == {"a": ours}


@pytest.mark.parametrize(
    ("ours", "delta"), [("uint8", "short"), ("uint16", "integer"), ("uint32", "long"), ("uint64", "decimal(20,0)")]
)
def test_unsigned_integer_becomes_a_type_that_holds_all_its_values(ours: str, delta: str) -> None:
    assert to_delta_fields({"a": ours}) == [column("a", delta)]


@pytest.mark.parametrize(
    "unknown",
    ["null", {"struct": {"x": "null"}}, {"struct": {}}, {"list": {"struct": {"x": "null"}}}],
)
def test_column_of_unknown_type_is_left_out_until_a_value_gives_it_one(unknown: TypeTree) -> None:
    assert to_delta_fields({"a": unknown, "b": "int64"}) == [column("b", "long")]


EMPTY_LISTS: list[tuple[TypeTree, Any]] = [
    ({"list": "null"}, array("string")),
    ({"list": {"list": "null"}}, array(array("string"))),
]


@pytest.mark.parametrize(("ours", "delta"), EMPTY_LISTS)
def test_list_that_was_always_empty_is_kept_as_one_of_text_and_marked(ours: TypeTree, delta: Any) -> None:
    marked = column("a", delta) | {"metadata": {UNKNOWN_ITEMS: True}}
    assert to_delta_fields({"a": ours}) == [marked]
    assert from_delta_fields([marked]) == {"a": ours}


def test_empty_lists_in_structs_are_marked_at_their_field() -> None:
    fields = to_delta_fields({"s": {"struct": {"l": {"list": "null"}}}})
    assert fields[0]["metadata"] == {}
    assert fields[0]["type"]["fields"][0]["metadata"] == {UNKNOWN_ITEMS: True}
    assert from_delta_fields(fields) == {"s": {"struct": {"l": {"list": "null"}}}}


def test_items_of_an_empty_list_take_the_type_of_the_first_one() -> None:
    table = to_delta_fields({"l": {"list": "null"}})
    grown = merge_fields(table, to_delta_fields({"l": {"list": "int64"}}))
    assert grown == [column("l", array("long"))]
    assert merge_fields(grown, table) == grown
    assert merge_fields(table, table) == table


def test_files_hold_empty_lists_as_those_of_text() -> None:
    assert stored({"l": {"list": "null"}, "s": {"struct": {"l": {"list": {"list": "null"}}}}, "n": "null"}) == {
        "l": {"list": "string"},
        "s": {"struct": {"l": {"list": {"list": "string"}}}},
        "n": "null",
    }


WIDENED = [("int64", "float64"), ("date", "timestamp"), ("int32", "int64"), ("float32", "float64")]


@pytest.mark.parametrize(("table", "rows"), WIDENED)
def test_column_becomes_wider_only_where_the_caller_writes_it_anew(table: str, rows: str) -> None:
    fields = to_delta_fields({"a": table}), to_delta_fields({"a": rows})
    assert from_delta_fields(merge_fields(*fields, may_widen=True)) == {"a": rows}
    with pytest.raises(SinkError):
        merge_fields(*fields)


def test_unknown_field_of_a_struct_is_left_out_and_the_others_stay() -> None:
    assert to_delta_fields({"a": {"struct": {"x": "null", "y": "string"}}}) == [column("a", struct(y="string"))]


def test_type_that_delta_lacks_is_refused() -> None:
    with pytest.raises(SinkError, match="Delta has no type for time") as caught:
        to_delta_fields({"at": "time"})
    assert (caught.value.where, caught.value.hint) == ("at", "cast the column to one that it has")


@pytest.mark.parametrize("delta", [{"type": "map", "keyType": "string", "valueType": "long"}, "variant", "void"])
def test_table_type_that_cannot_be_written_is_refused(delta: Any) -> None:
    with pytest.raises(SinkError, match="cannot be written") as caught:
        from_delta_fields([column("a", array(delta))])
    assert caught.value.where == "a"


def test_decimal_with_a_space_is_read() -> None:
    assert from_delta_fields([column("a", "decimal(10, 2)")]) == {"a": "decimal(10,2)"}


def merged(table: Schema, rows: Schema) -> Schema:
    return from_delta_fields(merge_fields(to_delta_fields(table), to_delta_fields(rows)))


def test_first_rows_make_the_columns() -> None:
    assert merged({}, {"b": "int64", "a": "string"}) == {"b": "int64", "a": "string"}


def test_new_columns_come_last_and_missing_ones_stay() -> None:
    grown = merged({"a": "int64", "b": "string"}, {"z": "date", "b": "string", "c": "boolean"})
    assert list(grown.items()) == [("a", "int64"), ("b", "string"), ("z", "date"), ("c", "boolean")]


def test_new_fields_come_last_in_structs_at_any_depth() -> None:
    table: Schema = {"s": {"struct": {"x": "int64", "t": {"list": {"struct": {"p": "string"}}}}}}
    rows: Schema = {"s": {"struct": {"t": {"list": {"struct": {"q": "date", "p": "string"}}}, "y": "boolean"}}}
    assert merged(table, rows) == {
        "s": {"struct": {"x": "int64", "t": {"list": {"struct": {"p": "string", "q": "date"}}}, "y": "boolean"}}
    }


def test_metadata_and_nullability_of_the_table_stay() -> None:
    table = [{"name": "a", "type": "long", "nullable": False, "metadata": {"comment": "the key"}}]
    assert merge_fields(table, [column("a", "integer")]) == table


HELD = [
    ("int16", "int8"),
    ("int32", "int16"),
    ("int32", "uint8"),
    ("int64", "int8"),
    ("int64", "int32"),
    ("int64", "uint32"),
    ("float64", "float32"),
    ("float64", "int32"),
    ("float64", "uint16"),
    ("decimal(20,4)", "decimal(18,2)"),
    ("decimal(20,0)", "uint64"),
]


@pytest.mark.parametrize(("table", "rows"), HELD)
def test_rows_of_a_narrower_type_keep_the_table_as_it_is(table: str, rows: str) -> None:
    assert merged({"a": table}, {"a": rows}) == {"a": table}


LOSSY = [
    ("int32", "int64"),
    ("int64", "uint64"),
    ("int64", "float64"),
    ("float64", "int64"),
    ("float32", "float64"),
    ("float32", "int32"),
    ("string", "int64"),
    ("int64", "string"),
    ("date", "timestamp"),
    ("timestamp", "timestamp(UTC)"),
    ("timestamp(UTC)", "timestamp"),
    ("decimal(18,2)", "decimal(19,2)"),
    ("decimal(18,2)", "decimal(18,3)"),
    ("decimal(18,4)", "decimal(18,2)"),
    ("decimal(20,0)", "int64"),
    ("boolean", "int8"),
    ("binary", "string"),
]


@pytest.mark.parametrize(("table", "rows"), LOSSY)
def test_rows_that_would_lose_or_change_values_are_refused(table: str, rows: str) -> None:
    with pytest.raises(SinkError, match="storing them would lose or change values") as caught:
        merged({"a": table}, {"a": rows})
    assert caught.value.where == "a"


@pytest.mark.parametrize(
    ("table", "rows", "where"),
    [
        ({"list": "int32"}, {"list": "int64"}, "a[]"),
        ({"struct": {"x": "int32"}}, {"struct": {"x": "int64"}}, "a.x"),
        ({"list": {"struct": {"x": "int32"}}}, {"list": {"struct": {"x": "string"}}}, "a[].x"),
        ({"list": "int32"}, {"struct": {"x": "int32"}}, "a"),
        ("int32", {"list": "int32"}, "a"),
        ({"struct": {"x": "int32"}}, "string", "a"),
    ],
)
def test_refusal_names_the_place_inside_a_column(table: TypeTree, rows: TypeTree, where: str) -> None:
    with pytest.raises(SinkError) as caught:
        merged({"a": table}, {"a": rows})
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("table", "rows", "where"),
    [
        ({"Id": "int64"}, {"id": "int64"}, "id"),
        ({}, {"x": "int64", "X": "int64"}, "X"),
        ({"s": {"struct": {"a": "int64"}}}, {"s": {"struct": {"A": "int64"}}}, "s.A"),
        ({"É": "int64"}, {"é": "int64"}, "é"),
    ],
)
def test_columns_that_differ_in_case_only_are_refused(table: Schema, rows: Schema, where: str) -> None:
    with pytest.raises(
        SinkError, match=r"differs from column .* in upper and lower case only, which Delta forbids"
    ) as caught:
        merged(table, rows)
    assert (caught.value.where, caught.value.hint) == (where, "rename one of them")


def test_maps_of_a_table_are_not_merged() -> None:
    maps = [{"type": "map", "keyType": "string", "valueType": word} for word in ("long", "string")]
    with pytest.raises(SinkError, match="rows are map, the table's column is map"):
        merge_fields([column("a", maps[0])], [column("a", maps[1])])
