"""Make ``format_1/``: a checkpoint of format version 1, its table and its input, with fixed ids and time.

Run it only while no release has written format version 1: ``python -m tests.golden.make_format_1``.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from etl.engine import run
from etl.errors import StorageError
from etl.model import PROVENANCE_COLUMNS, Bounds
from etl.pipeline import Pipeline
from etl.progress import Silent
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.delta import DeltaSink
from etl.sinks.delta_options import DeltaOptions
from etl.sources.contract import SourceSite
from etl.sources.file_options import FileOptions
from etl.sources.files import FileSource
from etl.storage import LocalStorage
from etl.testing import memory_pipeline

T = TypeVar("T")
FOLDER = Path(__file__).parent / "format_1"
FILES = {
    "1.ndjson": '{"id": 1, "kind": "a b/é", "amount": 1.5}\n{"id": 2, "kind": null, "amount": null}\n',
    "2.ndjson": '{"id": 3, "kind": "a b/é", "amount": 2.5, "note": {"by": "x"}}\n',
    "3.ndjson": '{"id": 4, "kind": "c", "amount": 3.5}\n',
}


class FixedSeam(Seam):
    """A seam whose time moves a second at each look and whose ids count; the disk is full for effect ``full_at``."""

    full_at = ""

    def __init__(self) -> None:
        self._moments = itertools.count()
        self._ids = itertools.count(1)

    def now(self) -> datetime:
        """Return the next second of the first hour of 2026."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(self._moments))

    def monotonic(self) -> float:
        """Return zero."""
        return 0.0

    def new_id(self) -> str:
        """Return the next number, as 16 digits and again."""
        return f"{next(self._ids):016x}" * 2

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        """Carry out ``act``, unless the disk is full for it."""
        if name == self.full_at:
            raise OSError(errno.ENOSPC, "no space left on device")
        return act()


def pipeline(folder: Path, seam: Seam) -> Pipeline:
    """Return the pipeline whose checkpoint and table lie in ``folder``."""
    checkpoint = LocalStorage(folder / "checkpoint", seam)
    source = FileSource(
        FileOptions(path="in/*.ndjson", identity="path", order="name"),
        None,
        SourceSite("source", folder, checkpoint.at("sources/source"), seam),
    )
    table = folder / "table"
    site = SinkSite("table", str(table), LocalStorage(table, seam), seam, provenance=PROVENANCE_COLUMNS)
    sink = DeltaSink(DeltaOptions(path=str(table), partition_by=["kind"]), site)
    return memory_pipeline(source, sink, checkpoint, system=PROVENANCE_COLUMNS)


def make(folder: Path) -> None:
    """Run two batches to their ends, and a third up to its manifest: what a start must recover."""
    (folder / "in").mkdir(parents=True)
    for name, text in FILES.items():
        path = folder / "in" / name
        path.write_text(text, encoding="utf-8")
        os.utime(path, (1_700_000_000, 1_700_000_000))
    seam = FixedSeam()
    run(pipeline(folder, seam), seam, Silent(), Bounds(max_batches=2))
    seam.full_at = "table.commit.write"
    with contextlib.suppress(StorageError):
        run(pipeline(folder, seam), seam, Silent())
    (folder / "checkpoint" / "lease.lock").unlink()


def main() -> None:
    """Make the folder anew."""
    socket.gethostname = lambda: "host"
    os.getpid = lambda: 1
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "made"
        make(made)
        shutil.rmtree(FOLDER, ignore_errors=True)
        shutil.copytree(made, FOLDER)


if __name__ == "__main__":
    main()
