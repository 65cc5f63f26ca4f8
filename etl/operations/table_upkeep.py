"""Tables kept quick by hand, whoever writes them: compacted, and rid of what nobody needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etl.config.faults import nearest
from etl.errors import ConfigError
from etl.holds import holds_on
from etl.operations.tables import is_table, table_names
from etl.options import parse_duration_s
from etl.project import scheme_of
from etl.sinks.contract import SinkSite
from etl.sinks.delta_log import DeltaLog
from etl.sinks.delta_options import DeltaOptions
from etl.sinks.delta_upkeep import TableUpkeep
from etl.sinks.parquet_options import ParquetOptions
from etl.sinks.parquet_upkeep import PlainUpkeep
from etl.storage import object_store_options, open_storage

if TYPE_CHECKING:
    from etl.config.specification import PipelineSpec
    from etl.operations.workspace import Workspace
    from etl.seam import Seam
    from etl.sinks.delta_compaction import Compacted

SAFE_S = 86_400.0
"""The shortest retention that needs no ``--force``: a day is longer than what anybody reads or writes at a stretch."""

_DEFAULT_KEPT_S = 7 * 86_400.0
_ROUNDS = 10


@dataclass(slots=True)
class Compaction:
    """What compacting a table did, or would do: so many files of so many bytes became, or would become, fewer."""

    table: str
    files: int = 0
    size_bytes: int = 0
    written: int = 0
    written_bytes: int = 0
    rows: int = 0
    versions: list[int] = field(default_factory=list)
    passed_over: int = 0


@dataclass(slots=True)
class Vacuum:
    """What a vacuum deleted, or would delete. ``readers`` are pipelines that have versions still to read."""

    table: str
    keep_s: float
    files: list[str] = field(default_factory=list)
    size_bytes: int = 0
    entries: list[str] = field(default_factory=list)
    readers: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnownTable:
    """A table of a project, and the pipeline that writes it, None for one that only lies in the lake."""

    upkeep: TableUpkeep | PlainUpkeep
    writer: str | None


def known_table(workspace: Workspace, name: str, seam: Seam) -> KnownTable:
    """Return the upkeep of a table, by its name or URL. Raises ConfigError where there is none."""
    project = workspace.project
    writer, (label, url) = _named(workspace, name)
    storage = open_storage(url, seam, project.storage_options, is_shared=True)
    if not is_table(storage):
        raise ConfigError(f"unknown table '{name}'{nearest(name, table_names(project, seam))}")
    options = object_store_options(scheme_of(url), project.options_for(url))
    site = SinkSite(label, url, storage, seam, options)
    chosen = next((sink.options for sink in writer.sinks if sink.url == url), None) if writer is not None else None
    upkeep: TableUpkeep | PlainUpkeep
    if storage.list("_delta_log"):
        own = chosen if isinstance(chosen, DeltaOptions) else DeltaOptions(path=url)
        upkeep = TableUpkeep(own, site, DeltaLog(storage, options, seam))
    else:
        plain = chosen if isinstance(chosen, ParquetOptions) else ParquetOptions(path=url)
        upkeep = PlainUpkeep.of(plain, site)
    return KnownTable(upkeep, None if writer is None else writer.name)


def _named(workspace: Workspace, name: str) -> tuple[PipelineSpec | None, tuple[str, str]]:
    """Return the pipeline that writes a table, and the table's name and URL."""
    for spec in workspace.specs():
        for named in spec.tables.values():
            if name in named:
                return spec, named
    project = workspace.project
    return None, (name, project.url(name) if "/" in name else project.table_url(name))


def compact(workspace: Workspace, name: str, seam: Seam, *, is_dry: bool = False) -> Compaction:
    """Make few large files of a table's small ones, until nothing small is left that has company.

    *Repeat*: safe. Beside a running pipeline too: who commits first has right, the other looks again. ``passed_over``
    counts groups of files that others kept changing. Raises ConfigError, SinkError.
    """
    upkeep = known_table(workspace, name, seam).upkeep
    if isinstance(upkeep, PlainUpkeep):
        raise ConfigError(
            "its files stay as they are: who lists the folder of a plain Parquet table would see rows twice, or not",
            where=upkeep.table,
            hint="make larger batches, or larger files anew: etl run PIPELINE --full-refresh; or say `type: delta`",
        )
    done = Compaction(upkeep.table)
    pending = upkeep.pending()
    if is_dry and pending is not None:
        done.files, done.size_bytes, done.written = pending.files, pending.size_bytes, len(pending.bins)
        return done
    for _ in range(_ROUNDS):
        if pending is None or not pending.bins:
            done.passed_over = 0  # another writer has done it
            break
        before, done.passed_over = len(done.versions), 0
        for number in range(len(pending.bins)):
            _add(done, upkeep.compact(pending, number))
        made_little = len(done.versions) == before
        if made_little and not done.passed_over:
            break
        following = upkeep.pending()
        if following is not None and following.files >= pending.files and not done.passed_over:
            break
        pending = following
    upkeep.summarise(every=1) if done.versions else None
    return done


def _add(done: Compaction, made: Compacted | None) -> None:
    if made is None:
        done.passed_over += 1
        return
    done.files += made.removed
    done.size_bytes += made.bytes_before
    done.written += made.added
    done.written_bytes += made.bytes_after
    done.rows += made.rows
    done.versions.append(made.version)


@dataclass(frozen=True, slots=True)
class VacuumOrder:
    """How a vacuum is asked for: what it keeps (None: as the pipeline or the table says, else a week)."""

    retain: str | None = None
    is_dry: bool = False
    is_forced: bool = False
    deleted: Callable[[str], None] = field(default=lambda _: None)


def vacuum(workspace: Workspace, name: str, seam: Seam, order: VacuumOrder) -> Vacuum:
    """Delete the files, and where the pipeline says ``retain`` the log entries, that nobody needs any more.

    *Repeat*: safe, also after a crash at any step of it. Raises ConfigError, TableStateError, CheckpointError: where a
    log or a checkpoint cannot be read nothing is deleted.
    """
    upkeep = known_table(workspace, name, seam).upkeep
    head = upkeep.head()
    keep_s = _kept_s(upkeep, order)
    done = Vacuum(upkeep.table, keep_s)
    if head is None:
        return done
    holds = holds_on(workspace.project, head, seam)
    done.readers = {name: version for name, version in holds.readers.items() if version < head.version}
    for file in upkeep.leftovers(holds, keep_s):
        if not order.is_dry:
            upkeep.delete(file.path)
        done.files.append(file.path)
        done.size_bytes += file.size_bytes
    if upkeep.policy.retain_s is not None:
        for path in upkeep.old_entries(holds, max(upkeep.policy.retain_s, keep_s)):
            if not order.is_dry:
                upkeep.forget(path)
            done.entries.append(path)
    return done


def _kept_s(upkeep: TableUpkeep | PlainUpkeep, order: VacuumOrder) -> float:
    """Return how long files are kept. Raises ConfigError for less than is safe without force."""
    if order.retain is None:
        return upkeep.policy.vacuum_s or upkeep.kept_by_property_s() or _DEFAULT_KEPT_S
    try:
        keep_s = parse_duration_s(order.retain)
    except ValueError as exc:
        raise ConfigError(f"{order.retain!r} is {exc}", where="--retain") from exc
    if keep_s < SAFE_S and not (order.is_forced or order.is_dry):
        raise ConfigError(
            "less than a day: files of queries, and of batches of other writers, that are under way would be deleted",
            where="--retain",
            hint="if nobody else reads or writes the table now, say --force",
        )
    return keep_s
