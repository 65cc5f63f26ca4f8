from __future__ import annotations

import os

import pytest

from etl.errors import SourceError
from etl.model import ReadLimit
from etl.sources.file_discovery import Disk, LocalFiles
from etl.sources.file_pattern import parse_pattern
from tests.landing import Landing

HOSTILE = [
    b"plain.jsonl",
    b"a b.jsonl",
    b"a?b.jsonl",
    b"a*b.jsonl",
    b"a[1].jsonl",
    b"a{b,c}.jsonl",
    b"a#b.jsonl",
    b"a%2Fb.jsonl",
    b"a%20b.jsonl",
    b"a::b.jsonl",
    b"s3:x.jsonl",
    b"-rf.jsonl",
    b"$HOME.jsonl",
    b'"quoted".jsonl',
    b"it's.jsonl",
    b"new\nline.jsonl",
    b"back\\slash.jsonl",
    b"\xc3\xa9.jsonl",
    b"e\xcc\x81.jsonl",
    b"caf\xe9.jsonl",
    b"\xff\xfe.jsonl",
    b"bytes:x.jsonl",
]


def test_every_legal_name_is_read_once_as_itself_and_told_in_the_source_file_column(landing: Landing) -> None:
    for number, name in enumerate(HOSTILE):
        folder = os.fsencode(landing.root / "in")
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b'{"id": %d}\n' % number)
    walk = landing.run(order="name")
    assert len(walk.take()) == len(HOSTILE)
    told = {row["id"]: row["_source_file"] for row in walk.rows(system=["_source_file"])}
    expected = {number: "in/" + os.fsdecode(name) for number, name in enumerate(HOSTILE)}
    expected[HOSTILE.index(b"caf\xe9.jsonl")] = "bytes:in/caf%E9.jsonl"
    expected[HOSTILE.index(b"\xff\xfe.jsonl")] = "bytes:in/%FF%FE.jsonl"
    assert told == expected
    assert walk.take() == []
    walk.restart()
    assert walk.take() == []


@pytest.mark.parametrize("modified_s", [50, 100, 200])
def test_a_late_file_is_read_once_whatever_its_time(landing: Landing, modified_s: float) -> None:
    landing.put("m.jsonl", 1, modified_s=100)
    walk = landing.run()
    assert walk.take() == ["in/m.jsonl"]
    landing.put("a-sorts-first.jsonl", 2, modified_s=modified_s)
    assert walk.take() == ["in/a-sorts-first.jsonl"]
    assert walk.take() == []


def test_order_is_by_time_then_name_unless_by_name(landing: Landing) -> None:
    landing.put("c.jsonl", 1, modified_s=100)
    landing.put("b.jsonl", 2, modified_s=200)
    landing.put("a.jsonl", 3, modified_s=200)
    assert landing.run().take() == ["in/c.jsonl", "in/a.jsonl", "in/b.jsonl"]
    assert landing.run(order="name").take() == ["in/a.jsonl", "in/b.jsonl", "in/c.jsonl"]


def test_limits_cut_batches_and_at_least_one_file_is_taken(landing: Landing) -> None:
    for name in "abcde":
        landing.put(f"{name}.jsonl", 1, 2, modified_s=100)  # 20 bytes each
    walk = landing.run()
    assert walk.take(ReadLimit(max_files=2)) == ["in/a.jsonl", "in/b.jsonl"]
    assert walk.take(ReadLimit(max_bytes=1)) == ["in/c.jsonl"]
    assert walk.take(ReadLimit(max_bytes=40)) == ["in/d.jsonl", "in/e.jsonl"]
    assert walk.take(ReadLimit(max_files=1)) == []


def test_offsets_grow_with_every_batch(landing: Landing) -> None:
    for name in "abc":
        landing.put(f"{name}.jsonl", 1, modified_s=100)
    walk = landing.run()
    for _ in range(2):
        walk.plan(ReadLimit(max_files=2))
    assert [(plan.span.start, plan.span.end) for plan in walk.plans] == [
        (None, {"files": 2, "batches": 1}),
        ({"files": 2, "batches": 1}, {"files": 3, "batches": 2}),
    ]


