from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import CheckpointError
from etl.model import ReadLimit
from etl.seam import Seam
from etl.sources.file_discovery import FoundFile
from etl.sources.file_ledger import FileLedger, FoldAt
from etl.sources.file_names import join, split
from etl.sources.file_segments import Segment, Segments
from etl.sources.file_units import FileUnits
from etl.storage import LocalStorage
from tests.landing import Landing

T = TypeVar("T")


class CrashError(BaseException):
    """The end of a process."""


class CrashingSeam(Seam):
    """Ends the process just before (or just after) its k-th effect; 0 is never."""

    def __init__(self, at: int = 0, *, after: bool = False) -> None:
        self.left = at
        self.after = after
        self.seen = 0

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        del name, torn
        self.seen += 1
        self.left -= 1
        if self.left == 0 and not self.after:
            raise CrashError
        result = act()
        if self.left == 0:
            raise CrashError
        return result


def units(*names: str) -> FileUnits:
    return FileUnits.found([FoundFile(1, "in", name, 10) for name in names])


def ledger(folder: Path, seam: Seam | None = None) -> FileLedger:
    seam = seam or Seam()
    return FileLedger(Segments(LocalStorage(folder, seam), seam))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def folded(folder: Path, batches: list[FileUnits], seam: Seam | None = None) -> FileLedger:
    """Return a ledger that has taken in ``batches`` and folds when there are a hundred of them."""
    made = ledger(folder, seam)
    made.load()
    start = -1 if made.folded_upto is None else made.folded_upto
    for batch_id, batch in enumerate(batches):
        if batch_id > start:
            made.remember(batch_id, batch)
    made.fold(len(batches) - 1)
    return made


def test_a_ledger_folds_once_there_are_a_hundred_batches(tmp_path: Path) -> None:
    batches = [units(f"{number}.jsonl") for number in range(100)]
    assert folded(tmp_path / "l", batches[:99]).folded_upto is None
    assert not (tmp_path / "l").exists()
    assert folded(tmp_path / "l", batches).folded_upto == 99
    assert names(tmp_path / "l") == ["segment-0000000000-0000000099-100.parquet"]


def test_a_ledger_folds_once_there_are_many_files(tmp_path: Path) -> None:
    many = units(*(f"{number}.jsonl" for number in range(20_000)))
    fewer = units(*(f"{number}.jsonl" for number in range(19_999)))
    assert folded(tmp_path / "many", [many]).folded_upto == 0
    assert folded(tmp_path / "fewer", [fewer]).folded_upto is None


def test_a_folded_ledger_knows_the_same_files_as_before(tmp_path: Path) -> None:
    batches = [units(f"{number}.jsonl", f"caf\udce9-{number}.jsonl") for number in range(100)]
    before = folded(tmp_path, batches)
    after = ledger(tmp_path)
    after.load()
    assert after.known("in") == before.known("in")
    assert len(after.known("in")) == 200
    assert after.origin("in/7.jsonl") == (7, None)
    assert after.origin("in/caf\udce9-99.jsonl") == (99, None)
    assert after.origin("in/100.jsonl") is None


def test_segments_are_merged_so_that_few_remain_and_a_large_one_is_not_rewritten_each_time(tmp_path: Path) -> None:
    batches: list[FileUnits] = []
    seen: list[list[str]] = []
    for round_ in range(8):
        batches += [units(f"{round_}-{number}.jsonl") for number in range(100)]
        folded(tmp_path, batches)
        seen.append(names(tmp_path))
    assert [len(each) for each in seen] == [1, 1, 1, 2, 1, 2, 1, 2]
    assert seen[-1][0].startswith("segment-0000000000-")
    rewritten = {name for each in seen for name in each if name.startswith("segment-0000000000-")}
    assert len(rewritten) < 8


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_step_of_a_fold_loses_no_file(tmp_path: Path, after: bool) -> None:
    batches = [units(f"{number}.jsonl") for number in range(200)]
    crashes = 0
    for step in range(1, 50):
        folder = tmp_path / str(step)
        folded(folder, batches[:100])
        seam = CrashingSeam(step, after=after)
        try:
            folded(folder, batches, seam)
        except CrashError:
            crashes += 1
        again = folded(folder, batches)
        assert again.folded_upto == 199
        fresh = ledger(folder)
        fresh.load()
        assert fresh.known("in") == {f"{number}.jsonl" for number in range(200)}
        if seam.left > 0:
            break
    assert crashes == step - 1
    assert crashes >= 8


def test_a_segment_beside_the_ones_that_it_replaces_does_no_harm_and_they_go_at_the_next_fold(tmp_path: Path) -> None:
    batches = [units(f"{number}.jsonl") for number in range(300)]
    folded(tmp_path, batches[:100])
    old = next(tmp_path.iterdir())
    kept = tmp_path.parent / "kept"
    shutil.copy(old, kept)
    folded(tmp_path, batches[:200])
    shutil.copy(kept, old)
    both = ledger(tmp_path)
    both.load()
    assert both.folded_upto == 199
    assert len(both.known("in")) == 200
    folded(tmp_path, batches)
    assert not old.exists()


def test_a_segment_that_was_removed_by_hand_is_refused(tmp_path: Path) -> None:
    segments = Segments(LocalStorage(tmp_path, Seam()), Seam())
    for first, last in ((0, 9), (20, 29)):
        (tmp_path / Segment(first, last, 10).name).touch()
    with pytest.raises(CheckpointError, match="which files batches 10 to 19 read"):
        segments.present()


