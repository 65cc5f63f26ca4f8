from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from etl.cli.app import app

ORDERS = """\
version: 1
source: {type: files, path: landing/*.ndjson, batch: {max_files: 1}}
transforms:
  - filter: amount >= 0
sink: {type: delta, table: silver.orders}
quarantine: {max_fraction: 0.9}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a project with one pipeline and two files."""
    folder = tmp_path / "shop"
    (folder / "pipelines").mkdir(parents=True)
    (folder / "landing").mkdir()
    (folder / "pipelines" / "orders.yml").write_text(ORDERS)
    (folder / "landing" / "1.ndjson").write_text('{"id": 1, "amount": 5.0}\n{"id": 2, "amount": -1.0}\n')
    (folder / "landing" / "2.ndjson").write_text('{"id": 3, "amount": 7.5}\n')
    return folder


@pytest.fixture
def etl(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that runs a command in the project."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["-C", str(shop), *arguments], prog_name="etl")

    return run


@pytest.fixture
def ran(etl: Callable[..., Result]) -> Callable[..., Result]:
    """Return the same, after a run of everything."""
    assert etl("run", "--all").exit_code == 0
    return etl


@pytest.fixture
def told() -> Callable[[Result], Any]:
    """Return a function that reads the one JSON document of a command."""

    def read(result: Result) -> Any:
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return read


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty project, which is the working folder."""
    (tmp_path / "pipelines").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path
