"""Proving the invariants of a pipeline from its records, tables and state: no lease is taken, nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from etl.binding import bind_sinks
from etl.chains import state_names
from etl.checkpoint.folder import find_checkpoint
from etl.checkpoint.rewinding import refuse_unfinished
from etl.errors import SinkError
from etl.operations.evidence import Evidence
from etl.operations.tables import scan_url
from etl.operations.verified import Check, Verification
from etl.operations.verifying_deep import DEEP_PROVES, check_deep
from etl.operations.verifying_records import Records, read_records
from etl.operations.verifying_tables import Looked, check_counts, check_files, check_strays, check_versions
from etl.sinks.quarantine import OPEN, ROLE
from etl.states import States

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.model import StateRef
    from etl.operations.workspace import Workspace
    from etl.pipeline import Pipeline
    from etl.seam import Seam
    from etl.sinks.contract import Sink
    from etl.sinks.past import Past
    from etl.storage import Storage

_SHOWN_STRAYS = 20
_LOOKS = 4


def verify(workspace: Workspace, name: str, seam: Seam, *, is_deep: bool = False) -> Verification:
    """Prove the invariants of a pipeline; changes nothing. No checks for one that never ran.

    With ``is_deep`` the input is read again too, where nothing else disagrees. Records and tables are not looked at in
    one moment: where they disagree and the pipeline went on meanwhile, all is looked at again. Raises ConfigError.
    """
    for _ in range(_LOOKS):
        found = gather(workspace, name, seam)
        if found is None:
            return Verification(name, workspace.spec(name).sink.table, 0, ())
        evidence, checks = found
        checks += _check(workspace, evidence, seam)
        if all(check.is_ok for check in checks) or not evidence.records.went_on:
            break
    if is_deep:
        checks.append(_check_deep(evidence, seam, is_sound=all(check.is_ok for check in checks)))
    return Verification(name, evidence.spec.sink.table, len(evidence.records.entries), tuple(checks))


def _check(workspace: Workspace, evidence: Evidence, seam: Seam) -> Iterator[Check]:
    """Check tables and state against the records."""
    yield from _check_tables(evidence)
    yield from _check_state(evidence)
    if ROLE in {looked.role for looked in evidence.tables if looked.head is not None}:
        yield _check_quarantine(workspace, evidence, seam)
    yield _look_for_strays(evidence)


def _check_deep(evidence: Evidence, seam: Seam, *, is_sound: bool) -> Check:
    if is_sound and not evidence.records.is_refreshing:
        return check_deep(evidence, seam)
    check = Check("rows", DEEP_PROVES)
    why = "something else disagrees" if not is_sound else "a full refresh is under way"
    check.unproven.append(f"any row: the tables are not compared with their input while {why}")
    return check


def gather(workspace: Workspace, name: str, seam: Seam) -> tuple[Evidence, list[Check]] | None:
    """Return what there is to look at, and what was found about the records; None before the first run."""
    spec, pipeline = workspace.spec(name), workspace.wired(name, seam)
    checkpoint = find_checkpoint(pipeline.checkpoint, seam, pipeline.generation)
    if checkpoint is None:
        return None
    refuse_unfinished(checkpoint, name)
    repair = f"etl repair {name}; else restore {checkpoint.url} from a copy, or etl run {name} --full-refresh"
    records, checks = read_records(checkpoint, repair)
    return Evidence(spec, pipeline, records, tuple(_tables(pipeline, records))), checks


def _tables(pipeline: Pipeline, records: Records) -> Iterator[Looked]:
    """Yield the tables of a pipeline that keep versions, by role; their logs are not read yet."""
    bind_sinks(records.checkpoint, pipeline.flow)
    for role, sink in pipeline.flow.sinks.items():
        past: Past | None = getattr(sink, "past", None)
        if past is not None:
            yield Looked(role, sink.table, past)


def _check_tables(evidence: Evidence) -> Iterator[Check]:
    records = evidence.records
    versions = Check("tables", "hold every committed batch in the version that its entry names", evidence.repair)
    files = Check("files", "what batches staged is there, whole, or was taken out later", evidence.repair)
    for looked in evidence.tables:
        with versions.noting():
            looked.look()
            check_versions(looked, records, versions)
            check_files(looked, records, files)
    check_counts(records, getattr(evidence.spec.sink.options, "write_mode", "append"), files)
    for role, sink in evidence.pipeline.flow.sinks.items():
        if not any(looked.role == role for looked in evidence.tables):
            with versions.noting():
                _check_batch(role, sink, records, versions)
    yield versions
    yield files


def _check_batch(role: str, sink: Sink, records: Records, check: Check) -> None:
    """Check that a sink without versions holds the batch that the newest entry says, or the one that is under way."""
    entry = records.entries.get(records.committed)
    told = None if entry is None or role not in entry.sides else entry.sides[role].batch_id
    try:
        held = sink.last_batch_id()
    except SinkError as exc:
        check.unproven.append(f"{sink.table}: {exc.message}")
        return
    holds = told is None or held in (told, records.planned)
    if told is not None and held is not None and not holds and records.went_on:
        holds = told <= held <= max(records.checkpoint.plans.log.revisions(), default=-1)
    check.expect(f"{sink.table} holds batch {held}, the newest commit entry says {told}", holds=holds)
    check.unproven.append(f"{sink.table}: its rows; it keeps no versions")


def _check_state(evidence: Evidence) -> Iterator[Check]:
    """Check that the states after the batches that are kept can be read, the newest one being the newest manifest's."""
    names = state_names(evidence.pipeline.flow)
    if not names:
        return
    records = evidence.records
    check = Check(
        "state",
        "what is kept is whole and fits the newest commit",
        f"restore the files from a copy; a partition whose former file is whole is made again by the next batch; "
        f"else {evidence.repair}",
    )
    kept = [batch for batch in sorted(records.entries)[-States.kept_batches :] if batch in records.manifests]
    for name in names:
        storage, seen = records.checkpoint.storage.at("state").at(name), set[str]()
        for batch in reversed(kept):
            ref = records.manifests[batch].state.get(name)
            if ref is not None:
                check.count("versions")
                _check_ref(storage, (batch, ref), seen, check)
        check.count("files", len(seen))
        newest = {} if not kept else records.manifests[kept[-1]].state
        had = any(name in records.manifests[batch].state for batch in kept)
        check.expect(f"{name}: the newest manifest names no state", holds=name in newest or not had)
    yield check


