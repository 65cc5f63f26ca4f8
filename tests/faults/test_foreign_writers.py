"""Another writer changes a table between staging and commit of a batch that rewrites it: staged again, rows right."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from etl.checkpoint.folder import open_checkpoint
from etl.engine import open_runner, run
from etl.model import Bounds, Json
from etl.progress import Silent
from etl.seam import Seam
from tests.faults.crash_lab import memory_rows
from tests.faults.test_crash_at_every_step import expected, found, stray_files
from tests.leases import Free
from tests.readers import table_rows

T = TypeVar("T")


class Meanwhile(Seam):
    """A seam on whose k-th effect of a name something else happens first."""

    def __init__(self, name: str, act: Callable[[], object], at: int = 1) -> None:
        self._name, self._act, self._left = name, act, at

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        if name == self._name:
            self._left -= 1
            if self._left == 0:
                self._act()
        return act()


def compact(table: Path) -> Callable[[], object]:
    return lambda: DeltaTable(table).optimize.compact()  # noqa: PLW0108  the table as it is then


def append(table: Path) -> Callable[[], object]:
    rows = pl.DataFrame({"id": [50], "kind": ["f"]})
    return lambda: write_deltalake(table, rows, mode="append", schema_mode="merge")


def begun(folder: Path) -> Path:
    """Run two batches; the third will rewrite every file of the table."""
    run(memory_rows(folder, Seam()), Seam(), Silent(), Bounds(2))
    return folder


def manifests(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoint" / "manifests").glob("0000000002*"))


def manifest(folder: Path, name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((folder / "checkpoint" / "manifests" / name).read_text())["body"]
    return body


def test_a_table_that_was_compacted_after_staging_is_rewritten_from_what_it_is_now(tmp_path: Path) -> None:
    seam = Meanwhile("manifest.put.publish", compact(begun(tmp_path) / "table"))
    (result,) = run(memory_rows(tmp_path, seam), seam, Silent())
    assert result.tables == {"table": 3, "quarantine": 2}
    assert manifests(tmp_path) == ["0000000002.2.json", "0000000002.json"]
    first, second = manifest(tmp_path, "0000000002.json"), manifest(tmp_path, "0000000002.2.json")
    assert second["reason"] == "version 2 of another writer changed files that the batch rewrites"
    assert second["revisions"]["main"]["read_version"] == 2
    assert second["tables"]["quarantine"] == first["tables"]["quarantine"]
    assert found(tmp_path) == expected()
    assert our_strays(tmp_path) == []


def our_strays(folder: Path) -> list[str]:
    """Return staged files of ours that nothing refers to; those of the other writer are its own."""
    return [path for path in stray_files(folder) if "/part-" in path and "-000000000" in path]


def test_rows_that_were_appended_after_staging_are_kept_and_take_the_wider_type(tmp_path: Path) -> None:
    table = begun(tmp_path) / "table"
    seam = Meanwhile("manifest.put.publish", append(table))
    run(memory_rows(tmp_path, seam), seam, Silent())
    assert manifests(tmp_path) == ["0000000002.2.json", "0000000002.json"]
    assert sorted(row["id"] for row in table_rows(table)) == [1, 2, 3, 3, 4, 50]
    assert pl.read_delta(str(table)).schema["size"] == pl.Float64
    assert sorted(pl.read_delta(str(table))["size"].drop_nulls()) == [1.0, 2.0, 3.0, 3.0, 4.5]


def test_a_table_that_moves_at_the_moment_of_the_commit_is_asked_again(tmp_path: Path) -> None:
    table = begun(tmp_path) / "table"
    seam = Meanwhile("table.commit.publish", append(table), at=2)  # the first is that of the quarantine
    run(memory_rows(tmp_path, seam), seam, Silent())
    assert manifests(tmp_path) == ["0000000002.2.json", "0000000002.json"]
    assert sorted(row["id"] for row in table_rows(table)) == [1, 2, 3, 3, 4, 50]
    assert our_strays(tmp_path) == []


def test_a_table_that_moves_again_and_again_is_staged_again_each_time(tmp_path: Path) -> None:
    table = begun(tmp_path) / "table"

    class Restless(Seam):
        left = 3

        def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
            if name == "manifest.put.publish" and self.left:
                self.left -= 1
                append(table)()
            return act()

    seam = Restless()
    run(memory_rows(tmp_path, seam), seam, Silent())
    assert manifests(tmp_path) == [f"0000000002{each}.json" for each in (".2", ".3", ".4", "")]
    assert Counter(row["id"] for row in table_rows(table)) == {1: 1, 2: 1, 3: 2, 4: 1, 50: 3}
    assert our_strays(tmp_path) == []


def test_a_version_that_changes_no_file_does_not_stage_a_batch_again(tmp_path: Path) -> None:
    table = begun(tmp_path) / "table"
    properties = {"delta.logRetentionDuration": "interval 9 days"}
    seam = Meanwhile("manifest.put.publish", lambda: DeltaTable(table).alter.set_table_properties(properties))
    run(memory_rows(tmp_path, seam), seam, Silent())
    assert manifests(tmp_path) == ["0000000002.json"]
    assert found(tmp_path) == expected()


def test_a_quarantine_that_was_compacted_after_staging_changes_nothing_for_a_batch_that_only_adds(
    tmp_path: Path,
) -> None:
    seam = Meanwhile("manifest.put.publish", compact(begun(tmp_path) / "quarantine"))
    run(memory_rows(tmp_path, seam), seam, Silent())
    assert manifests(tmp_path) == ["0000000002.json"]
    assert found(tmp_path) == expected()
    assert our_strays(tmp_path) == []


def discard(folder: Path, rows: list[Json], seam: Seam) -> dict[str, int]:
    """Give up rows of the quarantine in a batch of their own; return the versions of the tables."""
    with open_runner(memory_rows(folder, seam), seam, Silent(), Free()) as runner:
        runner.recover()
        result = runner.run_resolution({"action": "discard", "rows": rows}, {"source": {"unit": []}})
    return dict(result.tables)


@pytest.mark.parametrize("change", ["compact", "append"])
def test_rows_of_a_quarantine_that_moves_meanwhile_are_marked_once_and_none_is_lost(
    tmp_path: Path, change: str
) -> None:
    run(memory_rows(tmp_path, Seam()), Seam(), Silent())
    side = tmp_path / "quarantine"
    other = pl.DataFrame({"row_id": ["own"], "rule": ["mine"], "status": ["open"]})
    acts: dict[str, Callable[[], object]] = {
        "compact": compact(side),
        "append": lambda: write_deltalake(side, other, mode="append", schema_mode="merge"),
    }
    seam = Meanwhile("manifest.put.publish", acts[change])
    assert discard(tmp_path, ["0-1", "2-3"], seam) == {"quarantine": 4}
    rows = {row["row_id"]: row["status"] for row in table_rows(side)}
    marked = {"0-1": "discarded", "0-2": "open", "1-1": "open", "2-1": "open", "2-2": "open", "2-3": "discarded"}
    assert rows == marked | ({"own": "open"} if change == "append" else {})
    assert len(table_rows(side)) == len(rows)
    assert our_strays(tmp_path) == []
    names = sorted(path.name for path in (tmp_path / "checkpoint" / "manifests").glob("0000000003*"))
    assert names == ["0000000003.2.json", "0000000003.json"]


def test_a_batch_whose_table_moved_while_no_runner_lived_is_staged_again_at_the_next_start(tmp_path: Path) -> None:
    table = begun(tmp_path) / "table"
    seam = Dying()
    with pytest.raises(KeyboardInterrupt):
        run(memory_rows(tmp_path, seam), seam, Silent())
    compact(table)()
    (result,) = run(memory_rows(tmp_path, Seam()), Seam(), Silent())
    assert result.batch_id == 2
    assert manifests(tmp_path) == ["0000000002.2.json", "0000000002.json"]
    assert found(tmp_path) == expected()
    assert our_strays(tmp_path) == []
    checkpoint = open_checkpoint(memory_rows(tmp_path, Seam()).checkpoint, "test", Seam())
    assert checkpoint.commits.read(2).result.tables == {"table": 3, "quarantine": 2}


class Dying(Seam):
    """A seam that ends a run between the commit of the quarantine and that of the table."""

    def __init__(self) -> None:
        self._left = 2

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        self._left -= name == "table.commit.write"
        if self._left == 0:
            raise KeyboardInterrupt
        return act()
