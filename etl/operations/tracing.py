"""Where rows came from, and where files went: through plans, manifests, commit entries and the table's own log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from etl.checkpoint.commit_log import BESIDE
from etl.errors import ConfigError, SinkError
from etl.model import PROVENANCE_COLUMNS
from etl.operations.files import files_of
from etl.operations.looking import Onlooker, look
from etl.operations.tables import is_table, scan_url
from etl.sinks.quarantine import OPEN
from etl.storage import open_storage

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from etl.checkpoint.folder import Checkpoint
    from etl.model import Json
    from etl.operations.files import InputFile
    from etl.operations.looking import Sight
    from etl.operations.workspace import Workspace
    from etl.sinks.past import Past

_MAX_ROWS = 20


@dataclass(frozen=True, slots=True)
class VersionOrigin:
    """What made a version of a table. ``batch_id`` and what follows are None or empty for a commit that is not ours."""

    table: str
    version: int
    operation: str
    pipeline: str | None = None
    batch_id: int | None = None
    committed_at: str | None = None
    rows: dict[str, int] = field(default_factory=dict)
    files: tuple[InputFile, ...] = ()


@dataclass(frozen=True, slots=True)
class FilePassage:
    """A batch that took a file: what was read of it, which version the batch became.

    None is a batch that gave the table nothing or that is not committed yet. ``fates`` are what became of its rows;
    ``open_rows`` are those of them that wait in the quarantine.
    ``is_again``: the batch read rows of the file that had been rejected before.
    """

    path: str
    pipeline: str
    batch_id: int
    table: str
    version: int | None
    rows_read: int | None
    rows_in_table: int | None
    same_as: str | None = None
    fates: dict[str, int] = field(default_factory=dict)
    open_rows: int = 0
    is_again: bool = False
    is_committed: bool = True


@dataclass(frozen=True, slots=True)
class RowOrigin:
    """A row of the table: its file, its place in it, its batch and the version that brought it."""

    row: dict[str, Any]
    file: str | None
    offset: int | None
    batch_id: int | None
    version: int | None


class Trace:
    """The origins of one table of a project, a quarantine and a late table too. Changes nothing.

    Raises ConfigError where no pipeline writes it.
    """

    def __init__(self, workspace: Workspace, table: str) -> None:
        self._seam = Onlooker()
        self._workspace = workspace
        self._spec = workspace.writer_of(table)
        self._table_name, self._url = next(named for named in self._spec.tables.values() if table in named)
        self._sight: Sight = look(workspace.wired(self._spec.name, self._seam), self._seam)

    @property
    def _checkpoint(self) -> Checkpoint:
        if self._sight.checkpoint is None:
            raise ConfigError("never run: there is nothing to trace", where=self._spec.name)
        return self._sight.checkpoint

    def version(self, version: int | None = None) -> VersionOrigin:
        """Return what made a version, the newest one for None. Raises SinkError for a version that is not there."""
        versions = self._versions()
        if version is None:
            version = self._newest(versions)
        info = self._commit_info(version)
        batch_id = versions.get(version)
        if batch_id is None and info is None:
            raise SinkError(f"has no version {version}, or its log was cleaned up", where=self._table_name)
        operation = str((info or {}).get("operation", "WRITE"))
        if batch_id is None:
            return VersionOrigin(self._table_name, version, operation)
        entry = self._checkpoint.commits.read(batch_id)
        return VersionOrigin(
            self._table_name,
            version,
            operation,
            self._spec.name,
            batch_id,
            entry.committed_at,
            dict(entry.result.rows),
            tuple(self._files(batch_id)),
        )

    def _versions(self) -> dict[int, int]:
        """Return the batch that made each version."""
        commits = self._checkpoint.commits
        entries = [commits.read(batch_id) for batch_id in commits.log.revisions()]
        tables = [(entry.result.batch_id, entry.result.tables.get(self._table_name)) for entry in entries]
        return {version: batch_id for batch_id, version in tables if version is not None}

    def _made(self) -> dict[int, int]:
        """Return the version that has each batch; of those that a full refresh built beside the table, its last."""
        commits, own = self._checkpoint.commits, self._sight.pipeline.sink.table
        made: dict[int, int] = {}
        waiting: list[int] = []
        for entry in map(commits.read, commits.log.revisions()):
            version = entry.result.tables.get(self._table_name)
            if version is not None:
                made |= dict.fromkeys([*waiting, entry.result.batch_id], version)
                waiting = []
            elif BESIDE in entry.sides and self._table_name == own:
                waiting.append(entry.result.batch_id)
        return made

    def _newest(self, versions: dict[int, int]) -> int:
        found = self._past.logged()
        if not (found or versions):
            raise ConfigError("the table has no version yet", where=self._table_name)
        return max([*found, *versions])

    @property
    def _past(self) -> Past:
        """The versions of the table. Raises ConfigError where it keeps none."""
        sinks = self._sight.pipeline.flow.sinks
        found: Past | None = next(
            (getattr(sink, "past", None) for sink in sinks.values() if sink.table == self._table_name), None
        )
        if found is None:
            raise ConfigError(
                "keeps no versions",
                where=self._table_name,
                hint=f"etl history {self._spec.name} tells of its batches",
            )
        return found

    def _commit_info(self, version: int) -> Mapping[str, Json] | None:
        """Return what the table itself says of a version, None where its log does not have it."""
        try:
            return self._past.version(version).info
        except FileNotFoundError:
            return None

    def _files(self, batch_id: int) -> list[InputFile]:
        """Return the files of a batch, with the rows that were read of each where a manifest has decided."""
        plans, manifests = self._checkpoint.plans, self._checkpoint.manifests
        plan = plans.read(batch_id, plans.log.revisions()[batch_id])
        revision = manifests.log.revisions().get(batch_id)
        units = manifests.read(batch_id, revision).units if revision else {}
        return [file for name, part in plan.inputs.items() for file in files_of(part, units.get(name))]

    def file(self, path: str) -> list[FilePassage]:
        """Return every batch that took a file, oldest first. Raises ConfigError for a file that none took."""
        text = str(self._explain(path).get("path", path))
        made = self._made()
        committed = self._checkpoint.commits.log.revisions()
        rejected = self._open_rows(text)
        passages = [
            FilePassage(
                file.path,
                self._spec.name,
                batch_id,
                self._table_name,
                made.get(batch_id),
                file.rows,
                self._rows_of(file.path, batch_id) if batch_id in made else 0 if batch_id in committed else None,
                file.same_as,
                self._fates(file.path, batch_id),
                rejected.get(batch_id, 0),
                file.is_again,
                batch_id in committed,
            )
            for batch_id in self._checkpoint.plans.log.revisions()
            for file in self._files(batch_id)
            if file.path == text
        ]
        if not passages:
            raise ConfigError(
                "no batch took this file", where=path, hint=f"etl trace {self._table_name} --explain FILE says why"
            )
        return passages

    def _fates(self, path: str, batch_id: int) -> dict[str, int]:
        """Return what became of a file's rows in a batch; nothing where no manifest has decided."""
        manifests = self._checkpoint.manifests
        revision = manifests.log.revisions().get(batch_id)
        return dict(manifests.read(batch_id, revision).files.get(path, {})) if revision else {}

    def _open_rows(self, path: str) -> dict[int, int]:
        """Return how many rows of a file wait in the quarantine, by the batch that rejected them."""
        import polars as pl

        sink, project = self._spec.sink, self._workspace.project
        if not is_table(open_storage(sink.quarantine_url, self._seam, project.storage_options)):
            return {}
        rows = scan_url(project, sink.quarantine_url, self._seam, name=sink.quarantine)
        waiting = rows.filter(pl.col("_source_file") == path, pl.col("status") == OPEN)
        return dict(waiting.group_by("_batch_id").len().collect().iter_rows())

    def _rows_of(self, path: str, batch_id: int) -> int | None:
        """Return how many rows of a file's batch the table holds, None where it does not keep their origin."""
        import polars as pl

        rows = self._table()
        if not {"_source_file", "_batch_id"} <= set(rows.collect_schema()):
            return None
        of_file = (pl.col("_source_file") == path) & (pl.col("_batch_id") == batch_id)
        return int(rows.filter(of_file).select(pl.len()).collect().item())

    def _table(self) -> pl.LazyFrame:
        return scan_url(self._workspace.project, self._url, self._seam, name=self._table_name)

    def rows(self, condition: str) -> list[RowOrigin]:
        """Return the origin of the rows with ``COLUMN=VALUE``, the first twenty of them. Raises ConfigError."""
        import polars as pl

        column, separator, value = condition.partition("=")
        rows = self._table()
        columns = rows.collect_schema()
        if not separator or column not in columns:
            raise ConfigError(f"'{condition}' is no COLUMN=VALUE; columns: {', '.join(columns)}", where="--row")
        if not set(PROVENANCE_COLUMNS) <= set(columns):
            raise ConfigError(
                "the table does not keep where its rows came from",
                where=self._table_name,
                hint="sink.provenance: true keeps it from the next batch on",
            )
        versions = self._made()
        found = rows.filter(pl.col(column).cast(pl.String) == value).head(_MAX_ROWS).collect()
        return [_origin(row, versions) for row in found.to_dicts()]

    def explain(self, path: str) -> dict[str, Json]:
        """Return why a file was read or was not: ``path``, ``is_read``, ``reason`` and perhaps ``batch_id``."""
        told = self._explain(path)
        if not told:
            raise ConfigError("its source does not read files", where=self._spec.name)
        return told

    def _explain(self, path: str) -> dict[str, Json]:
        url = self._workspace.project.url(path)
        sources = self._sight.pipeline.sources
        told = {name: dict(source.explain(url)) for name, source in sources.items() if hasattr(source, "explain")}
        best = next((each for each in told.values() if each.get("is_read") or "batch_id" in each), None)
        if best is None and len(told) > 1:
            reasons = "; ".join(f"{name}: {each['reason']}" for name, each in told.items())
            return {**next(iter(told.values())), "reason": reasons}
        return best or next(iter(told.values()), {})


def _origin(row: dict[str, Any], versions: dict[int, int]) -> RowOrigin:
    own = {name: value for name, value in row.items() if name not in PROVENANCE_COLUMNS}
    batch_id = row["_batch_id"]
    return RowOrigin(own, row["_source_file"], row["_source_offset"], batch_id, versions.get(batch_id))
