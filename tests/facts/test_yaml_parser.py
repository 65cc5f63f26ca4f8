"""What the YAML reader rests on: the events, marks and limits of PyYAML's C parser."""

from __future__ import annotations

from typing import Any

import pytest
import yaml


def events(text: str) -> list[Any]:
    parser = yaml.CSafeLoader(text)
    found = []
    while parser.check_event():
        found.append(parser.get_event())
    return found


def test_a_plain_scalar_is_told_from_a_quoted_and_from_a_tagged_one() -> None:
    scalars = [event for event in events("[a, 'b', !!str c, ! d]") if isinstance(event, yaml.ScalarEvent)]
    assert [(scalar.implicit, scalar.tag) for scalar in scalars] == [
        ((True, False), None),
        ((False, True), None),
        ((False, False), "tag:yaml.org,2002:str"),
        ((True, False), "!"),
    ]


def test_an_alias_is_an_event_that_nobody_expands_or_checks() -> None:
    (alias,) = [event for event in events("a: *unknown") if isinstance(event, yaml.AliasEvent)]
    assert alias.anchor == "unknown"


def test_a_duplicate_key_passes_the_parser() -> None:
    assert [event.value for event in events("{a: 1, a: 2}") if isinstance(event, yaml.ScalarEvent)] == [
        "a",
        "1",
        "a",
        "2",
    ]


def test_marks_count_characters() -> None:
    mark = events("é: [ä, b]")[6].start_mark
    assert (mark.line, mark.column) == (0, 7)


@pytest.mark.parametrize("depth", [1_000, 5_000])
def test_unclosed_brackets_nested_deeply_end_in_an_error_not_in_a_crash(depth: int) -> None:
    # the time grows with the square of the depth: 31 s for 100,000, so a reader has to stop by itself
    with pytest.raises(yaml.MarkedYAMLError):
        events("[" * depth)


def test_the_end_of_a_text_is_marked_on_a_line_of_its_own() -> None:
    with pytest.raises(yaml.MarkedYAMLError) as caught:
        events("a:\nb")
    assert caught.value.problem_mark is not None
    assert caught.value.problem_mark.line == 2


def test_a_control_character_is_an_unmarked_error_at_a_byte() -> None:
    with pytest.raises(yaml.reader.ReaderError) as caught:
        events("é: \x01")
    assert caught.value.position == 4
