from __future__ import annotations

from typing import TYPE_CHECKING

from etl.operations import doctor_project
from etl.operations.doctor import Finding
from etl.operations.doctor_project import examine_project
from etl.operations.workspace import Workspace

if TYPE_CHECKING:
    import pytest


def by_check(home: Workspace) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine_project(home)}


def write_pipeline(home: Workspace, name: str, path: str) -> None:
    source = f"{{type: files, path: '{path}', format: ndjson, schema: {{id: int64}}}}"
    text = f"version: 1\nsource: {source}\nsink: {{type: delta, table: bronze.{name}}}\n"
    (home.folder / "pipelines" / f"{name}.yml").write_text(text)


def test_each_pipeline_is_looked_at_and_nothing_is_written(home: Workspace) -> None:
    (home.folder / "landing").mkdir(exist_ok=True)
    (home.folder / "landing" / "a.ndjson").write_text('{"id": 1}\n')
    write_pipeline(home, "numbers", "landing/*.ndjson")
    before = sorted(home.folder.rglob("*"))

    found = by_check(home)["pipeline numbers"]

    assert found.state == "ok"
    assert found.detail == "its source can be read and bronze.numbers written: never run"
    assert sorted(home.folder.rglob("*")) == before


def test_a_faulty_file_is_told_and_no_pipeline_is_looked_at(home: Workspace) -> None:
    write_pipeline(home, "numbers", "landing/*.ndjson")
    (home.folder / "pipelines" / "broken.yml").write_text("version: 1\nsource: {type: fiels}\n")

    found = by_check(home)

    assert found["pipelines"].state == "failed"
    assert "did you mean 'files'" in found["pipelines"].detail
    assert "pipeline numbers" not in found


def test_a_source_that_cannot_be_listed_fails_its_pipeline_alone(home: Workspace) -> None:
    write_pipeline(home, "numbers", "landing/*.ndjson")
    write_pipeline(home, "clouds", "nosuchstore://bucket/*.ndjson")

    found = by_check(home)

    assert found["pipeline numbers"].state == "ok"
    assert found["pipeline clouds"].state == "failed"
    assert found["pipeline clouds"].next_step


def test_few_open_files_and_missing_time_zones_are_warned_of(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_project, "_LEAST_OPEN_FILES", 1 << 60)
    monkeypatch.setattr(doctor_project, "_TRIED_ZONE", "Nowhere/Nothing")

    found = by_check(home)

    assert (found["open files"].state, found["open files"].next_step) == ("warning", "raise it: ulimit -n 4096")
    assert (found["time zones"].state, found["time zones"].next_step) == ("warning", "pip install tzdata")


def test_the_extras_that_are_installed_are_named(home: Workspace) -> None:
    found = by_check(home)["extras"]

    assert found.state == "ok"
    assert found.detail.startswith("installed: ")
    assert "s3" in found.detail
