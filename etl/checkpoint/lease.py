"""Who may run a pipeline: an epoch that only rises, and a lease that spares a second runner useless work.

Safety never rests on the lease: whoever sees a higher epoch stops, and every write is a compare-and-swap.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from etl.checkpoint.record import Record, decode_record, encode_record
from etl.errors import CheckpointError, FencedError, LeaseHeldError, RecordExistsError
from etl.seam import Seam
from etl.storage import Storage, put_if_absent

HEARTBEAT_EXPIRES_S = 30.0


class Lease(Protocol):
    """A claim that other runners can see."""

    def acquire(self) -> bool:
        """Take the claim; False when a live runner has it."""

    def release(self) -> None:
        """Give it up. *Repeat*: safe."""

    def is_held(self) -> bool:
        """Tell whether a live runner has it, without claiming it."""


class FileLease:
    """An operating system lock on a local file: free the moment its process dies."""

    def __init__(self, path: Path, seam: Seam) -> None:
        self._path = path
        self._seam = seam
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock; False when another process has it."""
        import fcntl

        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._seam.effect("lease.lock", lambda: fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BaseException as exc:
            os.close(descriptor)
            if isinstance(exc, BlockingIOError):
                return False
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Unlock. *Repeat*: safe."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def is_held(self) -> bool:
        """Tell whether a process has the lock. Makes no file; the shared lock that it tries is gone at once."""
        import fcntl

        try:
            descriptor = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


class HeartbeatLease:
    """A record on an object store that its holder renews; free when it has not been renewed for ``expires_s``.

    A holder that finds another's claim in its place lets go, and leaves that one alone.
    """

    def __init__(self, storage: Storage, seam: Seam, expires_s: float = HEARTBEAT_EXPIRES_S) -> None:
        self._storage = storage
        self._seam = seam
        self._expires_s = expires_s
        self._nonce = seam.new_id()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self) -> bool:
        """Take the claim and keep it fresh from a thread; False when another holder's is fresh."""
        if self.is_held():
            return False
        self._renew()
        self._thread = threading.Thread(target=self._keep_fresh, name="etl-lease", daemon=True)
        self._thread.start()
        return True

    def is_held(self) -> bool:
        """Tell whether another holder's claim is fresh."""
        age = self._age_of_other()
        return age is not None and age < timedelta(seconds=self._expires_s)

    def _age_of_other(self) -> timedelta | None:
        """Return how long ago another holder renewed its claim; None where it was given up, or there is none."""
        try:
            beat = json.loads(self._storage.read("lease.json"))
            age = self._seam.now() - datetime.fromisoformat(beat["renewed_at"])
            is_other = not beat["is_released"] and beat["nonce"] != self._nonce
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return age if is_other else None

    def _renew(self, *, is_released: bool = False) -> None:
        beat = {"nonce": self._nonce, "renewed_at": self._seam.now().isoformat(), "is_released": is_released}
        self._storage.replace("lease.json", json.dumps(beat).encode(), effect="lease.renew")

    def _keep_fresh(self) -> None:
        while not self._stop.wait(self._expires_s / 3):
            with contextlib.suppress(Exception):  # a beat that fails is made up by the next; fencing guards the table
                if self._age_of_other() is not None:
                    return
                self._renew()

    def release(self) -> None:
        """Stop renewing and say so. *Repeat*: safe."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None
            with contextlib.suppress(Exception):
                if self._age_of_other() is None:
                    self._renew(is_released=True)


class EpochLog:
    """The takeovers, ``epochs/``: one record each, dense numbers from 1."""

    def __init__(self, storage: Storage, pipeline: str, seam: Seam) -> None:
        self._storage = storage
        self._pipeline = pipeline
        self._seam = seam
        self.current = 0

    def numbers(self) -> list[int]:
        """Return every epoch that was taken, in no particular order."""
        return [int(name[:10]) for name in self._storage.list() if name.endswith(".json") and name[:10].isdigit()]

    def newest(self) -> int:
        """Return the highest epoch, 0 for none."""
        return max(self.numbers(), default=0)

    def take_over(self) -> int:
        """Publish the next epoch as ours. Raises LeaseHeldError when another runner takes it at the same moment."""
        epoch = self.newest() + 1
        nonce = self._seam.new_id()
        body = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "nonce": nonce,
            "started_at": self._seam.now().isoformat(),
        }
        record = Record("epoch", self._pipeline, None, epoch, nonce, body)
        try:
            put_if_absent(self._storage, _name(epoch), encode_record(record), effect="epoch.put", seam=self._seam)
        except RecordExistsError as exc:
            raise LeaseHeldError(f"just taken over by {self.describe(epoch)}") from exc
        self.current = epoch
        return epoch

    def check(self) -> None:
        """Raise FencedError when a higher epoch exists."""
        after = self.current + 1
        if self._storage.size(_name(after)) is not None:
            raise FencedError(
                f"taken over by {self.describe(after)}",
                where=self._storage.url,
                hint="this runner stopped and deleted nothing; the other one goes on",
            )

    def describe(self, epoch: int) -> str:
        """Return who holds an epoch, for people."""
        try:
            record = decode_record(
                self._storage.read(_name(epoch)),
                kind="epoch",
                pipeline=None,
                where=f"{self._storage.url}/{_name(epoch)}",
            )
        except (FileNotFoundError, CheckpointError):
            return "another runner"
        return f"process {record.body['pid']} on {record.body['host']} since {record.body['started_at']}"


def _name(epoch: int) -> str:
    return f"{epoch:010d}.json"
