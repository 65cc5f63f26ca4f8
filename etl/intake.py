"""What a batch takes in: the part of each source, surveyed and read, and what is known of its columns."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from etl.balance import Tally
from etl.errors import CheckpointError, ConfigError
from etl.execution import Passage
from etl.flow import Flow
from etl.flow_schema import check_flow, source_frame
from etl.model import SOURCE_ROW, BatchPlan, Json, PlannedInput, SchemaChange
from etl.schema_changes import schema_changes
from etl.schema_contract import Survey
from etl.sources.contract import Reading
from etl.widening import has_columns

if TYPE_CHECKING:
    import polars as pl

    from etl.errors import SourceChangedError
    from etl.model import Schema

_OF_BATCH = ("_batch_id", "_ingested_at", SOURCE_ROW)
_UNKNOWN_HINT = "declare its columns: schema: {column: type}"


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read for one attempt, by source; ``idle`` are the empty frames of those that have nothing in it.

    ``left_out`` are sources that have neither columns nor rows yet, and ``flow`` is the pipeline whose transforms do
    without them.
    """

    flow: Flow
    by_source: Mapping[str, Reading]
    idle: Mapping[str, pl.LazyFrame] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether no row is left to flow, of a batch that has units."""
        has_none = bool(self.by_source) and self.by_source.keys() <= self.left_out
        return has_none or self.flow.source_name in self.left_out

    @property
    def rows(self) -> dict[str, pl.LazyFrame]:
        """The rows of each source that takes part."""
        read = {name: reading.rows for name, reading in self.by_source.items()}
        present = {**read, **self.idle}
        return {name: present[name] for name in self.flow.sources if name not in self.left_out}

    @property
    def units(self) -> dict[str, Json]:
        """What each source found per unit, for the manifest. Only once all rows have flowed, as all that follows."""
        return {name: reading.units for name, reading in self.by_source.items()}

    @property
    def bytes_read(self) -> int:
        """The bytes that were read of all of them."""
        return sum(reading.bytes_read for reading in self.by_source.values())

    def wide(self, known: Mapping[str, Survey]) -> dict[str, list[str]]:
        """Return the columns of each source that can never become ``float64``."""
        found = {name: self.by_source[name].wide if name in self.by_source else set() for name in known}
        return {name: sorted(known[name].wide | wide) for name, wide in found.items()}


@dataclass(frozen=True, slots=True)
class Intake:
    """The part of each source in one plan. ``known`` are surveys, by source."""

    flow: Flow
    plan: BatchPlan

    def begun(self) -> dict[str, Survey]:
        """Return what the batch begins with: what the plan says, or what a first look finds.

        Raises CheckpointError where the pipeline lacks a source of the plan.
        """
        refuse_lost_source(self.flow, self.plan)
        found = {}
        for name in self.flow.sources:
            known = known_at(self.plan, name)
            found[name] = self._surveyed(name, None) if known is None else known
        return found

    def foreseen(self) -> dict[str, Survey]:
        """Return what the batch would end with, of all that it holds."""
        return {name: self._surveyed(name, known_at(self.plan, name)) for name in self.flow.sources}

    def surveyed(self, known: Mapping[str, Survey]) -> dict[str, Survey]:
        """Return ``known`` evolved by everything that the batch holds."""
        return {name: self._surveyed(name, before) for name, before in known.items()}

    def _surveyed(self, name: str, known: Survey | None) -> Survey:
        planned = self.part_of(name)
        if planned is None:
            return known or Survey({})
        return self.flow.sources[name].survey(planned, known, self.plan.batch_at)

    def part_of(self, name: str) -> PlannedInput | None:
        """Return the part of a source, None where it has nothing in this batch."""
        planned = self.plan.inputs.get(name)
        return planned if planned is not None and planned.units else None

    def changes(self, known: Mapping[str, Survey]) -> tuple[SchemaChange, ...]:
        """Return what the batch changes of the reading schemas, source by source."""
        return tuple(
            change
            for name, survey in known.items()
            for change in changes_of(self.flow, name, self.plan.schemas.get(name), survey)
        )

    def read(self, known: Mapping[str, Survey], tally: Tally) -> Readings:
        """Return the rows of every source. Raises ConfigError where those of the main one are all there are to know."""
        left_out = frozenset(name for name in known if self._has_nothing(name, known[name]))
        main = self.flow.source_name
        readings = {name: self._read(name, known[name], tally) for name in known if self.part_of(name) is not None}
        for name in left_out & readings.keys():
            _consume(readings[name])
        if main in left_out and (beside := sorted(readings.keys() - left_out)):
            raise ConfigError(
                f"the columns of '{main}' are not known yet, and there are rows of {', '.join(beside)}",
                where=f"sources.{main}",
                hint=_UNKNOWN_HINT,
            )
        if main in left_out or (readings and readings.keys() <= left_out):
            return Readings(self.flow, readings, left_out=left_out)
        idle = {name: self._nothing(known[name].schema) for name in known.keys() - readings.keys() - left_out}
        return Readings(without(self.flow, left_out), readings, idle, left_out)

    def _has_nothing(self, name: str, known: Survey) -> bool:
        """Tell whether neither columns nor rows of a source are known; reads to its end what has no columns."""
        if has_columns(known.schema):
            return False
        return self.part_of(name) is None or not _consume(self._read(name, known, Tally()))

    def _read(self, name: str, known: Survey, tally: Tally) -> Reading:
        planned = self.plan.inputs[name]
        return self.flow.sources[name].read(planned, known, self.flow.system, self.tally_of(name, tally))

    def tally_of(self, name: str, tally: Tally) -> Tally:
        """Return the tally that a source counts into: rows that it rejects keep its name where there are several."""
        return tally.of_source(name) if self.flow.has_several else tally

    def _nothing(self, schema: Schema) -> pl.LazyFrame:
        """Return no rows, in the columns of a source."""
        import polars as pl

        given = source_frame(self.flow, schema)
        return pl.LazyFrame(schema={name: kind for name, kind in given.items() if name not in _OF_BATCH})


def _consume(reading: Reading) -> int:
    """Return how many rows there are that could be kept; reads the input to its end."""
    import polars as pl

    return int(reading.rows.select(pl.len()).collect().item())


def first_rows(flow: Flow, plan: BatchPlan, known: Mapping[str, Survey], tally: Tally | None = None) -> pl.LazyFrame:
    """Return the transformed rows of a plan for looking at: nothing is known of earlier batches, nothing is staged.

    The ``tally`` hears of rejected rows.
    """
    tally = tally or Tally()
    readings = Intake(flow, plan).read(known, tally)
    return Passage(readings.flow, plan, tally).rows(readings.rows)


def refreshed(flow: Flow, inputs: Mapping[str, PlannedInput], cause: SourceChangedError) -> dict[str, PlannedInput]:
    """Return inputs with the units as they are now, of the sources whose units changed. Raises SourceError."""
    taking = {name: planned for name, planned in inputs.items() if planned.units and name in flow.sources}
    paths = set(getattr(cause, "paths", (cause.path,)))
    changed = {name: part for name, part in taking.items() if len(taking) == 1 or _mentions(part.units, paths)}
    now = {name: flow.sources[name].refresh(part, cause) for name, part in (changed or taking).items()}
    return {**inputs, **now}


def _mentions(units: Mapping[str, Json], paths: set[str]) -> bool:
    """Tell whether units name one of some paths."""
    return any(not paths.isdisjoint(map(str, column)) for column in units.values() if isinstance(column, list))


def is_known(known: Survey | None) -> bool:
    """Tell whether any column of a source is known."""
    return known is not None and has_columns(known.schema)


def replaced(plan: BatchPlan) -> frozenset[str]:
    """Return the files whose rows of earlier batches go with a batch."""
    return frozenset(path for part in plan.inputs.values() for path in part.replaces)


def replaced_in_table(plan: BatchPlan) -> frozenset[str]:
    """Return the same for the pipeline's own table, whose rows may be found by their keys instead."""
    is_by_key = plan.resolution is not None and plan.resolution.get("by") == "key"
    return frozenset() if is_by_key else replaced(plan)


