from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from etl.errors import ConfigError, NotReadyError, SourceChangedError, SourceError
from etl.model import ReadLimit
from etl.testing import ManualClock
from tests.landing import Landing

NOW_S = 1_767_225_600.0  # 2026-01-01, where ManualClock begins


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path, ManualClock())


def test_identity_path_never_reads_a_name_again(landing: Landing) -> None:
    landing.put("a.jsonl", 1, modified_s=100)
    walk = landing.run()
    assert walk.take() == ["in/a.jsonl"]
    landing.put("a.jsonl", 1, 2, modified_s=200)
    assert walk.take() == []


@pytest.mark.parametrize(("ids", "modified_s"), [((1, 2), 100.0), ((2,), 200.0)], ids=["other size", "other time"])
def test_identity_path_and_version_reads_a_changed_file_again_under_reingest(
    landing: Landing, ids: tuple[int, ...], modified_s: float
) -> None:
    landing.put("a.jsonl", 1, modified_s=100)
    walk = landing.run(identity="path_and_version", on_change="reingest")
    assert walk.take() == ["in/a.jsonl"]
    assert walk.take() == []
    landing.put("a.jsonl", *ids, modified_s=modified_s)
    walk.restart()
    assert walk.take() == ["in/a.jsonl"]
    assert [row["id"] for row in walk.rows()] == list(ids)
    assert walk.take() == []
    walk.restart()
    assert walk.take() == []


def test_identity_path_and_version_goes_on_without_a_changed_file_under_ignore(landing: Landing) -> None:
    landing.put("a.jsonl", 1, modified_s=100)
    walk = landing.run(identity="path_and_version")
    walk.take()
    landing.put("a.jsonl", 1, 2, modified_s=200)
    assert walk.take() == []
    assert walk.source.explain("in/a.jsonl") == {
        "path": "in/a.jsonl",
        "is_read": True,
        "reason": "known since batch 0; it has changed since",
        "batch_id": 0,
    }


def test_identity_path_and_version_names_a_changed_file_under_fail(landing: Landing) -> None:
    landing.put("a.jsonl", 1, modified_s=100)
    walk = landing.run(identity="path_and_version", on_change="fail")
    walk.take()
    landing.put("a.jsonl", 1, 2, modified_s=200)
    with pytest.raises(SourceError, match="changed after it was read") as caught:
        walk.take()
    assert caught.value.where == "in/a.jsonl"


def test_identity_content_reads_equal_bytes_once_and_remembers_why(landing: Landing) -> None:
    landing.put("a.jsonl", 1, modified_s=100)
    landing.put("b.jsonl", 1, modified_s=200)
    walk = landing.run(identity="content")
    assert walk.take() == ["in/a.jsonl"]
    landing.put("c.jsonl", 1, modified_s=300)
    landing.put("d.jsonl", 2, modified_s=400)
    walk.restart()
    assert walk.take() == ["in/d.jsonl"]
    walk.restart()
    assert walk.take() == []
    for name, batch_id in (("b", 0), ("c", 1)):
        assert walk.source.explain(f"in/{name}.jsonl") == {
            "path": f"in/{name}.jsonl",
            "is_read": False,
            "reason": "the same content as in/a.jsonl",
            "batch_id": batch_id,
        }


def test_identity_content_knows_a_renamed_file(landing: Landing) -> None:
    path = landing.put("a.jsonl", 1)
    walk = landing.run(identity="content")
    walk.take()
    path.rename(path.with_name("b.jsonl"))
    assert walk.take() == []
    assert walk.source.explain("in/b.jsonl")["reason"] == "the same content as in/a.jsonl"


def test_identity_content_takes_other_compressions_of_a_content_for_other_files(landing: Landing) -> None:
    content = b'{"id": 1}\n'
    landing.put_bytes("a.jsonl", content, modified_s=100)
    landing.put_bytes("a.jsonl.gz", gzip.compress(content, mtime=0), modified_s=200)
    landing.put_bytes("b.jsonl.gz", gzip.compress(content, mtime=0), modified_s=300)
    landing.put_bytes("c.jsonl.gz", gzip.compress(content, mtime=1), modified_s=400)
    assert landing.run(identity="content").take() == ["in/a.jsonl", "in/a.jsonl.gz", "in/c.jsonl.gz"]


def test_identity_content_reads_a_file_that_was_not_ready_when_it_is(landing: Landing) -> None:
    assert isinstance(landing.seam, ManualClock)
    landing.put("a.jsonl", 1, modified_s=NOW_S - 10)
    landing.put("b.jsonl", 1, modified_s=NOW_S - 5)
    walk = landing.run(identity="content", unready_for="60s")
    plan = walk.plan()
    assert plan is not None
    left = walk.source.refresh(plan, NotReadyError(("in/a.jsonl",), "not ready"))
    assert left.units == {"path": [], "size_bytes": [], "modified_ns": []}
    assert walk.take() == ["in/b.jsonl"]
    landing.seam.advance(60)
    assert walk.take() == []
    assert walk.source.explain("in/a.jsonl")["reason"] == "the same content as in/b.jsonl"


