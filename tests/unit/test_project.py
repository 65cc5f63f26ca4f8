from __future__ import annotations

from pathlib import Path

import pytest

from etl.errors import ConfigError
from etl.model import ReadLimit
from etl.project import Project, absolute, check_id, default_project, scheme_of

FOLDER = Path("/work/shop")


def test_a_default_project_keeps_its_lake_inside_its_folder() -> None:
    project = default_project(FOLDER)
    assert (project.lake, project.memory_bytes, project.profile) == ("/work/shop/lake", 2_000_000_000, None)
    assert project.limit == ReadLimit(max_files=1000, max_bytes=256_000_000, max_rows=None)


def test_a_relative_folder_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_project(Path()).folder == tmp_path


@pytest.mark.parametrize(("lake", "url"), [("/lake", "/lake/silver/orders"), ("s3://b/x", "s3://b/x/silver/orders")])
def test_a_table_lies_in_the_folder_of_its_schema(lake: str, url: str) -> None:
    assert Project(FOLDER, lake).table_url("silver.orders") == url


@pytest.mark.parametrize(
    "table",
    [
        "orders",
        "a.b.c",
        "a.",
        ".b",
        "a..b",
        "_checkpoints.orders",
        "silver._delta_log",
        "a/b.c",
        "a.b\n",
        "ä.b",
        "a. b",
    ],
)
def test_what_is_no_table_name_is_refused(table: str) -> None:
    with pytest.raises(ConfigError, match=r"is no table name; write schema\.table"):
        default_project(FOLDER).table_url(table)


def test_a_checkpoint_lies_beside_the_tables_of_the_lake() -> None:
    assert Project(FOLDER, "s3://lake").checkpoint_url("orders-2") == "s3://lake/_checkpoints/orders-2"


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "-x", "a b", "a.b", "a\n", "x" * 101])
def test_what_is_no_pipeline_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is no name; write at most 100 letters"):
        check_id(name)
    with pytest.raises(ConfigError):
        default_project(FOLDER).checkpoint_url(name)


@pytest.mark.parametrize(
    ("path", "whole"),
    [
        ("lake", "/work/shop/lake"),
        ("./lake/", "/work/shop/lake"),
        ("../other", "/work/other"),
        ("/abs//x/", "/abs/x"),
        ("file:///abs/x", "/abs/x"),
        ("s3://bucket/x/", "s3://bucket/x"),
        ("S3://bucket", "S3://bucket"),
        ("a?b#c/**/*.csv", "/work/shop/a?b#c/**/*.csv"),
    ],
)
def test_a_path_starts_from_the_project_folder_and_a_url_from_nowhere(path: str, whole: str) -> None:
    assert absolute(FOLDER, path) == whole
    assert default_project(FOLDER).url(path) == whole


def test_storage_options_go_by_the_scheme_of_the_url() -> None:
    project = Project(FOLDER, "/lake", storage_options={"s3": {"region": "x"}})
    assert project.options_for("S3://bucket/a") == {"region": "x"}
    assert project.options_for("gs://bucket/a") == {}
    assert project.options_for("/lake/a") == {}
    assert scheme_of("relative/path") == "file"


def test_a_project_does_not_show_its_storage_options() -> None:
    assert "hush" not in repr(Project(FOLDER, "/lake", storage_options={"s3": {"secret": "hush"}}))
