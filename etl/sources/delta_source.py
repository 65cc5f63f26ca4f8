"""The ``delta`` source: the rows that versions of a Delta table bring, each once, or what they change."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from etl.errors import ConfigError, SourceChangedError, SourceError
from etl.formats.ndjson import Ndjson
from etl.model import CHANGE, Offset, PlannedInput, ReadLimit, Schema, Span
from etl.project import absolute, default_project, scheme_of
from etl.schema_contract import Survey
from etl.sources.again import Rereader, is_again
from etl.sources.contract import Reading, SourceSite
from etl.sources.delta_options import DeltaSourceOptions
from etl.sources.delta_planning import MAX_PASSED, DeltaPlanning
from etl.sources.delta_reader import DeltaReader
from etl.sources.delta_schema import check_contract, evolved
from etl.sources.delta_start import DeltaStart
from etl.sources.delta_units import DeltaUnits, Place, TableFile, of_files
from etl.sources.delta_upstream import Look, Upstream
from etl.storage import object_store_options, open_storage

if TYPE_CHECKING:
    from etl.balance import Tally

_EVERYTHING_FOLDED = 2**53
_REFRESH = "to read the table as it is now: etl run --full-refresh"


class DeltaSource:
    """A Delta table, whoever writes it."""

    options_model: ClassVar[type[DeltaSourceOptions]] = DeltaSourceOptions

    def __init__(self, options: DeltaSourceOptions, schema: Schema | None, site: SourceSite) -> None:
        if schema is not None:
            raise ConfigError(
                "a Delta table says by itself which columns it has", where="schema", hint="leave it out; cast later"
            )
        check_contract(site.contract)
        self._options = options
        self._site = site
        project = site.project or default_project(site.folder)
        url = project.table_url(options.table) if options.table else absolute(site.folder, options.path or "")
        storage = open_storage(url, site.seam, site.storage_options)
        scheme = scheme_of(url)
        store_options = object_store_options(scheme, site.storage_options.get(scheme, {}))
        self._upstream = Upstream(options.table or url, storage, store_options)
        self._start = DeltaStart(options, self._upstream, site)
        self._planning = DeltaPlanning(options, self._upstream)
        self._reader = DeltaReader(options, self._upstream)
        self._again = Rereader(lambda _: Ndjson(), site.contract)
        self._has_looked = False
        self._is_awaited = False

    @property
    def declared_schema(self) -> Schema | None:
        """None: the table's log says what its columns are."""
        return None

    @property
    def result_keys(self) -> list[str] | None:
        """By what rows of a changing result are found, None where rows are only added."""
        return list(self._options.primary_key) or None

    @property
    def folded_upto(self) -> int | None:
        """Beyond every batch: the offset says it all, no plan need be given back."""
        return _EVERYTHING_FOLDED

    def restore(self, committed: list[tuple[int, PlannedInput]]) -> None:
        """Nothing to remember: the offset says it all."""

    def latest(self, after: Offset | None, limit: ReadLimit) -> PlannedInput | None:
        """Return the files that come next, None where the table has no new rows.

        Raises SourceError for a version that cannot be followed, and where the table was replaced or its log does not
        reach back to where the reader stands.
        """
        place = self._start.place() if after is None else Place.of_offset(after)
        if place is None:
            self._note_absence()
            return None
        files, end = self._planning.take(place, limit)
        if not files:
            self._check_standing(end)
            if end.version - place.version < MAX_PASSED:
                return None
        look = self._upstream.at(end.newest)
        self._refuse_replaced(place, look)
        units = of_files(self._with_partitions(files, look), look.table_id, self._columns(look))
        offset = Place(look.table_id, end.version, end.taken, end.is_snapshot).to_offset()
        return PlannedInput(Span(after, offset), units.to_json(), len(files), units.size_bytes)

    def _columns(self, look: Look) -> Schema:
        return {**look.schema, CHANGE: "string"} if self._options.primary_key else look.schema

    def _note_absence(self) -> None:
        if not self._is_awaited:
            self._is_awaited = True
            self._planning.notes.append(f"waiting for {self._upstream.name}: there is nothing to begin with yet")

    def _check_standing(self, place: Place) -> None:
        """Refuse to wait where the next version will never come. Raises SourceError."""
        is_next = place.version == 0 or self._upstream.commits.holds(place.version - 1)
        if is_next and self._has_looked:
            return
        self._has_looked = True
        look = self._upstream.newest()
        if look is None and not place.table_id:
            self._note_absence()
            return
        if look is None:
            raise SourceError("there is no table any more", where=self._upstream.name, hint="put it back")
        self._refuse_replaced(place, look)
        if look.version >= place.version and not self._upstream.commits.holds(place.version):
            raise SourceError(
                f"the log of {self._upstream.name} no longer holds version {place.version}, which comes next; the "
                f"newest is {look.version}",
                where=self._upstream.name,
                hint=_REFRESH,
            )
        if place.table_id and look.version < place.newest:
            raise SourceError(
                f"{self._upstream.name} ends with version {look.version}, and {place.newest} was read already",
                where=self._upstream.name,
                hint=_REFRESH,
            )

    def _refuse_replaced(self, place: Place, look: Look) -> None:
        if place.table_id not in ("", look.table_id):
            raise SourceError(
                f"{self._upstream.name} is another table by now: {look.table_id} in place of {place.table_id}",
                where=self._upstream.name,
                hint=_REFRESH,
            )

    def _with_partitions(self, files: list[TableFile], look: Look) -> list[TableFile]:
        """Return files with the partitions that the log does not tell where it takes them out."""
        if not look.partition_by:
            return files
        found: dict[int, dict[str, TableFile]] = {}
        completed = []
        for file in files:
            if file.partition is None:
                before = file.version - 1
                if before not in found:
                    known = self._upstream.files_of(self._upstream.at(before))
                    found[before] = {each.path: each for each in known}
                if file.path not in found[before]:
                    raise self._upstream.refusal(f"no partition values for {file.path}", file.version)
                file = file._replace(partition=found[before][file.path].partition)  # noqa: PLW2901
            completed.append(file)
        return completed

    def accept(self, batch_id: int, planned: PlannedInput) -> None:
        """Nothing to remember."""

    def watched(self) -> tuple[str, ...]:
        """Return the folder of the table's log where it is a local one."""
        storage = self._upstream.storage
        return (f"{storage.url}/_delta_log",) if storage.is_local and storage.list("_delta_log") else ()

    def refresh(self, planned: PlannedInput, cause: SourceChangedError) -> PlannedInput:
        """Files of a version never change. Raises ``cause``."""
        del planned
        raise cause

    def survey(self, planned: PlannedInput, known: Survey | None, now: datetime) -> Survey:
        """Return ``known`` evolved by the columns of the table. Raises SourceError where they do not fit."""
        del now
        if is_again(planned.units):
            return self._again.survey(planned.units, known)
        found = DeltaUnits.from_json(planned.units).schema
        return Survey(evolved({} if known is None else known.schema, found, self._site.contract, self._upstream.name))

    def read(self, planned: PlannedInput, known: Survey, system: tuple[str, ...], tally: Tally) -> Reading:
        """Return the rows of the units. *Repeat*: gives the same rows again, or raises."""
        if is_again(planned.units):
            return self._again.read(planned.units, known, system, tally)
        return self._reader.read(DeltaUnits.from_json(planned.units), known, system, tally)

    def acknowledge(self, batch_id: int, planned: PlannedInput) -> None:
        """Do nothing: the table stays as it is."""

    def close(self) -> None:
        """Nothing to let go of."""

    def take_notes(self) -> list[str]:
        """Return what people should hear of since the last call: versions that were passed over."""
        told = list(self._planning.notes)
        self._planning.notes.clear()
        return told

    def versions_behind(self, after: Offset | None) -> int:
        """Return how many versions there are behind an offset. Raises SourceError."""
        look = self._upstream.newest()
        if look is None or (after is None and self._options.starting == "latest"):
            return 0
        return max(0, look.version - (-1 if after is None else Place.of_offset(after).newest))

    def check_replay(self) -> None:
        """Refuse to read all anew where rows that were read are out of reach. Raises SourceError."""
        self._start.check_replay()

    def fold(self, upto: int) -> None:
        """Nothing to fold."""
