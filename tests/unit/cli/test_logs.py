"""Commands on a pipeline that tails a log."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from etl.cli.app import app

PIPELINE = """\
version: 1
source: {type: logs, path: app.log, format: {grok: "%{WORD:what} %{INT:count:int}"}}
sink: {type: delta, table: bronze.app}
"""


@pytest.fixture
def etl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that runs a command in a project with one log."""
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "app.yml").write_text(PIPELINE)
    (tmp_path / "app.log").write_text("a 1\nb 2\n")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["-C", str(tmp_path), *arguments], prog_name="etl")

    return run


def rows(etl: Callable[..., Result]) -> list[dict[str, Any]]:
    done = etl("query", "SELECT what, count FROM bronze.app ORDER BY count", "--format", "json")
    assert done.exit_code == 0, done.output
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_status_tells_how_far_each_log_is_behind(etl: Callable[..., Result], tmp_path: Path) -> None:
    assert etl("run", "app").exit_code == 0
    with open(tmp_path / "app.log", "a") as log:
        log.write("c 3\nd")
    written_at = os.stat(tmp_path / "app.log").st_mtime - 60
    os.utime(tmp_path / "app.log", (written_at, written_at))

    [told] = json.loads(etl("status", "--json").stdout)
    line = etl("status").stdout.splitlines()[2].split()

    assert (told["state"], told["lag"]["bytes"], told["lag"]["seconds"] >= 60) == ("waiting", 5, True)
    [log] = told["lag"]["logs"]
    assert (log["path"], log["offset"], log["behind_bytes"]) == ("app.log", 8, 5)
    assert line[:5] == ["app", "waiting", "1", "5", "B"]
    assert (float(line[-2]) >= 60, line[-1]) == (True, "s")


def test_a_log_is_explained_with_its_generations_and_what_is_lost(etl: Callable[..., Result], tmp_path: Path) -> None:
    assert etl("run", "app").exit_code == 0
    os.rename(tmp_path / "app.log", tmp_path / "app.log.1")
    (tmp_path / "app.log").write_text("c 3\nd 4\n")
    assert etl("run", "app").exit_code == 0
    (tmp_path / "app.log").unlink()
    lost = etl("run", "app")

    explained = etl("trace", "bronze.app", "--explain", "app.log").stdout.splitlines()

    assert "app.log: gone; at least 0 bytes after byte 8 are lost" in lost.output
    assert explained[0] == "app.log: not read"
    assert explained[2].startswith("  generation 1: now at app.log.1, read up to byte 8 of 8, device ")
    assert explained[3].startswith("  generation 2: its name is gone, read up to byte 8 of 8, device ")
    assert explained[4:] == ["  lost of generation 2: at least 0 bytes after byte 8, gone"]
    assert "lost" not in etl("run", "app").output
    assert [row["count"] for row in rows(etl)] == [1, 2, 3, 4]


def test_a_rejected_line_is_read_again_once_the_format_is_mended(etl: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("a 1\nb=2\n")
    assert etl("run", "app").exit_code == 0
    with open(tmp_path / "app.log", "a") as log:
        log.write("c 3\n")
    mended = PIPELINE.replace("} %{INT", "}[ =]%{INT")
    (tmp_path / "pipelines" / "app.yml").write_text(mended)

    done = etl("quarantine", "replay", "app")
    assert done.stdout.splitlines()[-1] == "app  1 row replayed: 1 written, 0 rejected again, batch 1"
    assert etl("run", "app").exit_code == 0
    etl("status")

    assert rows(etl) == [{"what": "a", "count": 1}, {"what": "b", "count": 2}, {"what": "c", "count": 3}]
    passages = etl("trace", "bronze.app", "--file", "app.log").stdout.splitlines()
    assert [line.split(",")[0] for line in passages if line.startswith("  batch")] == [
        "  batch 0: bronze.app version 0",
        "  batch 1: rejected rows again",
        "  batch 2: bronze.app version 2",
    ]
