"""JSON documents: rows are found whatever the layout, each with its place; what is no whole document is refused."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from etl.errors import UnreadableFileError
from etl.formats import json_document, json_elements
from etl.schema_contract import STRICT
from tests.unit.formats.json_reading import Read, read, survey

NS: dict[str, Any] = {"n": "int64", "s": "string"}


def document(content: bytes, **bounds: Any) -> Read:
    return read(content, NS, STRICT, name="json", **bounds)


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b'{"n":1}', [(1, None, 0)]),
        (b'[{"n":1},{"n":2}]', [(1, None, 1), (2, None, 9)]),
        (b'[\n  {\n    "n": 1,\r\n\t"s": "x"\n  },\n  {"n": 2}\n]\n', [(1, "x", 4), (2, None, 36)]),
        (b'{"n":1}{"n":2}\n{"n":\n3}', [(1, None, 0), (2, None, 7), (3, None, 15)]),
        (b'[{"n":1}] [{"n":2}]{"n":3}[]', [(1, None, 1), (2, None, 11), (3, None, 19)]),
        (b'\xef\xbb\xbf [ {"n":1} ]', [(1, None, 6)]),
        (b'[{"s":"a\\"]},{[\\\\"},{"s":"\\\\\\""}]', [(None, 'a"]},{[\\', 1), (None, '\\"', 20)]),
        (b"[]", []),
        (b" [ \n ] ", []),
        (b"", []),
        (b" \n", []),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 2, 7, 4_000_000])
def test_objects_and_elements_of_lists_are_rows(
    content: bytes, rows: list[tuple[Any, ...]], block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_elements, "_BLOCK_BYTES", block_bytes)
    assert document(content).rows == rows
    assert document(content).rejects == []
    assert document(gzip.compress(content)).rows == rows


@pytest.mark.parametrize("chunk_bytes", [5, 30, 1000, 100_000])
def test_rows_and_rejects_are_the_same_at_every_chunk_size(chunk_bytes: int) -> None:
    values = [{"n": "x" if number % 9 == 5 else number} for number in range(60)]
    content = json.dumps(values, indent=1).encode()
    found = document(content, chunk_bytes=chunk_bytes)
    assert [row[0] for row in found.rows] == [number for number in range(60) if number % 9 != 5]
    assert [row[-1] for row in found.rows] == [
        content.index(b'{\n  "n": %d\n' % number) for number in range(60) if number % 9 != 5
    ]
    assert [line for _, line, _, _ in found.rejects] == [2 + 3 * number for number in (5, 14, 23, 32, 41, 50, 59)]


def test_element_that_is_no_row_is_rejected_with_its_bytes_byte_and_first_line() -> None:
    content = b'[{"n":1},\n5,\n [{"n":2}],\nnull, "x"\n, {"n":\n1.5},\n{"n":1,"n":2},{"s":"\xff"},{"n":3}]'
    found = document(content)
    assert found.rows == [(1, None, 1), (3, None, 73)]
    assert found.rejects == [
        (10, 2, "syntax", b"5"),
        (14, 3, "syntax", b'[{"n":2}]'),
        (25, 4, "syntax", b"null"),
        (31, 4, "syntax", b'"x"'),
        (37, 5, "type", b'{"n":\n1.5}'),
        (49, 7, "syntax", b'{"n":1,"n":2}'),
        (63, 7, "encoding", b'{"s":"\xff"}'),
    ]
    assert found.reasons[0] == "5, where an object should be"


def test_line_break_inside_a_string_is_no_blank() -> None:
    found = document(b'[{"s":"a\nb"},\n{"s":"a b"}]')
    assert found.rows == [(None, "a b", 14)]
    assert found.rejects == [(1, 1, "syntax", b'{"s":"a\nb"}')]


def test_nothing_between_commas_is_rejected() -> None:
    found = document(b'[{"n":1},, {"n":2}, ]')
    assert found.rows == [(1, None, 1), (2, None, 11)]
    assert [(place, rule, raw) for place, _, rule, raw in found.rejects] == [(9, "syntax", b""), (20, "syntax", b"")]
    assert found.reasons == ["no value between commas"] * 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'[{"n":1},{"n"', "it ends inside an object or a list"),
        (b'[{"n":1},{"n":2}', "it ends inside an object or a list"),
        (b'[{"n":1},{"s":"x', "it ends inside a string"),
        (b'{"n":1}]', "a bracket closes what was not opened"),
        (b'[{"n":1}}', "its brackets do not match"),
        (b"hello", "there is something outside of its objects and lists"),
        (b"null", "there is something outside of its objects and lists"),
        (b'{"n":1},{"n":2}', "there is something outside of its objects and lists"),
        (b'[{"n":1}]\x00', "there is something outside of its objects and lists"),
        ('[{"n":1}]'.encode("utf-16"), "the file is UTF-16"),
    ],
)
def test_what_is_no_whole_document_is_an_unreadable_file(content: bytes, reason: str) -> None:
    for look in (document, lambda given: survey(given, name="json")):
        with pytest.raises(UnreadableFileError, match=reason) as caught:
            look(content)
        assert caught.value.path == "in/f"
        assert caught.value.hint


def test_element_that_is_too_long_is_rejected_with_its_first_bytes() -> None:
    content = b'[{"n":1},{"s":"' + b"x" * 100_000 + b'"},{"n":2}]'
    found = document(content, max_line_bytes=90_000)
    assert [row[0] for row in found.rows] == [1, 2]
    assert found.rejects == [(9, 1, "too_long", content[9 : 9 + 65_536])]


def test_document_beyond_the_bound_is_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_document, "MAX_DOCUMENT_BYTES", 1000)
    content = json.dumps([{"n": 1}] * 200).encode()
    for given in (content, gzip.compress(content)):
        with pytest.raises(UnreadableFileError, match=r"(?s)more than 1000 bytes.*NDJSON"):
            document(given)


def test_nesting_of_5000_levels_is_a_reject() -> None:
    deep = b"[" * 5000 + b"]" * 5000
    found = document(b'[{"n":' + deep + b"},{" + b'"n":1},' + deep + b"]")
    assert [row[0] for row in found.rows] == [1]
    assert found.reasons == ["nests deeper than 64 levels"] * 2


def test_survey_finds_the_schema_of_all_elements() -> None:
    content = json.dumps([{"a": 1}, {"a": 1.5, "b": [{"c": "x"}]}, {"a": "bad", "lost": 1}], indent=2).encode()
    assert survey(content, name="json").schema == {"a": "float64", "b": {"list": {"struct": {"c": "string"}}}}