def test_looking_takes_nothing(landing: Landing) -> None:
    landing.put("a.jsonl", 1)
    source = landing.source()
    first = source.latest(None, ReadLimit())
    assert first is not None
    assert source.latest(None, ReadLimit()) == first


def test_a_backlog_offers_files_as_they_are_when_taken(landing: Landing) -> None:
    for name in "abc":
        landing.put(f"{name}.jsonl", 1, modified_s=100)
    walk = landing.run()
    walk.take(ReadLimit(max_files=1))
    (landing.root / "in" / "b.jsonl").unlink()
    landing.put("c.jsonl", 1, 2, 3, modified_s=300)
    assert walk.take() == ["in/c.jsonl"]
    assert walk.plans[-1].size_bytes == 30


def test_hidden_and_temporary_names_are_passed_over(landing: Landing) -> None:
    for name in (
        ".a.jsonl",
        "_a.jsonl",
        "a.jsonl.tmp",
        "a.jsonl.part",
        "a.crdownload",
        "a.jsonl~",
        "a._COPYING_",
        "_spark/x.jsonl",
        ".git/x.jsonl",
        "_day=1/x.jsonl",
    ):
        landing.put(name, 1)
    assert landing.run().take() == ["in/_day=1/x.jsonl"]
    assert landing.run(path="in/*.part").take() == ["in/a.jsonl.part"]
    assert landing.run(path="in/_*").take() == ["in/_a.jsonl"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("in", ["a.csv", "b.jsonl", "x/c.jsonl", "x/y/d.jsonl"]),
        ("./in/", ["a.csv", "b.jsonl", "x/c.jsonl", "x/y/d.jsonl"]),
        ("in/**", ["a.csv", "b.jsonl", "x/c.jsonl", "x/y/d.jsonl"]),
        ("in/*", ["a.csv", "b.jsonl"]),
        ("in/*/*.jsonl", ["x/c.jsonl"]),
        ("in/**/*.jsonl", ["b.jsonl", "x/c.jsonl", "x/y/d.jsonl"]),
        ("in/**/y/*", ["x/y/d.jsonl"]),
        ("in/?.{csv,jsonl}", ["a.csv", "b.jsonl"]),
        ("in/[!a].*", ["b.jsonl"]),
        ("in/[a-b].*", ["a.csv", "b.jsonl"]),
        ("in/b.jsonl", ["b.jsonl"]),
    ],
)
def test_patterns_match_what_they_say(landing: Landing, pattern: str, expected: list[str]) -> None:
    for name in ("a.csv", "b.jsonl", "x/c.jsonl", "x/y/d.jsonl"):
        landing.put(name, 1)
    assert landing.run(path=pattern, order="name").take() == [f"in/{name}" for name in expected]


def test_an_absolute_path_inside_the_project_is_recorded_relative_to_it(landing: Landing) -> None:
    landing.put("a.jsonl", 1)
    walk = landing.run(path=str(landing.root / "in"))
    assert walk.take() == ["in/a.jsonl"]
    walk.restart(path=f"file://{landing.root}/in/*.jsonl")
    assert walk.take() == []


def test_a_file_of_two_patterns_is_read_once_and_exclusions_are_left_out(landing: Landing) -> None:
    for name in ("a.jsonl", "old/b.jsonl", "c.bak.jsonl", "x/d.bak.jsonl"):
        landing.put(name, 1)
    walk = landing.run(include=["in/**", "in/*.jsonl"], exclude=["in/old/**", "*.bak.jsonl"])
    assert walk.take() == ["in/a.jsonl"]


def test_a_missing_root_is_an_error_and_an_empty_folder_is_not(landing: Landing) -> None:
    assert landing.run().take() == []
    with pytest.raises(SourceError, match="source unavailable") as caught:
        landing.run(path="elsewhere/*.jsonl").take()
    assert caught.value.where == "elsewhere"


