"""Where a reader of a Delta table begins."""

from __future__ import annotations

from contextlib import suppress

from etl.checkpoint.record import Record, decode_record, encode_record
from etl.errors import RecordExistsError, SourceError
from etl.seam import Seam
from etl.sources.contract import SourceSite
from etl.sources.delta_options import DeltaSourceOptions
from etl.sources.delta_units import Place
from etl.sources.delta_upstream import Upstream
from etl.storage import put_if_absent

_START = "start.json"
_KIND = "delta.start"


class DeltaStart:
    """The beginning that the options ask for. What was the newest version at the first look is kept in the ledger."""

    def __init__(self, options: DeltaSourceOptions, upstream: Upstream, site: SourceSite) -> None:
        self._starting = options.starting
        self._upstream = upstream
        self._site = site

    def place(self) -> Place | None:
        """Return where to begin, None where that is not there yet. Raises SourceError, StorageError."""
        if self._starting == "latest":
            return self._recorded() or self._record()
        look = self._upstream.newest()
        if look is None:
            return None
        if self._starting == "earliest":
            return Place(look.table_id, look.version, is_snapshot=True)
        if self._starting.version is not None:
            return Place("", self._starting.version)
        return self._first_since(Place(look.table_id, look.version + 1), self._starting.at_ms or 0)

    def check_replay(self) -> None:
        """Refuse to begin again where that would leave out rows that were read. Raises SourceError."""
        if self._starting == "earliest":
            return
        if self._starting == "latest":
            raise SourceError(
                "what the table held at the first look is not read: the new table would lack the rows since",
                where="source.starting",
                hint="say starting: earliest for as long as the refresh takes",
            )
        place = self.place()
        if place is not None and not self._upstream.commits.holds(place.version):
            raise SourceError(
                f"the log of {self._upstream.name} no longer holds version {place.version}, to begin with",
                where="source.starting",
                hint="say starting: earliest for all that the table holds",
            )

    def _first_since(self, end: Place, at_ms: int) -> Place | None:
        """Return the place before the first version of a time or after it, walking back from the end."""
        version = end.version
        while version > 0 and (commit := self._upstream.commits.read(version - 1)) is not None:
            if commit.at_ms < at_ms:
                return None if version == end.version else Place(end.table_id, version)
            version -= 1
        if version:
            raise SourceError(
                f"the log of {self._upstream.name} reaches back to version {version} only, which is later",
                where=self._upstream.name,
                hint="say `starting: earliest` for all that the table holds, or a later timestamp",
            )
        return Place(end.table_id, 0)

    def _recorded(self) -> Place | None:
        if _START not in self._site.ledger.list():
            return None
        where = f"{self._site.ledger.url}/{_START}"
        body = decode_record(self._site.ledger.read(_START), kind=_KIND, pipeline=self._site.name, where=where).body
        return Place.of_offset(body)

    def _record(self) -> Place | None:
        """Record the end of the table as it is, durably. *Repeat*: the first record stays."""
        look = self._upstream.newest()
        place = Place("", 0) if look is None else Place(look.table_id, look.version + 1)
        seam: Seam = self._site.seam
        record = Record(_KIND, self._site.name, None, 0, seam.new_id(), place.to_offset())
        with suppress(RecordExistsError):
            put_if_absent(self._site.ledger, _START, encode_record(record), effect="ledger.put", seam=seam)
        return self._recorded()
