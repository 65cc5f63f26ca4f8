from __future__ import annotations

import gzip
import os
import tracemalloc
from pathlib import Path

from etl.sources.log_pieces import RAW_BYTES
from tests.log_watch import Watch

ACCESS = '203.0.113.9 - - [05/Mar/2024:10:20:30 +0000] "GET /a HTTP/1.1" 200 12 "-" "curl"\n'


def test_a_backlog_is_split_at_line_ends_within_the_limit(root: Path) -> None:
    watch = Watch(root)
    watch.write("aa\nbb\ncc\ndd\n")
    assert watch.take(max_bytes=7) == ["aa", "bb"]
    assert watch.take(max_bytes=7) == ["cc", "dd"]
    watch.write("longer than the limit\nx\n")
    assert watch.take(max_bytes=7) == ["longer than the limit"]
    assert watch.take(max_bytes=7) == ["x"]


def test_logs_take_turns(root: Path) -> None:
    watch = Watch(root, path="*.log")
    for name in ("a.log", "b.log", "c.log"):
        watch.write(f"{name} 1\n{name} 2\n", name)
    assert watch.take(max_files=1, max_bytes=9) == ["a.log 1"]
    assert watch.take(max_files=1, max_bytes=9) == ["b.log 1"]
    assert watch.take(max_files=2, max_bytes=9) == ["c.log 1"]
    assert watch.drain(max_files=1) == ["a.log 2", "b.log 2", "c.log 2"]


def test_an_older_log_of_a_path_is_finished_before_the_newer_one_is_begun(root: Path) -> None:
    watch = Watch(root)
    watch.write("1\n")
    assert watch.take() == ["1"]
    watch.write("2\n3\n")
    watch.rename("app.log", "app.log.1")
    watch.write("4\n")
    assert watch.take(max_bytes=2) == ["2"]
    assert watch.take(max_bytes=2) == ["3"]
    assert watch.take(max_bytes=2) == ["4"]


def test_a_last_line_without_an_end_is_taken_once_it_is_old(root: Path) -> None:
    watch = Watch(root, close_partial_after="30s")
    watch.write("a\nunfinished")
    assert watch.take() == ["a"]
    watch.age("app.log", 29)
    assert watch.take() == []
    watch.age("app.log", 2)
    assert watch.take() == ["unfinished"]
    watch.restart()
    assert watch.take() == []
    watch.write(" business\n")
    assert watch.take() == [" business"]


def test_a_last_line_without_an_end_in_a_rotated_log_is_taken_once(root: Path) -> None:
    watch = Watch(root)
    watch.write("a\nlast")
    assert watch.take() == ["a"]
    watch.rename("app.log", "app.log.1")
    watch.write("b\n")
    assert watch.take() == ["b"]
    watch.age("app.log.1")
    assert watch.take() == ["last"]
    assert watch.take() == []


def test_a_line_that_is_too_long_is_set_aside_and_the_others_stay(root: Path) -> None:
    watch = Watch(root, max_line="100KB")
    watch.write("a\n" + "x" * 150_000 + "\nb\n")
    assert watch.take() == ["a", "b"]
    (row,) = watch.rejected
    assert (row["rule"], row["_source_file"], row["_source_offset"]) == ("too_long", "app.log", 2)
    assert row["raw"] == b"x" * RAW_BYTES
    assert row["reason"] == "more than 100000 bytes; the first 65536 are kept"


def test_an_endless_line_takes_bounded_memory_and_what_follows_is_read(root: Path) -> None:
    watch = Watch(root, max_line="1MB")
    with open(watch.path("app.log"), "wb") as file:
        file.writelines(b"x" * 1_000_000 for _ in range(60))
    assert watch.take() == []
    watch.write("\nafter\n")
    planned = watch.plan()
    assert planned is not None
    tracemalloc.start()
    try:
        assert watch.frame(planned)["line"].to_list() == ["after"]
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert [(row["rule"], row["_source_offset"], len(row["raw"])) for row in watch.rejected] == [
        ("too_long", 0, RAW_BYTES)
    ]


def test_bytes_that_are_no_text_are_set_aside_with_their_place(root: Path) -> None:
    watch = Watch(root)
    watch.write("a\n")
    assert watch.take() == ["a"]
    with open(watch.path("app.log"), "ab") as file:
        file.write(b"caf\xe9\nb\n")
    assert watch.take() == ["b"]
    assert [(row["raw"], row["rule"], row["_source_offset"]) for row in watch.rejected] == [(b"caf\xe9", "encoding", 2)]


def test_rows_say_where_they_stood_in_the_uncompressed_log(root: Path) -> None:
    watch = Watch(root)
    watch.write("ab\n")
    assert watch.take() == ["ab"]
    watch.write("cd\nef\n")
    watch.path("app.log.1.gz").write_bytes(gzip.compress(watch.path("app.log").read_bytes()))
    watch.path("app.log").unlink()
    planned = watch.plan()
    assert planned is not None
    frame = watch.frame(planned, "_source_file", "_source_offset", "_source_modified_at")
    assert frame.select("line", "_source_file", "_source_offset").rows() == [
        ("cd", "app.log.1.gz", 3),
        ("ef", "app.log.1.gz", 6),
    ]


