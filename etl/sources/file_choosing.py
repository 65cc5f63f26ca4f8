"""Files that were read already and are chosen to be read again, each in the version that it has now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from operator import attrgetter

from etl.errors import SourceChangedError, SourceError
from etl.model import Json, PlannedInput, ReadLimit
from etl.sources.again import chosen_files, chosen_units
from etl.sources.file_access import digest_of, found_of
from etl.sources.file_discovery import FoundFile
from etl.sources.file_ledger import FileLedger
from etl.sources.file_listing import FileListing
from etl.sources.file_names import to_text
from etl.sources.file_options import FileOptions
from etl.sources.file_pattern import Pattern, parse_pattern
from etl.sources.file_places import Places
from etl.sources.file_tails import proof_of
from etl.sources.file_units import FileUnits, UnitRow

_GONE_HINT = "put it back; what was read of it before stays in the table as it is"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which files: those that match one of ``patterns`` (without any: all), and were last changed in a stretch of time.

    ``since_ns`` belongs to it, ``until_ns`` does not; None is no bound.
    """

    patterns: tuple[str, ...] = ()
    since_ns: int | None = None
    until_ns: int | None = None

    def is_in_time(self, modified_ns: int) -> bool:
        """Tell whether a moment lies in the stretch."""
        return (self.since_ns or 0) <= modified_ns < (inf if self.until_ns is None else self.until_ns)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The files that were chosen, by the text of their paths, in the order in which they are read.

    ``unread`` were never read: they are left to the next run. ``repeated`` have the content of another file, which
    stands for them.
    """

    paths: tuple[str, ...] = ()
    size_bytes: int = 0
    unread: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()


class FileChoosing:
    """What of a source of files can be read again. ``rows`` tells how many a file has, where a limit asks for that."""

    def __init__(self, options: FileOptions, places: Places, listing: FileListing, ledger: FileLedger) -> None:
        self._options = options
        self._places = places
        self._listing = listing
        self._ledger = ledger

    def chosen(self, choice: Choice) -> Chosen:
        """Return the files that are there and were read before. Raises SourceError for a path where nothing lies."""
        self._ledger.load()
        patterns = [self._pattern(text) for text in choice.patterns]
        files = {file.path: file for file in self._listing.find(lambda _: frozenset())}
        meant = [file for file in files.values() if not patterns or any(_fits(each, file.path) for each in patterns)]
        for pattern in patterns:
            self._refuse_nothing(pattern, meant)
        order = attrgetter("path") if self._options.order == "name" else attrgetter("modified_ns", "path")
        found = sorted((file for file in meant if choice.is_in_time(file.modified_ns)), key=order)
        read = [file for file in found if file.name in self._ledger.known(file.folder)]
        repeated = {file.path for file in read if self._is_repeated(file)}
        own = [file for file in read if file.path not in repeated]
        known = {file.path for file in read}
        return Chosen(
            tuple(to_text(file.path) for file in own),
            sum(file.size_bytes for file in own),
            tuple(to_text(file.path) for file in found if file.path not in known),
            tuple(to_text(path) for path in sorted(repeated)),
        )

    def _pattern(self, text: str) -> Pattern:
        try:
            pattern = parse_pattern(self._places.localised(text))
        except ValueError as exc:
            raise SourceError(str(exc), where=text, hint="* ? [abc] {a,b} ** as in `path:`") from exc
        return self._places.at(pattern.root).files.settled(pattern)

    def _refuse_nothing(self, pattern: Pattern, meant: Iterable[FoundFile]) -> None:
        if any(_fits(pattern, file.path) for file in meant):
            return
        told = self._listing.look(pattern.text) if pattern.is_literal else "matches no file of the source"
        raise SourceError(
            told if isinstance(told, str) else "matches no file of the source", where=pattern.text, hint=_GONE_HINT
        )

    def _is_repeated(self, file: FoundFile) -> bool:
        """Tell whether another file of the same content was read in its place. Raises SourceError where it changed."""
        if self._options.identity != "content" or not file.size_bytes:
            return False
        holder = self._ledger.holder(digest_of(self._places.at(file.path).access, file))
        if holder is None:
            raise SourceError(
                "is not what was read: by `identity: content` it would be a file of its own",
                where=to_text(file.path),
                hint="put the content back that was read, or leave the file out",
            )
        return holder != to_text(file.path)

    def portions(self, paths: Sequence[str], limit: ReadLimit, rows: Callable[[UnitRow], int]) -> Iterator[FileUnits]:
        """Yield the files as they are now, in order, in portions within a limit. Raises SourceError for a gone one."""
        taken: list[UnitRow] = []
        total_bytes = total_rows = 0
        for path in paths:
            unit = self._unit_now(path)
            count = 0 if limit.max_rows is None else rows(unit)
            is_full = len(taken) >= (limit.max_files or inf)
            is_full |= total_bytes + unit.size_bytes > (limit.max_bytes or inf)
            is_full |= total_rows + count > (limit.max_rows or inf)
            if taken and is_full:
                yield FileUnits.of(taken)
                taken, total_bytes, total_rows = [], 0, 0
            taken.append(unit)
            total_bytes += unit.size_bytes
            total_rows += count
        if taken:
            yield FileUnits.of(taken)

    def _unit_now(self, path: str) -> UnitRow:
        access = self._places.at(path).access
        unit = access.current(path)
        if unit is None:
            raise SourceError("is gone", where=path, hint=_GONE_HINT)
        if self._options.on_change == "append_tail":
            return unit._replace(digest=proof_of(access, unit))
        if self._options.identity == "content" and unit.size_bytes:
            return unit._replace(digest=digest_of(access, found_of(unit)))
        return unit

    def refreshed(self, planned: PlannedInput, cause: SourceChangedError) -> dict[str, Json]:
        """Return the same files as they are now. Raises ``cause`` where one is gone."""
        try:
            return chosen_units(FileUnits.of(self._unit_now(path) for path in chosen_files(planned.units).paths))
        except SourceError as exc:
            raise cause from exc


def _fits(pattern: Pattern, path: str) -> bool:
    relative = pattern.relative(path)
    return relative is not None and pattern.why_not(relative) is None
