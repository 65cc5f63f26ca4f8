from __future__ import annotations

import json
from pathlib import Path

import pytest

from etl.checkpoint.batch_log import BatchLog
from etl.errors import CheckpointError
from etl.model import Bounds
from etl.operations.looking import Onlooker
from etl.operations.passing import Wanted, passing
from etl.operations.recent import Position, Recent, newest_of, position_of
from etl.operations.running import Running, run_pipelines
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from etl.storage import LocalStorage


@pytest.mark.parametrize("known", [0, 1, 6])
@pytest.mark.parametrize("count", [7, 8, 9, 100])
def test_the_newest_record_is_found_from_any_that_is_known(tmp_path: Path, count: int, known: int) -> None:
    log = log_of(tmp_path, range(count))

    assert newest_of(log, known) == count - 1


def test_the_newest_record_of_an_empty_log_is_none(tmp_path: Path) -> None:
    assert newest_of(log_of(tmp_path, range(0))) == -1


def test_a_log_that_begins_later_is_listed(tmp_path: Path) -> None:
    assert newest_of(log_of(tmp_path, range(40, 55))) == 54


def test_nothing_is_known_before_the_first_run(home: Workspace) -> None:
    recent = Recent(home.project, "orders", Onlooker())

    assert recent.checkpoint() is None
    assert recent.entries(10) == []
    assert recent.position().batch_id == -1


def test_entries_come_newest_first_and_those_of_later_runs_too(home: Workspace) -> None:
    recent = Recent(home.project, "orders", Onlooker())
    run(home, 1)
    first = recent.position()
    assert ids(recent, 10) == [0]

    run(home)

    assert ids(recent, 10) == [1, 0]
    assert ids(recent, 1) == [1]
    assert ids(recent, 10, upto=0) == [0]
    assert recent.position() == Position(first.generation, 1)


def test_a_full_refresh_begins_from_nothing(home: Workspace) -> None:
    recent = Recent(home.project, "orders", Onlooker())
    run(home)
    before = recent.position()

    list(run_pipelines(home, ["orders"], Running(Seam(), Silent(), Bounds(max_batches=1), full_refresh=True)))

    assert recent.position() == Position(before.generation + 1, 0)
    assert ids(recent, 10) == [0]


def test_a_record_that_cannot_be_read_is_told_and_is_no_position(home: Workspace) -> None:
    run(home)
    for path in (home.folder / "lake" / "_checkpoints" / "orders" / "commits").iterdir():
        path.write_text("x")
    recent = Recent(home.project, "orders", Onlooker())

    with pytest.raises(CheckpointError):
        recent.entries(1)
    assert position_of(recent) is not None


def test_files_come_with_their_batch_and_their_fates(home: Workspace) -> None:
    run(home)
    checkpoint = Recent(home.project, "orders", Onlooker()).checkpoint()
    assert checkpoint is not None

    everything = passing(checkpoint, 1, Wanted(), 100)
    some = passing(checkpoint, 1, Wanted(), 1)

    found = [
        (Path(each.path).name, each.batch_id, each.fates["read"], each.fates["written"]) for each in everything.files
    ]
    assert found == [("2.ndjson", 1, 1, 1), ("1.ndjson", 0, 2, 1)]
    assert everything.further is None
    assert [each.batch_id for each in some.files] == [1]
    assert some.further == 0


def test_files_are_found_by_a_fate_and_by_a_part_of_their_path(home: Workspace) -> None:
    run(home)
    checkpoint = Recent(home.project, "orders", Onlooker()).checkpoint()
    assert checkpoint is not None

    def found(wanted: Wanted) -> list[str]:
        return [Path(each.path).name for each in passing(checkpoint, 1, wanted, 100).files]

    assert found(Wanted(fate="filtered")) == ["1.ndjson"]
    assert found(Wanted(text="2.nd")) == ["2.ndjson"]
    assert found(Wanted(fate="filtered", text="2.nd")) == []


def log_of(folder: Path, batches: range) -> BatchLog:
    log = BatchLog(LocalStorage(folder / "commits", Seam()), "commit", "a-pipeline", Seam())
    for batch_id in batches:
        path = folder / "commits" / f"{batch_id:010}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({}))
    return log


def run(home: Workspace, batches: int | None = None) -> None:
    for outcome in run_pipelines(home, ["orders"], Running(Seam(), Silent(), Bounds(max_batches=batches))):
        assert outcome.error is None


def ids(recent: Recent, most: int, upto: int | None = None) -> list[int]:
    return [entry.result.batch_id for entry in recent.entries(most, upto)]
