"""This release reads a checkpoint and a table of format version 1, and goes on from them."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from etl.checkpoint.folder import Checkpoint, find_checkpoint
from etl.engine import run
from etl.model import PlannedInput, Span
from etl.progress import Silent
from etl.seam import Seam
from etl.storage import LocalStorage
from tests.golden.make_format_1 import FOLDER, pipeline
from tests.readers import table_rows

IDENTITY = "0000000000000001" * 2
COUNTS = {"added": 0, "filtered": 0, "deduplicated": 0, "late": 0, "quarantined": 0, "folded": 0}
FIRST_FILE: list[tuple[object, ...]] = [
    (1, "a b/é", 1.5, None, "in/1.ndjson", 0, 0),
    (2, None, None, None, "in/1.ndjson", 43, 0),
]
SECOND_FILE: list[tuple[object, ...]] = [(3, "a b/é", 2.5, {"by": "x"}, "in/2.ndjson", 0, 1)]
THIRD_FILE: list[tuple[object, ...]] = [(4, "c", 3.5, None, "in/3.ndjson", 0, 2)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "copy"))


@pytest.fixture
def checkpoint() -> Checkpoint:
    found = find_checkpoint(LocalStorage(FOLDER / "checkpoint", Seam()), Seam())
    assert found is not None
    return found


def rows(folder: Path) -> Counter[str]:
    names = ("id", "kind", "amount", "note", "_source_file", "_source_offset", "_batch_id")
    return Counter(repr(tuple(row.get(name) for name in names)) for row in table_rows(folder / "table"))


def test_identity_and_epochs_are_read(checkpoint: Checkpoint) -> None:
    assert checkpoint.identity == IDENTITY
    assert checkpoint.epochs.newest() == 2
    assert checkpoint.epochs.describe(1) == "process 1 on host since 2026-01-01T00:00:01+00:00"


def test_plans_are_read(checkpoint: Checkpoint) -> None:
    assert checkpoint.plans.log.revisions() == {0: 1, 1: 1, 2: 1}
    first, second = checkpoint.plans.read(0), checkpoint.plans.read(1)
    assert (first.batch_id, first.definition, first.watermark, first.schemas) == (0, "test", None, {"source": None})
    assert second.batch_at.isoformat() == "2026-01-01T00:00:10+00:00"
    assert second.schemas == {"source": {"id": "int64", "kind": "string", "amount": "float64"}}
    assert second.inputs == {
        "source": PlannedInput(
            Span({"files": 1, "batches": 1}, {"files": 2, "batches": 2}),
            {"path": ["in/2.ndjson"], "size_bytes": [64], "modified_ns": [1_700_000_000_000_000_000]},
            files=1,
            size_bytes=64,
        )
    }


def test_manifests_are_read(checkpoint: Checkpoint) -> None:
    assert checkpoint.manifests.log.revisions() == {0: 1, 1: 1, 2: 1}
    manifest = checkpoint.manifests.read(1)
    assert (manifest.rows, manifest.bytes_read, manifest.watermark) == (COUNTS | {"read": 1, "written": 1}, 64, None)
    assert manifest.units == {"source": {"rows": [1]}}
    assert manifest.source_schemas["source"]["note"] == {"struct": {"by": "string"}}
    assert list(manifest.table_schemas["main"]) == [
        "id", "kind", "amount", "_source_file", "_source_offset", "_batch_id", "note",
    ]  # fmt: skip
    (file,) = manifest.tables["main"]
    assert file.path == f"kind=a%20b%2F%C3%A9/part-00000000-0000000001-{manifest.attempt[:16]}-00000.parquet"
    assert (file.rows, file.partition_values) == (1, {"kind": "a b/é"})
    assert file.size_bytes == (FOLDER / "table" / file.path).stat().st_size
    assert file.statistics["minValues"] == {
        "id": 3, "amount": 2.5, "_source_file": "in/2.ndjson", "_source_offset": 0, "_batch_id": 1, "note": {"by": "x"},
    }  # fmt: skip


def test_commit_entries_are_read(checkpoint: Checkpoint) -> None:
    assert checkpoint.commits.log.revisions() == {0: 1, 1: 1}
    entry = checkpoint.commits.read(1)
    assert (entry.attempt, entry.definition) == (checkpoint.manifests.read(1).attempt, "test")
    assert entry.committed_at == "2026-01-01T00:00:12+00:00"
    assert (entry.result.pipeline, entry.result.batch_id, entry.result.tables) == ("test", 1, {"table": 1})
    assert entry.result.offsets == {"source": {"start": {"files": 1, "batches": 1}, "end": {"files": 2, "batches": 2}}}
    assert entry.result.rows == COUNTS | {"read": 1, "written": 1}
    assert entry.result.seconds == {"plan": 0.0, "stage": 0.0, "commit": 0.0, "total": 0.0}


def test_table_tells_which_offsets_made_its_versions() -> None:
    lines = (FOLDER / "table" / "_delta_log" / f"{1:020d}.json").read_text().splitlines()
    info = next(json.loads(line)["commitInfo"] for line in lines if "commitInfo" in line)
    assert json.loads(info["etl.offsets"])["source"]["path"] == ["in/2.ndjson"]
    assert (info["etl.pipeline_id"], info["etl.batch_id"], info["etl.definition"]) == (IDENTITY, "1", "test")


def test_nothing_in_the_folder_names_the_place_where_it_was_made() -> None:
    for path in FOLDER.rglob("*"):
        assert not path.is_file() or b"/tmp" not in path.read_bytes()


def test_rows_of_the_table_are_read(folder: Path) -> None:
    assert rows(folder) == Counter(map(repr, FIRST_FILE + SECOND_FILE))


def test_unfinished_batch_is_brought_to_its_end_and_new_input_follows(folder: Path) -> None:
    (folder / "in" / "0.ndjson").write_text('{"id": 5, "kind": "c", "amount": 4.5, "more": "new"}\n')
    results = run(pipeline(folder, Seam()), Seam(), Silent())
    assert [(result.batch_id, result.tables) for result in results] == [(2, {"table": 2}), (3, {"table": 3})]
    added: list[tuple[object, ...]] = [(5, "c", 4.5, None, "in/0.ndjson", 0, 3)]
    assert rows(folder) == Counter(map(repr, FIRST_FILE + SECOND_FILE + THIRD_FILE + added))
    assert run(pipeline(folder, Seam()), Seam(), Silent()) == []
    assert (folder / "checkpoint" / "epochs" / "0000000004.json").exists()


def test_batch_that_gives_the_table_nothing_follows_an_entry_that_tells_its_version_in_the_result_alone(
    folder: Path,
) -> None:
    for kind in ("offsets", "manifests"):
        (folder / "checkpoint" / kind / "0000000002.json").unlink()
    for path in (folder / "in").glob("3*"):
        path.write_text("")
    (result,) = run(pipeline(folder, Seam()), Seam(), Silent())
    assert (result.batch_id, dict(result.tables)) == (2, {})
    assert run(pipeline(folder, Seam()), Seam(), Silent()) == []
    assert rows(folder) == Counter(map(repr, FIRST_FILE + SECOND_FILE))
