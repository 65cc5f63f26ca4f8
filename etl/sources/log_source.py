"""The ``logs`` source: growing files, tailed by byte offset, each line once whatever rotates them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from etl.errors import SourceChangedError, SourceError
from etl.model import Json, Offset, PlannedInput, ReadLimit, Schema, Span
from etl.schema_contract import Survey
from etl.sources.again import Rereader, is_again
from etl.sources.contract import Reading, SourceSite
from etl.sources.file_places import Places
from etl.sources.log_discovery import LogDiscovery
from etl.sources.log_explanation import Lag, explain, lags
from etl.sources.log_handles import LogHandles
from etl.sources.log_ledger import LogLedger
from etl.sources.log_opening import LogOpening
from etl.sources.log_options import LogOptions
from etl.sources.log_planning import LogPlanning
from etl.sources.log_positions import LogPositions, SnapshotAt
from etl.sources.log_reader import LogReader
from etl.sources.log_rows import LogRows
from etl.sources.log_units import LogUnits, Loss

if TYPE_CHECKING:
    from etl.balance import Tally

_GONE = "gone before it was read"


class LogSource:
    """Logs that match a pattern, on a local disk."""

    options_model: ClassVar[type[LogOptions]] = LogOptions

    def __init__(
        self, options: LogOptions, schema: Schema | None, site: SourceSite, snapshot_at: SnapshotAt | None = None
    ) -> None:
        self._options = options
        self._schema = schema
        self._seam = site.seam
        self._folder = site.folder
        rows = LogRows(options, site.contract)
        places = Places(site.folder, site.storage_options)
        self._places = places
        self._handles = LogHandles(str(site.folder))
        self._positions = LogPositions(LogLedger(site.ledger, site.seam, site.name), snapshot_at)
        self._discovery = LogDiscovery(options, places, self._positions, self._handles, site.seam)
        self._planning = LogPlanning(options, self._handles, rows)
        self._opening = LogOpening(self._positions, self._handles)
        self._reader = LogReader(self._opening, rows, site)
        self._again = Rereader(lambda _: rows.format, site.contract)

    @property
    def declared_schema(self) -> Schema | None:
        """The schema of the YAML file, None where it is inferred."""
        return self._schema

    @property
    def folded_upto(self) -> int | None:
        """The newest batch whose plan ``restore`` need not be given; reads names only."""
        return self._positions.folded_upto

    def restore(self, committed: list[tuple[int, PlannedInput]]) -> None:
        """Take in plans that the newest snapshot does not hold. *Repeat*: safe."""
        self._positions.restore(committed)

    def latest(self, after: Offset | None, limit: ReadLimit) -> PlannedInput | None:
        """Return the lines that come next, None when no log has a whole new one.

        What is seen on the way is recorded: rotations, truncations, losses, under ``read_from: end`` the ends. Raises
        SourceError where a folder cannot be listed or a log not be read.
        """
        self._discovery.look()
        now_ns = int(self._seam.now().timestamp() * 1e9)
        ranges = self._planning.ranges(self._positions.tails.values(), limit, now_ns)
        self._positions.save({unit.key for unit in ranges})
        if not ranges:
            return None
        units = LogUnits(tuple(ranges), tuple(self._positions.pending_losses))
        return PlannedInput(Span(after, _end(after, units)), units.to_json(), len(ranges), units.size_bytes)

    def accept(self, batch_id: int, planned: PlannedInput) -> None:
        """Go on behind the ranges of a durable plan."""
        units = LogUnits.from_json(planned.units)
        self._positions.take_plan(batch_id, units)
        self._planning.served(units.ranges)

    def watched(self) -> tuple[str, ...]:
        """Return the local folders that the patterns start from, as far as they are there."""
        return self._discovery.watched(self._folder)

    def refresh(self, planned: PlannedInput, cause: SourceChangedError) -> PlannedInput:
        """Return the same ranges without those that nobody can read any more; their bytes are noted as lost.

        Where all are there, perhaps under another name by now, the plan stays. Raises SourceError where a folder is
        gone as well.
        """
        if is_again(planned.units):
            raise cause
        before = LogUnits.from_json(planned.units)
        kept, lost = [], list(before.lost)
        for unit in before.ranges:
            try:
                self._opening.open(unit).close()
            except SourceChangedError:
                self._opening.refuse_missing_folder(unit)
                lost.append(Loss(unit.path, unit.generation, unit.start, unit.end - unit.start, True, _GONE))  # noqa: FBT003
            else:
                kept.append(unit)
        if len(kept) == len(before.ranges):
            return planned
        after = LogUnits(tuple(kept), tuple(lost))
        self._positions.drop_units(before, after)
        return replace(planned, units=after.to_json(), files=len(kept), size_bytes=after.size_bytes)

    def survey(self, planned: PlannedInput, known: Survey | None, now: datetime) -> Survey:
        """Return ``known`` evolved by the lines of the units, as far as the schema contract allows."""
        del now
        if is_again(planned.units):
            return self._again.survey(planned.units, known)
        return self._reader.survey(LogUnits.from_json(planned.units), known)

    def read(self, planned: PlannedInput, known: Survey, system: tuple[str, ...], tally: Tally) -> Reading:
        """Return the rows of the units, in order. *Repeat*: gives the same rows again, or raises."""
        if is_again(planned.units):
            return self._again.read(planned.units, known, system, tally)
        return self._reader.read(LogUnits.from_json(planned.units), known, system, tally)

    def acknowledge(self, batch_id: int, planned: PlannedInput) -> None:
        """Do nothing: whoever writes a log also rotates it away."""

    def close(self) -> None:
        """Let go of all handles: what is deleted from now on is not drained. *Repeat*: safe."""
        self._handles.close()

    def take_over(self, former: object) -> None:
        """Go on with the handles of the source whose place this one takes in a run: what has lost its name stays."""
        if isinstance(former, LogSource):
            self._handles.take_over(former._handles)  # noqa: SLF001  of its own class

    def check_rebuild(self) -> None:
        """Refuse to go on without the record of the logs: plans do not tell how they were rotated."""
        self._positions.ready()
        if not self._positions.has_started:
            raise SourceError(
                "which logs there were, and how they were rotated, was in the checkpoint alone",
                where="source",
                hint="put its folder sources/ back, or build the table anew: etl run --full-refresh",
            )

    def check_replay(self) -> None:
        """Refuse to read all anew where logs that were read are no longer where the patterns find them.

        Raises SourceError.
        """
        if self._options.read_from == "end":
            raise SourceError(
                "what was there at the first look is not read: the new table would lack the rows since",
                where="source.read_from",
                hint="say read_from: beginning for as long as the refresh takes",
            )
        self._positions.ready()
        gone = sorted(tail.origin for tail in self._positions.tails.values() if self._discovery.is_out_of_reach(tail))
        if gone:
            raise SourceError(
                f"logs that were read are gone, or rotated to where no pattern finds them: {', '.join(gone[:5])}",
                where="source.path",
                hint="put them back and name the rotated ones in `include` as well",
            )

    def fold(self, upto: int) -> None:
        """Write a snapshot of the positions once there is enough to sum up. Losing it loses nothing."""
        self._positions.fold(upto)

    def take_notes(self) -> list[str]:
        """Return what people should hear of since the last call: losses that were found, logs that came back."""
        told = [loss.told() for loss in self._positions.untold] + self._discovery.arrivals.notes
        self._positions.untold.clear()
        self._discovery.arrivals.notes.clear()
        return told

    def explain(self, path: str) -> dict[str, Json]:
        """Return the story of a log: identity, generation, offset, where it was rotated to, what of it is lost."""
        self._positions.ready()
        return explain(self._places.localised(path), self._positions, self._discovery)

    def lags(self, now: datetime) -> list[Lag]:
        """Return how far each log is behind, those with most bytes first; looks at sizes, changes nothing."""
        self._positions.ready()
        return lags(self._positions, self._handles, now)


def _end(after: Offset | None, units: LogUnits) -> Offset:
    """Return the offset after some units: running totals, for people and for order."""
    before = {"bytes": 0, "batches": 0} | (after or {})
    return {"bytes": _count(before, "bytes") + units.size_bytes, "batches": _count(before, "batches") + 1}


def _count(offset: Offset, key: str) -> int:
    value = offset[key]
    return value if isinstance(value, int) else 0
