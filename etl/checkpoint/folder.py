"""The checkpoint folder of one pipeline, opened: its identity and its logs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from etl.checkpoint.batch_log import BatchLog
from etl.checkpoint.commit_log import CommitLog
from etl.checkpoint.lease import EpochLog, FileLease, HeartbeatLease, Lease
from etl.checkpoint.manifest_log import ManifestLog
from etl.checkpoint.offset_log import OffsetLog
from etl.checkpoint.record import Record, decode_record, encode_record
from etl.errors import CheckpointError, LeaseHeldError, RecordExistsError
from etl.storage import LocalStorage, put_if_absent

if TYPE_CHECKING:
    from etl.seam import Seam
    from etl.storage import Storage

_RECORDS = re.compile(r"\d{10}(\.\d+)?\.json")


class Checkpoint:
    """The logs of a pipeline. Reading needs no lease; writing does."""

    def __init__(self, storage: Storage, identity: str, seam: Seam) -> None:
        self.storage = storage
        self.identity = identity
        self.plans = OffsetLog(BatchLog(storage.at("offsets"), "plan", identity, seam))
        self.manifests = ManifestLog(BatchLog(storage.at("manifests"), "manifest", identity, seam))
        self.commits = CommitLog(BatchLog(storage.at("commits"), "commit", identity, seam))
        self.epochs = EpochLog(storage.at("epochs"), identity, seam)

    @property
    def url(self) -> str:
        """Return where the checkpoint lies."""
        return self.storage.url

    def sweep(self) -> None:
        """Remove temporary files that a crash left. Only by the holder of the lease. *Repeat*: safe."""
        for folder in ("", "epochs", "offsets", "manifests", "commits"):
            self.storage.sweep(folder, older_than_s=0.0, effect="checkpoint.sweep")


def find_checkpoint(storage: Storage, seam: Seam) -> Checkpoint | None:
    """Return the checkpoint in a folder without changing anything, None when none was ever made there.

    Raises CheckpointError where records lie without the identity that they belong to.
    """
    try:
        content = storage.read("pipeline.json")
    except FileNotFoundError:
        if any(_RECORDS.fullmatch(name) for name in storage.list("offsets")):
            raise CheckpointError(
                "pipeline.json is missing, but there are plans",
                where=storage.url,
                hint="restore pipeline.json from a backup; without it the table's batches cannot be told apart",
            ) from None
        return None
    record = decode_record(content, kind="pipeline", pipeline=None, where=f"{storage.url}/pipeline.json")
    return Checkpoint(storage, record.pipeline, seam)


def open_checkpoint(storage: Storage, name: str, seam: Seam) -> Checkpoint:
    """Return the checkpoint in a folder, made with an identity where there is none. *Repeat*: never two identities."""
    found = find_checkpoint(storage, seam)
    if found is not None:
        return found
    identity = seam.new_id()
    body = {"name": name, "created_at": seam.now().isoformat()}
    record = Record("pipeline", identity, None, 0, identity, body)
    try:
        put_if_absent(storage, "pipeline.json", encode_record(record), effect="identity.put", seam=seam)
    except RecordExistsError as exc:
        other = decode_record(exc.content, kind="pipeline", pipeline=None, where=f"{storage.url}/pipeline.json")
        return Checkpoint(storage, other.pipeline, seam)
    return Checkpoint(storage, identity, seam)


def choose_lease(storage: Storage, seam: Seam) -> Lease:
    """Return the lease that fits a checkpoint's storage."""
    if isinstance(storage, LocalStorage):
        return FileLease(Path(storage.root) / "lease.lock", seam)
    return HeartbeatLease(storage, seam)


def take_lease(checkpoint: Checkpoint, lease: Lease) -> None:
    """Become the runner of a pipeline: the lease, then the next epoch. Raises LeaseHeldError, telling who holds it."""
    if not lease.acquire():
        holder = checkpoint.epochs.describe(checkpoint.epochs.newest())
        raise LeaseHeldError(
            f"another runner holds this pipeline: {holder}",
            where=checkpoint.url,
            hint="wait for it, or stop it; nothing was changed",
        )
    try:
        checkpoint.epochs.take_over()
    except BaseException:
        lease.release()
        raise
