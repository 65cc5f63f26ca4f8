"""The deep proof: what the sources give now against what the tables hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from etl.chains import state_names, stateful_steps
from etl.config.wiring import wire
from etl.errors import EtlError, PinChangedError, SourceChangedError
from etl.operations.looking import stock_of
from etl.operations.multisets import as_stored, digests
from etl.operations.tables import is_table, scan_own, scan_url
from etl.operations.verified import Check
from etl.operations.verifying_rows import BATCH, Rereading, compare_batches
from etl.resumption import restore_sources
from etl.seam import Seam
from etl.sinks.late import ROLE as LATE
from etl.sinks.quarantine import ROLE
from etl.staging import stage_batch
from etl.states import States
from etl.storage import LocalStorage
from etl.testing import temporary_folder

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from etl.config.specification import PipelineSpec
    from etl.model import BatchPlan
    from etl.operations.evidence import Evidence
    from etl.pipeline import Pipeline

DEEP_PROVES = "read again, the input gives exactly the rows of the tables"


def check_deep(evidence: Evidence, seam: Seam) -> Check:
    """Compare the tables with what their input gives now, as multisets of rows.

    A pipeline that only appends and remembers nothing is compared batch by batch, what is left of its input. Any other
    is run again as a whole, in a folder of its own, in the same batches at the same times.
    """
    check = Check("rows", DEEP_PROVES, evidence.repair)
    pipeline, records, spec = evidence.pipeline, evidence.records, evidence.spec
    if not any(looked.role == "main" for looked in evidence.tables):
        check.unproven.append(f"{spec.sink.table}: it keeps no versions, and its rows are not compared")
        return check
    if not any(looked.role == "main" and looked.head is not None for looked in evidence.tables):
        check.unproven.append(f"{spec.sink.table}: there is no table yet")
        return check
    is_by_batch = False
    with ExitStack() as open_sources, check.noting():
        for source in pipeline.sources.values():
            open_sources.enter_context(closing(source))
        restore_sources(records.checkpoint, pipeline.flow, stock_of(records.checkpoint, pipeline.flow))
        table = scan_own(pipeline.project, spec.sink.url, seam, spec.sink.table, pipeline.name)
        is_append = getattr(spec.sink.options, "write_mode", "append") == "append"
        is_by_batch = is_append and not stateful_steps(pipeline.flow) and BATCH in table.collect_schema()
        if is_by_batch:
            rereading = Rereading(pipeline.flow, table.collect_schema())
            compare_batches(rereading, table, partial(_comparable, evidence, check), check)
        else:
            _compare_run(evidence, seam, check)
    if check.faults and (_is_rewritten_since(evidence) if is_by_batch else records.went_on):
        check.faults.clear()
        check.unproven.append("any row: the pipeline went on and changed them while they were compared; verify again")
    return check


def _is_rewritten_since(evidence: Evidence) -> bool:
    """Tell whether a batch that came since may have taken rows of earlier ones out: a backfill, or a replaced file."""
    plans = evidence.records.checkpoint.plans
    later = [plans.read(*each) for each in plans.log.revisions().items() if each[0] > evidence.records.committed]
    return any(plan.resolution or any(part.replaces for part in plan.inputs.values()) for plan in later)


def _comparable(evidence: Evidence, check: Check) -> Iterator[BatchPlan]:
    """Yield the plans of committed batches, but for those of an earlier definition of the pipeline, which are told."""
    edited = [batch for batch in evidence.records.entries if not _is_current(evidence, batch)]
    if edited:
        note = f"rows of {len(edited):,} batches of an earlier definition of the pipeline, up to batch {max(edited)}"
        check.unproven += [] if note in check.unproven else [note]
    yield from (_plan(evidence, batch) for batch in evidence.records.entries if _is_current(evidence, batch))


def _is_current(evidence: Evidence, batch: int) -> bool:
    return evidence.records.entries[batch].definition == evidence.pipeline.definition


def _plan(evidence: Evidence, batch: int) -> BatchPlan:
    return evidence.records.checkpoint.plans.read(batch, evidence.records.revisions[batch])


def _compare_run(evidence: Evidence, seam: Seam, check: Check) -> None:
    """Run all batches again, beside the pipeline, and compare the tables that come of it."""
    if not all(_is_current(evidence, batch) for batch in evidence.records.entries):
        check.unproven.append("any row: some batches are of an earlier definition, on whose rows later ones build")
        return
    if evidence.records.planned > evidence.records.committed:
        check.unproven.append("any row: a batch is under way")
        return
    with temporary_folder() as folder:
        again = _Again(evidence, folder)
        try:
            again.run(check)
        except (SourceChangedError, PinChangedError) as exc:
            check.unproven.append(f"any row: input that later rows build on is gone or has changed: {exc.where}")
            return
        for role, name, url, other in again.tables():
            if any(looked.role == role and looked.head is not None for looked in evidence.tables):
                there = scan_own(evidence.pipeline.project, url, seam, name, evidence.pipeline.name)
                made = again.made(role, other)
                _compare_tables(name, there, made, check)


def _compare_tables(name: str, there: pl.LazyFrame, made: pl.LazyFrame | None, check: Check) -> None:
    types = there.collect_schema()
    by = [BATCH] if BATCH in types else []
    held = digests(there, by)
    wanted = {} if made is None else digests(as_stored(made, types), by)
    check.count("tables")
    check.count("rows", sum(rows[0] for rows in held.values()))
    others = [key for key in held if key == (None,)]
    if others:
        check.unproven.append(f"{name}: {held.pop(others[0])[0]:,} rows of other writers")
    for key in dict.fromkeys((*held, *wanted)):
        has, gives = (each.get(key, (0,)) for each in (held, wanted))
        of_batch = f", rows of batch {key[0]}" if key else ""
        what = (
            f"{has[0]:,} rows, its input gives {gives[0]:,}"
            if has[0] != gives[0]
            else f"{has[0]:,} rows with other values"
        )
        check.expect(f"{name}{of_batch}: the table has {what}", holds=has == gives)


@dataclass(frozen=True, slots=True)
class _Again:
    """All batches of a pipeline, carried out once more with tables and state in ``folder``."""

    evidence: Evidence
    folder: Path

    def tables(self) -> list[tuple[str, str, str, str]]:
        """Return role, name, URL and URL in the folder of each table."""
        sink, moved = self.evidence.spec.sink, self._spec.sink
        return [
            (ROLE, sink.quarantine, sink.quarantine_url, moved.quarantine_url),
            (LATE, sink.late, sink.late_url, moved.late_url),
            ("main", sink.table, sink.url, moved.url),
        ]

    @property
    def _spec(self) -> PipelineSpec:
        """The pipeline, with its tables in the folder; it reads what it always reads."""
        main, quarantine, late = (f"{self.folder}/{role}" for role in ("main", ROLE, LATE))
        spec = self.evidence.spec
        moved = replace(spec.sink, url=main, quarantine_url=quarantine, late_url=late)
        return replace(spec, sink=moved, further=())  # nothing is delivered again

    def made(self, role: str, url: str) -> pl.LazyFrame | None:
        """Return the rows of a table in the folder, None where none was made."""
        if not is_table(LocalStorage(self.folder, Seam()).at(role)):
            return None
        return scan_url(self.evidence.pipeline.project, url, Seam(), name=role)

    def run(self, check: Check) -> None:
        """Carry out every committed batch, by its own plan. Raises SourceChangedError; else a failure is a fault."""
        seam, project = Seam(), self.evidence.pipeline.project
        pipeline = wire(self._spec, project, seam, self.evidence.pipeline.generation)
        flow = replace(
            pipeline.flow,
            source=self.evidence.pipeline.source,
            branches=tuple(
                replace(branch, source=self.evidence.pipeline.sources[branch.name]) for branch in pipeline.flow.branches
            ),
        )
        for role, sink in flow.sinks.items():
            sink.bind(f"{self.evidence.records.checkpoint.identity}/{role}")
        states = States(state_names(flow), LocalStorage(self.folder / "state", seam), seam, project.memory_bytes)
        moved = replace(pipeline, flow=flow)
        for batch in self.evidence.records.entries:
            self._carry_out(moved, states, batch, check)

    def _carry_out(self, pipeline: Pipeline, states: States, batch: int, check: Check) -> None:
        flow, records = pipeline.flow, self.evidence.records
        try:
            manifest = stage_batch(flow, _plan(self.evidence, batch), Seam().new_id, states).manifest
        except (SourceChangedError, PinChangedError):
            raise
        except EtlError as exc:
            raise type(exc)(f"batch {batch} cannot be carried out again: {exc.message}", where=exc.where) from exc
        for role, sink in flow.sinks.items():
            if role in manifest.tables:
                sink.commit(manifest, {})
        states.stand_at(manifest.state)
        check.count("batches")
        counted = dict(records.entries[batch].result.rows)
        check.expect(f"batch {batch}: its rows are counted otherwise now", holds=counted == dict(manifest.rows))
