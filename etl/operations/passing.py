"""The files that the newest batches took, and what became of their rows: from plans and manifests, some at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etl.operations.files import files_of

if TYPE_CHECKING:
    from etl.checkpoint.folder import Checkpoint

_MOST_BATCHES = 50


@dataclass(frozen=True, slots=True)
class Passing:
    """A file in a batch. ``fates`` are the counts of its rows; ``same_as`` names the file that it repeats."""

    path: str
    batch_id: int
    size_bytes: int | None = None
    fates: Mapping[str, int] = field(default_factory=dict)
    same_as: str | None = None
    is_again: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which files are looked for: with rows of a fate, with a text in their path."""

    fate: str = ""
    text: str = ""

    def has(self, found: Passing) -> bool:
        """Tell whether a file is one of them."""
        return self.text in found.path and (not self.fate or bool(found.fates.get(self.fate)))


@dataclass(frozen=True, slots=True)
class Stretch:
    """Files of some batches, newest batch first; ``further`` is the batch to go on with, None at the end."""

    files: tuple[Passing, ...]
    further: int | None


def passing(checkpoint: Checkpoint, upto: int, wanted: Wanted, most: int) -> Stretch:
    """Return the wanted files of batch ``upto`` and of those before it, until there are ``most`` or fifty were read.

    A batch is never cut: there may be more than ``most``. Raises CheckpointError.
    """
    found: list[Passing] = []
    for batch_id in range(upto, max(upto - _MOST_BATCHES, -1), -1):
        if not checkpoint.commits.log.has(batch_id):
            return Stretch(tuple(found), None)
        found += [each for each in files_in(checkpoint, batch_id) if wanted.has(each)]
        if len(found) >= most:
            return Stretch(tuple(found), batch_id - 1 if batch_id > 0 else None)
    rest = upto - _MOST_BATCHES
    return Stretch(tuple(found), rest if rest >= 0 else None)


def files_in(checkpoint: Checkpoint, batch_id: int) -> Iterator[Passing]:
    """Yield the files of a committed batch. Raises CheckpointError."""
    plans, manifests = checkpoint.plans, checkpoint.manifests
    plan = plans.read(batch_id, plans.log.newest_revision(batch_id))
    manifest = manifests.read(batch_id, manifests.log.newest_revision(batch_id))
    for name, part in plan.inputs.items():
        for file in files_of(part, manifest.units.get(name)):
            fates = dict(manifest.files.get(file.path, {})) or ({} if file.rows is None else {"read": file.rows})
            yield Passing(file.path, batch_id, file.size_bytes, fates, file.same_as, file.is_again)