def test_a_torn_segment_is_refused(tmp_path: Path) -> None:
    folded(tmp_path, [units(f"{number}.jsonl") for number in range(100)])
    segment = next(tmp_path.iterdir())
    segment.write_bytes(segment.read_bytes()[:50])
    with pytest.raises(CheckpointError, match="unreadable ledger segment"):
        ledger(tmp_path).load()


def test_a_ledger_without_its_segments_is_read_again_from_the_plans_as_the_hint_says(tmp_path: Path) -> None:
    landing = Landing(tmp_path, fold_at=FoldAt(batches=1))
    landing.put("1.jsonl", 1)
    walk = landing.run()
    assert walk.take() == ["in/1.jsonl"]
    walk.source.fold(0)
    (segment,) = (tmp_path / "ledger").iterdir()
    segment.write_bytes(b"torn")
    walk.restart()
    with pytest.raises(CheckpointError) as caught:
        walk.take()
    assert caught.value.hint.startswith("remove every file of this folder but start.parquet")
    segment.unlink()
    walk.restart()
    assert walk.take() == []


@pytest.mark.parametrize(
    "torn",
    [
        {"unit": [1]},
        {"path": ["a"], "size_bytes": [1], "modified_ns": []},
        {"path": ["a"], "size_bytes": 1, "modified_ns": [1]},
        {"path": ["a"], "size_bytes": [1], "modified_ns": [1], "digest": []},
        {"path": [], "size_bytes": [], "modified_ns": [], "duplicates": {"path": ["a"]}},
    ],
)
def test_units_of_another_source_are_refused(torn: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="not those of files"):
        FileUnits.from_json(torn)


def test_start_is_durable_before_anything_else_and_the_first_record_stays(tmp_path: Path) -> None:
    first = ledger(tmp_path)
    first.record_start(FileUnits.found([FoundFile(1, "in", "a.jsonl", 10)]))
    second = ledger(tmp_path)
    second.record_start(FileUnits.found([FoundFile(1, "in", "b.jsonl", 10)]))
    assert second.known("in") == {"a.jsonl"}


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_step_of_the_first_look_under_start_now_reads_no_old_file(tmp_path: Path, after: bool) -> None:
    for step in range(1, 10):
        root = tmp_path / str(step)
        root.mkdir()
        seam = CrashingSeam(step, after=after)
        landing = Landing(root, seam)
        landing.put("old.jsonl", 1)
        try:
            landing.run(start="now").take()
        except CrashError:
            pass
        else:
            assert step > 3
            return
        walk = Landing(root).run(start="now")
        assert walk.take() == []
        landing.put("new.jsonl", 2)
        assert walk.take() == ["in/new.jsonl"]


class History:
    """A landing folder and a walk over it, moved on step by step."""

    def __init__(self, folder: Path, identity: str) -> None:
        self.landing = Landing(folder, fold_at=FoldAt(batches=2))
        self.walk = self.landing.run(identity=identity)
        self.added: set[str] = set()
        self.read: list[str] = []

    def add(self, number: int, modified_s: float) -> None:
        if f"in/{number}.jsonl" not in self.added:
            self.landing.put(f"{number}.jsonl", number, modified_s=modified_s)
            self.added.add(f"in/{number}.jsonl")

    def take(self, max_files: int) -> None:
        self.read += self.walk.take(ReadLimit(max_files=max_files))

    def fold(self) -> None:
        self.walk.source.fold(len(self.walk.plans) - 1)

    def crash_in_fold(self, step: int) -> None:
        self.landing.seam = CrashingSeam(step)
        self.walk.restart()
        with suppress(CrashError):
            self.fold()
        self.landing.seam = Seam()
        self.walk.restart()


steps = st.one_of(
    st.builds(
        lambda number, at: lambda history: history.add(number, at), st.integers(0, 30), st.sampled_from([1.0, 2.0])
    ),
    st.integers(1, 5).map(lambda count: lambda history: history.take(count)),
    st.just(History.fold),
    st.just(lambda history: history.walk.restart()),
    st.integers(1, 6).map(lambda step: lambda history: history.crash_in_fold(step)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=30), st.sampled_from(["path", "path_and_version", "content"]))
def test_any_history_of_files_batches_folds_crashes_and_restarts_reads_each_file_once(
    history: list[Callable[[History], None]], identity: str
) -> None:
    with TemporaryDirectory() as folder:
        past = History(Path(folder), identity)
        for step in history:
            step(past)
        past.take(1_000)
        assert sorted(past.read) == sorted(past.added)
        past.walk.restart()
        assert past.walk.take() == []


def test_a_segment_holds_folder_and_name_apart_however_the_path_is_spelt(tmp_path: Path) -> None:
    paths = ["a.jsonl", "/a.jsonl", "in/a\nb.jsonl", "in/x/ü.jsonl", "s3://bucket/a b.jsonl", "in//a", "/in/day=1/a"]
    odd = [*paths, "in/bytes:a", "in/caf\udce9", "caf\udce9/b"]
    for number, each in enumerate([paths, odd]):
        found = [FoundFile(1, *split(path), 10) for path in each]
        folded(tmp_path / str(number), [FileUnits.found(found)] * 100)
        again = ledger(tmp_path / str(number))
        again.load()
        assert [again.origin(path) for path in each] == [(99, None)] * len(each)
        assert sorted(join(*split(path)) for path in each) == sorted(
            join(folder, name) for folder in {split(path)[0] for path in each} for name in again.known(folder)
        )