class ClosedDisk(Disk):
    """A disk with one folder that cannot be listed."""

    def names(self, folder: str) -> list[str]:
        if folder.endswith("/closed"):
            raise PermissionError(13, "Permission denied", folder)
        return super().names(folder)


def test_a_folder_that_cannot_be_listed_is_an_error_never_no_files(landing: Landing) -> None:
    landing.put("closed/a.jsonl", 1)
    files = LocalFiles(landing.root, ClosedDisk())
    with pytest.raises(SourceError, match="source unavailable: cannot be listed") as caught:
        list(files.find(parse_pattern("in"), lambda _: frozenset()))
    assert caught.value.where == "in/closed"


class WatchedDisk(Disk):
    """A disk that writes down which paths were asked for their status."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def status(self, path: str) -> os.stat_result:
        self.asked.append(os.path.basename(path))
        return super().status(path)


@pytest.mark.parametrize("pattern", ["in/*.jsonl", "in/**/*.jsonl"])
def test_a_known_name_costs_no_stat(landing: Landing, pattern: str) -> None:
    known = {f"{number}.jsonl" for number in range(2_000)}
    for name in (*known, "new.jsonl"):
        (landing.root / "in" / name).touch()
    disk = WatchedDisk()
    found = list(LocalFiles(landing.root, disk).find(parse_pattern(pattern), lambda _: known))
    assert [file.name for file in found] == ["new.jsonl"]
    assert set(disk.asked) <= {"new.jsonl"}


def test_links_end_and_only_files_inside_the_root_are_followed(landing: Landing) -> None:
    landing.put("a.jsonl", 1)
    outside = landing.root / "secret.jsonl"
    outside.write_text('{"id": 2}\n')
    folder = landing.root / "in"
    (folder / "loop").symlink_to(folder)
    (folder / "out.jsonl").symlink_to(outside)
    (folder / "gone.jsonl").symlink_to(folder / "nothing")
    (folder / "inside.jsonl").symlink_to(folder / "a.jsonl")
    walk = landing.run(order="name")
    assert walk.take() == ["in/a.jsonl", "in/inside.jsonl"]
    reasons = {name: walk.source.explain(f"in/{name}")["reason"] for name in ("loop", "out.jsonl", "gone.jsonl")}
    assert reasons == {
        "loop": "not a file; links to folders are not followed",
        "out.jsonl": "a link out of 'in'",
        "gone.jsonl": "does not exist, or is a link to nothing",
    }


def test_devices_and_pipes_are_no_files(landing: Landing) -> None:
    os.mkfifo(landing.root / "in" / "pipe.jsonl")
    assert landing.run().take() == []


def test_sub_folders_are_found_among_many_new_names(landing: Landing) -> None:
    for number in range(150):
        landing.put(f"{number}.jsonl", number)
    landing.put("deep/er/x.jsonl", 1)
    (landing.root / "in" / "to-deep").symlink_to(landing.root / "in" / "deep")
    found = landing.run().take()
    assert len(found) == 151
    assert "in/deep/er/x.jsonl" in found


def test_any_fsspec_filesystem_is_listed_and_read(landing: Landing) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    root = f"/{landing.root.name}"
    for key in ("a.jsonl", "x/b.jsonl", "x/_c.jsonl"):
        memory.pipe_file(f"{root}/{key}", b'{"id": 1}\n')
    walk = landing.run(path=f"memory:/{root}", order="name")
    assert walk.take() == [f"memory:/{root}/a.jsonl", f"memory:/{root}/x/b.jsonl"]
    assert walk.rows() == [{"id": 1}, {"id": 1}]
    reasons = [walk.source.explain(f"memory:/{root}/x/{name}")["reason"] for name in ("_c.jsonl", "none.jsonl")]
    assert reasons == ["hidden: the name starts with '_' ('_c.jsonl')", f"does not exist below 'memory:/{root}'"]
    memory.rm(root, recursive=True)
