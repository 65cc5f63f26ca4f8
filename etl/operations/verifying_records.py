"""The records of a checkpoint, read as a whole: plans, manifests, commit entries, epochs, and whether they agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from etl.balance import check_balance
from etl.checkpoint.commit_log import BESIDE, entry_from_json
from etl.checkpoint.manifest_log import manifest_from_json
from etl.checkpoint.offset_log import plan_from_json
from etl.operations.looking import moment_of
from etl.operations.verified import Check

if TYPE_CHECKING:
    from etl.checkpoint.batch_log import BatchLog
    from etl.checkpoint.commit_log import CommitEntry
    from etl.checkpoint.folder import Checkpoint
    from etl.checkpoint.record import Record
    from etl.model import BatchPlan, Manifest, PlannedInput

T = TypeVar("T")


@dataclass(slots=True)
class Records:
    """What the records say, by batch: without the units of plans and the statistics of files, which may be large.

    ``epochs`` are those in which records were written, each with a batch of it; ``revisions`` those of the plans.
    """

    checkpoint: Checkpoint
    plans: dict[int, BatchPlan] = field(default_factory=dict)
    manifests: dict[int, Manifest] = field(default_factory=dict)
    entries: dict[int, CommitEntry] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    revisions: dict[int, int] = field(default_factory=dict)
    moment: tuple[object, ...] = ()

    @property
    def planned(self) -> int:
        """The newest plan, -1 for none."""
        return max(self.plans, default=-1)

    @property
    def committed(self) -> int:
        """The newest commit entry, -1 for none."""
        return max(self.entries, default=-1)

    @property
    def went_on(self) -> bool:
        """Whether a batch was planned, decided or committed since the records were read."""
        return moment_of(self.checkpoint) != self.moment

    @property
    def is_refreshing(self) -> bool:
        """Whether a full refresh is under way whose batches no version of the table has yet."""
        return self.committed >= 0 and BESIDE in self.entries[self.committed].sides

    @property
    def identities(self) -> tuple[str, ...]:
        """The names under which tables may know batches of these records: ours, and those that went before."""
        return (self.checkpoint.identity, *(self.checkpoint.replaces or ()))


def read_records(checkpoint: Checkpoint, repair: str) -> tuple[Records, list[Check]]:
    """Return the records and what was found about them. Commit entries first: what is added meanwhile is newer."""
    records = Records(checkpoint, moment=moment_of(checkpoint))
    plans = Check("plans", "contiguous, each begins where the last ended, one open at most", repair)
    manifests = Check("manifests", "one decides each batch, with the counts of its commit entry", repair)
    balance = Check("balance", "the rows of every batch and of every file add up", repair)
    epochs = Check("epochs", "takeovers have no gap, every record is of one", repair)

    def read(log: BatchLog, check: Check, of: Callable[[int, Record], T]) -> dict[int, T]:
        found: dict[int, T] = {}
        with check.noting():
            for batch, revision in log.revisions().items():
                with check.noting():
                    record = log.read(batch, revision)
                    records.epochs.setdefault(record.epoch, batch)
                    found[batch] = of(batch, record)
        return found

    records.entries = read(checkpoint.commits.log, manifests, lambda _, record: entry_from_json(record.body))
    records.manifests = read(
        checkpoint.manifests.log,
        manifests,
        lambda batch, record: _balanced(manifest_from_json(batch, record.attempt, record.body), balance),
    )
    records.plans = read(
        checkpoint.plans.log, plans, lambda batch, record: _without_units(plan_from_json(batch, record.body))
    )
    with plans.noting():
        records.revisions = checkpoint.plans.log.revisions()
    _check_plans(records, plans)
    _check_manifests(records, manifests)
    _check_epochs(records, epochs)
    return records, [plans, manifests, balance, epochs]


def _without_units(plan: BatchPlan) -> BatchPlan:
    def slim(part: PlannedInput) -> PlannedInput:
        return replace(part, units={"": None} if part.units else {})

    return replace(plan, inputs={name: slim(part) for name, part in plan.inputs.items()}, schemas={}, wide={}, pins={})


def _balanced(manifest: Manifest, balance: Check) -> Manifest:
    """Count a manifest's rows again, and return it without what is large."""
    balance.count("batches")
    where = f"batch {manifest.batch_id}"
    with balance.noting():
        check_balance(manifest.rows, where=where)
    files = manifest.files
    if sum(fates.get("read", 0) for fates in files.values()) == manifest.rows.get("read", 0):
        for file, fates in files.items():
            balance.count("files")
            with balance.noting():
                check_balance(fates, where=f"{where}, {file}")
    elif files:
        balance.unproven.append("the balance by file, where rows lose their file on the way")
    tables = {role: tuple(replace(file, statistics={}) for file in found) for role, found in manifest.tables.items()}
    return replace(manifest, tables=tables, files={}, units={}, source_schemas={}, table_schemas={})


def _check_plans(records: Records, check: Check) -> None:
    check.count("plans", len(records.plans))
    check.count("open", sum(batch > records.committed for batch in records.plans))
    check.expect("the first plan is not that of batch 0", holds=not records.plans or 0 in records.plans)
    open_ = records.planned - records.committed
    check.expect(
        f"the newest plan is of batch {records.planned}, the newest commit entry of batch {records.committed}",
        holds=open_ in (0, 1),
    )
    for before, after in pairwise(records.plans):
        for name, part in records.plans[after].inputs.items():
            former = records.plans[before].inputs.get(name)
            begins, ended = part.span.start or None, None if former is None else former.span.end or None
            check.expect(f"batch {after} does not begin where batch {before} ended: {name}", holds=begins == ended)


def _check_manifests(records: Records, check: Check) -> None:
    check.count("commit entries", len(records.entries))
    check.count("manifests", len(records.manifests))
    check.expect("the first commit entry is not that of batch 0", holds=not records.entries or 0 in records.entries)
    for batch, entry in records.entries.items():
        manifest, plan = records.manifests.get(batch), records.plans.get(batch)
        if manifest is None or plan is None:
            check.faults.append(f"batch {batch} is committed, and its {'plan' if manifest else 'manifest'} is lost")
            continue
        has_counts = dict(entry.result.rows) == dict(manifest.rows)
        check.expect(f"batch {batch}: the commit entry counts other rows than the manifest", holds=has_counts)
        check.expect(
            f"batch {batch}: the commit entry is of another definition", holds=entry.definition == plan.definition
        )
    for batch in records.manifests:
        check.expect(f"batch {batch} has a manifest and no plan", holds=batch in records.plans)


def _check_epochs(records: Records, check: Check) -> None:
    known = set(records.checkpoint.epochs.numbers())
    check.count("epochs", len(known))
    for epoch in range(1, max(known, default=0) + 1):
        check.expect(f"epoch {epoch} is missing", holds=epoch in known)
    for epoch, batch in records.epochs.items():
        check.expect(f"a record of batch {batch} is of epoch {epoch}, which nobody took", holds=epoch in known)
