"""A run that waits for lines of a log, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200", "PYTHONWARNINGS": "error"}
PIPELINE = """\
version: 1
source: {type: logs, path: logs/app.log}
trigger: continuous
sink: {type: delta, table: bronze.app}
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "etl", *arguments]


def test_lines_are_taken_as_they_are_written_and_across_a_rotation(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "app.yml").write_text(PIPELINE)
    log = tmp_path / "logs" / "app.log"
    log.write_text("a\n")
    process = subprocess.Popen(
        command("run", "app"), cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None

    said = [process.stdout.readline()]
    with open(log, "a") as file:
        file.write("b\nnot whole")
    said.append(process.stdout.readline())
    os.rename(log, tmp_path / "logs" / "app.log.1")
    with open(tmp_path / "logs" / "app.log.1", "a") as file:
        file.write(" yet\n")
    said.append(process.stdout.readline())
    log.write_text("c\nd\n")
    said.append(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    rest, trouble = process.communicate(timeout=60)

    counts = [line.split(" read,")[0].split()[-1] for line in said]
    assert (counts, rest, process.returncode) == (["1", "1", "1", "2"], "", 0), f"{said} {rest} {trouble}"
    query = "SELECT line FROM bronze.app"
    found = subprocess.run(
        command("query", query, "--format", "json"), cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=True
    )
    assert sorted(row["line"] for row in json.loads(found.stdout)) == ["a", "b", "c", "d", "not whole yet"]
