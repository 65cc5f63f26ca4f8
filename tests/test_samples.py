"""The sample pipelines of docs/stateful.md pass their own tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.operations.trying import TrialResult, try_pipelines
from etl.operations.workspace import Workspace

SAMPLES = Path(__file__).parent / "samples"
NAMES = sorted(path.stem for path in (SAMPLES / "pipelines").iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_passes_its_own_tests(name: str) -> None:
    results = list(try_pipelines(Workspace(SAMPLES), [name]))

    assert results
    assert results == [TrialResult(name, each.name) for each in results]
