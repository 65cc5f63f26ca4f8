"""What the pipelines of a project need of this machine: their packages, time zones, sources and tables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from etl.config.loader import load_pipelines
from etl.errors import EtlError
from etl.operations.doctor import DISTRIBUTION, Finding
from etl.operations.looking import Onlooker
from etl.operations.status import status_of

if TYPE_CHECKING:
    from etl.config.specification import PipelineSpec
    from etl.operations.status import Status
    from etl.operations.workspace import Workspace

_LEAST_OPEN_FILES = 256
_TRIED_ZONE = "America/Sao_Paulo"  # one that lives in the data alone


def examine_project(workspace: Workspace) -> Iterator[Finding]:
    """Check what pipelines rest on, then each pipeline: its file, its source, its table. Changes nothing."""
    yield _extras()
    yield _time_zones()
    yield _open_files()
    try:
        specs = load_pipelines(workspace.project)
    except EtlError as exc:
        yield Finding("pipelines", "failed", str(exc), "mend the files; etl validate lists every fault")
        return
    for spec in specs:
        yield _pipeline(workspace, spec)


def _extras() -> Finding:
    """Tell which optional features are installed."""
    try:
        known, needed = metadata(DISTRIBUTION).get_all("Provides-Extra") or [], requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return Finding("extras", "warning", "not installed as a package", f"pip install {DISTRIBUTION}")
    there = [extra for extra in known if extra != "dev" and _is_installed(extra, needed)]
    lacking = [extra for extra in known if extra != "dev" and extra not in there]
    parts = [f"installed: {', '.join(sorted(there))}" if there else "", f"not: {', '.join(sorted(lacking))}"]
    return Finding("extras", "ok", "; ".join(part for part in parts if part not in ("", "not: ")))


def _is_installed(extra: str, needed: list[str]) -> bool:
    """Tell whether every package of an extra is there."""
    for text in needed:
        if not re.search(rf"extra == ['\"]{re.escape(extra)}['\"]", text):
            continue
        try:
            version(re.split(r"[^A-Za-z0-9_.-]", text, maxsplit=1)[0])
        except PackageNotFoundError:
            return False
    return True


def _time_zones() -> Finding:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(_TRIED_ZONE)
    except ZoneInfoNotFoundError:
        return Finding("time zones", "warning", "no data of time zones on this machine", "pip install tzdata")
    return Finding("time zones", "ok", "their data is there")


def _open_files() -> Finding:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < _LEAST_OPEN_FILES:
        return Finding("open files", "warning", f"at most {soft}", "raise it: ulimit -n 4096")
    return Finding("open files", "ok", "unlimited" if soft < 0 else f"at most {soft}")


def _pipeline(workspace: Workspace, spec: PipelineSpec) -> Finding:
    """Look at a pipeline as its next run would; whatever that raises is a failure of it."""
    check = f"pipeline {spec.name}"
    try:
        seam = Onlooker()
        status = status_of(workspace.wired(spec.name, seam), seam)
    except Exception as exc:  # noqa: BLE001  any error of any store or package
        step = exc.hint if isinstance(exc, EtlError) else ""
        return Finding(check, "failed", f"{exc}".splitlines()[0], step or "etl validate")
    if status.state in ("refused", "unknown"):
        error = status.last_error
        text = status.note or (error.message if error else status.state)
        return Finding(check, "failed", text, (error.hint if error else "") or f"etl status {spec.name}")
    closed = _closed(spec)
    if closed:
        return Finding(check, "failed", f"{closed} may not be written", f"chown or chmod u+w {closed}")
    if status.state == "failed":
        return Finding(check, "warning", "the newest run failed", f"etl status {spec.name}")
    return Finding(check, "ok", _told(status))


def _closed(spec: PipelineSpec) -> str:
    """Return the first local folder of its tables that is not ours to write, nothing where all are."""
    for _, url in spec.tables.values():
        path = Path(url.removeprefix("file://"))
        if "://" in str(url.removeprefix("file://")):
            continue
        place = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
        if not os.access(place, os.W_OK):
            return str(place)
    return ""


def _told(status: Status) -> str:
    return f"its source can be read and {status.table} written: {status.state}"
