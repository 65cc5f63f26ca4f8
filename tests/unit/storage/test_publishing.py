"""put_if_absent: one of many wins, and a lost answer is resolved by reading, never by guessing."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from etl.errors import RecordExistsError, StorageError, UnknownOutcomeError
from etl.storage import LocalStorage, put_if_absent
from etl.testing import ManualClock


class Faulty(LocalStorage):
    """A disk whose writes and reads fail as told: each entry is one call, None goes through."""

    def __init__(
        self, root: Path, writes: list[Exception | None], reads: list[Exception | None], *, lands: bool
    ) -> None:
        super().__init__(root, ManualClock())
        self.writes, self.reads, self.lands = writes, reads, lands
        self.calls = 0

    def create(self, path: str, content: bytes, *, effect: str) -> None:
        self.calls += 1
        trouble = self.writes.pop(0) if self.writes else None
        if trouble is None or self.lands:
            super().create(path, content, effect=effect)
        if trouble is not None:
            raise trouble

    def read(self, path: str) -> bytes:
        trouble = self.reads.pop(0) if self.reads else None
        if trouble is not None:
            raise trouble
        return super().read(path)


class ConnectionLost(Exception):  # noqa: N818  named as libraries name theirs
    """What a client library raises that knows nothing of OSError."""


def faulty(
    root: Path, writes: list[Exception | None], reads: list[Exception | None] | None = None, *, lands: bool = False
) -> Faulty:
    return Faulty(root, writes, reads or [], lands=lands)


def put(storage: LocalStorage, content: bytes = b"ours", clock: ManualClock | None = None) -> None:
    put_if_absent(storage, "1.json", content, effect="e", seam=clock or ManualClock())


def test_record_appears_and_the_same_again_changes_nothing(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, ManualClock())
    put(storage)
    put(storage)
    assert storage.read("1.json") == b"ours"


def test_record_of_somebody_else_is_handed_over_with_the_refusal(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, ManualClock())
    put(storage, b"theirs")
    with pytest.raises(RecordExistsError) as caught:
        put(storage)
    assert caught.value.content == b"theirs"
    assert caught.value.where == "1.json"
    assert storage.read("1.json") == b"theirs"


@pytest.mark.parametrize("trouble", [OSError(errno.EIO, "lost"), ConnectionLost(), FileExistsError(), TimeoutError()])
def test_lost_answer_to_a_write_that_landed_is_success(tmp_path: Path, trouble: Exception) -> None:
    storage = faulty(tmp_path, [trouble], lands=True)
    put(storage)
    assert storage.calls == 1
    assert storage.read("1.json") == b"ours"


@pytest.mark.parametrize(
    "trouble",
    [OSError("slow down"), OSError(errno.EIO, "x"), OSError(errno.EAGAIN, "x"), OSError(errno.EBUSY, "x"),
     ConnectionLost(), TimeoutError(errno.ETIMEDOUT, "x"), FileExistsError(errno.EEXIST, "gone again")],
)  # fmt: skip
def test_write_that_never_landed_is_sent_again(tmp_path: Path, trouble: Exception) -> None:
    storage = faulty(tmp_path, [trouble, trouble])
    put(storage)
    assert storage.calls == 3
    assert storage.read("1.json") == b"ours"


@pytest.mark.parametrize(
    "trouble",
    [OSError(errno.ENOSPC, "no space left"), PermissionError(errno.EACCES, "denied"), StorageError("refused")],
)
def test_write_that_cannot_succeed_is_not_sent_again(tmp_path: Path, trouble: Exception) -> None:
    storage = faulty(tmp_path, [trouble, None])
    with pytest.raises(StorageError, match="cannot be written: ") as caught:
        put(storage)
    assert storage.calls == 1
    assert caught.value.where == f"{tmp_path}/1.json"


def test_write_that_goes_on_failing_is_given_up_after_six_times_and_growing_pauses(tmp_path: Path) -> None:
    clock = ManualClock()
    storage = faulty(tmp_path, [TimeoutError("away")] * 10)
    with pytest.raises(StorageError, match="cannot be written: away"):
        put(storage, clock=clock)
    assert storage.calls == 6
    assert clock.monotonic() == pytest.approx(0.05 * (1 + 2 + 4 + 8 + 16))


@pytest.mark.parametrize("trouble", [OSError(errno.EIO, "away"), ConnectionLost("away")])
def test_outcome_that_can_be_read_back_only_after_a_while_is_resolved(tmp_path: Path, trouble: Exception) -> None:
    storage = faulty(tmp_path, [OSError("lost")], [trouble, trouble], lands=True)
    put(storage)
    assert storage.calls == 1


@pytest.mark.parametrize("trouble", [OSError(errno.EIO, "away"), ConnectionLost("away")])
def test_outcome_that_cannot_be_read_back_is_unknown_and_nothing_is_sent_again(
    tmp_path: Path, trouble: Exception
) -> None:
    storage = faulty(tmp_path, [OSError("lost")], [trouble] * 6, lands=True)
    with pytest.raises(UnknownOutcomeError, match="the answer was lost and it cannot be read back") as caught:
        put(storage)
    assert storage.calls == 1
    assert caught.value.__cause__ is trouble
