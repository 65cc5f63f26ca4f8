"""XLSX: one sheet, its header row, typed cells."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from etl.errors import ConfigError, UnreadableFileError
from etl.schema_contract import RESCUE, STRICT, SchemaContract
from tests.unit.formats.files import read, survey, xlsx

DAY = datetime(2024, 2, 29)  # noqa: DTZ001  a sheet knows no zones
MOMENT = datetime(1999, 12, 31, 23, 59, 59, 500_000)  # noqa: DTZ001  the same


def changed(content: bytes, part: str, old: bytes, new: bytes) -> bytes:
    """Return a workbook with other bytes in one of its parts."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(stream, "w") as target:
        for info in source.infolist():
            before = source.read(info)
            assert info.filename != part or old in before
            target.writestr(info.filename, before.replace(old, new) if info.filename == part else before)
    return stream.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
WORKBOOK = xlsx([["a"], [1]])


def test_types_are_those_of_the_first_values_and_blank_rows_are_none() -> None:
    content = xlsx(
        [
            ["text", "number", "flag", "moment", "clock", "empty"],
            [None, None, None, None, None, None],
            ["007", 1, True, DAY, time(1, 2, 3), None],
            [None, 1.5, False, MOMENT, None, None],
            [],
            ["x"],
        ]
    )
    schema = survey("xlsx", content).schema
    assert schema == {
        "text": "string",
        "number": "float64",
        "flag": "boolean",
        "moment": "timestamp",
        "clock": "time",
        "empty": "null",
    }
    assert read("xlsx", content, schema).rows == [
        ("007", 1.0, True, DAY, time(1, 2, 3), None, 0),
        (None, 1.5, False, MOMENT, None, None, 1),
        ("x", None, None, None, None, None, 2),
    ]


@pytest.mark.parametrize(
    ("cell", "kind", "value"),
    [
        (3, "int8", 3),
        (3.0, "int64", 3),
        (2**53, "int64", 2**53),
        (19.99, "decimal(18,2)", Decimal("19.99")),
        (0.5, "float32", 0.5),
        (0.25, "float64", 0.25),
        (DAY, "date", date(2024, 2, 29)),
        (date(2024, 2, 29), "timestamp", DAY),
        (timedelta(hours=5), "time", time(5)),
        ("1", "string", "1"),
        ("", "string", None),
    ],
)
def test_cell_that_fits_its_declared_type_is_read(cell: Any, kind: str, value: Any) -> None:
    assert read("xlsx", xlsx([["k", "a"], ["x", cell]]), {"k": "string", "a": kind}, STRICT).rows == [("x", value, 0)]


@pytest.mark.parametrize(
    ("cell", "kind", "reason"),
    [
        (300, "int8", "300 is not int8"),
        (1.5, "int64", "1.5 is not int64"),
        (1e300, "int64", "1e+300 is not int64"),
        (19.999, "decimal(18,2)", "19.999 is not decimal(18,2)"),
        (0.1, "float32", "0.1 is not float32"),
        ("1", "int64", "'1' is not int64"),
        (1, "string", "1 is not string"),
        (1, "boolean", "1 is not boolean"),
        (MOMENT, "date", "'1999-12-31T23:59:59.500000' is not date"),
        (DAY, "timestamp(UTC)", "'2024-02-29T00:00:00' is not timestamp(UTC)"),
        (timedelta(hours=30), "time", "'1 day, 6:00:00' is not time"),
        ("x", {"list": "string"}, "'x' is not list<string>"),
    ],
)
def test_cell_that_does_not_fit_sets_its_row_aside_or_is_rescued(cell: Any, kind: Any, reason: str) -> None:
    content = xlsx([["k", "a"], ["x", None], ["y", cell]])
    found = read("xlsx", content, {"k": "string", "a": kind})
    assert found.rows == [("x", None, 0)]
    assert found.faults == [(1, "type", f"column a: {reason}")]
    assert json.loads(found.rejects[0]["raw"])["k"] == "y"
    rescued = read("xlsx", content, {"k": "string", "a": kind, "_rescued_data": "string"}, RESCUE)
    assert rescued.rows[1][:2] == ("y", None)
    assert list(json.loads(rescued.rows[1][2])) == ["a"]


def test_number_with_more_digits_than_a_float_sets_its_row_aside() -> None:
    content = changed(xlsx([["a"], [5], [7]]), SHEET, b"<v>7</v>", b"<v>9007199254740993</v>")
    assert read("xlsx", content, {"a": "float64"}).faults == [(1, "type", "column a: 9007199254740993 is not float64")]
    assert read("xlsx", content, {"a": "int64"}).rows == [(5, 0), (2**53 + 1, 1)]


