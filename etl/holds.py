"""What the pipelines of a lake still need of a table: files of batches under way, versions that readers have to come.

It is read from their checkpoints alone, which all lie in one folder of the lake.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from etl.checkpoint.commit_log import BESIDE
from etl.checkpoint.folder import find_checkpoint
from etl.checkpoint.generations import newest_generation
from etl.checkpoint.rewinding import refuse_unfinished
from etl.errors import TableStateError
from etl.project import CHECKPOINTS, Project
from etl.sinks.delta_vacuum import Holds
from etl.sources.delta_units import Place
from etl.storage import open_storage

if TYPE_CHECKING:
    from etl.checkpoint.commit_log import CommitEntry
    from etl.checkpoint.folder import Checkpoint
    from etl.model import BatchPlan, PlannedInput
    from etl.seam import Seam

_ID_LENGTH = 8


class TableVersion(Protocol):
    """A version of a table."""

    @property
    def version(self) -> int:
        """Its number."""

    @property
    def table_id(self) -> str:
        """The identity of the table."""


@dataclass(slots=True)
class _Found:
    """What was found so far; ``floors`` are the versions that readers need, with who they are."""

    table_id: str
    version: int
    paths: set[str] = field(default_factory=set)
    committed: dict[str, int] = field(default_factory=dict)
    floors: list[tuple[int, str]] = field(default_factory=list)


def holds_on(project: Project, head: TableVersion, seam: Seam) -> Holds:
    """Return what is still needed of the table whose newest version is ``head``.

    Raises CheckpointError where records cannot be read, TableStateError where the table lacks what a batch gave it:
    in both cases nothing may be deleted.
    """
    found = _Found(head.table_id, head.version)
    for name, checkpoint in checkpoints_of(project, seam):
        refuse_unfinished(checkpoint, name)
        _add(found, name, checkpoint)
    readers = {name: floor for floor, name in sorted(found.floors, reverse=True)}
    floor = min((floor for floor, _ in found.floors), default=None)
    return Holds(floor, frozenset(found.paths), found.committed, readers)


def checkpoints_of(project: Project, seam: Seam) -> Iterator[tuple[str, Checkpoint]]:
    """Yield the checkpoint of every pipeline that ever ran in the lake, by name. Raises CheckpointError."""
    root = open_storage(f"{project.lake}/{CHECKPOINTS}", seam, project.storage_options)
    for name in root.list():
        folder = root.at(name)
        if not name.startswith(".") and folder.size("") != 0:
            checkpoint = find_checkpoint(folder, seam, newest_generation(folder))
            if checkpoint is not None:
                yield name, checkpoint


def _add(found: _Found, name: str, checkpoint: Checkpoint) -> None:
    commits, manifests, plans = (
        log.log.revisions() for log in (checkpoint.commits, checkpoint.manifests, checkpoint.plans)
    )
    committed = since = max(commits, default=-1)
    found.committed[checkpoint.identity[:_ID_LENGTH]] = committed
    if committed >= 0:
        entry = checkpoint.commits.read(committed)
        _refuse_behind(found, name, checkpoint, entry)
        since = -1 if BESIDE in entry.sides else committed  # no version of the table has their files yet
    for batch_id in (each for each in manifests if each >= since):
        manifest = checkpoint.manifests.read(batch_id, manifests[batch_id])
        found.paths |= {file.path for files in manifest.tables.values() for file in files}
    if plans:
        newest = max(plans)
        plan = checkpoint.plans.read(newest, plans[newest])
        _add_plan(found, name, plan, is_open=newest > committed)


def _refuse_behind(found: _Found, name: str, checkpoint: Checkpoint, entry: CommitEntry) -> None:
    """Refuse a table that was set back: files that its batches would be committed from again must stay."""
    known = [(side.table_id, side.version) for side in entry.sides.values()]
    if any(table_id == found.table_id and version > found.version for table_id, version in known):
        raise TableStateError(
            "table_behind",
            f"the table ends with version {found.version}, batch {entry.result.batch_id} of {name} made a later one",
            where=checkpoint.url,
            hint=f"nothing was deleted; etl repair {name}",
        )


def _add_plan(found: _Found, name: str, plan: BatchPlan, *, is_open: bool) -> None:
    """Take in what the newest plan of a pipeline says of the table as its input."""
    for part in plan.inputs.values():
        if not part.is_retired:
            _add_input(found, name, part, is_open=is_open)
    if is_open:
        for pin in _pins(plan.pins.values()):
            if pin.get("delta") == found.table_id:
                found.floors.append((int(pin["version"]), name))


def _add_input(found: _Found, name: str, part: PlannedInput, *, is_open: bool) -> None:
    offset = part.span.start if is_open else part.span.end
    if offset and offset.get("table_id") == found.table_id:
        place = Place.of_offset(offset)
        found.floors.append((place.version if place.is_snapshot else place.version - 1, name))
    units: Mapping[str, Any] = part.units
    if is_open and units.get("table_id") == found.table_id:
        found.paths |= set(units["path"])
        found.floors += [(int(version) - 1, name) for version in units["version"][:1]]


def _pins(values: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    return (value for value in values if isinstance(value, Mapping))