def test_identity_content_reads_the_copy_of_a_file_that_changed_before_it_was_read(landing: Landing) -> None:
    landing.put("a.jsonl", 1, modified_s=100)
    landing.put("b.jsonl", 1, modified_s=200)
    walk = landing.run(identity="content")
    plan = walk.plan()
    assert plan is not None
    landing.put("a.jsonl", 2, modified_s=300)
    amended = walk.source.refresh(plan, SourceChangedError("in/a.jsonl", "changed"))
    assert (amended.units["path"], amended.units.get("duplicates")) == (["in/a.jsonl"], None)
    assert walk.take() == ["in/b.jsonl"]


def test_identity_content_keeps_empty_files_apart(landing: Landing) -> None:
    landing.put("a.jsonl", modified_s=100)
    landing.put("b.jsonl", modified_s=200)
    assert landing.run(identity="content").take() == ["in/a.jsonl", "in/b.jsonl"]


def test_a_duplicate_is_read_when_its_original_is_gone_before_a_plan_held_it(landing: Landing) -> None:
    landing.put("a.jsonl", 1, modified_s=100)
    landing.put("b.jsonl", 1, modified_s=200)
    source = landing.source(identity="content")
    first = source.latest(None, ReadLimit())
    assert first is not None
    assert first.units["path"] == ["in/a.jsonl"]
    (landing.root / "in" / "a.jsonl").unlink()
    second = landing.source(identity="content").latest(None, ReadLimit())
    assert second is not None
    assert second.units["path"] == ["in/b.jsonl"]


def test_stable_for_waits_until_a_file_is_old_enough(landing: Landing) -> None:
    assert isinstance(landing.seam, ManualClock)
    landing.put("a.jsonl", 1, modified_s=NOW_S - 10)
    walk = landing.run(stable_for="30s")
    assert walk.take() == []
    assert walk.source.explain("in/a.jsonl")["reason"] == "not stable yet: must stay as it is for 20.0 s more"
    landing.seam.advance(20)
    assert walk.take() == ["in/a.jsonl"]


def test_stable_for_begins_again_when_a_file_grows_without_a_newer_time(landing: Landing) -> None:
    assert isinstance(landing.seam, ManualClock)
    landing.put("a.jsonl", 1, modified_s=NOW_S - 10)
    walk = landing.run(stable_for="30s")
    assert walk.take() == []
    landing.put("a.jsonl", 1, 2, modified_s=NOW_S - 10)
    landing.seam.advance(20)
    assert walk.take() == []
    landing.seam.advance(29)
    assert walk.take() == []
    landing.seam.advance(1)
    assert walk.take() == ["in/a.jsonl"]


def test_start_now_passes_over_what_is_there_at_the_first_look_for_ever(landing: Landing) -> None:
    landing.put("old.jsonl", 1)
    walk = landing.run(start="now")
    assert walk.take() == []
    landing.put("new.jsonl", 2)
    walk.restart()
    assert walk.take() == ["in/new.jsonl"]
    walk.restart()
    assert walk.take() == []
    assert walk.source.explain("in/old.jsonl") == {
        "path": "in/old.jsonl",
        "is_read": False,
        "reason": "it was there before the first look, and `start` is `now`",
    }


def test_start_now_counts_for_an_empty_folder_too(landing: Landing) -> None:
    walk = landing.run(start="now")
    assert walk.take() == []
    landing.put("new.jsonl", 2)
    walk.restart()
    assert walk.take() == ["in/new.jsonl"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("in/_a.jsonl", "hidden: the name starts with '_' ('_a.jsonl')"),
        ("in/a.jsonl.tmp", "temporary: the name ends with '.tmp' ('a.jsonl.tmp')"),
        ("in/a.csv", "not matched by 'in/**/*.jsonl*'"),
        ("in/old.jsonl", "excluded by 'old*'"),
        ("elsewhere/a.jsonl", "not below any path of the source"),
        ("in/none.jsonl", "does not exist, or is a link to nothing"),
        ("in/a.jsonl", "waiting: a coming batch reads it"),
    ],
)
def test_explain_says_why_a_file_was_not_read(landing: Landing, path: str, reason: str) -> None:
    for name in ("_a.jsonl", "a.jsonl.tmp", "a.csv", "old.jsonl", "a.jsonl"):
        landing.put(name, 1)
    source = landing.source(path="in/**/*.jsonl*", exclude=["old*"])
    assert source.explain(path) == {"path": path, "is_read": False, "reason": reason}
    assert source.explain(str(landing.root / path))["reason"] == reason


def test_max_rows_is_refused_where_rows_are_not_known_beforehand(landing: Landing) -> None:
    with pytest.raises(ConfigError, match="max_rows works for `format: parquet` alone"):
        landing.run().take(ReadLimit(max_rows=10))


def test_max_rows_counts_the_footers_of_parquet_files(landing: Landing) -> None:
    import polars as pl

    for name in "abc":
        pl.DataFrame({"id": [1, 2]}).write_parquet(landing.root / "in" / f"{name}.parquet")
    walk = landing.run(format="parquet", order="name")
    assert walk.take(ReadLimit(max_rows=4)) == ["in/a.parquet", "in/b.parquet"]
    assert walk.take(ReadLimit(max_rows=1)) == ["in/c.parquet"]


def test_a_checkpoint_moves_with_its_project(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    landing = Landing(tmp_path / "one")
    landing.put("a.jsonl", 1)
    walk = landing.run()
    walk.take()
    shutil.move(tmp_path / "one", tmp_path / "two")
    moved = Landing(tmp_path / "two").run()
    moved.plans = walk.plans
    moved.restart()
    assert moved.take() == []
