"""Two runners on one pipeline: the second is told who holds it; one that wakes up commits and deletes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from etl.engine import open_runner, run
from etl.errors import FencedError, LeaseHeldError
from etl.progress import Silent
from etl.seam import Seam
from tests.faults.crash_lab import memory_rows
from tests.faults.test_crash_at_every_step import expected, found
from tests.leases import Free

T = TypeVar("T")


class InterruptedSeam(Seam):
    """A seam that lets something else happen just before (or after) the k-th effect."""

    def __init__(self, at: int, meanwhile: Callable[[], None], *, is_after: bool) -> None:
        self._at = at
        self._meanwhile = meanwhile
        self._is_after = is_after
        self.count = 0

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        self.count += 1
        is_turn = self.count == self._at
        if is_turn and not self._is_after:
            self._meanwhile()
        result = act()
        if is_turn and self._is_after:
            self._meanwhile()
        return result


def run_without_lease(folder: Path, seam: Seam, max_batches: int = 100) -> None:
    with open_runner(memory_rows(folder, seam), seam, Silent(), Free()) as runner:
        runner.recover()
        for _ in range(max_batches):
            if runner.run_batch() is None:
                return


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_runner_that_slept_through_a_takeover_changes_nothing_at_any_effect(tmp_path: Path, is_after: bool) -> None:
    fenced = at = 0
    while True:
        at += 1
        folder = tmp_path / str(at)
        folder.mkdir()
        seam = InterruptedSeam(at, lambda: run_without_lease(folder, Seam()), is_after=is_after)
        try:
            run_without_lease(folder, seam)
        except (FencedError, LeaseHeldError):
            fenced += 1
        assert found(folder) == expected(), f"effect {at}"
        assert run(memory_rows(folder, Seam()), Seam(), Silent()) == []
        if seam.count < at:
            break
    assert fenced > 30


def test_a_runner_that_slept_while_another_did_one_batch_of_three_changes_nothing(tmp_path: Path) -> None:
    at = 0
    while True:
        at += 1
        folder = tmp_path / str(at)
        folder.mkdir()
        seam = InterruptedSeam(at, lambda: run_without_lease(folder, Seam(), max_batches=1), is_after=False)
        try:
            run_without_lease(folder, seam)
        except (FencedError, LeaseHeldError):
            run(memory_rows(folder, Seam()), Seam(), Silent())
        assert found(folder) == expected(), f"effect {at}"
        if seam.count < at:
            break
    assert at > 40


HOLDER = """
import sys
from pathlib import Path
from etl.engine import open_runner
from etl.progress import Silent
from etl.seam import Seam
from tests.faults.crash_lab import memory_rows
with open_runner(memory_rows(Path(sys.argv[1]), Seam()), Seam(), Silent()):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_second_runner_is_told_who_holds_the_pipeline_even_when_that_one_is_stopped(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        os.kill(holder.pid, signal.SIGSTOP)
        with pytest.raises(LeaseHeldError, match=f"process {holder.pid} on ") as caught:
            run(memory_rows(tmp_path, Seam()), Seam(), Silent())
        os.kill(holder.pid, signal.SIGKILL)
    assert caught.value.exit_code == 3
    assert [result.batch_id for result in run(memory_rows(tmp_path, Seam()), Seam(), Silent())] == [0, 1, 2]
    assert found(tmp_path) == expected()


def test_each_takeover_leaves_an_epoch_that_names_its_process(tmp_path: Path) -> None:
    for _ in range(3):
        run(memory_rows(tmp_path, Seam()), Seam(), Silent())
    epochs = sorted((tmp_path / "checkpoint" / "epochs").iterdir())
    assert [path.name for path in epochs] == ["0000000001.json", "0000000002.json", "0000000003.json"]
    assert all(json.loads(path.read_text())["body"]["pid"] == os.getpid() for path in epochs)
