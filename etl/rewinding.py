"""Bringing tables, state and offsets back to an earlier batch: what it takes, and carrying it out.

The next generation of the checkpoint begins with the records up to that batch. Once its identity is published the
rewind has happened: whoever opens the checkpoint next carries out what is left of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.checkpoint.commit_log import BESIDE
from etl.checkpoint.folder import Checkpoint, find_checkpoint
from etl.checkpoint.recovery import refresh_command
from etl.checkpoint.rewinding import Rewind, copy_records, is_unfinished, read_rewind
from etl.errors import CheckpointError, ConfigError, StateError
from etl.model import as_fields
from etl.states import States
from etl.storage import put_if_absent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from etl.flow import Flow
    from etl.model import Manifest, StagedFile
    from etl.seam import Seam
    from etl.sinks.past import Past, TableMoving
    from etl.state.reading import StateReader


def plan_rewind(checkpoint: Checkpoint, flow: Flow, upto: int) -> Rewind:
    """Return what it takes to go back to the end of batch ``upto``; changes nothing. The sinks are bound.

    Raises ConfigError for a batch that is not committed or whose state is no longer kept, TableStateError where a table
    cannot be brought back.
    """
    _refuse_batch(checkpoint, upto)
    if BESIDE in checkpoint.commits.read(upto).sides:
        raise ConfigError(
            f"batch {upto} cannot be gone back to: it is of a full refresh, and the table never stood after it",
            where=checkpoint.url,
            hint=f"go back to a batch since the refresh ended, or begin from the start: {refresh_command(flow.name)}",
        )
    moves: dict[str, Any] = {}
    for role, rewind in _tables(flow, (checkpoint.identity, *(checkpoint.replaces or ()))):
        version, batch_id = _standing(checkpoint, flow, role, upto)
        if version is None:
            version = rewind.before(f"{checkpoint.identity}/{role}")
        if version is None:
            continue
        move = rewind.plan(version, batch_id, lambda role=role: _staged(checkpoint, role, upto))  # type: ignore[misc]
        if move is not None:
            moves[role] = as_fields(move)
    return Rewind(upto, checkpoint.generation, moves)


def _refuse_batch(checkpoint: Checkpoint, upto: int) -> None:
    possible = possible_batches(checkpoint)
    if upto in possible:
        return
    told = f"{possible[0]} to {possible[-1]}" if possible else "none"
    committed = checkpoint.commits.log.revisions()
    why = "what transforms remembered after it is no longer kept" if upto in committed else "it is not committed"
    raise ConfigError(
        f"batch {upto} cannot be gone back to: {why}",
        where=checkpoint.url,
        hint=f"possible batches: {told}; to begin from the start: etl run --full-refresh",
    )


def possible_batches(checkpoint: Checkpoint) -> list[int]:
    """Return the committed batches whose state, where there is any, is still there; oldest first.

    Those before the first state of a pipeline that has some are not among them.
    """
    committed = list(checkpoint.commits.log.revisions())
    if not committed or not _manifest(checkpoint, committed[-1]).state:
        return committed
    found: list[int] = []
    for batch in reversed(committed):
        if not _manifest(checkpoint, batch).state or not _has_state(checkpoint, batch):
            break
        found.insert(0, batch)
    return found


def _has_state(checkpoint: Checkpoint, batch: int) -> bool:
    return has_state(checkpoint, _manifest(checkpoint, batch))


def has_state(checkpoint: Checkpoint, manifest: Manifest) -> bool:
    """Tell whether every file of the state after a batch is there with its size."""
    try:
        for storage_name, reader in _readers(checkpoint, manifest):
            storage = checkpoint.storage.at("state").at(storage_name)
            if any(storage.size(file.path) != file.size_bytes for file in reader.files):
                return False
    except StateError:
        return False
    return True


def _readers(checkpoint: Checkpoint, manifest: Manifest) -> Iterator[tuple[str, StateReader]]:
    from etl.state.reading import StateReader

    for name, ref in manifest.state.items():
        yield name, StateReader(checkpoint.storage.at("state").at(name), ref)


def _manifest(checkpoint: Checkpoint, batch: int) -> Manifest:
    return checkpoint.manifests.read(batch, checkpoint.manifests.log.revisions()[batch])


def _tables(flow: Flow, identities: tuple[str, ...]) -> Iterator[tuple[str, TableMoving]]:
    """Yield the tables of a pipeline by role. Raises ConfigError for one that has no versions to go back to."""
    for role, sink in flow.sinks.items():
        past: Past | None = getattr(sink, "past", None)
        if past is None:
            raise ConfigError(
                "has no versions to go back to: what it was given cannot be taken back",
                where=sink.table,
                hint="etl run PIPELINE --full-refresh begins from the start",
            )
        yield role, past.moving(sink.table, tuple(f"{identity}/{role}" for identity in identities))


def _standing(checkpoint: Checkpoint, flow: Flow, role: str, upto: int) -> tuple[int | None, int | None]:
    """Return the version and the batch that a table had after batch ``upto``, None where it had none of ours."""
    entry = checkpoint.commits.read(upto)
    side = entry.sides.get(role)
    if side is not None:
        return side.version, side.batch_id
    version = entry.result.tables.get(flow.sinks[role].table) if role == "main" else None
    return version, None if version is None else upto


def _staged(checkpoint: Checkpoint, role: str, upto: int) -> Mapping[str, StagedFile]:
    manifests = (_manifest(checkpoint, batch) for batch in range(upto + 1))
    return {file.path: file for manifest in manifests for file in manifest.tables.get(role, ())}


def finish_rewind(checkpoint: Checkpoint, flow: Flow, seam: Seam) -> None:
    """Carry out what is left of a rewind: tables, then state, then records. Does nothing for any other checkpoint.

    By the holder of the lease, with the sinks bound. *Repeat*: safe. Raises TableStateError where another writer came
    in between, CheckpointError.
    """
    if not is_unfinished(checkpoint):
        return
    rewind = read_rewind(checkpoint)
    old = find_checkpoint(checkpoint.folder, seam, rewind.origin)
    if old is None:
        raise CheckpointError("the records that a rewind begins with are gone", where=checkpoint.url)
    versions = {}
    for role, table in _tables(flow, checkpoint.replaces or ()):
        if role in rewind.moves:
            info = {"etl.pipeline": flow.name, "etl.pipeline_id": checkpoint.identity, "etl.rewind": str(rewind.upto)}
            versions[role] = table.carry_out(rewind.moves[role], info, lambda: int(seam.now().timestamp() * 1000))
    kept = _copy_states(old, checkpoint, rewind.upto, seam)
    copy_records(old, checkpoint, rewind.upto, _Changes(rewind.upto, kept, versions).changed)


def _copy_states(old: Checkpoint, new: Checkpoint, upto: int, seam: Seam) -> frozenset[int]:
    """Copy the state after ``upto``, and after the batches before that are still kept; return which batches these are.

    Raises StateError where that after ``upto`` is not there.
    """
    kept = set()
    for batch in range(upto, max(-1, upto - States.kept_batches), -1):
        if batch != upto and not _has_state(old, batch):
            break
        manifest = _manifest(old, batch)
        for name, reader in _readers(old, manifest):
            storage, other = (each.storage.at("state").at(name) for each in (old, new))
            ref = manifest.state[name]
            for path in (*(file.path for file in reader.files), ref.file):
                if other.size(path) is None:
                    put_if_absent(other, path, storage.read(path), effect="rewind.state", seam=seam)
        kept.add(batch)
    return frozenset(kept)


@dataclass(frozen=True, slots=True)
class _Changes:
    """What records say otherwise in the new generation.

    Only manifests of the batches ``kept`` name state; the last entry says in which ``versions`` tables are now.
    """

    upto: int
    kept: frozenset[int]
    versions: Mapping[str, int]

    def changed(self, kind: str, number: int, body: dict[str, Any]) -> dict[str, Any]:
        """Return the body that a record is to have."""
        if kind == "manifest" and number not in self.kept:
            return {name: value for name, value in body.items() if name != "state"}
        if kind == "commit" and number == self.upto and "sides" in body:
            sides = {
                role: {**side, "version": self.versions.get(role, side["version"])}
                for role, side in body["sides"].items()
            }
            return {**body, "sides": sides}
        return body
