"""CSV under a schema contract, and what its header must be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from etl.errors import ConfigError, RowError, SchemaDriftError, UnreadableFileError
from etl.schema_contract import EVOLVE, RESCUE, STRICT, SchemaContract, Survey
from tests.unit.formats.csv_reading import csv, opener, read, texts

AB = texts("a", "b")
RESCUING = {"n": "int64", "a": "string", "_rescued_data": "string"}


def test_an_unknown_column_is_drift_where_the_contract_evolves_even_without_rows() -> None:
    for content in (b"a,c,d\n1,2,3\n", b"a,c,d\n"):
        with pytest.raises(SchemaDriftError, match=r"^in/f: columns not in the schema: c, d"):
            read(content, AB)


def test_an_unknown_column_is_dropped_where_the_contract_ignores_it() -> None:
    assert read(b"c,a\n1,2\n", texts("a"), contract=SchemaContract("ignore")).rows == [("2", 0)]


def test_an_unknown_column_rejects_every_row_where_the_contract_quarantines() -> None:
    found = read(b"a,c\n1,2\n3\n\n4,5\n", texts("a"), contract=STRICT)

    assert found.rows == []
    assert found.rejects == [
        (b"1,2", 4, 2, "new_column", "columns not in the schema: c"),
        (b"3", 8, 3, "syntax", "1 fields where the header has 2"),
        (b"4,5", 11, 5, "new_column", "columns not in the schema: c"),
    ]


def test_an_unknown_column_fails_where_the_contract_says_so() -> None:
    with pytest.raises(RowError, match="in/f:1: columns not in the schema: c"):
        read(b"a,c\n", texts("a"), contract=SchemaContract("fail"))


def test_cells_that_do_not_fit_are_rescued_as_json() -> None:
    content = b'n,a,x,y\nabc,1,"q ""z""",\n5,2,,\n6,3,,"\xc3\xa9\n"\n, ,,""\n'

    found = read(content, RESCUING, contract=RESCUE)

    assert found.rejects == []
    assert [row[:2] for row in found.rows] == [(None, "1"), (5, "2"), (6, "3"), (None, " ")]
    rescued = [row[2] and json.loads(row[2]) for row in found.rows]
    assert rescued == [{"x": 'q "z"', "n": "abc"}, None, {"y": "é\n"}, {"y": ""}]


def test_a_value_of_another_type_is_rejected_where_it_would_be_widened() -> None:
    assert read(b"n\nx\n", {"n": "int64"}, contract=EVOLVE).rules == ["type"]


def test_a_value_of_another_type_fails_where_the_contract_says_so() -> None:
    with pytest.raises(RowError, match=r"in/f:4: column n: 'x' is no int64, in: x,2") as caught:
        read(b"n,a\n1,\n\nx,2\n", {"n": "int64", "a": "string"}, contract=SchemaContract(type_change="fail"))
    assert caught.value.where == "in/f:4"


def test_a_missing_column_is_null_or_rejects_every_row_or_fails() -> None:
    schema: Any = {"a": "string", "t": "timestamp(UTC)"}

    assert read(b"a\n1\n", schema).rows == [("1", None, 0)]
    found = read(b"a\n1\n", schema, contract=SchemaContract(missing_columns="quarantine"))
    assert found.rejects == [(b"1", 2, 2, "missing_column", "columns of the schema that the file lacks: t")]
    with pytest.raises(RowError, match="in/f:1: columns of the schema that the file lacks: t"):
        read(b"a\n1\n", schema, contract=SchemaContract(missing_columns="fail"))


def test_a_nested_type_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"in/f: a: a CSV field cannot be list<int64>"):
        read(b"a\n", {"a": {"list": "int64"}})


def test_a_first_survey_takes_the_header_as_text() -> None:
    assert csv().survey(opener(b"a,b\n1,2\n"), None).schema == AB
    assert csv().survey(opener(b""), None).schema == {}
    assert csv(contract=RESCUE).survey(opener(b"a\n"), None).schema == texts("a", "_rescued_data")
    assert csv({"header": False}).survey(opener(b"1,2\n"), None).schema == texts("column_1", "column_2")


def test_a_later_survey_adds_new_names_only_where_the_contract_lets_them_in() -> None:
    known = Survey({"b": "float64", "z": "date"}, frozenset({"b"}), {"f": "no"})

    found = csv().survey(opener(b"a,b,c\n1,2.5,x\n"), known)

    assert found == Survey({"b": "float64", "z": "date", "a": "string", "c": "string"}, known.wide, known.unreadable)
    for contract in (STRICT, RESCUE, SchemaContract("ignore"), SchemaContract("fail")):
        assert csv(contract=contract).survey(opener(b"a,b\n"), known) == known


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a,a\n1,2\n", "column 'a' stands twice in the header"),
        (b"a,\n1,2\n", "column 2 has no name in the header"),
        (b'a,""\n1,2\n', "column 2 has no name in the header"),
        (b"a,A\n1,2\n", "column 'A' and 'a' differ only in case in the header"),
        (b"a,B\n1,2\n", "column 'B' of the header is 'b' in the schema; case counts"),
        (b"a,_rescued_data\n", "column '_rescued_data' stands in the header"),
        (b"1,2\n3,4\n", "the header has none of the schema's columns: 1, 2\n  does the file have a header"),
        (b"a;b\n1;2\n3;4\n", "the header has one column \"a;b\": is the delimiter ';'?"),
        (b"a\tb\n1\t2\n", 'the header has one column "a\tb": is the delimiter a tab?'),
        (b"a|b\n1|2\n", "the header has one column \"a|b\": is the delimiter '|'?"),
        ("a,b\n1,2\n".encode("utf-16-le"), "the first line holds NUL: is the file UTF-16?"),
        ("a,b\n1,2\n".encode("utf-16"), "the file starts as UTF-16 does\n  set `format_options: {encoding: utf-16}`"),
        (b"a,b\r1,2\r", "lines end in a carriage return alone"),
        (b"a,\xff\n1,2\n", "the name of column 2 is not utf-8"),
        (b'a,"b\n1,2\n', "the header is no record: a quoted field is never closed"),
        (b'a,"b"x\n1,2\n', "the header is no record: text after a closing quote"),
    ],
)
def test_a_header_that_cannot_be_trusted_makes_the_file_unreadable(content: bytes, reason: str) -> None:
    for act in (lambda: read(content, AB), lambda: csv().survey(opener(content), Survey(AB))):
        with pytest.raises(UnreadableFileError) as caught:
            act()
        assert caught.value.path == "in/f"
        assert reason in str(caught.value)


def test_a_header_of_one_name_with_another_sign_is_trusted_where_the_lines_below_differ() -> None:
    assert csv().survey(opener(b"a|b\n1\n2|\n"), None).schema == texts("a|b")


def test_a_first_line_beyond_the_bound_makes_the_file_unreadable() -> None:
    with pytest.raises(UnreadableFileError, match="the first line is longer than 1000 bytes"):
        read(b"x" * 5_000, AB, max_line_bytes=1_000)


def test_columns_without_a_header_are_those_of_the_schema_in_order() -> None:
    assert read(b"1,2\n", AB, {"header": False}).rows == [("1", "2", 0)]


def test_a_file_without_a_header_whose_records_have_another_width_is_unreadable() -> None:
    with pytest.raises(UnreadableFileError, match="records have 3 fields where the schema has 2 columns"):
        read(b"1,2,3\n4,5,6\n", AB, {"header": False})
    assert read(b"1,2,3\n4,5\n", AB, {"header": False}).rows == [("4", "5", 1)]
