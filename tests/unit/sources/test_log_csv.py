"""CSV that grows: the header is a log's first line, and a record may go over several lines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from etl.errors import SourceError
from tests.log_watch import Watch


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    (tmp_path / "logs").mkdir()
    return Watch(tmp_path / "logs", format="csv")


def take(watch: Watch, **limit: int) -> list[tuple[Any, ...]]:
    planned = watch.plan(**limit)
    return [] if planned is None else watch.frame(planned).rows()


def test_the_header_is_read_from_the_log_for_each_batch(watch: Watch) -> None:
    watch.write("a,b\n1,2\n")
    assert take(watch) == [("1", "2")]
    watch.restart()
    watch.write("3,4\n5,")
    assert take(watch) == [("3", "4")]
    watch.write("6\n")
    assert take(watch) == [("5", "6")]


def test_a_rotated_log_keeps_its_own_header(watch: Watch) -> None:
    watch.write("a,b\n1,2\n")
    assert take(watch) == [("1", "2")]
    watch.write("3,4\n")
    watch.rename("app.log", "app.log.1")
    watch.write("b,a\n5,6\n")
    planned = watch.plan()
    assert planned is not None
    assert watch.frame(planned).select("a", "b").rows() == [("3", "4"), ("6", "5")]


def test_nothing_is_taken_before_the_header_is_whole(watch: Watch) -> None:
    watch.write("a,")
    assert take(watch) == []
    watch.write("b\n1")
    assert take(watch) == []
    watch.write(",2\n")
    assert take(watch) == [("1", "2")]


def test_a_record_with_line_ends_in_quotes_is_taken_once_it_is_whole_wherever_it_was_cut(watch: Watch) -> None:
    text = 'a,b\n1,"x\ny""\n"\n2,"z"\n'
    expected = [("1", 'x\ny"\n'), ("2", "z")]
    for cut in range(len(text) + 1):
        (watch.root / str(cut)).mkdir()
        each = Watch(watch.root / str(cut), format="csv")
        each.write(text[:cut])
        first = take(each)
        each.restart()
        each.write(text[cut:])
        assert first + take(each) == expected, cut


def test_a_backlog_is_cut_between_records(watch: Watch) -> None:
    records = [(str(number), "line\n" * (number % 5)) for number in range(40)]
    watch.write("a,b\n" + "".join(f'{a},"{b}"\n' for a, b in records))
    taken, batches = [], 0
    while rows := take(watch, max_bytes=30):
        taken += rows
        batches += 1
    assert (taken, batches > 15) == (records, True)


def test_a_record_that_is_none_is_set_aside_with_its_place(watch: Watch) -> None:
    watch.write("a,b\n1,2\n")
    assert take(watch) == [("1", "2")]
    watch.write("1,2,3\n4,5\n")
    assert take(watch) == [("4", "5")]
    [rejected] = watch.rejected
    assert (rejected["raw"], rejected["_source_offset"], rejected["line"]) == (b"1,2,3", 8, None)


def test_a_quote_that_is_never_closed_does_not_stop_the_log(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    watch = Watch(tmp_path / "logs", format="csv", max_line=100)
    watch.write('a,b\n1,2\n3,"4\n')
    assert take(watch) == [("1", "2")]
    watch.write("".join(f"{number},x\n" for number in range(100)))
    taken = take(watch)
    watch.write("last,y\n")
    taken += take(watch)
    assert taken[-1] == ("last", "y")
    assert len(watch.rejected) >= 1


def test_a_last_record_without_an_end_is_taken_once_it_is_old(watch: Watch) -> None:
    watch.write("a,b\n1,2")
    assert take(watch) == []
    watch.age("app.log")
    assert take(watch) == [("1", "2")]


def test_places_are_different_for_every_row(watch: Watch) -> None:
    watch.write("a,b\n1,2\n3,4\n")
    first = watch.plan()
    watch.write("5,6\n7,8\n")
    second = watch.plan()
    assert first is not None
    assert second is not None
    offsets = [watch.frame(each, "_source_offset")["_source_offset"].to_list() for each in (first, second)]
    assert sorted(set(offsets[0] + offsets[1])) == offsets[0] + offsets[1]


def test_a_header_over_several_lines_is_refused(watch: Watch) -> None:
    watch.write('a,"b\nc"\n1,2\n')
    with pytest.raises(SourceError, match="its header goes over several lines"):
        watch.plan()


@pytest.mark.parametrize("given", [{"escape": "\\"}, {"encoding": "utf-16"}])
def test_options_that_hide_where_records_end_are_refused(tmp_path: Path, given: dict[str, str]) -> None:
    os.mkdir(tmp_path / "logs")
    with pytest.raises(ValidationError):
        Watch(tmp_path / "logs", format="csv", format_options=given)
