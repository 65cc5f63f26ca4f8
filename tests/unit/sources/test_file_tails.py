"""``on_change: append_tail``: a known file that has grown gives its new part alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etl.balance import Tally
from etl.errors import NotReadyError, SourceChangedError
from etl.model import PlannedInput, ReadLimit
from etl.sources.contract import Reading
from tests.landing import Landing, Walk, planned, survey

GROWING = {"identity": "path_and_version", "on_change": "append_tail"}


SYSTEM = ("_source_file", "_source_offset")


def located(walk: Walk, plan: PlannedInput) -> list[tuple[Any, ...]]:
    """Return the values and the offset of each row of a plan."""
    return [
        (*(value for name, value in row.items() if name not in SYSTEM), row["_source_offset"])
        for row in walk.rows(plan, SYSTEM)
    ]


def test_a_file_that_has_grown_gives_its_new_lines_at_their_bytes(
    landing: Landing, grow: Callable[[str, bytes], None]
) -> None:
    landing.put("a.ndjson", 1, 2)
    walk = landing.run(**GROWING)
    assert located(walk, planned(walk)) == [(1, 0), (2, 10)]
    grow("a.ndjson", b'{"id": 3}\n{"id": 4}\n')
    walk.restart()
    second = planned(walk)
    assert (second.units["from_byte"], second.size_bytes) == ([20], 20)
    assert located(walk, second) == [(3, 20), (4, 30)]
    grow("a.ndjson", b'{"id": 5}\n')
    third = planned(walk)
    assert located(walk, third) == [(5, 40)]
    assert walk.take() == []


def test_new_files_and_tails_come_in_one_batch(landing: Landing, grow: Callable[[str, bytes], None]) -> None:
    landing.put("a.ndjson", 1, modified_s=100)
    walk = landing.run(**GROWING, order="name")
    walk.take()
    grow("a.ndjson", b'{"id": 2}\n')
    landing.put("b.ndjson", 3)
    both = planned(walk)
    assert (both.units["path"], both.units["from_byte"]) == (["in/a.ndjson", "in/b.ndjson"], [10, None])
    assert [row["id"] for row in walk.rows(both)] == [2, 3]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_the_tail_of_a_csv_file_is_read_under_its_header(
    landing: Landing, grow: Callable[[str, bytes], None], line_end: str
) -> None:
    def lines(*texts: str) -> bytes:
        return "".join(text + line_end for text in texts).encode()

    first = lines("made by the till", "", 'id;"the name"', '1;"a', 'b"', "2;c")
    landing.put_bytes("a.csv", first)
    options = {"format": "csv", "format_options": {"delimiter": ";", "skip_lines": 1}}
    walk = landing.run(**GROWING, **options)
    assert [row[:2] for row in located(walk, planned(walk))] == [("1", f"a{line_end}b"), ("2", "c")]
    grow("a.csv", lines("3;d", "4;e"))
    second = planned(walk)
    assert list(walk.rows(second)[0]) == ["id", "the name"]
    assert located(walk, second) == [("3", "d", len(first)), ("4", "e", len(first) + 1)]


def test_the_tail_of_a_csv_file_without_a_header_is_read_as_it_is(
    landing: Landing, grow: Callable[[str, bytes], None]
) -> None:
    landing.put_bytes("a.csv", b"1,a\n")
    walk = landing.run(**GROWING, format="csv", format_options={"header": False})
    walk.take()
    grow("a.csv", b"2,b\n")
    assert located(walk, planned(walk)) == [("2", "b", 4)]


@pytest.mark.parametrize("form", ["text", "lines", {"regex": "(?P<line>.*)"}], ids=["text", "lines", "a pattern"])
def test_the_tail_of_a_log_is_read_by_its_lines(
    landing: Landing, grow: Callable[[str, bytes], None], form: object
) -> None:
    landing.put_bytes("a.log", b"one\ntwo\n")
    walk = landing.run(**GROWING, format=form)
    assert located(walk, planned(walk)) == [("one", 0), ("two", 4)]
    grow("a.log", b"three\n")
    assert located(walk, planned(walk)) == [("three", 8)]


def test_a_file_that_has_only_another_time_gives_nothing(landing: Landing) -> None:
    landing.put("a.ndjson", 1, modified_s=100)
    walk = landing.run(**GROWING)
    walk.take()
    landing.put("a.ndjson", 1, modified_s=200)
    assert walk.take() == []
    assert walk.take() == []
    landing.put("a.ndjson", 1, 2, modified_s=300)
    assert located(walk, planned(walk)) == [(2, 10)]


def test_an_empty_file_that_has_grown_is_read_whole(landing: Landing) -> None:
    landing.put_bytes("a.ndjson", b"")
    walk = landing.run(**GROWING)
    walk.take()
    landing.put("a.ndjson", 1)
    grown = planned(walk)
    assert "from_byte" not in grown.units
    assert located(walk, grown) == [(1, 0)]


def test_a_file_that_grows_after_the_plan_is_read_up_to_its_new_end(
    landing: Landing, grow: Callable[[str, bytes], None]
) -> None:
    landing.put("a.ndjson", 1)
    walk = landing.run(**GROWING)
    walk.take()
    grow("a.ndjson", b'{"id": 2}\n{"id"')
    plan = planned(walk)
    grow("a.ndjson", b": 3}\n")
    with pytest.raises(SourceChangedError) as caught:
        walk.rows(plan)
    amended = walk.source.refresh(plan, caught.value)
    assert located(walk, amended) == [(2, 10), (3, 20)]
    assert walk.take() == []
    grow("a.ndjson", b'{"id": 4}\n')
    assert located(walk, planned(walk)) == [(4, 30)]


def test_a_tail_that_was_not_ready_is_read_later_from_where_it_began(
    landing: Landing, grow: Callable[[str, bytes], None]
) -> None:
    landing.put("a.ndjson", 1)
    walk = landing.run(**GROWING, unready_for="1h")
    walk.take()
    grow("a.ndjson", b'{"id": 2}\n')
    plan = planned(walk)
    left = walk.source.refresh(plan, NotReadyError(("in/a.ndjson",), "not ready"))
    assert left.units["path"] == []
    assert walk.take() == []
    grow("a.ndjson", b'{"id": 3}\n')
    assert located(walk, planned(walk)) == [(2, 10), (3, 20)]


def test_tails_are_limited_by_their_own_bytes(landing: Landing, grow: Callable[[str, bytes], None]) -> None:
    for name in "ab":
        landing.put(f"{name}.ndjson", *range(100, 150), modified_s=100)
    walk = landing.run(**GROWING, order="name")
    walk.take()
    for name in "ab":
        grow(f"{name}.ndjson", b'{"id": 1}\n')
    assert walk.take(ReadLimit(max_bytes=20)) == ["in/a.ndjson", "in/b.ndjson"]


def test_start_now_gives_what_files_that_were_there_grow_by(
    landing: Landing, grow: Callable[[str, bytes], None]
) -> None:
    landing.put("a.ndjson", 1)
    walk = landing.run(**GROWING, start="now")
    assert walk.take() == []
    grow("a.ndjson", b'{"id": 2}\n')
    walk.restart()
    assert located(walk, planned(walk)) == [(2, 10)]


def test_the_ledger_remembers_what_a_file_is_proved_by_once_it_is_folded(
    tmp_path: Path, grow: Callable[[str, bytes], None]
) -> None:
    from etl.sources.file_ledger import FoldAt

    landing = Landing(tmp_path, fold_at=FoldAt(1, 1))
    landing.put("a.ndjson", 1)
    walk = landing.run(**GROWING)
    walk.take()
    walk.source.fold(0)
    grow("a.ndjson", b'{"id": 2}\n')
    walk.restart()
    assert located(walk, planned(walk)) == [(2, 10)]


def test_a_rejected_line_of_a_tail_is_told_by_its_byte_in_the_whole_file(
    landing: Landing, grow: Callable[[str, bytes], None]
) -> None:
    landing.put_bytes("a.csv", b"id,n\n1,1\n")
    walk = landing.run(**GROWING, format="csv")
    walk.take()
    grow("a.csv", b"2,2\n3\n4,4\n")
    plan = planned(walk)
    tally = Tally()
    reading: Reading = walk.source.read(plan, survey(walk, plan), SYSTEM, tally)
    assert reading.rows.collect(engine="streaming")["id"].to_list() == ["2", "4"]
    rejected = tally.rejected.take()
    assert rejected.select("raw", "_source_file", "_source_offset", "line").rows() == [(b"3", "in/a.csv", 13, None)]