def _check_ref(storage: Storage, at: tuple[int, StateRef], seen: set[str], check: Check) -> None:
    from etl.state.reading import StateReader

    batch, ref = at
    with check.noting():
        reader = StateReader(storage, ref)
        check.expect(
            f"{ref.file} is of batch {reader.batch_id}, batch {batch} names it", holds=reader.batch_id <= batch
        )
        rows = sum(facts.rows for facts in reader.tables.values())
        check.expect(f"{ref.file} has {rows:,} rows where {ref.rows:,} were told", holds=rows == ref.rows)
        check.faults += reader.damages(seen)


def _check_quarantine(workspace: Workspace, evidence: Evidence, seam: Seam) -> Check:
    """Check that so many rejected rows wait as were rejected and not resolved."""
    import polars as pl

    check = Check("quarantine", "waiting = rejected - replayed - discarded", evidence.repair)
    records, sink = evidence.records, evidence.spec.sink
    entry = records.entries.get(records.committed)
    plans: Mapping[int, object] = records.plans
    with check.noting():
        rows = scan_url(workspace.project, sink.quarantine_url, seam, name=sink.quarantine)
        waiting = int(rows.filter(pl.col("status") == OPEN).select(pl.len()).collect().item())
        check.count("waiting", waiting)
        told = None if entry is None or ROLE not in entry.sides else entry.sides[ROLE].open_rows
        holds = told in (None, waiting)
        check.expect(f"{sink.quarantine}: {waiting:,} rows wait, the newest commit entry says {told}", holds=holds)
        if records.planned > records.committed or not plans.keys() >= records.entries.keys():
            check.unproven.append(f"{sink.quarantine}: rows that wait, while a batch is under way")
        elif any(part.replaces for plan in records.plans.values() for part in plan.inputs.values()):
            check.unproven.append(f"{sink.quarantine}: the sum of rejected rows, of which some went with their file")
        else:
            _check_sum(records, waiting, check)
    return check


def _check_sum(records: Records, waiting: int, check: Check) -> None:
    rejected = sum(entry.result.rows.get("quarantined", 0) for entry in records.entries.values())
    resolutions = [records.plans[batch].resolution or {"rows": ()} for batch in records.entries]
    resolved = sum(len(each["rows"]) for each in resolutions)
    check.count("rejected", rejected)
    check.count("resolved", resolved)
    check.expect(
        f"{rejected:,} rows were rejected and {resolved:,} resolved, {waiting:,} wait",
        holds=rejected - resolved == waiting,
    )


def _look_for_strays(evidence: Evidence) -> Check:
    """Count what lies in the folders of tables and is not needed; none of it is a fault."""
    check = Check("strays", "no fault: data files that no version ever referred to")
    found: list[str] = []
    for looked in evidence.tables:
        found += [f"{looked.name}: {path}" for path in check_strays(looked, evidence.records, check)]
    check.unproven += [f"stray: {path}" for path in found[:_SHOWN_STRAYS]]
    return check
