"""What transforms remember, read by people and programs while nobody, or somebody, runs the pipeline."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import etl
from etl.errors import ConfigError, StateError
from etl.operations.looking import Onlooker
from etl.operations.states import PipelineState, columns_of_ours, read_at
from etl.operations.workspace import Workspace
from tests.remembering import SINK, SOURCE, make_clicks, make_visits, put_visits


@pytest.fixture
def visits(tmp_path: Path) -> Path:
    make_visits(tmp_path)
    etl.run("visits", tmp_path)
    return tmp_path


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-01-01T{text}:00").replace(tzinfo=UTC)


def state(folder: Path, batch_id: int | None = None, name: str = "visits") -> PipelineState:
    seam = Onlooker()
    return read_at(Workspace(folder).wired(name, seam), seam, batch_id, lambda found: found)


def groups(frame: Any) -> list[tuple[Any, ...]]:
    assert isinstance(frame, pl.DataFrame)
    return frame.select("country", "window_start", "visits:count", "total:sum").sort("country", "window_start").rows()


def test_the_state_after_the_newest_batch_is_read_as_a_frame(visits: Path) -> None:
    assert groups(etl.read_state("visits", "group_by", project=visits)) == [("DE", at("10:20"), 2, 24.0)]
    seen = etl.read_state("visits", "deduplicate", project=visits)
    assert isinstance(seen, pl.DataFrame)
    assert sorted(seen.rows()) == [("d", at("10:21")), ("e", at("10:22"))]


def test_the_state_after_an_earlier_batch_is_read_as_it_was(visits: Path) -> None:
    first = groups(etl.read_state("visits", "group_by", batch=0, project=visits))
    assert first == [("DE", at("10:00"), 1, 1.0), ("FR", at("10:00"), 1, 2.0)]
    assert groups(etl.read_state("visits", "group_by", batch=1, project=visits)) == [("DE", at("10:10"), 1, 4.0)]


def test_the_transform_may_be_left_out_where_there_is_one(tmp_path: Path) -> None:
    make_visits(tmp_path, f"{SOURCE}transforms:\n  - deduplicate: {{keys: [id]}}\n{SINK}")
    etl.run("visits", tmp_path)

    found = etl.read_state("visits", project=tmp_path)

    assert isinstance(found, pl.DataFrame)
    assert sorted(found["id"]) == ["a", "b", "c", "d", "e", "f"]


def test_a_transform_of_several_must_be_named(visits: Path) -> None:
    with pytest.raises(ConfigError, match="batch 3: name one of the transforms with state: deduplicate, group_by"):
        etl.read_state("visits", project=visits)


def test_a_transform_with_several_tables_gives_each_by_its_name(tmp_path: Path) -> None:
    make_clicks(tmp_path)
    etl.run("clicks", tmp_path)

    found = etl.read_state("clicks", "join_stream", project=tmp_path)

    assert isinstance(found, dict)
    assert {name: frame["view"].to_list() for name, frame in found.items()} == {"left": ["v"], "right": ["w"]}
    names = [(each.transform, each.table, each.name) for each in state(tmp_path, name="clicks").tables]
    assert names == [("join_stream", "left", "join_stream_left"), ("join_stream", "right", "join_stream_right")]


def test_a_query_names_tables_by_transform_and_table(tmp_path: Path) -> None:
    make_clicks(tmp_path)
    etl.run("clicks", tmp_path)

    sql = "SELECT view FROM join_stream_left UNION ALL SELECT view FROM join_stream_right ORDER BY view"

    assert state(tmp_path, name="clicks").query(sql)["view"].to_list() == ["v", "w"]


def test_a_query_finds_an_only_table_by_either_name(visits: Path) -> None:
    found = state(visits)

    assert found.query("SELECT COUNT(*) AS open FROM group_by").rows() == [(1,)]
    assert found.query('SELECT SUM("total:sum") AS total FROM group_by_groups').rows() == [(24.0,)]


def test_a_query_of_an_unknown_table_is_told_those_that_there_are(visits: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown table 'group'; did you mean 'group_by'\?") as caught:
        state(visits).query('SELECT * FROM "group"')
    assert caught.value.hint == "tables of visits, batch 3: deduplicate, group_by"


def test_a_query_cannot_reach_files(visits: Path) -> None:
    with pytest.raises(ConfigError, match="is no table; only tables can be queried, by name"):
        state(visits).query("SELECT * FROM read_csv('secret.csv')")


def test_tables_tell_rows_bytes_and_the_batch_that_changed_them(visits: Path) -> None:
    found = state(visits)

    told = [(each.name, each.facts.rows, found.reader(each.transform).batch_id) for each in found.tables]
    assert told == [("deduplicate", 2, 2), ("group_by", 1, 2)]
    assert (found.batch_id, found.watermark) == (3, "2026-01-01T10:17:00+00:00")
    assert all(each.facts.size_bytes > 0 for each in found.tables)


def test_the_first_rows_are_sorted_and_no_more_than_asked_for(visits: Path) -> None:
    assert state(visits, 0).first_rows("deduplicate", "seen", 1).height == 1
    assert state(visits, 0).first_rows("deduplicate", "seen", 9)["id"].to_list() == ["a", "b"]


def test_nothing_is_written_and_no_lease_is_taken(visits: Path, snapshot: Any) -> None:
    before = snapshot(visits / "lake")

    etl.read_state("visits", "group_by", project=visits)

    assert snapshot(visits / "lake") == before


def test_a_pipeline_without_state_lists_nothing(tmp_path: Path) -> None:
    make_visits(tmp_path, f"{SOURCE}{SINK}")
    etl.run("visits", tmp_path)

    assert state(tmp_path).tables == []
    with pytest.raises(ConfigError, match="no transform 'group_by' remembers anything"):
        etl.read_state("visits", "group_by", project=tmp_path)


def test_a_pipeline_that_never_ran_and_a_batch_that_is_none_are_told(tmp_path: Path) -> None:
    make_visits(tmp_path)
    with pytest.raises(ConfigError, match="visits: never run: nothing is remembered yet"):
        etl.read_state("visits", "group_by", project=tmp_path)
    etl.run("visits", tmp_path)
    with pytest.raises(ConfigError, match="visits: batch 9 is not committed; the newest is 3"):
        etl.read_state("visits", "group_by", batch=9, project=tmp_path)


def test_a_batch_whose_state_was_taken_away_is_refused_with_those_that_are_kept(visits: Path) -> None:
    for number in range(4, 24):
        put_visits(visits, number, (f"k{number}", f"11:{number:02}", "DE", 1.0))
    etl.run("visits", visits)

    with pytest.raises(StateError, match="visits: the state after batch 1 is no longer kept") as caught:
        etl.read_state("visits", "group_by", batch=1, project=visits)

    assert caught.value.hint == "kept are those after the last 20 batches: 4 to 23"
    assert groups(etl.read_state("visits", "group_by", batch=4, project=visits)) == [("DE", at("11:00"), 1, 1.0)]


def test_the_newest_state_is_read_once_more_when_a_run_goes_on_meanwhile(visits: Path) -> None:
    seam, seen = Onlooker(), list[int]()

    def read(found: PipelineState) -> list[tuple[Any, ...]]:
        seen.append(found.batch_id)
        if len(seen) == 1:
            for number in range(4, 24):
                put_visits(visits, number, (f"k{number}", f"11:{number:02}", "DE", 1.0))
            etl.run("visits", visits)
        return groups(found.frame("group_by", "groups"))

    found = read_at(Workspace(visits).wired("visits", seam), seam, None, read)

    assert seen == [3, 23]
    assert found == [("DE", at("11:15"), 5, 5.0), ("DE", at("11:20"), 4, 4.0)]


def test_damage_of_a_state_that_is_kept_is_no_matter_of_age(visits: Path) -> None:
    for path in (visits / "lake" / "_checkpoints" / "visits" / "state" / "group_by").iterdir():
        path.unlink()

    with pytest.raises(StateError, match=r"state/group_by/.*: is missing"):
        etl.read_state("visits", "group_by", batch=2, project=visits)


def test_every_column_that_is_none_of_the_inputs_is_explained(visits: Path, tmp_path: Path) -> None:
    make_clicks(tmp_path)
    etl.run("clicks", tmp_path)
    every = [*state(visits).tables, *state(tmp_path, name="clicks").tables]
    unknown = {name for each in every for name in each.facts.layout.columns if name.startswith("_")}

    assert unknown == {"_etl_expires", "_rows", "_etl_batch", "_etl_row", "_etl_matched"}
    assert set(columns_of_ours(dict.fromkeys(unknown))) == unknown
