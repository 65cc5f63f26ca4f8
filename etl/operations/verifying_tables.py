"""The tables of a pipeline against its records: versions, files, rows, what lies about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etl.operations.verified import Check
from etl.sinks.delta_actions import SUPERSEDED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.model import Manifest, StagedFile
    from etl.operations.verifying_records import Records
    from etl.sinks.past import LiveFile, LoggedVersion, Past, TableHead

_FATES = {"main": "written", "quarantine": "quarantined", "late": "late"}


@dataclass(slots=True)
class Looked:
    """A table as it was found: its newest version, which files are live, and what the log tells of each version.

    ``batches`` are the transactions of each version, ``told`` the batch that its commit metadata names, ``removed`` the
    version that took a file out last.
    """

    role: str
    name: str
    past: Past
    head: TableHead | None = None
    live: Mapping[str, LiveFile] = field(default_factory=dict)
    batches: dict[int, Mapping[str, int]] = field(default_factory=dict)
    told: dict[int, str | None] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    added: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Read the table's log. Raises TableStateError, OSError."""
        self.head = self.past.head()
        if self.head is None:
            return
        self.live = self.past.files()
        for version in self.past.versions():
            self._take(version)

    def _take(self, version: LoggedVersion) -> None:
        self.batches[version.version] = version.batches
        self.told[version.version] = version.info.get("etl.batch_id")
        self.removed.update(dict.fromkeys(version.removed, version.version))
        self.added.update(version.added)

    def knows_all_after(self, version: int) -> bool:
        """Tell whether no entry of the log behind a version was cleaned up."""
        newest = -1 if self.head is None else self.head.version
        return all(number in self.batches for number in range(version + 1, newest + 1))


def check_versions(looked: Looked, records: Records, check: Check) -> None:
    """Check that a table durably holds what the commit entries say, in the versions that they name."""
    newest = records.entries.get(records.committed)
    side = None if newest is None else newest.sides.get(looked.role)
    head, name = looked.head, looked.name
    if head is not None and head.batch_id == SUPERSEDED:
        check.faults.append(f"{name}: table_ahead: a later checkpoint took the place of these records")
        return
    held = -1 if head is None or head.batch_id is None else head.batch_id
    if side is not None:
        check.count("tables")
        if head is None or head.table_id != side.table_id:
            check.faults.append(f"{name}: {'table_missing' if head is None else 'table_replaced'}: not where it was")
            return
        check.expect(
            f"{name}: table_behind: it holds batch {held}, batch {side.batch_id} is committed",
            holds=held >= side.batch_id,
        )
        with check.noting():
            looked.past.refuse_rollback_since(side.version)
    planned = max(records.planned, max(records.checkpoint.plans.log.revisions(), default=-1))
    check.expect(f"{name}: table_ahead: it holds batch {held}, batch {planned} is planned", holds=held <= planned)
    for batch, entry in records.entries.items():
        version = entry.result.tables.get(name)
        if version is not None:
            _check_version(looked, records, (batch, version), check)


def _check_version(looked: Looked, records: Records, at: tuple[int, int], check: Check) -> None:
    """Check that a version says which batch made it, where the log still has its entry."""
    batch, version = at
    found = looked.batches.get(version)
    if found is None:
        check.unproven.append(f"{looked.name}: versions whose log entries were cleaned up")
        return
    check.count("versions")
    batches = [found.get(f"{identity}/{looked.role}") for identity in records.identities]
    check.expect(f"{looked.name}: version {version} is not that of batch {batch}", holds=batch in batches)
    told = looked.told[version]
    check.expect(f"{looked.name}: version {version} says that it is batch {told}", holds=told in (None, str(batch)))


def check_files(looked: Looked, records: Records, check: Check) -> None:
    """Check that what each batch staged is in the table, or was taken out later; and that what is in it is there."""
    ours: set[str] = set()
    for batch, manifest in records.manifests.items():
        entry = records.entries.get(batch)
        version = None if entry is None else entry.result.tables.get(looked.name)
        if version is None:
            continue
        for file in manifest.tables.get(looked.role, ()):
            ours.add(file.path)
            _check_file(looked, (batch, version), file, check)
    for path, live in looked.live.items():
        if path not in ours:
            check.count("of others")
            check.expect(f"{looked.name}: {path} is gone", holds=looked.past.storage.size(path) == live.size_bytes)


def _check_file(looked: Looked, at: tuple[int, int], file: StagedFile, check: Check) -> None:
    batch, version = at
    where = f"{looked.name}: {file.path} of batch {batch}"
    live = looked.live.get(file.path)
    if live is not None:
        check.count("live")
        _check_live(looked, where, file, check)
        check.expect(f"{where}: the log has {live.rows} rows, the manifest {file.rows}", holds=live.rows == file.rows)
    elif looked.removed.get(file.path, -1) > version:
        check.count("taken out")
    elif looked.knows_all_after(version):
        check.faults.append(f"{where} is neither in the table nor was it taken out")
    else:
        check.unproven.append(f"{looked.name}: what became of files that versions took out whose entries are gone")


def _check_live(looked: Looked, where: str, file: StagedFile, check: Check) -> None:
    """Check that a file lies there with its size and its rows."""
    size = looked.past.storage.size(file.path)
    if size != file.size_bytes:
        found = "is gone" if size is None else f"has {size:,} bytes where {file.size_bytes:,} were written"
        check.faults.append(f"{where} {found}")
        return
    try:
        rows = looked.past.rows_in(file.path)
    except (OSError, ValueError) as exc:
        check.faults.append(f"{where} cannot be read: {exc}")
        return
    check.count("rows", rows)
    check.expect(f"{where} holds {rows:,} rows where {file.rows:,} were written", holds=rows == file.rows)


def check_counts(records: Records, write_mode: str, check: Check) -> None:
    """Check that the files of each batch hold as many rows as its counts say."""
    for batch, manifest in records.manifests.items():
        for role, fate in _FATES.items():
            if role not in manifest.tables:
                continue
            staged, counted = _new_rows(manifest, role), manifest.rows.get(fate, 0)
            is_bound = role == "main" and write_mode in ("merge", "scd2")  # rows that the table has already count too
            holds = staged <= counted if is_bound else staged == counted
            check.expect(f"batch {batch}: {staged:,} rows staged, {counted:,} counted as {fate}", holds=holds)


def _new_rows(manifest: Manifest, role: str) -> int:
    return sum(file.rows for file in manifest.tables[role] if not file.is_rewrite)


def check_strays(looked: Looked, records: Records, check: Check) -> list[str]:
    """Count data files that no version needs, and return those that none ever did. They harm nobody."""
    waiting, prefix = f"part-{looked.past.app_id[:8]}-", -1 if records.is_refreshing else records.committed
    strays = []
    for path in looked.past.lying():
        if path in looked.live:
            continue
        name = path.rsplit("/", 1)[-1]
        batch = name.removeprefix(waiting)[:10] if name.startswith(waiting) else ""
        if path in looked.removed or path in looked.added:
            check.count("of older versions")
        elif batch.isdigit() and int(batch) > prefix:
            check.count("of the batch under way")
        else:
            strays.append(path)
    if strays and looked.batches and min(looked.batches) > 0:
        check.unproven.append(f"{looked.name}: whether strays belong to versions whose log entries were cleaned up")
    check.count("strays", len(strays))
    return strays
