"""The record of a project's service, in the lake: that it is the only one, when it was last there, what is paused."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from etl.checkpoint.folder import choose_lease
from etl.errors import LeaseHeldError
from etl.project import CHECKPOINTS
from etl.storage import open_storage

if TYPE_CHECKING:
    from etl.project import Project
    from etl.seam import Seam

FOLDER = "_service"  # no pipeline has a name that begins so
NAME = "service.json"


@dataclass(frozen=True, slots=True)
class Before:
    """What an earlier service left behind: when it was last there, and which pipelines a person paused, and why."""

    alive_at: datetime | None = None
    paused: Mapping[str, str] = field(default_factory=dict)


class ServiceRecord:
    """The record of one project. Losing it loses pauses, and the count of ticks that were missed; no row."""

    def __init__(self, project: Project, seam: Seam) -> None:
        self._storage = open_storage(f"{project.lake}/{CHECKPOINTS}/{FOLDER}", seam, project.storage_options)
        self._seam = seam

    @contextmanager
    def claimed(self) -> Iterator[Before]:
        """Be the service of the project for the length of the block. Raises LeaseHeldError, telling who is."""
        lease = choose_lease(self._storage, self._seam)
        if not lease.acquire():
            raise LeaseHeldError(
                f"another service runs this project{self._holder()}",
                where=self._storage.url,
                hint="end it first; nothing was changed",
            )
        try:
            yield self._before()
        finally:
            lease.release()

    def keep(self, paused: Mapping[str, str]) -> None:
        """Write that the service is there. *Repeat*: safe."""
        content = {
            "alive_at": self._seam.now().isoformat(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "paused": dict(paused),
        }
        self._storage.replace(NAME, json.dumps(content, indent=1).encode(), effect="service.put")

    def _read(self) -> dict[str, Any]:
        """Return the record, empty where there is none that can be read."""
        with suppress(FileNotFoundError, ValueError):
            found = json.loads(self._storage.read(NAME))
            if isinstance(found, dict):
                return found
        return {}

    def _before(self) -> Before:
        found = self._read()
        try:
            return Before(
                datetime.fromisoformat(found["alive_at"]), {str(k): str(v) for k, v in found["paused"].items()}
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return Before()

    def _holder(self) -> str:
        found = self._read()
        return f": process {found['pid']} on {found['host']}" if {"pid", "host"} <= found.keys() else ""
