"""Folders that sources read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.landing import Landing


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path)


@pytest.fixture
def grow(landing: Landing) -> Callable[[str, bytes], None]:
    def append(name: str, content: bytes) -> None:
        with (landing.root / "in" / name).open("ab") as file:
            file.write(content)

    return append


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"
