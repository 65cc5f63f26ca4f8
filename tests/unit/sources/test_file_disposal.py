from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pytest

from etl.errors import ConfigError
from etl.seam import Seam
from tests.landing import Landing, Walk

T = TypeVar("T")


class StoppingSeam(Seam):
    """Fails just before or just after the k-th effect."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.left = at
        self.after = after

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        del name, torn
        self.left -= 1
        if self.left == 0 and not self.after:
            raise KeyboardInterrupt
        result = act()
        if self.left == 0:
            raise KeyboardInterrupt
        return result


def taken(landing: Landing, **options: object) -> Walk:
    walk = landing.run(**options)
    assert walk.plan() is not None
    return walk


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_files_are_kept_unless_asked_otherwise(landing: Landing) -> None:
    landing.put("a.jsonl", 1)
    walk = taken(landing)
    walk.source.acknowledge(0, walk.plans[0])
    assert contents(landing.root / "in") == {"a.jsonl": '{"id": 1}\n'}


def test_delete_removes_what_was_read_and_nothing_else_and_may_repeat(landing: Landing) -> None:
    landing.put("a.jsonl", 1)
    landing.put("b.jsonl", 2, modified_s=100)
    walk = taken(landing, after_commit="delete")
    landing.put("b.jsonl", 3, modified_s=200)
    landing.put("c.jsonl", 4)
    for _ in range(2):
        walk.source.acknowledge(0, walk.plans[0])
        assert contents(landing.root / "in") == {"b.jsonl": '{"id": 3}\n', "c.jsonl": '{"id": 4}\n'}


def test_archive_moves_files_to_the_same_path_below_it(landing: Landing) -> None:
    landing.put("a.jsonl", 1)
    landing.put("x/y/b?.jsonl", 2)
    walk = taken(landing, after_commit={"archive": "done"})
    for _ in range(2):
        walk.source.acknowledge(0, walk.plans[0])
        assert contents(landing.root / "in") == {}
        assert contents(landing.root / "done") == {"a.jsonl": '{"id": 1}\n', "x/y/b?.jsonl": '{"id": 2}\n'}


def test_archive_never_overwrites_what_is_there(landing: Landing) -> None:
    landing.put("a.jsonl", 1)
    (landing.root / "done").mkdir()
    (landing.root / "done" / "a.jsonl").write_text("other")
    (landing.root / "done" / "a-1.jsonl").write_text("another")
    walk = taken(landing, after_commit={"archive": "done"})
    walk.source.acknowledge(0, walk.plans[0])
    assert contents(landing.root / "done") == {"a.jsonl": "other", "a-1.jsonl": "another", "a-2.jsonl": '{"id": 1}\n'}


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_step_of_an_archive_is_mended_by_repeating(tmp_path: Path, after: bool) -> None:
    for step in range(1, 10):
        root = tmp_path / str(step)
        root.mkdir()
        landing = Landing(root)
        landing.put("a.jsonl", 1)
        landing.put("b.jsonl", 2)
        walk = taken(landing, after_commit={"archive": "done"})
        landing.seam = StoppingSeam(step, after=after)
        walk.restart()
        try:
            walk.source.acknowledge(0, walk.plans[0])
        except KeyboardInterrupt:
            landing.seam = Seam()
            walk.restart()
            walk.source.acknowledge(0, walk.plans[0])
        else:
            assert step == 5
            return
        assert contents(root / "in") == {}
        assert contents(root / "done") == {"a.jsonl": '{"id": 1}\n', "b.jsonl": '{"id": 2}\n'}


@pytest.mark.parametrize("archive", ["in/done", "in", "in/x=1"])
def test_an_archive_inside_the_source_is_refused(landing: Landing, archive: str) -> None:
    with pytest.raises(ConfigError, match="which would read it again"):
        landing.source(after_commit={"archive": archive})


def test_an_archive_that_the_pattern_cannot_reach_is_allowed(landing: Landing) -> None:
    landing.put("a.jsonl", 1)
    walk = taken(landing, path="in/*.jsonl", after_commit={"archive": "in/done"})
    walk.source.acknowledge(0, walk.plans[0])
    assert contents(landing.root / "in") == {"done/a.jsonl": '{"id": 1}\n'}
    assert walk.take() == []


def test_an_archive_on_another_filesystem_holds_a_whole_copy(landing: Landing) -> None:
    shared = Path("/dev/shm")  # noqa: S108  a filesystem of its own wherever there is one
    if not shared.is_dir() or shared.stat().st_dev == landing.root.stat().st_dev:
        pytest.skip("there is no second filesystem")
    with TemporaryDirectory(dir=shared) as archive:
        landing.put("a.jsonl", 1)
        Path(archive, "a.jsonl").write_text("other")
        walk = taken(landing, after_commit={"archive": archive})
        for _ in range(2):
            walk.source.acknowledge(0, walk.plans[0])
            assert contents(landing.root / "in") == {}
            assert contents(Path(archive)) == {"a.jsonl": "other", "a-1.jsonl": '{"id": 1}\n'}