def test_failed_formula_sets_its_row_aside_and_a_stored_value_is_read() -> None:
    content = xlsx([["a", "b"], [1, 2], [3, 4]])
    content = changed(content, SHEET, b'<c r="A2" t="n"><v>1</v>', b'<c r="A2" t="e"><f>1/0</f><v>#DIV/0!</v>')
    content = changed(content, SHEET, b'<c r="B3" t="n"><v>4</v>', b'<c r="B3"><f>2*2</f><v>4</v>')
    found = read("xlsx", content, survey("xlsx", content).schema)
    assert found.rows == [(3.0, 4.0, 1)]
    assert found.faults == [(0, "type", "column a: the formula failed: #DIV/0!")]
    assert json.loads(found.rejects[0]["raw"]) == {"a": "#DIV/0!", "b": 2.0}


def test_of_merged_cells_the_first_has_the_value() -> None:
    book = load_workbook(io.BytesIO(xlsx([["a", "b"], ["x", "y"], ["z", "w"]])))
    book.worksheets[0].merge_cells("A2:B3")
    stream = io.BytesIO()
    book.save(stream)
    assert read("xlsx", stream.getvalue(), {"a": "string", "b": "string"}).rows == [("x", None, 0)]


def test_percents_are_their_numbers_and_days_since_1904_are_understood() -> None:
    book = Workbook()
    book.epoch = datetime(1904, 1, 1)  # noqa: DTZ001  a sheet knows no zones
    sheet = book.worksheets[0]
    sheet.append(["p", "d"])
    sheet.append([0.25, DAY])
    sheet["A2"].number_format = "0%"
    stream = io.BytesIO()
    book.save(stream)
    assert read("xlsx", stream.getvalue(), {"p": "float64", "d": "date"}).rows == [(0.25, date(2024, 2, 29), 0)]


def test_sheet_and_header_row_are_options() -> None:
    content = xlsx([["a"], ["first"]], Second=[["Report of today"], [], ["b", None], ["second", "more"]])
    assert read("xlsx", content, {"a": "string"}).rows == [("first", 0)]
    for sheet in ("Second", 2):
        options = {"sheet": sheet, "header_row": 3}
        assert survey("xlsx", content, options=options).schema == {"b": "string"}
        assert read("xlsx", content, {"b": "string"}, options=options).rows == [("second", 0)]
    for sheet in ("Third", 3, 0):
        with pytest.raises(UnreadableFileError, match=r"^in/f: it has no sheet .*\n  its sheets: First, Second"):
            survey("xlsx", content, options={"sheet": sheet})


@pytest.mark.parametrize(
    ("header", "fault"),
    [(["a", None, "b"], "column 2 has no name"), (["a", "b", "a"], "column 'a' stands twice")],
)
def test_header_that_names_no_columns_makes_the_file_unreadable(header: list[Any], fault: str) -> None:
    with pytest.raises(UnreadableFileError, match=rf"^in/f: {fault} in the header"):
        survey("xlsx", xlsx([header, [1, 2, 3]]))


def test_sheet_without_rows_has_none() -> None:
    assert survey("xlsx", xlsx([])).schema == {}
    assert read("xlsx", xlsx([["a"]]), {"a": "string"}).rows == []


def test_contract_counts_for_columns() -> None:
    content = xlsx([["a", "n"], [1, "x"]])
    assert survey("xlsx", content, {"a": "int64"}).schema == {"a": "int64", "n": "string"}
    assert read("xlsx", content, {"a": "int64"}, SchemaContract("ignore")).rows == [(1, 0)]
    assert read("xlsx", content, {"a": "int64"}, STRICT).faults == [
        (0, "new_column", "columns that the schema lacks: n")
    ]
    assert read("xlsx", content, {"a": "int64", "_rescued_data": "string"}, RESCUE).rows == [(1, '{"n":"x"}', 0)]


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PK\x03\x04", xlsx([["a"], [1]])[:-30]])
def test_file_that_is_not_whole_is_unreadable(content: bytes) -> None:
    for act in (lambda: read("xlsx", content, {"a": "int64"}), lambda: survey("xlsx", content)):
        with pytest.raises(UnreadableFileError, match=r"^in/f: not a whole XLSX file"):
            act()


def test_archive_without_a_workbook_and_a_torn_sheet_are_unreadable() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as parts:
        parts.writestr("a.txt", "x")
    torn = changed(xlsx([["a"], [1], [2]]), SHEET, b"</row></sheetData>", b"</row><row><c r=")
    for content in (stream.getvalue(), torn):
        with pytest.raises(UnreadableFileError, match=r"^in/f: "):
            survey("xlsx", content)


def test_bomb_is_refused_before_it_is_unpacked() -> None:
    content = bytearray(WORKBOOK)
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = (2**31).to_bytes(4, "little")
    with pytest.raises(UnreadableFileError, match=r"^in/f: its parts hold 21474.* bytes, more than 500000000"):
        survey("xlsx", bytes(content))


def test_missing_library_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(
        ConfigError, match=r'needs the library openpyxl\n  install it: pip install "lakehouse-etl\[excel\]"'
    ):
        survey("xlsx", WORKBOOK)
