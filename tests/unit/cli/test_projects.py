from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from etl.cli.app import app


def etl(*arguments: str) -> Any:
    return CliRunner().invoke(app, [*arguments], prog_name="etl")


def test_init_makes_a_project_that_runs_at_once(tmp_path: Path) -> None:
    made = etl("-C", str(tmp_path), "init", "shop")
    assert made.exit_code == 0, made.output
    assert "  .gitignore\n" in made.stdout

    assert etl("-C", str(tmp_path / "shop"), "validate").exit_code == 0
    done = etl("-C", str(tmp_path / "shop"), "run", "--all")

    assert done.exit_code == 0, done.output
    assert "5 written, 1 quarantined  silver.orders v0, silver.orders__quarantine v0" in done.stdout


def test_init_refuses_a_folder_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "mine").touch()

    done = etl("-C", str(tmp_path), "init", "shop")

    assert done.exit_code == 2
    assert "is not an empty folder" in done.stderr
    assert os.listdir(tmp_path / "shop") == ["mine"]


def test_init_makes_a_project_that_tails_a_log(tmp_path: Path) -> None:
    assert etl("-C", str(tmp_path), "init", "web", "--template", "logs").exit_code == 0

    assert etl("-C", str(tmp_path / "web"), "validate").exit_code == 0
    done = etl("-C", str(tmp_path / "web"), "run", "--all")
    with open(tmp_path / "web" / "logs" / "access.log", "a") as log:
        log.write('192.0.2.1 - - [02/Nov/2026:09:12:00 +0000] "GET / HTTP/1.1" 503 5 "-" "curl/8.5.0"\nnot whole')
    again = etl("-C", str(tmp_path / "web"), "run", "--all")

    assert "5 written, 1 quarantined  bronze.access v0, bronze.access__quarantine v0" in done.stdout
    assert "1 read, 1 written  bronze.access v1" in again.stdout


def test_init_makes_a_project_of_windows_that_is_tested_at_once(tmp_path: Path) -> None:
    made = etl("-C", str(tmp_path), "init", "web", "--template", "windows")
    tried = etl("-C", str(tmp_path / "web"), "test")

    assert "  README.md\n" in made.stdout
    assert (tried.exit_code, tried.stdout.splitlines()[-1]) == (0, "4 tests, 0 failed")


def test_init_names_the_templates_that_it_knows(tmp_path: Path) -> None:
    done = etl("-C", str(tmp_path), "init", "shop", "--template", "kafka")

    assert done.exit_code == 2
    assert "known: cdc, files, logs, windows" in done.stderr
    assert not (tmp_path / "shop").exists()


def test_validate_lists_pipelines_and_columns(shop: Path, told: Any) -> None:
    done = etl("-C", str(shop), "validate")

    assert done.stdout.splitlines()[2].split() == ["orders", "silver.orders", "1", "5", "ok"]
    assert told(etl("-C", str(shop), "validate", "--json"))[0]["columns"]["id"] == "Int64"


def test_validate_lists_all_faults_at_once(shop: Path) -> None:
    (shop / "pipelines" / "b.yml").write_text("version: 1\nsource: {type: fiels}\nsnik: 1\n")

    done = etl("-C", str(shop), "validate")

    assert done.exit_code == 2
    assert done.stderr.splitlines()[0] == "pipelines/b.yml: 3 problems"


def test_validate_without_pipelines_names_the_next_step(tmp_path: Path) -> None:
    assert "start with etl init" in etl("-C", str(tmp_path), "validate").stdout


def test_schema_is_one_document_with_both_files(told: Any) -> None:
    assert list(told(etl("schema"))) == ["project", "pipeline"]


def test_doctor_lists_what_it_tried(shop: Path, told: Any) -> None:
    done = etl("-C", str(shop), "doctor")

    assert done.exit_code == 0, done.output
    assert "ok       conditional create   a second writer is refused" in done.stdout
    assert {"check", "state", "detail", "next_step"} == set(told(etl("-C", str(shop), "doctor", "--json"))[0])


def test_doctor_fails_where_something_is_wrong(shop: Path) -> None:
    (shop / "lake").write_text("a file")

    done = etl("-C", str(shop), "doctor")

    assert done.exit_code == 1
    assert done.stderr == "1 check failed\n"


def test_a_folder_that_does_not_exist_is_told(tmp_path: Path) -> None:
    done = etl("-C", str(tmp_path / "nowhere"), "status")

    assert (done.exit_code, done.stderr) == (2, f"error: {tmp_path / 'nowhere'}: no such folder\n")
