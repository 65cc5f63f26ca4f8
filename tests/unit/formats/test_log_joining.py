"""Records of several lines are the same wherever a log is cut."""

from __future__ import annotations

import random

import polars as pl

from etl.formats.multiline import Multiline
from tests.unit.formats.log_files import read


def test_lines_joined_at_random_places_are_the_lines_joined_at_once() -> None:
    draw = random.Random(11)
    lines = [draw.choice(["1 a", " b", "c", "2"]) for _ in range(400)]
    content = "\n".join(lines).encode()
    options = {"multiline": {"start": "^[0-9]"}}
    whole = read("lines", content, options=options)

    for _ in range(50):
        assert read("lines", content, options=options, chunk_bytes=draw.randint(1, 200)) == whole
    assert sum(row[0].count("\n") + 1 for row in whole.rows) == 400


def test_parts_of_container_lines_joined_at_random_places_are_those_that_a_plain_loop_joins() -> None:
    draw = random.Random(5)
    time = "2024-03-05T10:20:30Z"
    for _ in range(12):
        written = [(draw.choice(["stdout", "stderr"]), draw.choice("PPF"), str(number)) for number in range(30)]
        content = "".join(f"{time} {stream} {tag} {text},\n" for stream, tag, text in written).encode()
        expected = joined_by_hand(written)

        for chunk_bytes in (1, draw.randint(2, 400), 4_000_000):
            found = read("cri", content, chunk_bytes=chunk_bytes)
            assert sorted((row[1], row[2]) for row in found.rows) == sorted(expected)
            assert found.rejects == []


def joined_by_hand(written: list[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Return stream and text of each record."""
    open_texts: dict[str, str] = {}
    found = []
    for stream, tag, text in written:
        open_texts[stream] = f"{open_texts.get(stream, '')}{text},"
        if tag == "F":
            found.append((stream, open_texts.pop(stream)))
    return [*found, *open_texts.items()]


def test_a_record_that_grows_too_long_goes_on_as_another_one_wherever_it_is_cut() -> None:
    joiner = Multiline("^[0-9]", max_bytes=6)
    lines = pl.Series(["1 a", " b", " c", " d", "2"])
    offsets = pl.Series([0, 4, 7, 10, 13])

    at_once = joiner.join(lines, offsets, is_end=True)
    first = joiner.join(lines.head(4), offsets.head(4), is_end=False)
    rest = joiner.join(lines.tail(1 + first.held), offsets.tail(1 + first.held), is_end=True)

    assert at_once.lines.to_list() == ["1 a", " b\n c", " d", "2"]
    assert at_once.offsets.to_list() == [0, 4, 10, 13]
    assert [*first.lines, *rest.lines] == at_once.lines.to_list()
