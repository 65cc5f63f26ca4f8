"""Which files of which versions come next, within limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from etl.errors import SourceError
from etl.model import ReadLimit
from etl.sources.delta_commits import Commit
from etl.sources.delta_options import DeltaSourceOptions
from etl.sources.delta_units import Place, TableFile
from etl.sources.delta_upstream import Upstream

MAX_PASSED = 100
"""Versions without rows after which a batch moves on all the same: their part of the log may be cleaned away."""

Group = tuple[TableFile, ...]
"""Files that one batch reads together."""


@dataclass(slots=True)
class Share:
    """What one batch takes. At least one group is taken, however large it is."""

    limit: ReadLimit
    files: list[TableFile] = field(default_factory=list)
    size_bytes: int = 0
    rows: int = 0

    def take(self, group: Group, rows: int) -> bool:
        """Take a group, unless it goes beyond a bound; tell whether it was taken."""
        size_bytes = sum(file.size_bytes for file in group)
        is_beyond = (
            len(self.files) + len(group) > (self.limit.max_files or inf)
            or self.size_bytes + size_bytes > (self.limit.max_bytes or inf)
            or self.rows + rows > (self.limit.max_rows or inf)
        )
        if self.files and is_beyond:
            return False
        self.files += group
        self.size_bytes += size_bytes
        self.rows += rows
        return True


class DeltaPlanning:
    """Follows the versions of a table. ``notes`` are what people should hear of."""

    def __init__(self, options: DeltaSourceOptions, upstream: Upstream) -> None:
        self._options = options
        self._upstream = upstream
        self._snapshot: tuple[Place, list[Group]] | None = None
        self._passed: tuple[Place, Place] | None = None
        self._told: set[int] = set()
        self.notes: list[str] = []

    def take(self, place: Place, limit: ReadLimit) -> tuple[list[TableFile], Place]:
        """Return the files that come next behind ``place``, and the place behind them.

        No files and a later place: versions that brought no rows. Raises SourceError for a version that cannot be
        followed, once all before it are read.
        """
        share = Share(limit)
        at = place if self._passed is None or self._passed[0] != place else self._passed[1]
        while share.files or at.version - place.version < MAX_PASSED:
            try:
                groups = self._groups(at)
            except SourceError:
                if share.files:
                    break
                raise
            if groups is None:
                break
            taken = self._take_of(groups[at.taken :], share)
            if taken < len(groups) - at.taken:
                at = at.past(at.taken + taken)
                break
            at = at.next_version()
        if not share.files:
            self._passed = (place, at)
        return share.files, at

    def _take_of(self, groups: Sequence[Group], share: Share) -> int:
        """Return how many of the groups a batch takes."""
        for number, group in enumerate(groups):
            rows = 0
            if share.limit.max_rows is not None:
                rows = sum(self._upstream.rows_of(file) for file in group)
            if not share.take(group, rows):
                return number
        return len(groups)

    def _groups(self, at: Place) -> list[Group] | None:
        """Return the files of a version by what is to be read together, None where there is no such version yet."""
        if at.is_snapshot:
            return self._groups_of_snapshot(at)
        commit = self._upstream.commits.read(at.version)
        if commit is None:
            return None
        if self._options.read == "appends" and commit.removes:
            self._pass_over(commit)
            return []
        if commit.flaw:
            raise self._upstream.refusal(commit.flaw, commit.version)
        if not commit.removes:
            return [(file,) for file in commit.adds]
        # A version that takes rows out is read as a whole: half of it would show a table that never was.
        return [commit.changes or (*commit.removes, *commit.adds)]

    def _groups_of_snapshot(self, at: Place) -> list[Group]:
        known = self._snapshot
        if known is None or known[0] != at.past(0):
            look = self._upstream.exactly(at.version)
            if look is None:
                raise SourceError(
                    f"the log of {self._upstream.name} no longer tells what its version {at.version} held, "
                    f"of which {at.taken} files are read",
                    where=self._upstream.name,
                    hint="etl run --full-refresh reads the table as it is now",
                )
            known = (at.past(0), [(file,) for file in self._upstream.files_of(look)])
            self._snapshot = known
        return known[1]

    def _pass_over(self, commit: Commit) -> None:
        """Take note of a version that takes rows out. Raises SourceError where it may not be passed over."""
        told = f"version {commit.version} ({commit.operation}) of {self._upstream.name}"
        if self._options.on_rewrite == "fail":
            raise SourceError(
                f"{told} takes rows out or changes them, and `read: appends` only follows rows that are added",
                where=self._upstream.name,
                hint="say `read: changes` with a primary_key and a merging sink, `on_rewrite: skip` to go on without "
                "the rows of such versions, or read the table as it is now: etl run --full-refresh",
            )
        if commit.version not in self._told:
            self._told.add(commit.version)
            self.notes.append(
                f"{told} takes rows out or changes them: passed over (`on_rewrite: skip`), with the rows of "
                f"{len(commit.adds)} files that it wrote"
            )
