"""The sources of one runner: where each stands, what of each comes next, and what follows a commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from etl.errors import PinChangedError, SourceError
from etl.intake import as_planned, can_do_without, is_known, known_at, refreshed
from etl.model import BatchPlan, Json, PlannedInput, Span
from etl.pinning import pins_of
from etl.resolutions import is_refused, withdrawn
from etl.resumption import newest_of
from etl.schema_contract import Survey
from etl.sources.again import chosen_files, is_chosen
from etl.watermark import clocks_to_json, to_text
from etl.widening import carried_on

if TYPE_CHECKING:
    from datetime import datetime

    from etl.errors import SourceChangedError
    from etl.flow import Flow
    from etl.model import Manifest, Offset, ReadLimit, Schema
    from etl.pipeline import Pipeline
    from etl.resumption import Standing
    from etl.sources.contract import Source
    from etl.watermark import Watermarks


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source stands: its offset, its schema, and the newest batch in which it has units (-1: none)."""

    after: Offset | None = None
    known: Survey | None = None
    newest: int = -1


class Inlets:
    """All sources of a pipeline, and the places of those that it no longer has: they are kept, should one come back.

    A source whose columns are not known yet holds the others back where a transform needs them, or it is the main one.
    """

    def __init__(self, pipeline: Pipeline, now: Callable[[], datetime]) -> None:
        self._flow: Flow = pipeline.flow
        self._now = now
        self._definition = pipeline.definition
        self._limits = pipeline.limits
        self._limits_of = pipeline.limits_of
        self._sources: Mapping[str, Source] = pipeline.sources
        self._places = {name: Place(known=self._carried(name, None)) for name in self._sources}
        self._retired: dict[str, Place] = {}
        self._told: list[str] = []
        self._has_told = False

    def _carried(self, name: str, before: Survey | None) -> Survey | None:
        return carried_on(self._sources[name].declared_schema, before, self._flow.contract_of(name))

    def stand_at(self, standing: Standing) -> None:
        """Take the places that a start finds."""
        plan = standing.plan
        for name in {} if plan is None else plan.inputs:
            known = standing.known(name)
            newest = -1 if plan is None else newest_of(plan, name)
            if name in self._sources:
                self._places[name] = Place(standing.offset(name), self._carried(name, known), newest)
            else:
                self._retired[name] = Place(standing.offset(name), known, newest)

    def plan_of(self, batch_id: int, inputs: Mapping[str, PlannedInput], before: Watermarks) -> BatchPlan:
        """Return the plan of a batch that begins now, with the watermarks ``before`` it."""
        return BatchPlan(
            batch_id=batch_id,
            batch_at=self._now(),
            inputs=inputs,
            definition=self._definition,
            watermark=to_text(before.at_us),
            clocks=clocks_to_json(before.clocks),
            **as_planned({name: place.known for name, place in (self._places | self._retired).items()}),
            pins=pins_of(self._flow),
        )

    def schemas(self) -> dict[str, Schema]:
        """Return the columns of each source, as far as they are known."""
        return {name: {} if place.known is None else place.known.schema for name, place in self._places.items()}

    def next(self, batch_id: int, *, is_replacing: bool = False) -> dict[str, PlannedInput] | None:
        """Return what the next batch takes of each source, None where none has anything or some must wait.

        ``is_replacing``: it is the first of a full refresh.
        """
        found: dict[str, PlannedInput] = {}
        limits = self._limits_of(is_replacing=is_replacing)
        for name, source in self._sources.items():
            planned = source.latest(self._places[name].after, limits[name])
            if planned is not None:
                found[name] = planned
        if self._flow.has_several and not all(is_known(place.known) for place in self._places.values()):
            found = self._understood(found)
        if not found:
            return None
        return {**self.idle(batch_id), **{name: self._chained(name, each, batch_id) for name, each in found.items()}}

    def _understood(self, found: dict[str, PlannedInput]) -> dict[str, PlannedInput]:
        """Return what may be taken while columns of some sources are not known: all of it, where no transform minds.

        Else only units without any row. For once the units are surveyed before they are planned.
        """
        known = {name: place.known or Survey({}) for name, place in self._places.items()}
        try:
            for name in [name for name in found if not is_known(known[name])]:
                known[name] = self._sources[name].survey(found[name], self._places[name].known, self._now())
        except SourceError:
            return found  # the attempt fails alike, and deals with it
        lacking = {name for name, survey in known.items() if not is_known(survey)}
        if not lacking or can_do_without(self._flow, lacking, known):
            return found
        if not self._has_told and found.keys() - lacking:
            self._has_told = True
            names = ", ".join(name for name in self._sources if name in lacking)
            self._told.append(f"waiting for the first rows of {names}: the columns are not known, and not declared")
        return {name: planned for name, planned in found.items() if name in lacking}

    def idle(self, batch_id: int) -> dict[str, PlannedInput]:
        """Return the inputs of a batch that takes nothing from any source: every place as it is."""
        stays = {name: self._staying(name, place, batch_id) for name, place in self._places.items()}
        kept = {name: self._staying(name, place, batch_id) for name, place in self._retired.items()}
        return {**stays, **{name: replace(planned, is_retired=True) for name, planned in kept.items()}}

    def _staying(self, name: str, place: Place, batch_id: int) -> PlannedInput:
        return self._chained(name, PlannedInput(Span(place.after, place.after or {}), {}), batch_id)

    def _chained(self, name: str, planned: PlannedInput, batch_id: int) -> PlannedInput:
        """Return an input that says in which batch the source had its units before."""
        newest = (self._places | self._retired)[name].newest
        return planned if newest == batch_id - 1 else replace(planned, previous=newest)

    def again(self, batch_id: int, units: Mapping[str, Mapping[str, Json]]) -> dict[str, PlannedInput]:
        """Return the inputs of a batch that reads input again, be it rejected rows; every source stays where it is."""
        stays = self.idle(batch_id)
        return {**stays, **{name: _reading(stays[name], dict(found)) for name, found in units.items()}}

    def has_full_batch(self) -> bool:
        """Tell whether as much of any source waits as one batch takes. Looks, takes nothing."""
        return any(
            _is_full(source.latest(self._places[name].after, self._limits[name]), self._limits[name])
            for name, source in self._sources.items()
        )

    def notes(self) -> Iterator[str]:
        """Return what the sources noticed since the last call: input that is lost, or that is back."""
        for source in self._sources.values():
            take_notes: Callable[[], Iterable[str]] = getattr(source, "take_notes", tuple)
            yield from take_notes()
        told, self._told = self._told, []
        yield from told

    def _taking_part(self, plan: BatchPlan) -> Iterator[tuple[str, Source, PlannedInput]]:
        for name, source in self._sources.items():
            planned = plan.inputs.get(name)
            if planned is not None and planned.units:
                yield name, source, planned

    def accept(self, plan: BatchPlan) -> None:
        """Tell every source that has units in it that a plan is durable."""
        for _, source, planned in self._taking_part(plan):
            source.accept(plan.batch_id, planned)

    def refreshed(self, plan: BatchPlan, cause: SourceChangedError | PinChangedError) -> BatchPlan:
        """Return a plan with what changed as it is now, units or static tables; one that reads again may be withdrawn.

        Raises SourceError, ConfigError.
        """
        if isinstance(cause, PinChangedError):
            return replace(plan, pins=pins_of(self._flow))
        try:
            return replace(plan, inputs=refreshed(self._flow, plan.inputs, cause))
        except SourceError as exc:
            if is_refused(plan, exc):
                return withdrawn(plan, exc)
            raise

    def replanned(self, plan: BatchPlan) -> BatchPlan:
        """Return a plan of which nothing was staged for the pipeline as it is now."""
        known = {name: self._carried(name, known_at(plan, name)) for name in self._sources}
        schemas = as_planned(known)
        added = {name: planned for name, planned in self.idle(plan.batch_id).items() if name not in plan.inputs}
        return replace(
            plan,
            inputs={**plan.inputs, **added},
            pins=pins_of(self._flow),
            schemas={**plan.schemas, **schemas["schemas"]},
            wide={**plan.wide, **schemas["wide"]},
        )

    def acknowledge(self, plan: BatchPlan) -> None:
        """Tell every source that has units in it that a plan is committed.

        Files that were chosen to be read again count as read in their new versions only now: the batch could have been
        withdrawn.
        """
        for _, source, planned in self._taking_part(plan):
            if is_chosen(planned.units):
                source.accept(plan.batch_id, planned)
            source.acknowledge(plan.batch_id, planned)

    def settle(self, plan: BatchPlan, manifest: Manifest) -> None:
        """Go on behind a committed batch."""
        for name, planned in plan.inputs.items():
            known = known_at(plan, name)
            if name in manifest.source_schemas:
                known = Survey(manifest.source_schemas[name], frozenset(manifest.wide.get(name, ())))
            places = self._places if name in self._sources else self._retired
            places[name] = Place(planned.span.end or None, known, newest_of(plan, name))

    def fold(self, upto: int) -> None:
        """Have every source compact its ledger, as far as the newest committed batch that has units of it."""
        for name, source in self._sources.items():
            newest = min(upto, self._places[name].newest)
            if newest >= 0:
                source.fold(newest)


def _reading(stays: PlannedInput, units: dict[str, Json]) -> PlannedInput:
    """Return an input that reads ``units`` again; rows that chosen files had go."""
    files = chosen_files(units)
    return replace(stays, units=units, files=len(files), size_bytes=files.size_bytes, replaces=tuple(files.paths))


def _is_full(found: PlannedInput | None, limit: ReadLimit) -> bool:
    if found is None:
        return False
    return found.size_bytes >= (limit.max_bytes or inf) or found.files >= (limit.max_files or inf)
