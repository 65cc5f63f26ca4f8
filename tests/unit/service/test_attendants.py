from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

from etl.operations.workspace import Workspace
from etl.serve_options import ServeOptions
from etl.service.attendants import Post, Premises, attended
from tests.fleets import Stage

ATTENDANT = """
import threading

told = []
together = threading.Barrier(2)

class Attendant:
    def __init__(self, name):
        self.name = name

    def close(self):
        if self.name != "first":
            together.wait(timeout=20)
        told.append(self.name)
"""
POSTS = (Post("log", "first"), Post("alerts", "second"), Post("lineage", "third"))


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return which attendants were closed, in order; the last two close only together."""
    (tmp_path / "attending.py").write_text(ATTENDANT)
    for name in ("first", "second", "third"):
        start = f"from attending import Attendant\ndef start(premises):\n    return Attendant('{name}')\n"
        (tmp_path / f"{name}.py").write_text(start)
    (tmp_path / "nobody.py").write_text("def start(premises):\n    return None\n")
    (tmp_path / "lacking.py").write_text("import a_library_that_there_is_not\n")
    (tmp_path / "failing.py").write_text("def start(premises):\n    raise ValueError('the port is taken')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("attending", "first", "second", "third", "nobody", "lacking", "failing"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    found: list[str] = import_module("attending").told
    return found


@pytest.fixture
def lines() -> list[str]:
    """Return what was told to people."""
    return []


@pytest.fixture
def premises(tmp_path: Path, stage: Stage, lines: list[str]) -> Premises:
    return Premises(Workspace(tmp_path), stage, stage.clock, ServeOptions(), lines.append)


def test_attendants_end_all_at_once_and_the_log_last(told: list[str], premises: Premises) -> None:
    with attended(premises, POSTS):
        assert told == []

    assert sorted(told[:2]) == ["second", "third"]
    assert told[2:] == ["first"]


def test_one_that_has_nothing_to_do_is_not_there(told: list[str], premises: Premises) -> None:
    with attended(premises, (Post("nobody", "nobody"), Post("log", "first"))):
        pass

    assert told == ["first"]


def test_a_library_that_is_not_installed_is_told_with_its_extra(
    told: list[str], premises: Premises, lines: list[str]
) -> None:
    with attended(premises, (Post("log", "first"), Post("lineage", "lacking", "telemetry"))):
        pass

    assert lines == ["no lineage: a_library_that_there_is_not is not installed; pip install 'lakehouse-etl[telemetry]'"]
    assert told == ["first"]


def test_what_cannot_start_ends_the_others(told: list[str], premises: Premises) -> None:
    with (
        pytest.raises(ValueError, match="the port is taken"),
        attended(premises, (Post("log", "first"), Post("page", "failing"))),
    ):
        pytest.fail("nothing runs")

    assert told == ["first"]
