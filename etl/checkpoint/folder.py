"""The checkpoint folder of one pipeline, opened: its identity and its logs."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etl.checkpoint.backfill_log import BackfillLog
from etl.checkpoint.batch_log import BatchLog
from etl.checkpoint.commit_log import CommitLog
from etl.checkpoint.generations import identity_name, read_identity, records_of
from etl.checkpoint.lease import EpochLog, FileLease, HeartbeatLease, Lease
from etl.checkpoint.manifest_log import ManifestLog
from etl.checkpoint.offset_log import OffsetLog
from etl.checkpoint.record import Record, decode_record, encode_record
from etl.checkpoint.schema_log import SchemaLog
from etl.errors import CheckpointError, EtlError, FencedError, LeaseHeldError, RecordExistsError, StorageError
from etl.storage import LocalStorage, probe_conditional_create, put_if_absent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from etl.model import BatchPlan
    from etl.seam import Seam
    from etl.storage import Storage

_RECORDS = re.compile(r"\d{10}(\.\d+)?\.json")


class Checkpoint:
    """The logs of one generation of a pipeline. Reading needs no lease; writing does.

    ``folder`` holds the identities of all generations, ``storage`` the records of this one. ``replaces`` are the
    identities whose batches its first batch takes the place of, None for a generation that is no refresh. ``rewind``
    is what its identity says of a rewind, None for a generation that is none. ``is_beside``: a full refresh whose table
    is built beside the one that readers see.
    """

    def __init__(
        self,
        folder: Storage,
        identity: str,
        seam: Seam,
        generation: int = 1,
        replaces: tuple[str, ...] | None = None,
    ) -> None:
        self.folder = folder
        self.storage = storage = records_of(folder, generation)
        self.identity = identity
        self.generation = generation
        self.replaces = replaces
        self.rewind: Mapping[str, Any] | None = None
        self.is_beside = False
        self.plans = OffsetLog(BatchLog(storage.at("offsets"), "plan", identity, seam))
        self.manifests = ManifestLog(BatchLog(storage.at("manifests"), "manifest", identity, seam))
        self.commits = CommitLog(BatchLog(storage.at("commits"), "commit", identity, seam))
        self.schemas = SchemaLog(BatchLog(storage.at("schemas"), "schema", identity, seam))
        self.backfills = BackfillLog(BatchLog(storage.at("backfills"), "backfill", identity, seam))
        self.epochs = EpochLog(storage.at("epochs"), identity, seam)

    @property
    def url(self) -> str:
        """Return where the checkpoint lies."""
        return self.storage.url

    def add_plan(self, plan: BatchPlan, attempt: str, revision: int, reason: str) -> None:
        """Publish a plan, by the holder of the highest epoch alone. Raises FencedError."""
        self.epochs.check()
        try:
            self.plans.add(plan, epoch=self.epochs.current, attempt=attempt, revision=revision, reason=reason)
        except RecordExistsError as exc:
            self.epochs.check()
            raise FencedError(
                f"batch {plan.batch_id} was just planned by a runner that this one took over from",
                where=self.url,
                hint="run again: its plan is recovered like any other",
            ) from exc

    def refuse_superseded(self) -> None:
        """Raise FencedError where a full refresh has begun a later generation."""
        if self.folder.size(identity_name(self.generation + 1)) is not None:
            raise FencedError(
                "a full refresh has just begun", where=self.folder.url, hint="nothing was changed; run again"
            )

    def sweep(self) -> None:
        """Remove temporary files that a crash left. Only by the holder of the lease. *Repeat*: safe."""
        if self.generation > 1:
            self.folder.sweep("", older_than_s=0.0, effect="checkpoint.sweep")
        for folder in ("", "epochs", "offsets", "manifests", "schemas", "commits", "backfills"):
            self.storage.sweep(folder, older_than_s=0.0, effect="checkpoint.sweep")


def find_checkpoint(folder: Storage, seam: Seam, generation: int = 1) -> Checkpoint | None:
    """Return a generation of a checkpoint without changing anything, None when none was ever made there.

    Raises CheckpointError where records lie without the identity that they belong to.
    """
    name = identity_name(generation)
    try:
        record = read_identity(folder, generation)
    except FileNotFoundError:
        plans = records_of(folder, generation).list("offsets")
        if generation > 1 or any(_RECORDS.fullmatch(plan) for plan in plans):
            raise CheckpointError(
                f"{name} is missing, but there are plans",
                where=folder.url,
                hint=_remake_advice(folder, generation),
            ) from None
        return None
    replaces = tuple(record.body["replaces"]) if "replaces" in record.body else None
    found = Checkpoint(folder, record.pipeline, seam, generation, replaces)
    found.rewind = record.body.get("rewind")
    found.is_beside = record.body.get("beside", False)
    return found


def _remake_advice(folder: Storage, generation: int) -> str:
    """Return what to do about records without their identity; a checkpoint's folder has the name of its pipeline."""
    pipeline = folder.url.rstrip("/").rsplit("/", 1)[-1]
    away = "" if generation == 1 else f"move {folder.url} away and "
    return (
        f"restore {identity_name(generation)} from a copy, or {away}make the checkpoint again from the tables: "
        f"etl checkpoint rebuild {pipeline}"
    )


def open_checkpoint(folder: Storage, name: str, seam: Seam, generation: int = 1) -> Checkpoint:
    """Return a generation of a checkpoint, made with an identity where there is none. *Repeat*: never two identities.

    Before anything is made, a store that is no local disk has to prove itself. Raises StorageError where it does not.
    """
    found = find_checkpoint(folder, seam, generation)
    if found is not None:
        return found
    refuse_double_create(folder, seam)
    made = Checkpoint(folder, seam.new_id(), seam)
    try:
        publish_identity(made, name, seam)
    except RecordExistsError as exc:
        other = decode_record(exc.content, kind="pipeline", pipeline=None, where=f"{folder.url}/pipeline.json")
        return Checkpoint(folder, other.pipeline, seam)
    return made


def publish_identity(checkpoint: Checkpoint, name: str, seam: Seam) -> None:
    """Publish the identity of a generation that begins with records of its own. Raises RecordExistsError."""
    body: dict[str, Any] = {"name": name, "created_at": seam.now().isoformat()}
    if checkpoint.replaces is not None:
        body["replaces"] = list(checkpoint.replaces)
    record = Record("pipeline", checkpoint.identity, None, 0, checkpoint.identity, body)
    identity = identity_name(checkpoint.generation)
    put_if_absent(checkpoint.folder, identity, encode_record(record), effect="identity.put", seam=seam)


def refuse_double_create(folder: Storage, seam: Seam) -> None:
    """Refuse a store that creates a record twice; a local disk is trusted. Raises StorageError."""
    if not (folder.is_local or probe_conditional_create(folder, seam)):
        raise StorageError(
            "this store creates a record twice: two runners would overwrite one another",
            where=folder.url,
            hint="put the lake on a store that honours If-None-Match, without a proxy that drops it",
        )


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


@contextmanager
def held(checkpoint: Checkpoint, lease: Lease) -> Iterator[None]:
    """Be the runner of a pipeline for the length of the block.

    An error in the block is told as being fenced where somebody took over meanwhile. Raises LeaseHeldError,
    FencedError.
    """
    take_lease(checkpoint, lease)
    try:
        checkpoint.refuse_superseded()
        yield
    except FencedError:
        raise
    except (EtlError, OSError):
        with suppress(OSError):  # where the store cannot be asked, the first failure is the one to tell
            checkpoint.epochs.check()  # what failed may have been swept by whoever took over
        raise
    finally:
        lease.release()
