"""Does this machine keep what the guarantee rests on: storage primitives, clock, versions, space, permissions."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from etl.checkpoint.lease import FileLease
from etl.errors import EtlError
from etl.project import CHECKPOINTS
from etl.storage import LocalStorage, open_storage, probe_conditional_create

if TYPE_CHECKING:
    from etl.operations.workspace import Workspace
    from etl.seam import Seam
    from etl.storage import Storage

DISTRIBUTION = "lakehouse-etl"
_LEAST_FREE_BYTES = 1_000_000_000
_MOST_SKEW_S = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: ``state`` is ``ok``, ``warning`` or ``failed``; ``next_step`` is empty for ``ok``."""

    check: str
    state: str
    detail: str
    next_step: str = ""


class _Doubt(Exception):  # noqa: N818  a warning on its way to a finding
    def __init__(self, detail: str, next_step: str) -> None:
        super().__init__(detail)
        self.next_step = next_step


def examine(workspace: Workspace, seam: Seam) -> Iterator[Finding]:
    """Check one thing after the other. Writes small probes into the lake and removes them."""
    yield from _versions()
    try:
        project = workspace.project
    except EtlError as exc:
        yield Finding("configuration", "failed", str(exc), "mend etl.yml; etl validate lists every fault")
        return
    yield Finding("configuration", "ok", "etl.yml" if (project.folder / "etl.yml").exists() else "no etl.yml: defaults")
    try:
        storage = open_storage(f"{project.lake}/{CHECKPOINTS}", seam, project.storage_options)
    except EtlError as exc:
        yield Finding("lake", "failed", exc.message, exc.hint or "mend lake: and storage: in etl.yml")
        return
    yield from _storage_findings(storage, f"doctor-{seam.new_id()[:8]}", seam)
    if isinstance(storage, LocalStorage):
        yield _found("disk space", lambda: _space(storage.root))
        yield _found("permissions", lambda: _permissions(project.folder, storage.root))


def _storage_findings(storage: Storage, probe: str, seam: Seam) -> Iterator[Finding]:
    """Try every primitive on a record called ``probe``; nothing further where it cannot even be written."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("write and read", lambda: _write(storage, probe)),
        ("conditional create", lambda: _create_twice(storage, seam)),
        ("replace", lambda: _replace(storage, probe)),
        ("clock", lambda: _clock(storage, probe, seam)),
    ]
    if isinstance(storage, LocalStorage):
        checks += [("fsync", lambda: _fsync(storage, probe)), ("lock", lambda: _lock(storage.root / probe, seam))]
    try:
        for name, check in checks:
            finding = _found(name, check)
            yield finding
            if check is checks[0][1] and finding.state == "failed":
                return
    finally:
        with contextlib.suppress(Exception):
            storage.remove(probe, effect="doctor.remove")


def _found(check: str, look: Callable[[], str]) -> Finding:
    """Return what a check says; whatever it raises is a failure of what it checks."""
    try:
        return Finding(check, "ok", look())
    except _Doubt as exc:
        return Finding(check, "warning", str(exc), exc.next_step)
    except Exception as exc:  # noqa: BLE001  any error of any store
        step = exc.hint if isinstance(exc, EtlError) else ""
        return Finding(check, "failed", f"{exc}", step or "check the lake's place, rights and credentials")


def _write(storage: Storage, probe: str) -> str:
    storage.create(probe, b"one", effect="doctor.create")
    if storage.read(probe) != b"one":
        raise OSError("read back something else than was written")
    return storage.url


def _create_twice(storage: Storage, seam: Seam) -> str:
    if probe_conditional_create(storage, seam):
        return "a second writer is refused"
    raise OSError("a record was created twice: two runners would overwrite one another; use another store")


def _replace(storage: Storage, probe: str) -> str:
    storage.replace(probe, b"three", effect="doctor.replace")
    if storage.read(probe) != b"three":
        raise OSError("an old version is read after a replace")
    return "the new version is read at once"


def _fsync(storage: Storage, probe: str) -> str:
    storage.sync([probe], effect="doctor.sync")
    return "files and folders"


def _lock(path: Path, seam: Seam) -> str:
    first, second = FileLease(path, seam), FileLease(path, seam)
    if not first.acquire():
        raise OSError("a free lock cannot be taken")
    try:
        if second.acquire():
            second.release()
            raise OSError("a lock was given twice: two runners would both start; use a local disk")
    finally:
        first.release()
    return "held by one at a time"


def _clock(storage: Storage, probe: str, seam: Seam) -> str:
    """Compare our clock with that of a local disk; an object store refuses requests of a clock that is far off."""
    if not isinstance(storage, LocalStorage):
        return "accepted by the store"
    written_at = datetime.fromtimestamp(os.stat(storage.root / probe).st_mtime, UTC)
    skew_s = abs((seam.now() - written_at).total_seconds())
    if skew_s > _MOST_SKEW_S:
        raise _Doubt(f"{skew_s:.0f} s off the disk's", "set it (timedatectl set-ntp true): times in the logs are wrong")
    return "agrees with the disk's"


def _space(root: Path) -> str:
    place = next(parent for parent in (root, *root.parents) if parent.exists())
    found = os.statvfs(place)
    free = found.f_bavail * found.f_frsize
    if free < _LEAST_FREE_BYTES:
        raise _Doubt(f"{free / 1e9:.1f} GB free", "make room: a batch that finds the disk full fails and is done again")
    return f"{free / 1e9:,.0f} GB free"


def _permissions(folder: Path, checkpoints: Path) -> str:
    """Warn of what others may write: Python files of the project run with our rights."""
    watched = [folder / "etl.yml", folder / "pipelines", folder / "transforms", checkpoints]
    wide = [path for path in watched if path.exists() and stat.S_IMODE(os.stat(path).st_mode) & stat.S_IWOTH]
    if wide:
        names = " ".join(str(path) for path in wide)
        raise _Doubt(f"anybody may write {names}", f"chmod o-w {names}")
    return "nothing is writable by everybody"


def _versions() -> Iterator[Finding]:
    try:
        needed = [text for text in requires(DISTRIBUTION) or [] if "extra ==" not in text]
    except PackageNotFoundError:
        yield Finding("versions", "warning", "not installed as a package", "pip install lakehouse-etl")
        return
    old = [text for text in needed if not _is_met(text)]
    if old:
        yield Finding("versions", "failed", f"needed: {', '.join(old)}", "pip install --upgrade " + DISTRIBUTION)
    else:
        yield Finding("versions", "ok", f"{len(needed)} libraries at or above their lower bounds")


def _is_met(requirement: str) -> bool:
    """Tell whether ``name>=version`` is installed."""
    found = re.match(r"([A-Za-z0-9_.-]+)\s*(?:\[[^\]]*\])?\s*>=\s*([\d.]+)", requirement)
    if found is None:
        return True
    try:
        return _numbers(version(found[1])) >= _numbers(found[2])
    except PackageNotFoundError:
        return False


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
