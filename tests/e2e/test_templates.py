"""The project of `etl init --template windows` does what its README says, typed as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import ENVIRONMENT, ROOT

README = ROOT / "etl" / "cli" / "templates" / "windows" / "README.md"
HEADER = "page,window_start,window_end,views,users,_batch_id"
CLOSED = [
    "/,2025-11-01T09:00:00.000000+0000,2025-11-01T09:05:00.000000+0000,2,2,0",
    "/tea,2025-11-01T09:00:00.000000+0000,2025-11-01T09:05:00.000000+0000,1,1,0",
    "/tea,2025-11-01T09:10:00.000000+0000,2025-11-01T09:15:00.000000+0000,2,1,2",
    "/,2025-11-01T09:15:00.000000+0000,2025-11-01T09:20:00.000000+0000,1,1,2",
    "/tea,2025-11-01T09:20:00.000000+0000,2025-11-01T09:25:00.000000+0000,1,1,2",
]


class Project:
    """A project that was just made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.etl("init", ".", "--template", "windows")

    def etl(self, *arguments: str) -> str:
        """Run a command, which must succeed, and return what it prints."""
        return self.typed(sys.executable, "-m", "etl", *arguments)

    def typed(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def rows(self, query: str) -> list[str]:
        return self.etl("query", query, "--format", "csv").splitlines()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_template_validates_and_passes_its_own_tests(project: Project) -> None:
    listed = project.etl("validate").splitlines()

    assert [line.split()[0] for line in listed[2:4]] == ["pages", "views"]
    assert project.etl("test").splitlines()[-1] == "4 tests, 0 failed"
    assert not (project.folder / "lake").exists()


def test_template_gives_windows_once_a_late_row_and_a_table_that_changes(project: Project) -> None:
    project.etl("run", "--all")

    windows = project.rows("SELECT * FROM gold.views ORDER BY window_start, page")
    late = project.rows("SELECT view_id, viewed_at, _watermark, _source_file FROM gold.views__late")
    pages = project.rows("SELECT page, views, users, last_viewed_at FROM gold.pages ORDER BY page")

    assert windows == [HEADER, *CLOSED]
    assert late[1:] == ["v8,2025-11-01T09:02:00.000000+0000,2025-11-01T09:06:00.000000+0000,landing/views/0920.ndjson"]
    assert pages[1:] == ["/,5,4,2025-11-01T09:38:15.000000+0000", "/tea,5,4,2025-11-01T09:40:00.000000+0000"]


def test_readme_of_the_template_runs_as_written(project: Project) -> None:
    commands = re.findall(r"^\$ (.*)$", README.read_text("utf-8"), re.MULTILINE)
    assert len(commands) == 9
    shell = f'etl() {{ "{sys.executable}" -m etl "$@"; }}\nset -e\n'

    project.typed("bash", "-c", shell + "\n".join(commands))

    added = "/,2025-11-01T09:35:00.000000+0000,2025-11-01T09:40:00.000000+0000,1,1,3"
    assert project.rows("SELECT * FROM gold.views ORDER BY window_start, page") == [HEADER, *CLOSED, added]
    assert sorted(os.listdir(project.folder / "landing" / "views")) == [
        "0900.ndjson", "0920.ndjson", "0940.ndjson", "0950.ndjson",
    ]  # fmt: skip
