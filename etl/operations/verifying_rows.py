"""Reading the input again, and comparing what comes of it with the rows of a table, batch by batch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from etl.balance import Tally
from etl.chains import OF_WHOLE_BATCHES
from etl.errors import EtlError, PinChangedError, SchemaDriftError, SourceChangedError, UnreadableFileError
from etl.execution import Passage
from etl.intake import Intake
from etl.operations.multisets import as_stored, digests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import polars as pl

    from etl.flow import Flow
    from etl.model import BatchPlan, Json, PlannedInput
    from etl.operations.multisets import Digests
    from etl.operations.verified import Check
    from etl.schema_contract import Survey

FILE = "_source_file"
BATCH = "_batch_id"
_PATH = "path"


@dataclass(frozen=True, slots=True)
class Again:
    """What the input of a batch gives now: its rows by file, its counts, and the files that are gone or changed."""

    rows: Digests
    counts: Mapping[str, int]
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rereading:
    """Reads the input of batches again, for a table with columns of these ``types``."""

    flow: Flow
    types: Mapping[str, pl.DataType]

    @property
    def has_files(self) -> bool:
        """Whether the table's rows tell their file."""
        return FILE in self.types

    @property
    def sees_whole_batches(self) -> bool:
        """Whether a transform may look at all rows of a batch together."""
        return any(step.label in OF_WHOLE_BATCHES for step in self.flow.transforms)

    def read(self, plan: BatchPlan) -> Again:
        """Return what comes of a batch. Raises SourceChangedError where nothing of it can be read, EtlError."""
        gone: list[str] = []
        while True:
            try:
                rows, tally = self._passed(plan)
            except SourceChangedError as exc:
                left = None if exc.path in gone else without_file(plan, exc.path)
                if left is None or not self.has_files:
                    raise
                gone.append(exc.path)
                plan = left
            else:
                return Again(rows, tally.counts(), tuple(gone))

    def _passed(self, plan: BatchPlan) -> tuple[Digests, Tally]:
        """Let the rows of a plan pass through every transform, as an attempt at the batch does."""
        intake = Intake(self.flow, plan)
        known = intake.begun()
        while True:
            tally = Tally()
            tally.late.keeps = False
            try:
                return self._digested(intake, known, tally), tally
            except (SchemaDriftError, UnreadableFileError):
                found = intake.surveyed(known)
                if found == known:
                    raise
                known = found

    def _digested(self, intake: Intake, known: Mapping[str, Survey], tally: Tally) -> Digests:
        readings = intake.read(known, tally)
        if readings.is_empty:
            return {}
        rows = Passage(readings.flow, intake.plan, tally).rows(readings.rows)
        return digests(as_stored(rows, self.types), [FILE] if self.has_files else [])


def without_file(plan: BatchPlan, path: str) -> BatchPlan | None:
    """Return a plan without one of its files, None where its units do not name it."""
    for name, part in plan.inputs.items():
        paths = part.units.get(_PATH)
        if isinstance(paths, list) and path in paths:
            return replace(plan, inputs={**plan.inputs, name: _without(part, paths, path)})
    return None


def _without(part: PlannedInput, paths: list[Json], path: str) -> PlannedInput:
    kept = [place for place, each in enumerate(paths) if each != path]
    units: dict[str, Json] = {
        name: [values[place] for place in kept] if isinstance(values, list) and len(values) == len(paths) else values
        for name, values in part.units.items()
    }
    return replace(part, units=units)


def compare_batches(
    rereading: Rereading, table: pl.LazyFrame, plans: Callable[[], Iterator[BatchPlan]], check: Check
) -> None:
    """Compare the rows of each batch in ``table`` with those that its input gives now. What is gone is told.

    The table is read once, the input batch by batch. ``plans`` gives those that are to be compared.
    """
    by = [BATCH, FILE] if rereading.has_files else [BATCH]
    found = digests(table, by)
    replaced = {path: plan.batch_id for plan in plans() for part in plan.inputs.values() for path in part.replaces}
    told: Counter[str] = Counter()
    known = set()
    for plan in plans():
        known.add(plan.batch_id)
        held = {key[1:]: rows for key, rows in found.items() if key[0] == plan.batch_id}
        try:
            again = rereading.read(plan)
        except (SourceChangedError, PinChangedError) as exc:
            told[f"rows of batches whose input is gone or has changed, such as {exc.where or plan.batch_id}"] += 1
        except EtlError as exc:
            check.faults.append(f"batch {plan.batch_id}: its input cannot be read again: {exc.message}")
        else:
            later = {path for path, batch in replaced.items() if batch > plan.batch_id}
            _compare(_Sides(plan.batch_id, held, again, later), rereading, check)
    check.unproven += [f"{note} ({batches:,})" for note, batches in told.items()]
    others = sum(rows[0] for key, rows in found.items() if key[0] not in known)
    if others:
        check.unproven.append(f"{others:,} rows of other writers, or of batches that were not read again")


@dataclass(frozen=True, slots=True)
class _Sides:
    """A batch as the table has it and as its input gives it. Rows of the files in ``later`` went with a later batch."""

    batch_id: int
    held: Mapping[tuple[Any, ...], tuple[int, ...]]
    again: Again
    later: set[str]


def _compare(sides: _Sides, rereading: Rereading, check: Check) -> None:
    gone, batch = set(sides.again.gone), sides.batch_id
    wanted = {key: rows for key, rows in sides.again.rows.items() if not sides.later.intersection(key)}
    held = {key: rows for key, rows in sides.held.items() if not gone.intersection(key)}
    check.count("batches")
    check.count("rows", sum(rows[0] for rows in held.values()))
    if gone:
        check.unproven.append(f"rows of files that are gone or have changed, such as {sides.again.gone[0]}")
    faults = [_fault(batch, key, held.get(key), wanted.get(key)) for key in _differing(held, wanted)]
    if gone and rereading.sees_whole_batches:
        check.unproven += faults and [f"batch {batch}: some of its files are gone, and its transforms see all of them"]
    else:
        check.faults += faults


def _differing(held: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> list[tuple[Any, ...]]:
    keys = [*held, *(key for key in wanted if key not in held)]
    return [key for key in keys if held.get(key) != wanted.get(key)]


def _fault(batch: int, key: tuple[Any, ...], held: tuple[int, ...] | None, wanted: tuple[int, ...] | None) -> str:
    """Return how the rows of a batch, or of a file in it, differ."""
    of_file = f", {key[0]}" if key else ""
    has, gives = (0 if each is None else each[0] for each in (held, wanted))
    what = f"{has:,} rows with other values" if has == gives else f"{has:,} rows, its input gives {gives:,}"
    return f"batch {batch}{of_file}: the table has {what}"
