"""How far each log was read. The plans say so; the ledger says what happened between them and sums them up.

Everything is in memory. A start reads the newest snapshot, then events and plans in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from etl.errors import EtlError, StorageError
from etl.model import PlannedInput
from etl.sources.again import is_again
from etl.sources.file_names import from_text, split
from etl.sources.log_ledger import Change, LogLedger, Place
from etl.sources.log_tail import Key, Tail
from etl.sources.log_units import LogUnit, LogUnits, Loss

_KEPT_LOSSES = 1000


@dataclass(frozen=True, slots=True)
class SnapshotAt:
    """How many batches or events must have come since the newest snapshot before another is worth writing."""

    batches: int = 100
    events: int = 50


class LogPositions:
    """Every log that is followed, by its name, by its inode and by where it lies."""

    def __init__(self, ledger: LogLedger, snapshot_at: SnapshotAt | None = None) -> None:
        self._ledger = ledger
        self._snapshot_at = snapshot_at or SnapshotAt()
        self.tails: dict[Key, Tail] = {}
        self.generations: dict[str, int] = {}
        self.by_identity: dict[tuple[int, int], Tail] = {}
        self.by_path: dict[str, Tail] = {}
        self.names: dict[str, set[str]] = {}
        self.batches = 0
        self.started_at: datetime | None = None
        self.pending_losses: list[Loss] = []
        self.losses: list[Loss] = []
        self.untold: list[Loss] = []
        self._events: list[tuple[Place, Change]] | None = None
        self._since_snapshot = 0
        self._snapshot_batches = 0
        self._touched: set[Key] = set()
        self._removed: set[Key] = set()
        self._new_losses: list[Loss] = []
        self._must_save = False

    @property
    def folded_upto(self) -> int | None:
        """The newest batch in the newest snapshot, None where there is none."""
        place = self._ledger.snapshot_place()
        return place.batches - 1 if place is not None and place.batches > 0 else None

    @property
    def has_started(self) -> bool:
        """Whether the first look of all was recorded."""
        return self.started_at is not None

    def restore(self, committed: Iterable[tuple[int, PlannedInput]]) -> None:
        """Take in plans, oldest first; those that the newest snapshot holds are ignored."""
        self._load()
        for batch_id, planned in committed:
            if batch_id >= self.batches:
                self._take_events(upto_batches=batch_id)
                units = LogUnits(()) if is_again(planned.units) else LogUnits.from_json(planned.units)
                self.take_plan(batch_id, units)

    def ready(self) -> None:
        """Take in what is recorded after the newest plan. *Repeat*: does nothing."""
        self._load()
        self._take_events(upto_batches=None)

    def begin(self, at: datetime, tails: Sequence[Tail], *, must_be_kept: bool) -> None:
        """Record the first look of all and what it found that is not read from its beginning.

        Who only looks may not record anything. It goes on all the same, unless the record ``must_be_kept``.
        """
        try:
            self._take_start(self._ledger.record_start(at, tails))
        except StorageError as exc:
            if must_be_kept or not _is_withheld(exc):
                raise
            self._take_start((at, Change(tuple(tails))))

    def take_plan(self, batch_id: int, units: LogUnits) -> None:
        """Go on from where a durable plan ends. *Repeat*: safe."""
        if batch_id < self.batches:
            return
        self.batches = batch_id + 1
        for unit in units.ranges:
            self._take_unit(unit)
        told = set(units.lost)
        self.losses += [loss for loss in units.lost if loss not in self.losses]
        self.pending_losses = [loss for loss in self.pending_losses if loss not in told]

    def drop_units(self, before: LogUnits, after: LogUnits) -> None:
        """Follow no more what an amended plan leaves out: its bytes are gone."""
        kept = {unit.key for unit in after.ranges}
        for unit in before.ranges:
            if unit.key not in kept and unit.key in self.tails:
                self.remove(self.tails[unit.key])
        lost = [loss for loss in after.lost if loss not in before.lost]
        self.losses += lost
        self.untold += lost

    def add(self, tail: Tail) -> None:
        """Follow a log."""
        self.tails[tail.key] = tail
        self.generations[tail.origin] = max(tail.generation, self.generations.get(tail.origin, 0))
        self._index(tail)
        self._touched.add(tail.key)

    def new(self, origin: str, path: str, identity: tuple[int, int]) -> Tail:
        """Follow a log that was never seen, from its beginning, and return it."""
        tail = Tail(origin, self.generations.get(origin, 0) + 1, path, *identity)
        self.add(tail)
        return tail

    def move(self, tail: Tail, path: str | None, identity: tuple[int, int], *, is_packed: bool = False) -> None:
        """Follow a log to where it lies now; None is nowhere."""
        before = tail.identity
        self._unindex(tail)
        tail.path, (tail.device, tail.inode), tail.is_packed = path, identity, is_packed
        tail.born_ns = tail.born_ns if identity == before else 0
        tail.status, tail.is_racy, tail.searched = None, True, min(tail.searched, tail.offset)
        self._index(tail)
        self.note(tail)

    def note(self, tail: Tail) -> None:
        """Have the state of a log recorded with the next ``save``."""
        self._touched.add(tail.key)
        self._must_save = True

    def remove(self, tail: Tail) -> None:
        """Follow a log no more."""
        self._unindex(tail)
        self.tails.pop(tail.key, None)
        self._touched.discard(tail.key)
        self._removed.add(tail.key)
        self._must_save = True

    def lose(self, loss: Loss) -> None:
        """Note bytes that nobody can read any more."""
        self.losses.append(loss)
        self.untold.append(loss)
        self.pending_losses.append(loss)
        self._new_losses.append(loss)
        self._must_save = True

    def save(self, planned: AbstractSet[Key]) -> None:
        """Record what was seen since the last call, durably, where neither a later look nor the plan says it again."""
        if self._must_save or not self._touched <= planned:
            tails = tuple(self.tails[key] for key in sorted(self._touched & self.tails.keys()))
            change = Change(tails, tuple(sorted(self._removed)), tuple(self._new_losses))
            try:
                self._ledger.add_event(self.batches, change)
            except StorageError as exc:
                if not _is_withheld(exc):
                    raise
            self._since_snapshot += 1
            self._settled()

    def fold(self, upto: int) -> None:
        """Write a snapshot once enough has come since the last; nothing where a plan after ``upto`` is taken in."""
        has_grown = self.batches - self._snapshot_batches >= self._snapshot_at.batches
        if self.batches != upto + 1 or not (has_grown or self._since_snapshot >= self._snapshot_at.events):
            return
        tails = tuple(self.tails.values())
        lost = tuple(self.pending_losses)
        self._ledger.add_snapshot(self.batches, Change(tails, (), lost, self.generations))
        self._snapshot_batches, self._since_snapshot = self.batches, 0
        self._settled()

    def _settled(self) -> None:
        self._touched, self._removed, self._new_losses, self._must_save = set(), set(), [], False
        del self.losses[:-_KEPT_LOSSES]

    def _load(self) -> None:
        if self._events is not None:
            return
        after = Place(0, 0)
        if (start := self._ledger.start()) is not None:
            self._take_start(start)
        if (found := self._ledger.snapshot()) is not None:
            after, change = found
            for tail in list(self.tails.values()):
                self._forget(tail)
            self._take_change(change)
            self.batches = self._snapshot_batches = after.batches
        self._events = self._ledger.events(after)
        self._since_snapshot = len(self._events)
        self._touched = set()

    def _take_start(self, start: tuple[datetime, Change]) -> None:
        self.started_at, change = start
        self._take_change(change)
        self._touched = set()

    def _take_events(self, upto_batches: int | None) -> None:
        events = self._events or []
        while events and (upto_batches is None or events[0][0].batches <= upto_batches):
            self._take_change(events.pop(0)[1])
        self._touched = set()

    def _take_change(self, change: Change) -> None:
        self.generations |= change.generations
        for key in change.removed:
            if key in self.tails:
                self._forget(self.tails[key])
        for tail in change.tails:
            if tail.key in self.tails:
                self._forget(self.tails[tail.key])
            self.add(tail)
        self.losses += change.lost
        self.pending_losses += change.lost

    def _forget(self, tail: Tail) -> None:
        self._unindex(tail)
        del self.tails[tail.key]

    def _take_unit(self, unit: LogUnit) -> None:
        tail = self.tails.get(unit.key)
        if tail is None:
            tail = Tail(unit.origin, unit.generation, unit.path, unit.device, unit.inode, unit.born_ns)
            tail.modified_ns = unit.modified_ns
            self.add(tail)
        elif (unit.path, unit.device, unit.inode) != (tail.path, *tail.identity) and tail.path is not None:
            self._unindex(tail)
            tail.path, tail.device, tail.inode, tail.born_ns = unit.path, unit.device, unit.inode, unit.born_ns
            self._index(tail)
        tail.offset = unit.end
        tail.seen_bytes = max(tail.seen_bytes, unit.end)
        tail.prove(unit.mark)

    def _index(self, tail: Tail) -> None:
        self.by_identity[tail.identity] = tail
        if tail.path is not None:
            self.by_path[tail.path] = tail
            folder, name = split(from_text(tail.path))
            self.names.setdefault(folder, set()).add(name)

    def _unindex(self, tail: Tail) -> None:
        if self.by_identity.get(tail.identity) is tail:
            del self.by_identity[tail.identity]
        if tail.path is not None and self.by_path.get(tail.path) is tail:
            del self.by_path[tail.path]
            folder, name = split(from_text(tail.path))
            self.names.get(folder, set()).discard(name)


def _is_withheld(exc: StorageError) -> bool:
    """Tell whether the seam itself refused a write, because its owner only looks; a disk raises other errors."""
    return isinstance(exc.__cause__, EtlError)
