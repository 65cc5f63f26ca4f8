"""Mutated input against Python's json module: the same value, or the row is rejected; nothing else, no row lost."""

from __future__ import annotations

import json
import random
import re

import pytest

from etl.errors import UnreadableFileError
from etl.schema_contract import STRICT
from tests.unit.formats.json_oracle import QUIET, SCHEMA, TOKENS, is_balanced, lines, row, same
from tests.unit.formats.json_reading import Read, read


def assert_agrees(found: Read, given: dict[int, bytes]) -> None:
    """Compare what was read with Python's judgement of the lines by their places."""
    expected = {place: value for place, line in given.items() if (value := row(line)) is not None}
    assert {line[-1]: same(line[:-1]) for line in found.rows} == {place: same(expected[place]) for place in expected}
    rejected = {place: raw for place, _, _, raw in found.rejects}
    assert rejected == {place: line for place, line in given.items() if place not in expected}
    assert len(found.rows) + len(found.rejects) == len(given)


@pytest.mark.parametrize(("seed", "count", "share"), [(1, 42_000, 1.0), (2, 8_000, 0.3), (3, 500, 0.02)])
def test_mutated_lines_of_ndjson_are_what_python_says_or_rejected(seed: int, count: int, share: float) -> None:
    chance = random.Random(seed)
    mutated = lines(seed, count, TOKENS, loud=True)
    plain = json.dumps({"id": "x", "n": 1, "f": 0.5, "ok": True}).encode()
    content, given = bytearray(), {}
    for line in mutated:
        while chance.random() > share:
            given[len(content)] = plain
            content += plain + b"\n"
        if line.strip(b" \t\r"):
            given[len(content)] = line.removesuffix(b"\r")
        content += line + b"\n"
    assert_agrees(read(bytes(content), SCHEMA, STRICT, chunk_bytes=300_000), given)


def test_mutated_elements_of_a_json_document_are_what_python_says_or_rejected() -> None:
    given: dict[int, bytes] = {}
    content = bytearray(b"[")
    for line in filter(is_balanced, lines(4, 60_000, QUIET, loud=False)):
        place = len(content) + len(line) - len(line.lstrip(b" \t\r"))
        given[place] = line.strip(b" \t\r")
        content += line + b",\n"
    assert len(given) > 50_000
    content += b"{}]"
    given[len(content) - 3] = b"{}"
    assert_agrees(read(bytes(content), SCHEMA, STRICT, name="json", chunk_bytes=300_000), given)


@pytest.mark.parametrize(("seed", "count"), [(5, 800), pytest.param(6, 50_000, marks=pytest.mark.slow)])
def test_mutated_json_documents_are_what_python_says_or_rejected(seed: int, count: int) -> None:
    chance = random.Random(seed)
    parts = lines(seed, count * 2, TOKENS, loud=True)
    joints = [b",", b", ", b"\n,\n", b"", b" ", b"]", b"["]
    for number in range(count):
        one, two = parts[2 * number : 2 * number + 2]
        start, end = chance.choice([(b"[", b"]"), (b"", b""), (b" [\n", b"] "), (b"", b"[]")])
        document = start + one + chance.choice(joints) + two + end
        try:
            elements: list[object] | None = _documents(document)
        except (ValueError, RecursionError):
            elements = None
        try:
            found = read(document, SCHEMA, STRICT, name="json")
        except UnreadableFileError:
            assert elements is None or not all(isinstance(top, dict | list) for top in elements), document
            continue
        rows = [repr(value[:-1]) for value in found.rows]
        if elements is not None:
            flat = [each for top in elements for each in (top if isinstance(top, list) else [top])]
            assert len(flat) == len(found.rows) + len(found.rejects), document
        for value in found.rows:
            raw = _element_at(document, value[-1])
            assert same(row(raw)) == same(value[:-1]), document
        assert len(rows) == len({value[-1] for value in found.rows})


def _documents(document: bytes) -> list[object]:
    text = document.decode()
    decoder, place, found = json.JSONDecoder(), 0, []
    while place < len(text):
        if blank := re.compile(r"[ \t\r\n]+").match(text, place):
            place = blank.end()
            continue
        value, place = decoder.raw_decode(text, place)
        found.append(value)
    return found


def _element_at(document: bytes, place: int) -> bytes:
    text = document[place:].decode("utf-8", "surrogateescape")
    _, end = json.JSONDecoder().raw_decode(text)
    return text[:end].encode("utf-8", "surrogateescape")
