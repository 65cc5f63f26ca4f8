"""What other runners commit to tables that pipelines of the service come after: seen in the commit logs themselves."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.checkpoint.folder import Checkpoint, find_checkpoint
from etl.checkpoint.generations import identity_name, newest_generation
from etl.errors import EtlError
from etl.storage import open_storage

if TYPE_CHECKING:
    from etl.project import Project
    from etl.seam import Seam


@dataclass(slots=True)
class _Seen:
    """How far a commit log was seen."""

    checkpoint: Checkpoint
    newest: int


class Upstreams:
    """Commit logs, looked at again and again: one small request each, as long as nothing comes."""

    def __init__(self, project: Project, seam: Seam) -> None:
        self._project = project
        self._seam = seam
        self._seen: dict[str, _Seen | None] = {}

    def changed(self, names: Iterable[str]) -> list[str]:
        """Return those pipelines that committed since the last look; at the first look at one, nothing is new."""
        found = []
        for name in names:
            with suppress(EtlError, OSError):  # what cannot be looked at now is looked at next time
                if self._has_changed(name):
                    found.append(name)
        return found

    def note(self, name: str, batch_id: int) -> None:
        """Take note of a commit that is known already."""
        seen = self._seen.get(name)
        if seen is not None and batch_id == seen.newest + 1:
            seen.newest = batch_id

    def _has_changed(self, name: str) -> bool:
        is_first = name not in self._seen
        seen = self._seen.get(name)
        if seen is None or seen.checkpoint.folder.size(identity_name(seen.checkpoint.generation + 1)) is not None:
            self._seen[name] = found = self._found(name)
            return not is_first and found is not None and found.newest >= 0
        before = seen.newest
        while seen.checkpoint.commits.log.has(seen.newest + 1):
            seen.newest += 1
        return seen.newest > before

    def _found(self, name: str) -> _Seen | None:
        """Return where a commit log stands, None where there is none yet."""
        folder = open_storage(self._project.checkpoint_url(name), self._seam, self._project.storage_options)
        checkpoint = find_checkpoint(folder, self._seam, newest_generation(folder))
        return None if checkpoint is None else _Seen(checkpoint, max(checkpoint.commits.log.revisions(), default=-1))
