"""Damaged bytes give rows, rejects or an unreadable file; no exception else, and the process lives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRIES = {"parquet": 500, "arrow": 500, "avro": 800, "xlsx": 100, "text": 1000}


def outcomes(**seeds: tuple[int, int]) -> dict[str, dict[str, int]]:
    """Return how often each outcome came for the seeds of each format, first included and last not."""
    tries = [f"{name}:{first}:{last}" for name, (first, last) in seeds.items()]
    command = [sys.executable, "-W", "ignore", "-m", "tests.contracts.format_damage", *tries]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-2000:]}"
    found: dict[str, dict[str, int]] = json.loads(done.stdout)
    return found


def test_damage_gives_rows_rejects_or_an_unreadable_file() -> None:
    found = outcomes(**{name: (0, tries) for name, tries in TRIES.items()})
    assert {name: sum(each.values()) for name, each in found.items()} == TRIES
    assert all(each["unreadable"] > TRIES[name] // 2 for name, each in found.items())


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
@pytest.mark.parametrize("name", TRIES)
def test_much_damage_gives_rows_rejects_or_an_unreadable_file(name: str, part: int) -> None:
    first = 1_000_000 + part * 5_000
    assert sum(outcomes(**{name: (first, first + 5_000)})[name].values()) == 5_000
