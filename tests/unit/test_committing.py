"""From a manifest to tables: which are committed, in which order, and what the entry says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from etl.committing import with_settled
from etl.engine import run
from etl.errors import StorageError
from etl.model import Bounds, Manifest, Revision, StagedFile
from etl.progress import Silent
from etl.seam import Seam
from etl.testing import crash_at
from tests.faults.crash_lab import memory_rows


def manifest(name: str, *roles: str) -> Manifest:
    return Manifest(
        3, name, {role: (StagedFile(f"{name}-{role}", 1, 1),) for role in roles},
        {role: {name: "int64"} for role in roles}, {"source": {}}, {"read": 1},
        revisions={role: Revision((name,), 1, is_data_change=True) for role in roles},
    )  # fmt: skip


def test_tables_that_hold_the_batch_keep_the_part_of_the_manifest_that_they_hold() -> None:
    new = with_settled(manifest("new", "main", "quarantine"), manifest("old", "main", "quarantine"), ["quarantine"])
    assert new.attempt == "new"
    assert {role: [file.path for file in files] for role, files in new.tables.items()} == {
        "main": ["new-main"],
        "quarantine": ["old-quarantine"],
    }
    assert new.table_schemas == {"main": {"new": "int64"}, "quarantine": {"old": "int64"}}
    assert {role: each.removes for role, each in new.revisions.items()} == {"main": ("new",), "quarantine": ("old",)}


def test_a_revision_that_the_settled_part_did_not_have_is_not_made_up() -> None:
    old = manifest("old", "quarantine")
    plain = Manifest(3, "old", old.tables, old.table_schemas, {}, {})
    assert with_settled(manifest("new", "main", "quarantine"), plain, ["quarantine"]).revisions == {
        "main": Revision(("new",), 1, is_data_change=True)
    }


def test_nothing_settled_is_the_new_manifest() -> None:
    new = manifest("new", "main")
    assert with_settled(new, manifest("old", "main"), []) == new


def body(folder: Path, kind: str, number: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "checkpoint" / kind / f"{number:010d}.json").read_text())["body"]
    return found


def test_the_entry_tells_the_versions_of_both_tables_the_own_one_first(tmp_path: Path) -> None:
    results = run(memory_rows(tmp_path, Seam()), Seam(), Silent())
    assert [list(result.tables.items()) for result in results] == [
        [("table", number), ("quarantine", number)] for number in range(3)
    ]
    sides = [body(tmp_path, "commits", number)["sides"]["quarantine"] for number in range(3)]
    assert [(side["batch_id"], side["version"]) for side in sides] == [(0, 0), (1, 1), (2, 2)]
    assert len({side["table_id"] for side in sides}) == 1


def test_the_quarantine_is_committed_before_the_table(tmp_path: Path) -> None:
    seam = crash_at("table.commit.write", "full")
    with pytest.raises(StorageError):
        run(memory_rows(tmp_path, seam), seam, Silent(), Bounds(1))
    logs = [tmp_path / name / "_delta_log" / f"{0:020d}.json" for name in ("table", "quarantine")]
    assert [log.exists() for log in logs] == [False, False]
    committed: list[str] = []

    class Watching(Seam):
        def effect(self, name: str, act: Any, torn: Any = None) -> Any:
            done = act()
            if name == "table.commit.publish":
                committed.append(",".join(log.parents[1].name for log in logs if log.exists()))
            return done

    seam2 = Watching()
    run(memory_rows(tmp_path, seam2), seam2, Silent(), Bounds(0))
    assert committed == ["quarantine", "table,quarantine"]


def test_a_schema_is_on_record_before_a_table_shows_its_rows(tmp_path: Path) -> None:
    seam = crash_at("table.commit.write", "full")
    with pytest.raises(StorageError):
        run(memory_rows(tmp_path, seam), seam, Silent(), Bounds(1))
    assert body(tmp_path, "schemas", 0)["batch"] == 0
    run(memory_rows(tmp_path, Seam()), Seam(), Silent())
    assert [path.name for path in sorted((tmp_path / "checkpoint" / "schemas").iterdir())] == [
        "0000000000.json",
        "0000000001.json",
    ]
    assert body(tmp_path, "schemas", 1)["batch"] == 2
    assert [change["column"] for change in body(tmp_path, "schemas", 1)["changes"]] == ["size", "note"]


def test_both_tables_tell_which_batch_made_a_version(tmp_path: Path) -> None:
    run(memory_rows(tmp_path, Seam()), Seam(), Silent(), Bounds(1))
    for name in ("table", "quarantine"):
        lines = (tmp_path / name / "_delta_log" / f"{0:020d}.json").read_text().splitlines()
        info = next(json.loads(line)["commitInfo"] for line in lines if "commitInfo" in line)
        assert (info["etl.batch_id"], info["etl.pipeline"]) == ("0", "test")
