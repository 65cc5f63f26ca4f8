"""Epochs rise by one, each belongs to one runner, and whoever sees a higher one stops."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from etl.checkpoint.lease import EpochLog
from etl.errors import FencedError, LeaseHeldError
from etl.storage import LocalStorage
from etl.testing import ManualClock, crash_at


def epochs_in(folder: Path) -> EpochLog:
    clock = ManualClock()
    return EpochLog(LocalStorage(folder / "epochs", clock), "p-1", clock)


class Racing(EpochLog):
    """A runner that looked at the newest epoch before another took the next."""

    def newest(self) -> int:
        return 0


def test_first_epoch_is_one_and_each_takeover_is_one_higher(tmp_path: Path) -> None:
    assert epochs_in(tmp_path).newest() == 0
    assert [epochs_in(tmp_path).take_over() for _ in range(3)] == [1, 2, 3]
    assert epochs_in(tmp_path).newest() == 3


def test_epoch_names_its_process(tmp_path: Path) -> None:
    epochs_in(tmp_path).take_over()
    record = json.loads((tmp_path / "epochs" / "0000000001.json").read_text())
    assert (record["kind"], record["epoch"], record["batch_id"]) == ("epoch", 1, None)
    assert (record["body"]["host"], record["body"]["pid"]) == (socket.gethostname(), os.getpid())
    assert record["body"]["started_at"] == "2026-01-01T00:00:00+00:00"
    assert record["body"]["nonce"] == record["attempt"]


def test_newest_epoch_passes_over_other_files(tmp_path: Path) -> None:
    epochs = epochs_in(tmp_path)
    epochs.take_over()
    for name in (".tmp-0000000009.json-x", "notes.json", "0000000008.json.corrupt"):
        (tmp_path / "epochs" / name).write_text("")
    assert epochs.newest() == 1


def test_runner_of_the_highest_epoch_passes_the_check(tmp_path: Path) -> None:
    epochs_in(tmp_path).take_over()
    epochs = epochs_in(tmp_path)
    epochs.take_over()
    epochs.check()
    assert epochs.current == 2


def test_runner_that_was_overtaken_is_fenced_and_told_by_whom(tmp_path: Path) -> None:
    epochs = epochs_in(tmp_path)
    epochs.take_over()
    epochs_in(tmp_path).take_over()
    with pytest.raises(FencedError, match=f"taken over by process {os.getpid()} on ") as caught:
        epochs.check()
    assert caught.value.exit_code == 3
    assert caught.value.hint == "this runner stopped and deleted nothing; the other one goes on"


def test_two_runners_that_take_the_same_epoch_have_one_winner(tmp_path: Path) -> None:
    epochs_in(tmp_path).take_over()
    clock = ManualClock()
    loser = Racing(LocalStorage(tmp_path / "epochs", clock), "p-1", clock)
    with pytest.raises(LeaseHeldError, match=f"just taken over by process {os.getpid()} on "):
        loser.take_over()
    assert loser.current == 0


def test_taking_over_counts_once_when_the_answer_was_lost(tmp_path: Path) -> None:
    seam = crash_at("epoch.put.publish", "error_after")
    epochs = EpochLog(LocalStorage(tmp_path / "epochs", seam), "p-1", seam)
    assert epochs.take_over() == 1
    assert epochs.newest() == 1


def test_holder_of_an_epoch_that_is_not_there_is_another_runner(tmp_path: Path) -> None:
    assert epochs_in(tmp_path).describe(7) == "another runner"


def test_overtaken_runner_is_fenced_also_by_an_epoch_that_is_torn(tmp_path: Path) -> None:
    epochs = epochs_in(tmp_path)
    epochs.take_over()
    (tmp_path / "epochs" / "0000000002.json").write_bytes(b"\0" * 40)
    with pytest.raises(FencedError, match="taken over by another runner"):
        epochs.check()
