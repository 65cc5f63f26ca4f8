"""The one walk of a batch: recover, plan, read, transform, stage, commit, acknowledge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from etl.binding import clear_refreshes, has_built_beside, is_beside
from etl.chains import state_names
from etl.checkpoint.commit_log import states_of
from etl.checkpoint.recovery import Step
from etl.committing import Publication, with_settled
from etl.errors import EtlError, PinChangedError, SourceChangedError, TableMovedError
from etl.flow import Flow
from etl.inlets import Inlets
from etl.model import BatchPlan, BatchResult, Json, Manifest, PlannedInput
from etl.progress import Stopwatch
from etl.redefinition import carried_over
from etl.resolutions import is_refused, withdrawn
from etl.resumption import Standing, newest_manifests, restore_sources, take_stock
from etl.staging import discard_strays, stage_batch
from etl.states import States
from etl.timers import Timers
from etl.watermark import Watermarks, clocks_from_json, from_text

if TYPE_CHECKING:
    from etl.checkpoint.folder import Checkpoint
    from etl.pipeline import Pipeline
    from etl.progress import Reporter
    from etl.seam import Seam

_MAX_AMENDMENTS = 3
_FOLD_AT_LEAST_EVERY = 1000
"""Batches after which the ledger is folded even by a runner that is never idle."""


class Runner:
    """The runner of one pipeline, whose lease somebody holds for it. ``next_id`` is the batch that comes next."""

    def __init__(self, pipeline: Pipeline, checkpoint: Checkpoint, seam: Seam, reporter: Reporter) -> None:
        self._pipeline = pipeline
        self._flow: Flow = pipeline.flow
        self._checkpoint = checkpoint
        self._seam = seam
        self._reporter = reporter
        self._inlets = Inlets(pipeline, seam.now)
        self._publication = Publication(pipeline, checkpoint, seam)
        self._states = States(
            state_names(self._flow), checkpoint.storage.at("state"), seam, pipeline.project.memory_bytes
        )
        self._timers = Timers(self._flow, self._states)
        self._watermarks = Watermarks()
        self.next_id = 0
        self._has_stray_files = False
        self._tended_for = -1

    def has_full_batch(self) -> bool:
        """Tell whether as much waits as one batch takes. Looks, takes nothing."""
        return self._inlets.has_full_batch()

    @property
    def awaits_refresh(self) -> bool:
        """Whether the table still holds what a full refresh is to replace."""
        return self._is_first_of_refresh or is_beside(self._flow.sink)

    @property
    def _is_first_of_refresh(self) -> bool:
        return self._checkpoint.replaces is not None and self.next_id == 0

    def recover(self) -> BatchResult | None:
        """Bring an unfinished batch to its end and return its result, None when there was none.

        *Repeat*: safe, also after a crash at any step of it. Raises CheckpointError, TableStateError.
        """
        self._checkpoint.sweep()
        standing = take_stock(self._checkpoint, self._flow, mend=True)
        restore_sources(self._checkpoint, self._flow, standing)
        clear_refreshes(self._flow)
        self._go_on_from(standing)
        if standing.plan is None:
            return None
        if standing.step is Step.PLAN:
            self._inlets.acknowledge(standing.plan)  # the last run may have ended between the commit entry and this
            return None
        self._reporter.noted(self._pipeline.name, f"batch {standing.planned}: {standing.step.value}")
        self._has_stray_files = True
        plan = self._with_current_definition(standing.plan, standing)
        watch = Stopwatch(self._seam)
        if standing.manifest is None:
            return self._carry_out(plan, watch)
        manifest = standing.manifest
        if standing.step is Step.RESTAGE:
            lost = ", ".join(standing.missing)
            plan, manifest = self._staged_anew(plan, manifest, f"staged files are missing: {lost}")
        return self._commit(plan, manifest, watch)

    def check(self) -> None:
        """Try transforms, table and states on the columns that are known. Raises ConfigError, SinkError, StateError."""
        self._states.check(self._flow, self._inlets.schemas())

    def _go_on_from(self, standing: Standing) -> None:
        self.next_id = standing.committed + 1
        self._inlets.stand_at(standing)
        before = {name: standing.known(name) for name in self._flow.sources}
        self._publication.recorded = {name: known.schema for name, known in before.items() if known is not None}
        if standing.committed >= 0:
            entry = self._checkpoint.commits.read(standing.committed)
            self._publication.sides = states_of(entry, self._flow.sink.table)
        manifests = newest_manifests(self._checkpoint, self._flow, standing)
        self._tell(carried_over(self._flow, self._checkpoint.storage.at("state"), manifests, self._inlets.schemas()))
        self._remember(manifests)

    def _remember(self, manifests: Sequence[Manifest]) -> None:
        """Take in what batches left behind, the newest last: state, and where event time stands."""
        for manifest in manifests:
            self._states.stand_at(manifest.state)
            self._watermarks = Watermarks(from_text(manifest.watermark), clocks_from_json(manifest.clocks))

    def _with_current_definition(self, plan: BatchPlan, standing: Standing) -> BatchPlan:
        """Amend a plan that nothing was staged for and whose pipeline was edited since."""
        if standing.manifest is not None or plan.definition == self._pipeline.definition:
            return plan
        amended = replace(self._inlets.replanned(plan), definition=self._pipeline.definition)
        return self._amend(amended, "the pipeline was edited before anything was staged")

    def plan(self) -> BatchPlan | None:
        """Fix the next batch in the write-ahead log; None when there is nothing new."""
        inputs = self._inlets.next(self.next_id, is_replacing=self._is_first_of_refresh)
        self._tell(self._inlets.notes())
        if inputs is None:
            return None
        is_whole = self._is_first_of_refresh and self._pipeline.refreshes_at_once and is_beside(self._flow.sink)
        plan = replace(self._plan_of(inputs), ends_refresh=is_whole)
        self._add_plan(plan)
        self._inlets.accept(plan)
        return plan

    def _tell(self, notes: Iterable[str]) -> None:
        for note in notes:
            self._reporter.noted(self._pipeline.name, note)

    def _plan_of(self, inputs: Mapping[str, PlannedInput]) -> BatchPlan:
        return self._inlets.plan_of(self.next_id, inputs, self._watermarks)

    def _add_plan(self, plan: BatchPlan, revision: int = 1, reason: str = "") -> None:
        self._checkpoint.add_plan(plan, self._seam.new_id(), revision, reason)

    def run_batch(self) -> BatchResult | None:
        """Plan and carry out the next batch; None when there is nothing new."""
        watch = Stopwatch(self._seam)
        plan = self.plan()
        if plan is None:
            return None
        return self._begin(plan, watch)

    def run_due(self) -> BatchResult | None:
        """Carry out a batch without rows where time alone has something to give; None where it has not."""
        watch = Stopwatch(self._seam)
        plan = self._plan_of(self._inlets.idle(self.next_id))
        if not self._timers.is_due(plan, self._watermarks, self._inlets.schemas()):
            return None
        self._add_plan(plan)
        return self._begin(plan, watch)

    def end_refresh(self) -> BatchResult | None:
        """Put what a full refresh has built in the place of the table, by a batch without input.

        None where none is under way, it has built nothing yet, or there is more to read.
        """
        watch = Stopwatch(self._seam)
        if not has_built_beside(self._flow.sink) or self._inlets.next(self.next_id) is not None:
            return None
        plan = replace(self._plan_of(self._inlets.idle(self.next_id)), ends_refresh=True)
        self._add_plan(plan)
        return self._begin(plan, watch)

    def run_resolution(self, resolution: Mapping[str, Json], units: Mapping[str, Mapping[str, Json]]) -> BatchResult:
        """Plan and carry out a batch that deals with rows of the quarantine: what is read again, by source.

        Every source stays where it is.
        """
        watch = Stopwatch(self._seam)
        plan = replace(self._plan_of(self._inlets.again(self.next_id, units)), resolution=resolution)
        self._add_plan(plan)
        return self._begin(plan, watch)

    def _begin(self, plan: BatchPlan, watch: Stopwatch) -> BatchResult:
        watch.lap("plan")
        self._reporter.planned(self._pipeline.name, plan)
        return self._carry_out(plan, watch)

    def _carry_out(self, plan: BatchPlan, watch: Stopwatch) -> BatchResult:
        try:
            plan, manifest = self._stage(plan)
        except BaseException:
            self._has_stray_files = True
            raise
        watch.lap("stage")
        decided = self._decided(manifest)
        if decided.attempt != manifest.attempt:
            self._has_stray_files = True
        return self._commit(plan, decided, watch)

    def _stage(self, plan: BatchPlan) -> tuple[BatchPlan, Manifest]:
        """Stage the plan; where its input changed before anything of it was published, amend it and stage again."""
        amendments = 0
        while True:
            try:
                staged = stage_batch(self._flow, plan, self._seam.new_id, self._states)
            except (SourceChangedError, PinChangedError) as exc:
                self._has_stray_files = True
                if amendments == _MAX_AMENDMENTS:
                    raise
                amendments += 1
                refreshed = self._inlets.refreshed(plan, exc)
                self._tell(self._inlets.notes())
                plan = self._amend(refreshed, str(exc.message))
            except EtlError as exc:
                if not is_refused(plan, exc) or plan.batch_id in self._checkpoint.manifests.log.revisions():
                    raise  # with a manifest, a table may have the batch already
                self._has_stray_files = True
                plan = self._amend(withdrawn(plan, exc), f"its rows stay: {exc.message}")
            else:
                if staged.was_retried or amendments:  # now: what a crash leaves before a manifest is found again
                    self._checkpoint.epochs.check()
                    discard_strays(self._flow, self._states, plan, staged.manifest)
                return plan, staged.manifest

    def _amend(self, plan: BatchPlan, reason: str) -> BatchPlan:
        revision = self._checkpoint.plans.log.revisions()[plan.batch_id] + 1
        self._add_plan(plan, revision, reason)
        self._reporter.noted(self._pipeline.name, f"batch {plan.batch_id}: plan amended, {reason}")
        return plan

    def _commit(self, plan: BatchPlan, manifest: Manifest, watch: Stopwatch) -> BatchResult:
        """Commit, then do everything that may be lost; where another writer came in between, stage again first."""
        while True:
            try:
                result = self._publication.commit(plan, manifest, watch)
            except TableMovedError as exc:
                self._reporter.noted(self._pipeline.name, f"batch {plan.batch_id}: staged again, {exc.message}")
                plan, manifest = self._staged_anew(plan, manifest, exc.message)
            else:
                self._reporter.committed(result)
                self._settle(plan, manifest)
                return result

    def _staged_anew(self, plan: BatchPlan, former: Manifest, reason: str) -> tuple[BatchPlan, Manifest]:
        """Return the next manifest of a batch whose former one cannot be committed; tables that hold it keep its files.

        The plan may be amended only where none holds it.
        """
        self._has_stray_files = True
        held = {role: self._flow.sinks[role].last_batch_id() for role in former.tables}
        settled = [role for role, batch_id in held.items() if batch_id is not None and batch_id >= plan.batch_id]
        if settled:
            staged = with_settled(
                stage_batch(self._flow, plan, self._seam.new_id, self._states).manifest, former, settled
            )
        else:
            plan, staged = self._stage(plan)
        revision = self._checkpoint.manifests.log.revisions()[plan.batch_id] + 1
        return plan, self._decided(staged, revision, reason)

    def _decided(self, manifest: Manifest, revision: int = 1, reason: str = "") -> Manifest:
        """Publish a manifest and return the one that decides."""
        self._checkpoint.epochs.check()
        epoch = self._checkpoint.epochs.current
        return self._checkpoint.manifests.add(manifest, epoch=epoch, revision=revision, reason=reason)

    def _settle(self, plan: BatchPlan, manifest: Manifest) -> None:
        """Do what follows a commit; losing it loses nothing. Only from the highest epoch."""
        self._checkpoint.epochs.check()
        self._inlets.acknowledge(plan)
        self._inlets.settle(plan, manifest)
        if plan.batch_id % _FOLD_AT_LEAST_EVERY == _FOLD_AT_LEAST_EVERY - 1:
            self._inlets.fold(plan.batch_id)
        if self._has_stray_files:
            discard_strays(self._flow, self._states, plan, manifest)
            self._has_stray_files = False
        self._remember([manifest])
        if plan.batch_id % self._states.kept_batches == self._states.kept_batches - 1:
            self._states.collect()
        self.next_id = plan.batch_id + 1

    def idle(self) -> None:
        """Do upkeep that is off the hot path: fold the ledgers of the sources, summarise the table's log."""
        if self.next_id == self._tended_for:
            return
        self._tended_for = self.next_id
        self._checkpoint.epochs.check()
        if self.next_id > 0:
            self._inlets.fold(self.next_id - 1)
        self._states.collect()
        clear_refreshes(self._flow)
        for sink in self._flow.sinks.values():
            sink.tend()