def known_at(plan: BatchPlan, name: str) -> Survey | None:
    """Return what a plan says of the schema of a source, None where the batch is to infer it."""
    schema = plan.schemas.get(name)
    return None if schema is None else Survey(schema, frozenset(plan.wide.get(name, ())))


def as_planned(known: Mapping[str, Survey | None]) -> dict[str, Any]:
    """Return what a plan says of the schemas of its sources: the reverse of ``known_at``."""
    return {
        "schemas": {name: None if survey is None else survey.schema for name, survey in known.items()},
        "wide": {name: [] if survey is None else sorted(survey.wide) for name, survey in known.items()},
    }


def changes_of(flow: Flow, name: str, before: Schema | None, survey: Survey) -> tuple[SchemaChange, ...]:
    """Return what a batch changes of the reading schema of one source; it is named where there are several."""
    found = schema_changes(before or {}, survey.schema, survey.origins)
    return tuple(replace(change, source=name) for change in found) if flow.has_several else found


def can_do_without(flow: Flow, names: AbstractSet[str], known: Mapping[str, Survey]) -> bool:
    """Tell whether rows of all other sources can be understood while no column of some sources is known."""
    if flow.source_name in names:
        return False
    try:
        check_flow(without(flow, names), {name: survey.schema for name, survey in known.items()})
    except ConfigError:
        return False
    return True


def without(flow: Flow, names: AbstractSet[str]) -> Flow:
    """Return a pipeline without sources of which nothing is known yet: transforms that can do so leave them out.

    Raises ConfigError where one needs their columns.
    """
    if not names:
        return flow
    transforms = []
    for index, step in enumerate(flow.transforms):
        lacking = [name for name in getattr(step, "inputs", ()) if name in names]
        leave_out = getattr(step, "without", None)
        if lacking and leave_out is None:
            raise ConfigError(
                f"the columns of '{lacking[0]}' are not known yet", where=flow.place_of(index), hint=_UNKNOWN_HINT
            )
        transforms.append(leave_out(lacking) if lacking and leave_out is not None else step)
    return replace(flow, transforms=tuple(transforms))


def refuse_lost_source(flow: Flow, plan: BatchPlan) -> None:
    """Refuse to carry out a batch that has units of a source which the pipeline no longer has.

    Raises CheckpointError.
    """
    lost = [name for name, planned in plan.inputs.items() if planned.units and name not in flow.sources]
    if lost:
        raise CheckpointError(
            f"batch {plan.batch_id} was begun with rows of {', '.join(lost)}, which is no longer among the sources",
            where=flow.name,
            hint="put it back until the batch is committed: etl run",
        )
