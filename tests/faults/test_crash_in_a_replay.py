"""Kill or fail a replay, or a discard, at each effect in turn: nothing of it is there afterwards, or all, and once."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etl.seam import Seam
from tests.faults.quarantine_lab import AFTER, BEFORE, lay_out, resolve, run_plainly, statuses, values
from tests.faults.test_crash_at_every_step import Lab

REPLAYED: dict[str, Counter[Any]] = {
    "replay": Counter({("replayed", 1): 3, ("open", None): 1}),
    "discard": Counter({("discarded", 1): 3}),
}
TAKEN: dict[str, Counter[Any]] = {"replay": AFTER, "discard": BEFORE}
OPEN = Counter({("open", None): 3})
CASES = [
    pytest.param("replay", "kill_before"),
    pytest.param("discard", "kill_before", marks=pytest.mark.slow),
    *(
        pytest.param(action, failure, marks=pytest.mark.slow)
        for action in ("replay", "discard")
        for failure in ("kill_after", "error_before", "error_after", "torn", "full")
    ),
]


class ReplayLab(Lab):
    """The forking process for replays and discards."""

    def __init__(self) -> None:
        super().__init__("tests.faults.quarantine_lab")

    def resolve(self, folder: Path, action: str, at: int = 0, failure: str = "kill_before") -> dict[str, Any]:
        """Resolve the rows once in a child; return how it ended."""
        return self.ask(folder=str(folder), action=action, at=at, failure=failure)


@pytest.fixture(scope="module")
def lab() -> Iterator[ReplayLab]:
    made = ReplayLab()
    yield made
    made.close()


@pytest.fixture(scope="module")
def rejected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose quarantine has three open rows."""
    return lay_out(tmp_path_factory.mktemp("rejected") / "t")


def without_batches(found: Counter[Any]) -> Counter[Any]:
    return Counter(first for first, _ in found.elements())


@pytest.mark.parametrize(("action", "failure"), CASES)
def test_a_resolution_that_ends_anywhere_is_there_as_a_whole_or_not_at_all(
    action: str, failure: str, lab: ReplayLab, rejected: Path, tmp_path: Path
) -> None:
    whole = shutil.copytree(rejected, tmp_path / "whole")
    assert lab.resolve(whole, action) == {"signal": 0, "exit": 0}
    effects = json.loads((whole / "effects.json").read_text())
    assert (values(whole), statuses(whole)) == (TAKEN[action], REPLAYED[action])
    assert (effects.count("quarantine.write") > 0, effects.count("table.commit.publish")) == (True, 2)

    for at in range(1, len(effects) + 1):
        folder = shutil.copytree(rejected, tmp_path / str(at))
        ended = lab.resolve(folder, action, at, failure)
        assert ended["signal"] == 9 or ended["exit"] in (0, 1), (effects[at - 1], ended)
        run_plainly(folder)

        is_done = statuses(folder) == REPLAYED[action]
        assert is_done or statuses(folder) == OPEN, (effects[at - 1], statuses(folder))
        assert values(folder) == (TAKEN[action] if is_done else BEFORE), effects[at - 1]

        resolve(folder, Seam(), action)
        assert without_batches(values(folder)) == without_batches(TAKEN[action]), effects[at - 1]
        assert without_batches(statuses(folder)) == without_batches(REPLAYED[action]), effects[at - 1]
        shutil.rmtree(folder)
