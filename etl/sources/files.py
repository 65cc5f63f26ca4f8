"""The ``files`` source: each file once, discovered incrementally."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from etl.errors import NotReadyError, SourceChangedError
from etl.model import Json, Offset, PlannedInput, ReadLimit, Schema, Span
from etl.schema_contract import Survey
from etl.sources.again import chosen_units, is_again, is_chosen
from etl.sources.contract import Reading, SourceSite
from etl.sources.file_access import digest_of, found_of
from etl.sources.file_again import FilesAgain
from etl.sources.file_choosing import Choice, Chosen, FileChoosing
from etl.sources.file_discovery import FoundFile
from etl.sources.file_disposal import FileDisposal, refuse_archive_inside
from etl.sources.file_explanation import explain
from etl.sources.file_ledger import FileLedger, FoldAt, Version
from etl.sources.file_listing import FileListing
from etl.sources.file_names import from_text
from etl.sources.file_options import ArchiveTo, FileOptions
from etl.sources.file_places import Places
from etl.sources.file_reader import FileReader
from etl.sources.file_segments import Segments
from etl.sources.file_selection import FileSelection, Questions
from etl.sources.file_tails import FileTails, proof_of
from etl.sources.file_units import FileUnits, UnitRow, unit_of

if TYPE_CHECKING:
    from etl.balance import Tally

_KEPT_TIMES = 10


class FileSource:
    """Files that match a pattern, on a local disk or any fsspec filesystem.

    A listing that found more than one batch takes is kept for ten times as long as it took, so that a large backlog is
    not listed again for every batch.
    """

    options_model: ClassVar[type[FileOptions]] = FileOptions

    def __init__(
        self, options: FileOptions, schema: Schema | None, site: SourceSite, fold_at: FoldAt | None = None
    ) -> None:
        self._options = options
        self._schema = schema
        self._site = site
        self._places = Places(site.folder, site.storage_options)
        self._listing = FileListing(options, self._places)
        self._ledger = FileLedger(
            Segments(site.ledger, site.seam),
            keeps_versions=options.identity == "path_and_version",
            keeps_digests=options.identity == "content",
            fold_at=fold_at,
        )
        self._tails = FileTails(options)
        self._reads_tails = options.on_change == "append_tail"
        questions = Questions(self._refreshed, self._digest, self._footer_rows, self._proof, self._tail)
        self._selection = FileSelection(options, self._ledger, site.seam, questions)
        self._reader = FileReader(options, self._places, site)
        self._again = FilesAgain(options, self._places, site)
        self._choosing = FileChoosing(options, self._places, self._listing, self._ledger)
        self._backlog: list[FoundFile] = []
        self._backlog_until = float("-inf")
        self._is_fresh = False
        self._limit: ReadLimit | None = None
        refuse_archive_inside(options, self._places, self._listing)

    @property
    def declared_schema(self) -> Schema | None:
        """The schema of the YAML file, None where it is inferred."""
        return self._schema

    @property
    def folded_upto(self) -> int | None:
        """The newest batch whose plan ``restore`` need not be given; reads names only."""
        return self._ledger.folded_upto

    def restore(self, committed: list[tuple[int, PlannedInput]]) -> None:
        """Take in plans that the ledger's segments do not hold. *Repeat*: safe."""
        self._ledger.restore(committed)

    def latest(self, after: Offset | None, limit: ReadLimit) -> PlannedInput | None:
        """Return the files that come next, None when there is nothing new.

        Under ``start: now`` the first look of all records what is there and returns None. Raises SourceError where the
        source cannot be listed, ConfigError for a limit that cannot be kept.
        """
        self._options.check_limit(limit)
        self._limit = limit
        self._ledger.load()
        if self._is_first_look(after):
            self._ledger.record_start(self._there_before())
            return None
        units = self._selection.take(self._fresh_backlog(), limit)
        if not units and self._backlog:
            self._backlog_until = float("-inf")
            units = self._selection.take(self._fresh_backlog(), limit)
        if not units:
            return None
        span = Span(after, units.end_after(after))
        return PlannedInput(span, units.to_json(), len(units), units.size_bytes, self._replaced(units))

    def _there_before(self) -> FileUnits:
        """Return the files that are there, with what they are known by where they may grow."""
        files = list(self._listing.find(self._ledger_names))
        return FileUnits.found(files, [self._proof(file) for file in files] if self._reads_tails else ())

    def _replaced(self, units: FileUnits) -> tuple[str, ...]:
        """Return the files that were read before and whose rows go."""
        if self._options.on_change != "replace_rows":
            return ()
        return tuple(text for text in units.paths if self._ledger.version(from_text(text)) is not None)

    def accept(self, batch_id: int, planned: PlannedInput) -> None:
        """Remember the units of a durable plan."""
        units = FileUnits.from_json(planned.units)
        self._ledger.remember(batch_id, units)
        self._selection.duplicates.clear()
        self._backlog = [file for file in self._backlog if not self._selection.is_settled(file)]

    def watched(self) -> tuple[str, ...]:
        """Return the local folders that the patterns start from, as far as they are there."""
        return self._listing.local_roots(self._site.folder)

    def refresh(self, planned: PlannedInput, cause: SourceChangedError) -> PlannedInput:
        """Return the same units as they are now, without those that are not ready.

        Those that are gone are left out under ``ignore_missing``, and the rows of what is left out stay where they are.
        Raises ``cause`` where something is gone that may not be, and for a changed file under ``on_change: fail``;
        SourceError where it is no longer the planned one grown under ``append_tail``.
        """
        if is_chosen(planned.units):
            return replace(planned, units=self._choosing.refreshed(planned, cause))
        if is_again(planned.units):
            return replace(planned, units=self._again.refreshed(planned.units))
        if isinstance(cause, NotReadyError):
            before = FileUnits.from_json(planned.units)
            self._selection.put_off(unit for unit in before.files if unit.path in cause.paths)
            return self._amended(planned, before, [unit for unit in before.files if unit.path not in cause.paths])
        if self._options.on_change == "fail":
            raise cause
        before = FileUnits.from_json(planned.units)
        files = [self._unit_now(unit, cause) for unit in before.files]
        return self._amended(planned, before, [unit for unit in files if unit is not None])

    def _amended(self, planned: PlannedInput, before: FileUnits, files: list[UnitRow]) -> PlannedInput:
        """Return a plan with other units. What is left out is unknown again, and so is what repeats its content."""
        gone = {unit.digest for unit in before.files} - {unit.digest for unit in files}
        units = FileUnits.of(files, (unit for unit in before.duplicates if unit.digest not in gone))
        self._ledger.replace(before, units)
        kept = set(units.paths)
        return replace(
            planned,
            units=units.to_json(),
            files=len(units),
            size_bytes=units.size_bytes,
            replaces=tuple(path for path in planned.replaces if path in kept),
        )

    def _unit_now(self, unit: UnitRow, cause: SourceChangedError) -> UnitRow | None:
        access = self._places.at(unit.path).access
        now = access.current(unit.path)
        if now is None:
            if not self._options.ignore_missing:
                raise cause
            return None
        if self._reads_tails:
            self._tails.start_of(access, now, unit)
            return now._replace(digest=proof_of(access, now), from_byte=unit.from_byte)
        return now._replace(digest=None if unit.digest is None else digest_of(access, found_of(now)))

    def survey(self, planned: PlannedInput, known: Survey | None, now: datetime) -> Survey:
        """Return ``known`` evolved by the units. Raises RowError, NotReadyError and SourceChangedError."""
        if is_again(planned.units):
            return self._again.survey(planned.units, known, now)
        return self._reader.survey(FileUnits.from_json(planned.units), known, now)

    def read(self, planned: PlannedInput, known: Survey, system: tuple[str, ...], tally: Tally) -> Reading:
        """Return the rows of the units, in order. *Repeat*: gives the same rows again, or raises."""
        if is_again(planned.units):
            return self._again.read(planned.units, known, system, tally)
        return self._reader.read(FileUnits.from_json(planned.units), known, system, tally, self._following)

    def plan_again(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Json]:
        """Return the units that read rows of the quarantine table again.

        Raises SourceError for a whole file that is gone, or was read since.
        """
        return self._again.plan(rows, self._ledger)

    def choose(self, choice: Choice) -> Chosen:
        """Return the files that may be read again. Raises SourceError for a path where none lies."""
        return self._choosing.chosen(choice)

    def portions(self, paths: Sequence[str], limit: ReadLimit) -> Iterator[dict[str, Json]]:
        """Yield the units that read chosen files again, batch by batch. Raises SourceError for one that is gone."""
        for files in self._choosing.portions(paths, limit, self._reader.footer_rows):
            yield chosen_units(files)

    def _following(self) -> FileUnits | None:
        """Guess which units the next plan names; None where nothing waits, or where looking is not for nothing."""
        options = self._options
        is_costly = options.identity == "content" or options.stable_for or self._reads_tails
        if is_costly or self._limit is None or self._limit.max_rows:
            return None
        return (self._selection.take(self._backlog, self._limit) or None) if self._backlog else None

    def close(self) -> None:
        """Let go of what was begun ahead. *Repeat*: safe."""
        self._reader.close()
        self._again.close()

    def acknowledge(self, batch_id: int, planned: PlannedInput) -> None:
        """Keep, archive or delete the files of a committed batch. *Repeat*: safe."""
        del batch_id
        wish = self._options.after_commit
        if wish == "keep":
            return
        disposal = FileDisposal(self._places, self._site.seam, wish.archive if isinstance(wish, ArchiveTo) else None)
        for unit in FileUnits.from_json(planned.units).files:
            disposal.dispose(unit, self._listing.relative(from_text(unit.path)))

    def check_replay(self) -> None:
        """Refuse to read all anew where read files are disposed of, or old ones not read. Raises SourceError."""
        self._options.check_replay()

    def check_rebuild(self) -> None:
        """Refuse plans alone where the first look is lost. Raises SourceError."""
        self._options.check_rebuild(has_start=self._ledger.has_start())

    def fold(self, upto: int) -> None:
        """Fold the ledger of batches ``<= upto`` once there is enough of it. Losing it loses nothing."""
        self._ledger.fold(upto)

    def explain(self, path: str) -> dict[str, Json]:
        """Return why a file was or was not read: ``path``, ``is_read``, ``reason``, and the ``batch_id`` that did."""
        self._ledger.load()
        return explain(
            from_text(self._places.localised(path)), self._listing, self._selection, self._ledger, self._twin
        )

    def _is_first_look(self, after: Offset | None) -> bool:
        return self._options.start == "now" and after is None and self._ledger.is_new and not self._ledger.has_start()

    def _fresh_backlog(self) -> list[FoundFile]:
        """Return what is known to wait, listed again when there is nothing left or the listing has grown old."""
        seam = self._site.seam
        self._is_fresh = False
        if not self._backlog or seam.monotonic() >= self._backlog_until:
            begun = seam.monotonic()
            self._is_fresh = True
            self._backlog = self._selection.candidates(self._listing.find(self._ledger_names))
            ended = seam.monotonic()
            self._backlog_until = ended + _KEPT_TIMES * (ended - begun)
        return self._backlog

    def _ledger_names(self, folder: str) -> AbstractSet[str]:
        """Return the names that need no second look: none where versions count."""
        if self._options.on_change != "ignore":
            return frozenset()
        return self._ledger.known(folder)

    def _refreshed(self, file: FoundFile) -> FoundFile | None:
        """Return a listed file as it is now, None when it is gone; a listing of this moment is taken at its word."""
        if self._is_fresh:
            return file
        seen = self._listing.refreshed(file)
        if seen is None or (self._options.stable_for and self._selection.wait_s(seen)):
            return None
        return seen

    def _digest(self, file: FoundFile) -> str:
        return digest_of(self._places.at(file.path).access, file)

    def _twin(self, file: FoundFile) -> str | None:
        counts = self._options.identity == "content" and file.size_bytes
        return self._ledger.holder(self._digest(file)) if counts else None

    def _proof(self, file: FoundFile) -> str:
        return proof_of(self._places.at(file.path).access, unit_of(file, None))

    def _tail(self, file: FoundFile, former: Version) -> int:
        """Return where the new part of a file begins. Raises SourceError, SourceChangedError, FileNotFoundError."""
        access, now = self._places.at(file.path).access, unit_of(file, None)
        before = now._replace(size_bytes=former.size_bytes, digest=former.proof)
        start = self._tails.start_of(access, now, before)
        if 0 < start < now.size_bytes:
            self._tails.check_border(access, now, start)
        return start

    def _footer_rows(self, file: FoundFile) -> int:
        return self._reader.footer_rows(unit_of(file, None))
