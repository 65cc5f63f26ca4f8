"""Looking at a pipeline without changing anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from etl.binding import bind_sinks, claim_of, is_beside
from etl.checkpoint.folder import find_checkpoint
from etl.checkpoint.recovery import Step
from etl.checkpoint.rewinding import refuse_unfinished
from etl.errors import CheckpointError, EtlError, SourceChangedError, StorageError, TableStateError
from etl.intake import Intake, as_planned, refreshed
from etl.model import BatchPlan
from etl.operations.unreached import with_reached
from etl.resumption import refuse_lost_checkpoint, restore_sources, take_stock
from etl.seam import Seam
from etl.widening import carried_on

if TYPE_CHECKING:
    from datetime import datetime

    from etl.checkpoint.folder import Checkpoint
    from etl.flow import Flow
    from etl.model import Offset, PlannedInput, ReadLimit
    from etl.pipeline import Pipeline
    from etl.resumption import Standing
    from etl.schema_contract import Survey
    from etl.sources.contract import Source

T = TypeVar("T")
_LOOKS = 4


class WithheldError(EtlError):
    """An effect that a mere look must not have."""


class Onlooker(Seam):
    """A seam through which nothing is ever written, whatever asks for it."""

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        """Refuse. Raises WithheldError."""
        del act, torn
        raise WithheldError(f"{name} is withheld: this only looks")

    def sleep(self, delay_s: float) -> None:
        """Do not wait."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A pipeline and where it stands; ``checkpoint`` and ``standing`` are None before the first run.

    ``is_replacing``: the next batch is the first of a full refresh, which takes the place of all that the table holds.
    ``notes`` tell of servers that do not answer.
    """

    pipeline: Pipeline
    checkpoint: Checkpoint | None = None
    standing: Standing | None = None
    is_replacing: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_beside(self) -> bool:
        """Whether the next batch goes beside the table that readers see: a full refresh is under way."""
        return is_beside(self.pipeline.sink)

    @property
    def is_unfinished(self) -> bool:
        """Whether a planned batch waits for the next run to finish it."""
        return self.standing is not None and self.standing.step is not Step.PLAN

    @property
    def is_decided(self) -> bool:
        """Whether the unfinished batch has a manifest, so that its input is not read again."""
        return self.is_unfinished and self.standing is not None and self.standing.manifest is not None

    @property
    def next_id(self) -> int:
        """The id of the batch that the next run begins with."""
        return 0 if self.standing is None else self.standing.committed + 1

    @property
    def known(self) -> dict[str, Survey | None]:
        """The reading schema of each source that the next batch starts from, None where it is still to be inferred."""
        flow = self.pipeline.flow
        return {
            name: carried_on(
                source.declared_schema,
                None if self.standing is None else self.standing.known(name),
                flow.contract_of(name),
            )
            for name, source in flow.sources.items()
        }

    def intake(self, inputs: Mapping[str, PlannedInput], at: datetime) -> Intake:
        """Return the intake of the next batch, were its inputs these."""
        plan = BatchPlan(
            batch_id=self.next_id,
            batch_at=at,
            inputs=inputs,
            definition=self.pipeline.definition,
            **as_planned(self.known),
        )
        return Intake(self.pipeline.flow, plan)


def look(pipeline: Pipeline, seam: Seam) -> Sight:
    """Return where a pipeline stands, its sources ready to be asked. Raises CheckpointError, TableStateError.

    A server that does not answer is taken to hold what the checkpoint says, and told in ``notes``.
    """
    checkpoint = find_checkpoint(pipeline.checkpoint, seam, pipeline.generation)
    if checkpoint is None:
        for role, sink in pipeline.flow.sinks.items():
            sink.bind("", claim_of(pipeline.flow, role))
        flow, notes = with_reached(pipeline.flow)
        refuse_lost_checkpoint(flow)
        return Sight(replace(pipeline, flow=flow), notes=notes)
    refuse_unfinished(checkpoint, pipeline.name)
    bind_sinks(checkpoint, pipeline.flow)
    flow, notes = with_reached(pipeline.flow)
    standing = stock_of(checkpoint, flow)
    restore_sources(checkpoint, flow, standing)
    is_replacing = checkpoint.replaces is not None and standing.committed < 0
    return Sight(replace(pipeline, flow=flow), checkpoint, standing, is_replacing, notes)


def stock_of(checkpoint: Checkpoint, flow: Flow) -> Standing:
    """Return where a pipeline stands that another process may be running, and bind its sinks. Raises as ``take_stock``.

    Records and tables are not looked at in one moment: where they disagree and a batch went on in between, once more.
    """
    for _ in range(_LOOKS):
        before = moment_of(checkpoint)
        bind_sinks(checkpoint, flow)
        try:
            return take_stock(checkpoint, flow, mend=False)
        except (CheckpointError, TableStateError):
            if moment_of(checkpoint) == before:
                raise
    bind_sinks(checkpoint, flow)
    return take_stock(checkpoint, flow, mend=False)


def moment_of(checkpoint: Checkpoint) -> tuple[object, ...]:
    """Return what changes with every batch that is planned, decided or committed: the newest record of each log."""
    logs = (checkpoint.commits.log, checkpoint.manifests.log, checkpoint.plans.log)
    with suppress(CheckpointError):  # a gap, which who reads the logs tells
        return tuple(max(log.revisions().items(), default=(-1, 0)) for log in logs)
    return ()


def upcoming(sight: Sight, limits: Mapping[str, ReadLimit]) -> dict[str, PlannedInput]:
    """Return what waits behind the newest plan, by source, within ``limits``.

    Nothing before the first run of a source that starts at ``now``: what it takes note of then is not read.
    Raises SourceError.
    """
    plan = None if sight.standing is None else sight.standing.plan
    found = {}
    for name, source in sight.pipeline.sources.items():
        before = None if plan is None else plan.inputs.get(name)
        waiting = _waiting(source, None if before is None else before.span.end or None, limits[name])
        if waiting is not None:
            found[name] = waiting
    return found


def _waiting(source: Source, after: Offset | None, limit: ReadLimit) -> PlannedInput | None:
    try:
        return source.latest(after, limit)
    except WithheldError:
        return None
    except StorageError as exc:
        if isinstance(exc.__cause__, WithheldError):
            return None
        raise


def with_current(
    sight: Sight, inputs: Mapping[str, PlannedInput], attempt: Callable[[Mapping[str, PlannedInput]], T]
) -> T:
    """Return ``attempt`` of inputs; where files changed since they were planned, of the files as they are now.

    Raises what the attempt does, or SourceError where the options forbid to go on.
    """
    try:
        return attempt(inputs)
    except SourceChangedError as exc:
        return attempt(refreshed(sight.pipeline.flow, inputs, exc))
