from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ENVIRONMENT, ROOT

COMMANDS = (
    "init",
    "infer",
    "validate",
    "plan",
    "preview",
    "run",
    "serve",
    "status",
    "history",
    "report",
    "trace",
    "query",
    "state",
    "table",
    "quarantine",
    "verify",
    "rewind",
    "backfill",
    "repair",
    "checkpoint",
    "test",
    "graph",
    "alert",
    "schema",
    "doctor",
)
HEAVY = ("polars", "deltalake", "pyarrow", "fsspec", "sqlglot", "pydantic", "yaml", "rich")


def test_help_lists_the_commands_in_order_and_nothing_else(etl: Any) -> None:
    done = etl("--help")

    listed = done.stdout.partition("Commands:\n")[2].splitlines()
    assert tuple(line.split()[0] for line in listed) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, etl: Any) -> None:
    done = etl(command, "--help")

    assert done.returncode == 0
    assert f"Example: etl {command}" in done.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['etl', '--help']\n"
        "from etl.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)

    assert done.stderr == "[]\n"


def test_import_of_the_package_is_light_and_its_names_are_there() -> None:
    code = (
        "import sys, etl\n"
        f"assert not set({HEAVY!r}) & set(sys.modules)\n"
        "print(etl.__version__, etl.run.__name__, etl.read_table.__name__, etl.EtlError.__name__)\n"
        "etl.unheard"
    )

    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=False)

    assert done.stdout == "0.4.0 run read_table EtlError\n"
    assert done.stderr.endswith("AttributeError: module 'etl' has no attribute 'unheard'\n")


def test_version_is_that_of_the_package(etl: Any) -> None:
    assert etl("--version").stdout == "0.4.0\n"
    assert 'version = "0.4.0"' in (ROOT / "pyproject.toml").read_text()


def test_the_whole_way_of_a_project(etl: Any, open_gate: Any) -> None:
    open_gate()

    assert etl("validate").returncode == 0
    assert etl("run", "--all").returncode == 0
    assert "idle" in etl("status").stdout
    assert len(json.loads(etl("history", "orders", "--json").stdout)) == 3
    assert etl("query", "SELECT SUM(id) AS total FROM silver.orders", "--format", "csv").stdout == "total\n36\n"
    assert "silver.orders version 2" in etl("trace", "silver.orders").stdout


def test_a_run_in_the_folder_of_the_project_takes_no_file_for_edited(etl: Any, open_gate: Any) -> None:
    open_gate()

    done = etl("run", "--all")

    assert done.returncode == 0, done.stderr
    assert "edited" not in done.stdout + done.stderr


def test_a_file_name_that_is_not_utf8_is_shown_and_traced(shop: Path, etl: Any, open_gate: Any) -> None:
    open_gate()
    Path(os.fsdecode(os.fsencode(shop) + b"/landing/caf\xe9.ndjson")).write_text('{"id": 99}\n')

    assert etl("run", "--all").returncode == 0
    traced = etl("trace", "silver.orders", "--row", "id=99")

    assert traced.returncode == 0, traced.stderr
    assert "bytes:landing/caf%E9.ndjson" in traced.stdout


def test_a_reader_that_leaves_early_gets_no_traceback(etl: Any) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    done = etl("schema", stdout=writing)
    os.close(writing)

    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr


def test_debug_shows_the_traceback_of_a_failed_run(shop: Path, etl: Any, open_gate: Any) -> None:
    open_gate()
    (shop / "transforms" / "gate.py").write_text("def wait(rows):\n    raise ValueError('no')\n")

    assert "Traceback" not in etl("run", "--all").stderr
    assert "Traceback (most recent call last)" in etl("--debug", "run", "--all").stderr


def test_a_terminal_gets_a_bar_and_the_lines(shop: Path, open_gate: Any) -> None:
    open_gate()
    leader, follower = pty.openpty()
    environment = ENVIRONMENT | {"TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "etl", "run", "orders"], cwd=shop, env=environment, stdout=follower, stderr=follower
    )
    os.close(follower)

    shown = b""
    while select.select([leader], [], [], 60)[0]:
        try:
            shown += os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
    os.close(leader)

    assert process.wait(60) == 0
    assert b"looking for new input" in shown
    assert b"orders  batch 2  " in shown
