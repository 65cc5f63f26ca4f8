"""Copies of a checkpoint: into another folder, and back where it was lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.binding import bind_sinks
from etl.checkpoint.backfill_log import OPEN
from etl.checkpoint.folder import Checkpoint, choose_lease, find_checkpoint, held
from etl.checkpoint.generations import newest_generation, read_identity
from etl.errors import CheckpointError, ConfigError, RecordExistsError
from etl.operations.rebuilding import next_place
from etl.project import absolute
from etl.resumption import take_stock
from etl.storage import open_storage, put_if_absent

if TYPE_CHECKING:
    from etl.operations.workspace import Workspace
    from etl.pipeline import Pipeline
    from etl.seam import Seam
    from etl.storage import Storage

_NOT_COPIED = re.compile(r"(^|/)(lease\.lock|lease\.json|last_error\.json|\.tmp-[^/]*)$")
_IDENTITY = re.compile(r"pipeline(\.\d+)?\.json")


@dataclass(frozen=True, slots=True)
class Copied:
    """A checkpoint that was copied: how much, and up to which batch, -1 for none."""

    pipeline: str
    url: str
    files: int
    size_bytes: int
    committed: int


def export(workspace: Workspace, name: str, to: str, seam: Seam) -> Copied:
    """Copy a checkpoint into another folder, between two batches; its identities last, which make the copy whole.

    *Repeat*: goes on where it was interrupted, as long as nothing ran in between. Raises ConfigError where the folder
    holds something else, LeaseHeldError.
    """
    pipeline = workspace.wired(name, seam)
    checkpoint = find_checkpoint(pipeline.checkpoint, seam, pipeline.generation)
    if checkpoint is None:
        raise ConfigError("never ran: there is no checkpoint to copy", where=name)
    target = _open(workspace, to, seam)
    with held(checkpoint, choose_lease(checkpoint.storage, seam)):
        return _copied(pipeline, checkpoint, target, seam)


def bring_back(workspace: Workspace, name: str, of: str, seam: Seam) -> Copied:
    """Put a copy in the place of a checkpoint that was lost. *Repeat*: goes on where it was interrupted.

    Raises ConfigError where a checkpoint is there or the copy is another pipeline's, CheckpointError for one that is
    not whole, TableStateError where the tables went on since it was made.
    """
    pipeline = workspace.wired(name, seam)
    next_place(pipeline, seam)
    copy = _whole(_open(workspace, of, seam), name, seam)
    bind_sinks(copy, pipeline.flow)
    take_stock(copy, pipeline.flow, mend=False)
    return _copied(pipeline, copy, pipeline.checkpoint, seam)


def _open(workspace: Workspace, url: str, seam: Seam) -> Storage:
    return open_storage(absolute(workspace.folder, url), seam, workspace.project.storage_options)


def _whole(folder: Storage, name: str, seam: Seam) -> Checkpoint:
    """Return the checkpoint that a copy is. Raises CheckpointError, ConfigError."""
    generation = newest_generation(folder)
    found = find_checkpoint(folder, seam, generation)
    if found is None:
        raise CheckpointError("is no whole copy of a checkpoint: it has no pipeline.json", where=folder.url)
    whose = read_identity(folder, generation).body["name"]
    if whose != name:
        raise ConfigError(f"is a copy of the checkpoint of '{whose}'", where=folder.url, hint="name that pipeline")
    return found


def _copied(pipeline: Pipeline, checkpoint: Checkpoint, target: Storage, seam: Seam) -> Copied:
    source, files, size_bytes = checkpoint.folder, 0, 0
    for path in _in_order(source):
        content = source.read(path)
        try:
            put_if_absent(target, path, content, effect="checkpoint.copy", seam=seam)
        except RecordExistsError as exc:
            raise ConfigError(
                f"{path} is there already, and is another", where=target.url, hint="name a folder that is empty"
            ) from exc
        files, size_bytes = files + 1, size_bytes + len(content)
    committed = max(checkpoint.commits.log.revisions(), default=-1)
    return Copied(pipeline.name, target.url, files, size_bytes, committed)


def _in_order(folder: Storage) -> Iterator[str]:
    """Yield what is copied: identities last, the newest at the very end."""
    paths = [path for path in folder.find() if not _NOT_COPIED.search(path)]
    identities = [path for path in paths if _IDENTITY.fullmatch(path)]
    yield from (path for path in paths if path not in identities)
    yield from sorted(identities, key=lambda name: (len(name), name))


@dataclass(frozen=True, slots=True)
class Facts:
    """What a checkpoint holds. ``kind``: the first generation, a ``full refresh`` or a ``rewind``.

    ``backfill`` is the one that was interrupted, empty for none.
    """

    pipeline: str
    url: str
    identity: str
    generation: int
    kind: str
    created_at: str
    runner: str
    committed: int
    is_open: bool
    backfill: str
    files: int
    size_bytes: int


def facts_of(workspace: Workspace, name: str, seam: Seam) -> Facts:
    """Return what a pipeline's checkpoint holds. Raises ConfigError where there is none, CheckpointError."""
    pipeline = workspace.wired(name, seam)
    found = find_checkpoint(pipeline.checkpoint, seam, pipeline.generation)
    if found is None:
        raise ConfigError(
            "there is no checkpoint",
            where=pipeline.checkpoint.url,
            hint=f"if it was lost: etl checkpoint rebuild {name}",
        )
    sizes = [found.folder.size(path) or 0 for path in found.folder.find()]
    committed = max(found.commits.log.revisions(), default=-1)
    backfill = found.backfills.newest()
    about = read_identity(found.folder, found.generation).body
    return Facts(
        pipeline=name,
        url=found.folder.url,
        identity=found.identity,
        generation=found.generation,
        kind="rewind" if "rewind" in about else "full refresh" if "refresh" in about else "first",
        created_at=about["created_at"],
        runner=found.epochs.describe(found.epochs.newest()) if found.epochs.newest() else "none",
        committed=committed,
        is_open=max(found.plans.log.revisions(), default=-1) > committed,
        backfill=backfill.selection if backfill is not None and backfill.state == OPEN else "",
        files=len(sizes),
        size_bytes=sum(sizes),
    )
