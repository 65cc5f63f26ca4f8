"""A pipeline whose state is flipped, cut or gone: exactly the right tables, or a refusal that names file and repair."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest

from etl.engine import run
from etl.errors import EtlError, StateError
from etl.operations.refreshing import begin_refresh
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from tests.faults.state_lab import PIPELINES, lay_out
from tests.faults.test_state_crashes import found

ROOT = Path(__file__).parents[2]
HELD_BACK = ("in/4.ndjson", "refunds/4.ndjson")
"""The last file of each source, which come when the state is damaged: they close what is remembered."""


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def flip_first(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 255]) + content[1:])


def flip_last(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES: list[Callable[[Path], None]] = [flip, flip_first, flip_last, cut, empty, Path.unlink]


def go_on(folder: Path) -> None:
    run(Workspace(folder).wired("events", Seam()), Seam(), Silent())


def going_on(folder: Path) -> EtlError | None:
    """Go on, and return what ended it."""
    try:
        go_on(folder)
    except EtlError as exc:
        return exc
    return None


def refresh(folder: Path) -> None:
    begin_refresh(Workspace(folder).wired("events", Seam()), Seam())
    go_on(folder)


class Lab:
    """A project that has run, less its last files; and what is in its tables with and without those."""

    def __init__(self, folder: Path, made: Path, last: Sequence[str]) -> None:
        self.folder = folder
        self.before = made
        waiting = {name: folder / name.replace("/", "-") for name in last}
        for name, path in waiting.items():
            (made / name).rename(path)
        go_on(made)
        self.rows_before = found(made)
        self.whole = self.copy("whole")
        for each in (self.before, self.whole):
            for name, path in waiting.items():
                shutil.copy(path, each / name)
        go_on(self.whole)
        self.rows_after = found(self.whole)
        assert self.rows_after != self.rows_before

    def copy(self, name: str) -> Path:
        """Return a copy of the project, as it was before the last files."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(self.before, self.folder / name)
        return self.folder / name

    def files(self) -> list[str]:
        """Return all files of state."""
        return sorted(str(path.relative_to(self.before)) for path in self.before.rglob("state/*/*"))

    def check(self, file: str, damage: Callable[[Path], None]) -> EtlError | None:
        """Damage a file and go on. Returns the refusal, None where the tables are right."""
        folder = self.copy("damaged")
        damage(folder / file)
        told = f"{damage.__name__} {file}"
        refusal = going_on(folder)
        if refusal is None:
            assert found(folder) == self.rows_after, told
            return None
        assert isinstance(refusal, StateError), f"{told}: {refusal}"
        assert refusal.exit_code == 4
        assert Path(file).name in str(refusal), f"{told}: {refusal}"
        assert "--full-refresh" in refusal.hint, f"{told}: {refusal}"
        assert found(folder) in (self.rows_before, self.rows_after), told
        refresh(folder)
        assert found(folder) == self.rows_after, f"{told}, after the refresh"
        return refusal


def lab_of(pipeline: str, folder: Path) -> Lab:
    return Lab(folder, lay_out(folder / "before", pipeline), HELD_BACK)


def test_a_state_that_is_damaged_gives_the_right_tables_or_a_refusal(tmp_path: Path) -> None:
    lab = lab_of("chain", tmp_path)
    newest = {Path(file).parent.name: file for file in lab.files()}
    outcomes = [lab.check(file, damage) for file in newest.values() for damage in (flip, cut, Path.unlink)]

    assert any(outcomes)


def test_the_command_ends_with_its_own_exit_code_and_mends_it_by_a_full_refresh(tmp_path: Path) -> None:
    lab = lab_of("windows", tmp_path)
    folder = lab.copy("damaged")
    for file in lab.files():
        flip(folder / file)

    def etl(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "etl", *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    refused = etl("run", "events")
    assert refused.returncode == 4
    assert "state/group_by/" in refused.stderr + refused.stdout
    assert "--full-refresh" in refused.stderr + refused.stdout
    assert etl("run", "events").returncode == 4
    assert found(folder) == lab.rows_before
    assert etl("run", "events", "--full-refresh").returncode == 0
    assert found(folder) == lab.rows_after


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_whatever_file_of_state_is_damaged_no_table_is_ever_wrong(
    tmp_path: Path, pipeline: str, damage: Callable[[Path], None]
) -> None:
    lab = lab_of(pipeline, tmp_path)
    outcomes = [lab.check(file, damage) for file in lab.files()]

    assert any(outcomes)


LARGE = """
version: 1
name: events
source: {type: files, path: in/*.parquet, order: name, batch: {max_files: 1}, schema: {id: int64, part: int64}}
transforms: [{deduplicate: {keys: [id]}}]
sink: {type: delta, table: t.events, provenance: false}
"""


def lay_out_large(folder: Path, batches: int = 14) -> Path:
    """Return a project whose state is large enough for partitions, and for former ones of them."""
    for name in ("in", "pipelines"):
        (folder / name).mkdir(parents=True)
    (folder / "pipelines" / "events.yml").write_text(LARGE)
    for number in range(batches):
        ids = pl.int_range(number * 50_000, (number + 2) * 50_000, eager=True)
        pl.DataFrame({"id": ids, "part": ids % 7}).write_parquet(folder / "in" / f"{number:02}.parquet")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
def test_a_large_state_that_is_damaged_is_made_good_from_older_files(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    lab = Lab(tmp_path, lay_out_large(tmp_path / "before"), ["in/13.parquet"])
    outcomes = Counter(lab.check(file, damage) is None for file in lab.files() if file.endswith(".arrow"))

    assert outcomes[True]
