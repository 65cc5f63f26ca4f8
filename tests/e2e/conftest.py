from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "100", "PYTHONWARNINGS": "error"}

PIPELINE = """\
version: 1
source: {type: files, path: landing/*.ndjson, batch: {max_files: 1}}
transforms:
  - python: gate:wait
sink: {type: delta, table: silver.orders}
"""

# A batch stands still while the gate is a pipe that nobody writes to; a test that opens it knows that one is under way.
GATE = """\
import os, stat

def wait(rows):
    def pass_gate(frame):
        if frame.height and os.path.exists("gate") and stat.S_ISFIFO(os.stat("gate").st_mode):
            with open("gate") as gate:
                gate.read()
        return frame

    return rows.map_batches(pass_gate)
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a project with three files, whose batches wait at a gate."""
    for name in ("pipelines", "landing", "transforms"):
        (tmp_path / name).mkdir()
    (tmp_path / "pipelines" / "orders.yml").write_text(PIPELINE)
    (tmp_path / "transforms" / "gate.py").write_text(GATE)
    for number in range(3):
        (tmp_path / "landing" / f"{number}.ndjson").write_text(f'{{"id": {number}}}\n{{"id": {number + 10}}}\n')
    os.mkfifo(tmp_path / "gate")
    return tmp_path


@pytest.fixture
def etl(shop: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a command to its end."""

    def run(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
        called = [sys.executable, "-m", "etl", *arguments]
        return subprocess.run(
            called, cwd=shop, env=ENVIRONMENT, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )

    return run


@pytest.fixture
def start(shop: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts a command; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        called = [sys.executable, "-m", "etl", *arguments]
        pipe = subprocess.PIPE
        process = subprocess.Popen(called, cwd=shop, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def open_gate(shop: Path) -> Callable[[], None]:
    """Return a function that lets everything through from now on."""

    def remove() -> None:
        (shop / "gate").unlink()

    return remove
