"""Mending what a start refuses, where nothing is lost by it: exactly what our own records can write again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from etl.binding import bind_sinks
from etl.checkpoint.commit_log import commit_info, states_of
from etl.checkpoint.folder import choose_lease, find_checkpoint, held
from etl.checkpoint.table_records import TableRecords
from etl.errors import ConfigError, EtlError, TableStateError
from etl.resumption import take_stock
from etl.rewinding import finish_rewind

if TYPE_CHECKING:
    from etl.checkpoint.folder import Checkpoint
    from etl.model import Manifest
    from etl.operations.workspace import Workspace
    from etl.pipeline import Pipeline
    from etl.seam import Seam
    from etl.sinks.contract import Sink
    from etl.sinks.past import Past, Renewable, Torn


@dataclass(slots=True)
class Repaired:
    """What was mended, or would be. ``left`` is what a start still refuses, with the next step; empty where nothing."""

    pipeline: str
    mended: list[str] = field(default_factory=list)
    left: str = ""


def look_at_repair(workspace: Workspace, name: str, seam: Seam) -> Repaired:
    """Return what a repair would do; changes nothing. ``left`` is what it would not mend."""
    pipeline = workspace.wired(name, seam)
    checkpoint = _checkpoint(pipeline, seam)
    bind_sinks(checkpoint, pipeline.flow)
    return _Repair(pipeline, checkpoint, is_dry=True).carried_out()


def repair(workspace: Workspace, name: str, seam: Seam) -> Repaired:
    """Mend what can be mended without loss. *Repeat*: safe. Raises LeaseHeldError, ConfigError."""
    pipeline = workspace.wired(name, seam)
    checkpoint = _checkpoint(pipeline, seam)
    with held(checkpoint, choose_lease(checkpoint.storage, seam)):
        bind_sinks(checkpoint, pipeline.flow)
        checkpoint.sweep()
        finish_rewind(checkpoint, pipeline.flow, seam)
        return _Repair(pipeline, checkpoint, is_dry=False).carried_out()


def _checkpoint(pipeline: Pipeline, seam: Seam) -> Checkpoint:
    found = find_checkpoint(pipeline.checkpoint, seam, pipeline.generation)
    if found is None:
        raise ConfigError("never ran: there is nothing to mend", where=pipeline.name)
    return found


@dataclass(frozen=True, slots=True)
class _Repair:
    """A repair of one pipeline; with ``is_dry`` it only says what it would do."""

    pipeline: Pipeline
    checkpoint: Checkpoint
    is_dry: bool

    def carried_out(self) -> Repaired:
        """Mend records, then tables, and say what is left."""
        done = Repaired(self.pipeline.name)
        try:
            done.mended += self._records()
            for role, sink in self.pipeline.flow.sinks.items():
                past = getattr(sink, "past", None)
                if past is not None:
                    done.mended += self._table(role, sink, past)
            if not (self.is_dry and done.mended):
                take_stock(self.checkpoint, self.pipeline.flow, mend=False)
        except EtlError as exc:
            done.left = f"{exc}{self._advice(exc)}"
        return done

    def _records(self) -> Iterator[str]:
        """Set the newest record of a log aside where it is torn and nothing was built on it."""
        checkpoint = self.checkpoint
        referred = -1
        for log in (checkpoint.commits.log, checkpoint.manifests.log, checkpoint.plans.log):
            revisions = log.revisions()
            newest = max(revisions, default=-1)
            if newest > referred and log.is_torn(newest, revisions[newest]):
                if not self.is_dry:
                    log.set_aside(newest, revisions[newest])
                yield f"the torn {log.kind} of batch {newest} is set aside"
                newest = max((batch for batch in revisions if batch < newest), default=-1)
            referred = max(referred, newest)

    def _table(self, role: str, sink: Sink, past: Past) -> Iterator[str]:
        """Set a torn end of the table's log aside where it is ours, then commit what the table lacks."""
        torn = past.torn()
        if torn is not None:
            if not self._is_ours(sink.table, torn):
                raise TableStateError(
                    "table_torn",
                    f"{torn.name} is torn, and none of our records tells what it was",
                    where=sink.table,
                    hint="restore the file from a copy, or remove it if its writer can commit again",
                )
            if not self.is_dry:
                past.set_aside(torn)
            yield f"{sink.table}: the torn {torn.name} is set aside"
        for batch, version in past.lost(self._told(sink.table)):
            yield self._commit(role, sink, batch, version)

    def _is_ours(self, table: str, torn: Torn) -> bool:
        """Tell whether one of our batches made a torn version: an entry names it, or a batch waits to be committed."""
        if torn.is_ours is not None:
            return torn.is_ours
        if any(version == torn.version for _, version in self._told(table)):
            return True
        commits, manifests = (log.log.revisions() for log in (self.checkpoint.commits, self.checkpoint.manifests))
        is_waiting = max(manifests, default=-1) > max(commits, default=-1)
        return is_waiting and (not torn.content or self.checkpoint.identity.encode() in torn.content)

    def _told(self, table: str) -> list[tuple[int, int]]:
        """Return the committed batches that changed a table, with the version of each, oldest first."""
        commits = self.checkpoint.commits
        entries = ((batch, commits.read(batch).result.tables.get(table)) for batch in commits.log.revisions())
        return [(batch, version) for batch, version in entries if version is not None]

    def _commit(self, role: str, sink: Sink, batch: int, version: int) -> str:
        manifest = self._manifest(batch)
        missing = sink.missing(manifest)
        if missing:
            raise TableStateError(
                "table_behind",
                f"version {version} of batch {batch} is lost, and so is {missing[0]}",
                where=sink.table,
            )
        if not self.is_dry:
            plans = self.checkpoint.plans
            plan = plans.read(batch, plans.log.revisions()[batch])
            info = commit_info(self.pipeline.name, self.checkpoint.identity, plan, manifest)
            info |= TableRecords(self.checkpoint).told(plan, manifest)
            state = states_of(self.checkpoint.commits.read(batch), self.pipeline.sink.table).get(role)
            cast("Renewable", sink).commit_as(manifest, info, version, "" if state is None else state.table_id)
        return f"{sink.table}: batch {batch} is committed again, as version {version} ({role})"

    def _manifest(self, batch: int) -> Manifest:
        manifests = self.checkpoint.manifests
        return manifests.read(batch, manifests.log.revisions()[batch])

    def _advice(self, exc: EtlError) -> str:
        """Return the command that goes on where a repair cannot."""
        name = self.pipeline.name
        if not isinstance(exc, TableStateError) or exc.kind not in ("table_behind", "table_missing", "table_replaced"):
            return ""
        if exc.kind != "table_behind":
            return f"\n  or build it anew: etl run {name} --full-refresh"
        return f"\n  or go back to the batch that the table holds: etl rewind {name} --to-batch N"
