"""The pages of the six uses show what their example projects do: every command, and what it prints."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import ENVIRONMENT, ROOT

PAGES = sorted((ROOT / "docs").glob("use-*.md"))
NAMED = f'etl() {{ "{sys.executable}" -m etl "$@"; }}\nset -e\n'


def steps(page: Path) -> list[tuple[str, list[str]]]:
    """Return the commands of a page, each with the lines that it is shown to print."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def test_every_example_project_has_a_page() -> None:
    projects = {path.parent.name for path in (ROOT / "pipelines" / "examples").glob("*/etl.yml")}

    assert projects == {re.findall(r"-C pipelines/examples/(\w+)", page.read_text("utf-8"))[0] for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_prints_what_it_shows(page: Path, tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "pipelines" / "examples", tmp_path / "pipelines" / "examples", ignore=shutil.ignore_patterns("lake")
    )

    for command, shown in steps(page):
        done = subprocess.run(
            ["bash", "-c", NAMED + command],
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if shown:
            assert done.stdout.splitlines() == shown, command
