"""Leases: one holder at a time, free when it dies or falls silent."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from etl.checkpoint.lease import FileLease, HeartbeatLease
from etl.seam import Seam
from etl.storage import LocalStorage
from etl.testing import ManualClock, crash_at

T = TypeVar("T")
HOLDER = """
import sys
from pathlib import Path
from etl.checkpoint.lease import FileLease
from etl.seam import Seam
lease = FileLease(Path(sys.argv[1]), Seam())
print(lease.acquire(), flush=True)
sys.stdin.readline()
"""


def test_file_lease_is_held_once_within_a_process_and_free_after_release(tmp_path: Path) -> None:
    first, second = (FileLease(tmp_path / "folder" / "lease.lock", Seam()) for _ in range(2))
    assert first.acquire()
    assert not second.acquire()
    assert second.is_held()
    first.release()
    first.release()
    assert not second.is_held()
    assert second.acquire()
    second.release()


def test_file_lease_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lease.lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        lease = FileLease(path, Seam())
        assert lease.is_held()
        assert not lease.acquire()
        holder.kill()
    assert not lease.is_held()
    assert lease.acquire()
    lease.release()


def test_looking_at_a_file_lease_makes_no_file(tmp_path: Path) -> None:
    assert not FileLease(tmp_path / "lease.lock", Seam()).is_held()
    assert list(tmp_path.iterdir()) == []


def test_file_lease_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    lease = FileLease(tmp_path / "lease.lock", Seam())
    lease.acquire()
    lease.release()
    assert (tmp_path / "lease.lock").stat().st_mode & 0o777 == 0o600


def test_file_lease_that_cannot_be_locked_at_all_fails_and_is_not_held(tmp_path: Path) -> None:
    lease = FileLease(tmp_path / "lease.lock", crash_at("lease.lock", "error_before"))
    with pytest.raises(OSError, match=r"lease\.lock failed"):
        lease.acquire()
    assert not lease.is_held()


def heartbeats(folder: Path, clock: ManualClock, count: int = 2) -> list[HeartbeatLease]:
    return [HeartbeatLease(LocalStorage(folder, clock), clock, expires_s=30.0) for _ in range(count)]


def test_heartbeat_lease_is_refused_to_others_while_it_is_fresh(tmp_path: Path) -> None:
    clock = ManualClock()
    first, second = heartbeats(tmp_path, clock)
    assert not second.is_held()
    assert first.acquire()
    clock.advance(29.9)
    assert second.is_held()
    assert not second.acquire()
    first.release()


def test_heartbeat_lease_does_not_stand_in_its_own_way(tmp_path: Path) -> None:
    lease = heartbeats(tmp_path, ManualClock(), 1)[0]
    assert lease.acquire()
    assert not lease.is_held()
    lease.release()


def test_heartbeat_lease_is_free_once_it_was_not_renewed_for_its_time(tmp_path: Path) -> None:
    clock = ManualClock()
    first, second = heartbeats(tmp_path, clock)
    assert first.acquire()
    clock.advance(30.0)
    assert not second.is_held()
    assert second.acquire()
    assert first.is_held()
    second.release()
    first.release()


def test_heartbeat_lease_is_free_at_once_when_it_was_released(tmp_path: Path) -> None:
    clock = ManualClock()
    first, second = heartbeats(tmp_path, clock)
    assert first.acquire()
    first.release()
    first.release()
    assert json.loads((tmp_path / "lease.json").read_text())["is_released"] is True
    assert second.acquire()
    second.release()


def test_heartbeat_lease_that_was_never_taken_releases_nothing(tmp_path: Path) -> None:
    heartbeats(tmp_path, ManualClock(), 1)[0].release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "{}", '{"renewed_at": "soon"}', '{"renewed_at": 5}',
     '{"renewed_at": "2026-01-01T00:00:00Z"}',
     '{"renewed_at": "2026-01-01T00:00:00", "nonce": "n", "is_released": false}'],
)  # fmt: skip
def test_heartbeat_lease_that_cannot_be_understood_is_free(tmp_path: Path, content: str) -> None:
    (tmp_path / "lease.json").write_text(content)
    lease = heartbeats(tmp_path, ManualClock(), 1)[0]
    assert not lease.is_held()
    assert lease.acquire()
    lease.release()


class BeatingSeam(ManualClock):
    """A clock that tells when a lease was renewed so often, and whose second renewal fails."""

    def __init__(self) -> None:
        super().__init__()
        self.beats = 0
        self.is_enough = threading.Event()

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        if name == "lease.renew.publish":
            self.beats += 1
            if self.beats == 2:
                raise OSError("the store is away")
            if self.beats == 4:
                self.is_enough.set()
        return super().effect(name, act, torn)


def test_heartbeat_lease_is_renewed_by_a_thread_that_outlives_a_failed_beat(tmp_path: Path) -> None:
    seam = BeatingSeam()
    lease = HeartbeatLease(LocalStorage(tmp_path, seam), seam, expires_s=0.003)
    assert lease.acquire()
    assert seam.is_enough.wait(20)
    lease.release()
    assert not [thread for thread in threading.enumerate() if thread.name == "etl-lease"]


class OvertakenSeam(ManualClock):
    """A clock on whose second look at the lease another runner's fresh claim lies in its place."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.renewals = 0

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        result = super().effect(name, act, torn)
        if name == "lease.renew.sync":
            self.renewals += 1
            beat = {"nonce": "other", "renewed_at": self.now().isoformat(), "is_released": False}
            (self._folder / "lease.json").write_text(json.dumps(beat))
        return result


def test_heartbeat_lease_that_another_runner_took_is_neither_renewed_nor_released(tmp_path: Path) -> None:
    seam = OvertakenSeam(tmp_path)
    lease = HeartbeatLease(LocalStorage(tmp_path, seam), seam, expires_s=0.003)
    assert lease.acquire()
    for thread in threading.enumerate():
        if thread.name == "etl-lease":
            thread.join(20)
    lease.release()
    assert seam.renewals == 1
    assert json.loads((tmp_path / "lease.json").read_text())["nonce"] == "other"
