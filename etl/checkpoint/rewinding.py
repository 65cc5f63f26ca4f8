"""A rewind: the generation of a checkpoint that begins with the records of an earlier one, up to a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.checkpoint.folder import Checkpoint
from etl.checkpoint.generations import identity_name
from etl.checkpoint.record import Record, decode_record, encode_record
from etl.errors import CheckpointError, FencedError, RecordExistsError
from etl.storage import put_if_absent

if TYPE_CHECKING:
    from etl.checkpoint.batch_log import BatchLog
    from etl.seam import Seam

FIRST_EPOCH = 1
"""That of the copied records: of the runner that first went on with them."""


class UnfinishedRewindError(CheckpointError):
    """A rewind that was begun, and that the next run brings to its end."""


@dataclass(frozen=True, slots=True)
class Rewind:
    """What a generation begins with: the records of generation ``origin`` up to batch ``upto``.

    ``moves`` is how each table gets there, by role, as plain values.
    """

    upto: int
    origin: int
    moves: Mapping[str, Any]


def begin_rewind(checkpoint: Checkpoint, name: str, rewind: Rewind, seam: Seam) -> int:
    """Publish the next generation, which is a rewind of this one; return its number. By the holder of the lease.

    What is to be done lies beside it, in a record of its own, before: the identity is the switch. Raises FencedError
    where another generation was begun at the same moment.
    """
    folder, generation, identity = checkpoint.folder, checkpoint.generation + 1, seam.new_id()
    plan = f"rewind.{generation}-{identity}.json"
    body = {"upto": rewind.upto, "origin": rewind.origin, "moves": dict(rewind.moves)}
    record = Record("rewind", identity, rewind.upto, 0, identity, body)
    put_if_absent(folder, plan, encode_record(record), effect="rewind.put", seam=seam)
    about = {
        "name": name,
        "created_at": seam.now().isoformat(),
        "generation": generation,
        "rewind": {"upto": rewind.upto, "plan": plan},
        "replaces": [checkpoint.identity, *(checkpoint.replaces or ())],
    }
    content = encode_record(Record("pipeline", identity, None, 0, identity, about))
    try:
        put_if_absent(folder, identity_name(generation), content, effect="identity.put", seam=seam)
    except RecordExistsError as exc:
        raise FencedError("another generation was just begun", where=folder.url, hint="run again") from exc
    return generation


def is_unfinished(checkpoint: Checkpoint) -> bool:
    """Tell whether a generation is a rewind whose records are not all there yet."""
    if checkpoint.rewind is None:
        return False
    return bool(max(checkpoint.commits.log.revisions(), default=-1) < checkpoint.rewind["upto"])


def refuse_unfinished(checkpoint: Checkpoint, pipeline: str) -> None:
    """Refuse to look at a rewind that is not finished. Raises UnfinishedRewindError."""
    if checkpoint.rewind is not None and is_unfinished(checkpoint):
        raise UnfinishedRewindError(
            f"a rewind to batch {checkpoint.rewind['upto']} has begun",
            where=checkpoint.url,
            hint=f"finish it: etl run {pipeline}",
        )


def read_rewind(checkpoint: Checkpoint) -> Rewind:
    """Return what a generation that is a rewind begins with. Raises CheckpointError."""
    name = (checkpoint.rewind or {}).get("plan", "")
    where = f"{checkpoint.folder.url}/{name}"
    try:
        content = checkpoint.folder.read(name)
    except FileNotFoundError as exc:
        raise CheckpointError("is missing", where=where, hint="restore it from a backup") from exc
    body = decode_record(content, kind="rewind", pipeline=checkpoint.identity, where=where).body
    return Rewind(**body)


def copy_records(
    old: Checkpoint, new: Checkpoint, upto: int, changed: Callable[[str, int, dict[str, Any]], dict[str, Any]]
) -> None:
    """Copy the records of batches up to one, each in its newest revision, the commit entries last. *Repeat*: safe.

    ``changed`` is given the kind, the batch and the body of each, and returns the body that it is to have.
    """
    for log, other in ((old.schemas.log, new.schemas.log), (old.plans.log, new.plans.log)):
        _copy(log, other, upto, changed)
    _copy(old.manifests.log, new.manifests.log, upto, changed)
    _copy(old.commits.log, new.commits.log, upto, changed)


def _copy(
    log: BatchLog, other: BatchLog, upto: int, changed: Callable[[str, int, dict[str, Any]], dict[str, Any]]
) -> None:
    there = other.revisions()
    for number, revision in log.revisions().items():
        if number in there:
            continue
        record = log.read(number, revision)
        batch = record.body["batch"] if record.kind == "schema" else number
        if batch > upto:
            return
        body = changed(record.kind, number, record.body)
        other.add(number, body, epoch=FIRST_EPOCH, attempt=record.attempt)
