"""Fixtures of the fault tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.refresh_lab import OLD_ROWS, found, lay_out, run_all
from tests.faults.s3_lab import Store


@pytest.fixture(scope="module")
def store(s3_endpoint: str) -> Iterator[Store]:
    """A bucket behind a proxy with faults, for the tests of one module."""
    made = Store(s3_endpoint)
    yield made
    made.proxy.close()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose old files are in the table."""
    folder = lay_out(tmp_path_factory.mktemp("template") / "t")
    run_all(folder)
    assert found(folder) == OLD_ROWS
    return folder


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "home")
    return tmp_path / "home"