def test_the_first_start_at_the_end_reads_only_what_comes_after_it(root: Path) -> None:
    watch = Watch(root, read_from="end")
    watch.write("old\nhalf of a line")
    assert watch.take() == []
    watch.restart()
    watch.write(" and the other\nnew\n")
    watch.write("a new file\n", "other.log")
    assert watch.take() == ["half of a line and the other", "new"]
    watch.rename("app.log", "app.log.1")
    watch.write("newer\n")
    assert watch.take() == ["newer"]


def test_logs_that_were_rotated_away_before_the_first_start_are_never_read(root: Path) -> None:
    watch = Watch(root)
    watch.write("before\n", "app.log.1")
    watch.write("now\n")
    assert watch.take() == ["now"]
    watch.path("app.log.2.gz").write_bytes(gzip.compress(watch.path("app.log.1").read_bytes()))
    watch.path("app.log.1").unlink()
    watch.rename("app.log", "app.log.1")
    watch.write("then\n")
    assert watch.take() == ["then"]
    watch.restart()
    assert watch.take() == []
    assert watch.lost == []


def test_rotated_logs_that_a_pattern_takes_are_read_once_each(root: Path) -> None:
    watch = Watch(root, path="app.log*")
    watch.write("1\n", "app.log.2")
    watch.path("app.log.3.gz").write_bytes(gzip.compress(b"0\n"))
    watch.write("2\n", "app.log.1")
    watch.write("3\n")
    assert sorted(watch.take()) == ["0", "1", "2", "3"]
    for number in (2, 1):
        watch.rename(f"app.log.{number}", f"app.log.{number + 1}")
    watch.rename("app.log", "app.log.1")
    watch.restart()
    assert watch.take() == []


def test_old_logs_are_passed_over_until_they_are_written_to(root: Path) -> None:
    watch = Watch(root, path="*.log", ignore_older="1h")
    watch.write("old\n", "old.log")
    watch.age("old.log", 7200)
    watch.write("new\n", "new.log")
    assert watch.take() == ["new"]
    assert watch.source.explain("old.log")["reason"] == "its last write is older than `ignore_older`"
    watch.write("again\n", "old.log")
    assert watch.take() == ["old", "again"]


def test_a_log_is_read_once_whatever_links_to_it(root: Path) -> None:
    watch = Watch(root, path="*.log")
    watch.write("a\n", "first.log")
    os.symlink("first.log", watch.path("current.log"))
    os.link(watch.path("first.log"), watch.path("twin.log"))
    assert watch.take() == ["a"]
    watch.write("b\n", "first.log")
    assert watch.take() == ["b"]
    watch.write("c\n", "second.log")
    watch.path("current.log").unlink()
    os.symlink("second.log", watch.path("current.log"))
    watch.write("d\n", "first.log")
    assert sorted(watch.take()) == ["c", "d"]
    assert watch.take() == []


def test_a_link_alone_is_followed_from_target_to_target(root: Path) -> None:
    watch = Watch(root, path="current")
    watch.write("a\n", "first")
    os.symlink("first", watch.path("current"))
    assert watch.take() == ["a"]
    watch.write("b\n", "first")
    watch.write("c\n", "second")
    watch.path("current").unlink()
    os.symlink("second", watch.path("current"))
    assert sorted(watch.take()) == ["b", "c"]


def test_records_of_several_lines_are_whole_when_the_next_begins_or_after_a_while(root: Path) -> None:
    watch = Watch(root, multiline={"start": r"^\d", "timeout": "5s"})
    watch.write("1 error\n  at a\n")
    assert watch.take() == []
    watch.write("  at b\n2 next\n")
    assert watch.take() == ["1 error\n  at a\n  at b"]
    watch.restart()
    assert watch.take() == []
    watch.age("app.log", 6)
    assert watch.take() == ["2 next"]


def test_the_parts_of_a_container_line_are_joined_across_looks(root: Path) -> None:
    watch = Watch(root, format="cri")
    watch.write("2024-03-05T10:20:30.1Z stdout P first \n2024-03-05T10:20:30.2Z stderr F other\n")
    planned = watch.plan()
    assert planned is None
    watch.write("2024-03-05T10:20:30.3Z stdout F second\n")
    planned = watch.plan()
    assert planned is not None
    assert watch.frame(planned)["message"].to_list() == ["first second", "other"]


def test_a_log_format_gives_its_columns_and_sets_other_lines_aside(root: Path) -> None:
    watch = Watch(root, format="combined")
    watch.write(ACCESS + "nonsense\n" + ACCESS)
    planned = watch.plan()
    assert planned is not None
    assert watch.frame(planned)["status"].to_list() == [200, 200]
    assert [(row["raw"], row["rule"], row["_source_offset"]) for row in watch.rejected] == [
        (b"nonsense", "syntax", len(ACCESS))
    ]


def test_ndjson_goes_through_with_byte_offsets(root: Path) -> None:
    watch = Watch(root, format="ndjson")
    watch.write('{"id": 1}\n')
    planned = watch.plan()
    assert planned is not None
    assert watch.frame(planned).rows() == [(1,)]
    watch.write('{"id": 2}\n{"id": \n{"id": 3, "x": "a"}\n')
    planned = watch.plan()
    assert planned is not None
    assert watch.frame(planned, "_source_offset").rows() == [(2, None, 10), (3, "a", 28)]
    assert [(row["raw"], row["_source_offset"]) for row in watch.rejected] == [(b'{"id": ', 20)]
