"""Static tables in the walk of a batch: what the plan pins, and what becomes of it when the table changes."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from etl.engine import run
from etl.errors import MissingTableError, StorageError, TransformError
from etl.flow import Branch, Flow
from etl.pinning import pins_of
from etl.progress import Silent
from etl.seam import Seam
from etl.testing import MemorySink, MemorySource, crash_at
from etl.transforms.contract import TransformSite
from etl.transforms.join import Join
from etl.transforms.join_options import JoinOptions
from tests.wiring import fed, pipeline_in

PLACE = "transforms[0].join"
DELTA = {"path": "users"}
DATABASE = {"url": "sqlite:///crm.db", "table": "users"}


class Notes(Silent):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def noted(self, pipeline: str, message: str) -> None:
        self.heard.append(message)


def joining(folder: Path, options: dict[str, Any], source: str = "") -> Join:
    return Join(JoinOptions.model_validate({"on": "id", **options}), TransformSite(folder, 0, source))


def joined(
    folder: Path, feed: tuple[MemorySource, MemorySink], options: dict[str, Any], seam: Seam | None = None, **more: Any
) -> Any:
    transforms = (joining(folder, options),)
    return pipeline_in(folder / "checkpoint", *feed, seam, transforms=transforms, **more)


def put_users(folder: Path, name: str) -> None:
    """Let every user have this name, in the Delta table and in the database."""
    rows = [(number, name) for number in (1, 2, 3)]
    write_deltalake(f"{folder}/users", pl.DataFrame(rows, ["id", "name"], orient="row"), mode="overwrite")
    with closing(sqlite3.connect(folder / "crm.db")) as database:
        database.execute("CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT)")
        database.executemany("REPLACE INTO users VALUES (?, ?)", rows)
        database.commit()


def plan_of(folder: Path, batch: int, revision: int = 1) -> dict[str, Any]:
    suffix = "" if revision == 1 else f".{revision}"
    body: dict[str, Any] = json.loads((folder / "checkpoint" / "offsets" / f"{batch:010}{suffix}.json").read_text())
    return dict(body["body"])


def interrupted(folder: Path, feed: tuple[MemorySource, MemorySink], options: dict[str, Any]) -> None:
    """Let a run fail when batch 0 was planned and staged, before its manifest; then every user has another name."""
    put_users(folder, "old")
    seam = crash_at("manifest.put.write", "full")
    with pytest.raises(StorageError):
        run(joined(folder, feed, options, seam), seam, Silent())
    put_users(folder, "new")


@pytest.mark.parametrize("options", [DELTA, DATABASE])
def test_each_batch_is_joined_with_the_version_that_is_newest_when_it_is_planned(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    source, sink = fed([{"id": 1}], [{"id": 2}]), MemorySink()
    put_users(tmp_path, "a")
    put_users(tmp_path, "b")
    run(joined(tmp_path, (source, sink), options), Seam(), Silent())
    put_users(tmp_path, "c")
    source.add([{"id": 3}])
    run(joined(tmp_path, (source, sink), options), Seam(), Silent())

    assert [(row["id"], row["name"]) for row in sink.rows()] == [(1, "b"), (2, "b"), (3, "c")]
    pins = [plan_of(tmp_path, batch)["pins"][PLACE + (": users" if options is DELTA else "")] for batch in range(3)]
    assert pins[0] == pins[1] != pins[2]
    if options is DELTA:
        assert [pin["version"] for pin in pins] == [1, 1, 2]


def test_a_batch_that_is_carried_out_again_is_joined_with_the_version_of_its_plan(tmp_path: Path) -> None:
    feed, notes = (fed([{"id": 1}], [{"id": 2}]), MemorySink()), Notes()
    interrupted(tmp_path, feed, DELTA)

    run(joined(tmp_path, feed, DELTA), Seam(), notes)

    assert [(row["id"], row["name"]) for row in feed[1].rows()] == [(1, "old"), (2, "new")]
    assert not any("amended" in note for note in notes.heard)


def test_a_plan_whose_rows_the_database_no_longer_has_is_pinned_anew(tmp_path: Path) -> None:
    feed, notes = (fed([{"id": 1}], [{"id": 2}]), MemorySink()), Notes()
    interrupted(tmp_path, feed, DATABASE)

    run(joined(tmp_path, feed, DATABASE), Seam(), notes)

    assert [(row["id"], row["name"]) for row in feed[1].rows()] == [(1, "new"), (2, "new")]
    assert plan_of(tmp_path, 0)["pins"] != plan_of(tmp_path, 0, 2)["pins"]
    assert plan_of(tmp_path, 0, 2)["reason"].startswith("the rows of users (sqlite://")


def test_a_plan_that_waits_for_a_pipeline_that_was_edited_is_pinned_for_that(tmp_path: Path) -> None:
    feed = (fed([{"id": 1}]), MemorySink())
    interrupted(tmp_path, feed, DELTA)

    run(joined(tmp_path, feed, DATABASE, definition="edited"), Seam(), Silent())

    assert [row["name"] for row in feed[1].rows()] == ["new"]
    assert plan_of(tmp_path, 0, 2)["pins"] == {PLACE: {"rows": 3, "hash": joining(tmp_path, DATABASE).pin()["hash"]}}  # type: ignore[index,call-overload]


def test_nothing_is_planned_while_the_table_is_missing(tmp_path: Path) -> None:
    feed = (fed([{"id": 1}]), MemorySink())

    with pytest.raises(MissingTableError, match="no file"):
        run(joined(tmp_path, feed, DELTA), Seam(), Silent())
    assert not (tmp_path / "checkpoint" / "offsets").exists()
    put_users(tmp_path, "a")
    run(joined(tmp_path, feed, DELTA), Seam(), Silent())

    assert [row["name"] for row in feed[1].rows()] == ["a"]


def test_a_version_that_is_broken_fails_the_batch_until_there_is_a_newer_one(tmp_path: Path) -> None:
    feed = (fed([{"id": 1}]), MemorySink())
    put_users(tmp_path, "a")
    for file in DeltaTable(f"{tmp_path}/users").file_uris():
        Path(file).unlink()

    with pytest.raises(TransformError, match=r"transforms\[0\]\.join: version 0 of users cannot be read"):
        run(joined(tmp_path, feed, DELTA), Seam(), Silent())
    put_users(tmp_path, "b")
    run(joined(tmp_path, feed, DELTA), Seam(), Silent())

    assert [row["name"] for row in feed[1].rows()] == ["b"]


def test_static_tables_of_every_source_are_pinned(tmp_path: Path) -> None:
    put_users(tmp_path, "a")
    branch = Branch("refunds", MemorySource(), (joining(tmp_path, DELTA, "refunds"),))
    flow = Flow("t", "s", MemorySource(), (joining(tmp_path, DELTA),), MemorySink(), (), branches=(branch,))

    found = pins_of(flow)

    assert list(found) == ["transforms[0].join: users", "sources.refunds.transforms[0].join: users"]
    assert len({str(pin) for pin in found.values()}) == 1
