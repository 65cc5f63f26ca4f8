"""What the ledger folder of a ``logs`` source holds: immutable records, named after the batches that came before them.

``start.json`` is what was there at the first look of all. ``positions-<batches>-<serial>.json`` is every log that is
followed, once the plans of so many batches are taken in; ``event-<batches>-<serial>.json`` is what was seen to happen
to some of them between two plans: rotated, truncated, gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from etl.checkpoint.record import Record, decode_record, encode_record
from etl.errors import RecordExistsError
from etl.model import Json
from etl.seam import Seam
from etl.sources.log_tail import Key, Tail
from etl.sources.log_units import Loss
from etl.storage import Storage, put_if_absent

_START = "start.json"
_NAME = re.compile(r"(positions|event)-(\d{10})-(\d{6})\.json")
_KEPT = 2


class Place(NamedTuple):
    """Where a record stands among the plans: after so many batches, and in which order beside others there."""

    batches: int
    serial: int


@dataclass(frozen=True, slots=True)
class Change:
    """Logs that are otherwise than the records before say, logs that are followed no more, and what was lost."""

    tails: tuple[Tail, ...] = ()
    removed: tuple[Key, ...] = ()
    lost: tuple[Loss, ...] = ()
    generations: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """Return the body of a record."""
        return {
            "tails": [tail.to_json() for tail in self.tails],
            "removed": [list(key) for key in self.removed],
            "lost": [loss.to_json() for loss in self.lost],
            "generations": dict(self.generations),
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Change:
        """Return what ``to_json`` wrote."""
        return cls(
            tuple(map(Tail.from_json, body["tails"])),
            tuple((origin, generation) for origin, generation in body["removed"]),
            tuple(map(Loss.from_json, body["lost"])),
            body["generations"],
        )


class LogLedger:
    """The records of one source; ``name`` stands in each of them."""

    def __init__(self, storage: Storage, seam: Seam, name: str) -> None:
        self._storage = storage
        self._seam = seam
        self._name = name

    def snapshot_place(self) -> Place | None:
        """Return the newest snapshot's place, from names alone."""
        return max(self._places("positions"), default=None)

    def snapshot(self) -> tuple[Place, Change] | None:
        """Return the newest snapshot. Raises CheckpointError."""
        place = self.snapshot_place()
        return None if place is None else (place, self._read(_named("positions", place), "logs.positions"))

    def events(self, after: Place) -> list[tuple[Place, Change]]:
        """Return the events after a place, oldest first. Raises CheckpointError."""
        places = sorted(place for place in self._places("event") if place > after)
        return [(place, self._read(_named("event", place), "logs.event")) for place in places]

    def start(self) -> tuple[datetime, Change] | None:
        """Return when the source first looked, and the logs that it found and does not read from their beginning."""
        if _START not in self._storage.list():
            return None
        body = self._record(_START, "logs.start").body
        return datetime.fromisoformat(body["at"]), Change.from_json(body)

    def record_start(self, at: datetime, tails: Iterable[Tail]) -> tuple[datetime, Change]:
        """Record the first look, durably, and return it. *Repeat*: the first record stays."""
        body = {"at": at.isoformat(), **Change(tuple(tails)).to_json()}
        with suppress(RecordExistsError):
            self._put(_START, "logs.start", None, body)
        found = self.start()
        return found or (at, Change.from_json(body))

    def add_event(self, batches: int, change: Change) -> None:
        """Record what was seen, durably."""
        self._add("event", batches, change)

    def add_snapshot(self, batches: int, change: Change) -> None:
        """Record all logs, then remove the records that it makes needless, but for the snapshot before it."""
        before = sorted(self._places("positions"))[-(_KEPT - 1) :]
        place = self._add("positions", batches, change)
        oldest = min([place, *before])
        for kind in ("positions", "event"):
            for each in self._places(kind):
                if each < oldest:
                    self._storage.remove(_named(kind, each), effect="ledger.remove")

    def _add(self, kind: str, batches: int, change: Change) -> Place:
        taken = [place.serial for each in ("positions", "event") for place in self._places(each)
                 if place.batches == batches]  # fmt: skip
        place = Place(batches, max(taken, default=0) + 1)
        self._put(_named(kind, place), f"logs.{kind}", batches, change.to_json())
        return place

    def _put(self, name: str, kind: str, batches: int | None, body: dict[str, Any]) -> None:
        record = Record(kind, self._name, batches, 0, self._seam.new_id(), body)
        put_if_absent(self._storage, name, encode_record(record), effect="ledger.put", seam=self._seam)

    def _read(self, name: str, kind: str) -> Change:
        return Change.from_json(self._record(name, kind).body)

    def _record(self, name: str, kind: str) -> Record:
        where = f"{self._storage.url}/{name}"
        return decode_record(self._storage.read(name), kind=kind, pipeline=self._name, where=where)

    def _places(self, kind: str) -> list[Place]:
        found = (match for name in self._storage.list() if (match := _NAME.fullmatch(name)) and match[1] == kind)
        return [Place(int(match[2]), int(match[3])) for match in found]


def _named(kind: str, place: Place) -> str:
    return f"{kind}-{place.batches:010}-{place.serial:06}.json"
