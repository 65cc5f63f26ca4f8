"""Make ``format_3/``: a project whose checkpoint is of format version 3, with fixed ids and time.

It remembers things: several sources, one of which was taken away, event time, a static table, duplicates, windows,
late rows, rejected rows. Run it only while no release has written format version 3:
``python -m tests.golden.make_format_3``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from etl.engine import run
from etl.errors import StorageError
from etl.model import Bounds
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from tests.golden.make_format_2 import EndingSeam

FOLDER = Path(__file__).parent / "format_3"
USERS = """\
version: 1
source: {type: files, path: users/*.ndjson, order: name}
sink: {type: delta, table: ref.users, provenance: false}
"""
OLD = """\
  old:
    type: files
    path: old/*.ndjson
    order: name
    transforms: [{cast: {at: timestamp(UTC)}}, {watermark: {column: at}}]
"""
EVENTS = """\
version: 1
sources:
  events:
    type: files
    path: events/*.ndjson
    order: name
    batch: {max_files: 1}
    schema: {id: int64, user: string, at: timestamp(UTC), amount: float64}
    transforms: [{watermark: {column: at, delay: 10m}}]
  refunds:
    type: files
    path: refunds/*.csv
    order: name
    batch: {max_files: 1}
    transforms:
      - cast: {id: int64, at: timestamp(UTC), amount: float64}
      - watermark: {column: at, delay: 10m, idle_timeout: 1h}
"""
TRANSFORMS = """\
transforms:
  - union: {with: [refunds]}
  - deduplicate: {keys: [id]}
  - join: {table: ref.users, on: user, columns: [country]}
  - group_by:
      by: [country]
      window: {column: at, every: 15m}
      aggregate: {n: COUNT(*), total: SUM(amount), users: COUNT(DISTINCT user)}
sink: {type: delta, table: gold.spent}
"""
WITH_OLD = EVENTS + OLD + TRANSFORMS.replace("with: [refunds]", "with: [refunds, old]")
FILES = {
    "users/1.ndjson": '{"user": "a", "country": "DE"}\n{"user": "b", "country": "FR"}\n',
    "events/1.ndjson": (
        '{"id": 1, "user": "a", "at": "2025-12-31T10:01:00Z", "amount": 1.5}\n'
        '{"id": 2, "user": "b", "at": "2025-12-31T09:58:00Z", "amount": 2.0}\n'
        '{"id": 3, "user": "a", "at": "2025-12-31T10:26:00Z", "amount": 4.0}\n'
        '{"id": "x"}\n'
    ),
    "refunds/1.csv": 'id,user,at,amount\n4,a,2025-12-31T10:12:00Z,-1.0\n5,b,2025-12-31T10:25:00Z,-0.5\n6,"b\n',
    "old/1.ndjson": '{"id": 7, "user": "b", "at": "2025-12-31T10:27:00Z", "amount": 8.0}\n',
    "events/2.ndjson": (
        '{"id": 3, "user": "a", "at": "2025-12-31T10:26:00Z", "amount": 4.0}\n'
        '{"id": 8, "user": "c", "at": "2025-12-31T10:21:00Z", "amount": 16.0}\n'
        '{"id": 9, "user": "a", "at": "2025-12-31T09:50:00Z", "amount": 32.0}\n'
    ),
    "events/3.ndjson": (
        '{"id": 10, "user": "a", "at": "2025-12-31T10:59:00Z", "amount": 64.0}\n'
        '{"id": 11, "user": "b", "at": "2025-12-31T10:15:00Z", "amount": 128.0}\n'
    ),
    "refunds/2.csv": "id,user,at,amount\n12,a,2025-12-31T10:50:00Z,-2.0\n",
}
"""Out of order, one row twice, one that its column cannot hold, a torn one, two behind the watermark."""


def write(folder: Path, *names: str) -> None:
    """Put files of the input where the pipelines look."""
    for name in names:
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(FILES[name], encoding="utf-8")
        os.utime(path, (1_700_000_000, 1_700_000_000))


def declare(folder: Path, text: str) -> None:
    """Write the pipeline file of the events."""
    (folder / "pipelines" / "events.yml").write_text(text, encoding="utf-8")


def go_on(folder: Path, name: str, seam: Seam, max_batches: int | None = None) -> None:
    """Run one pipeline of the folder."""
    run(Workspace(folder).wired(name, seam), seam, Silent(), Bounds(max_batches=max_batches))


def make(folder: Path) -> None:
    """Run two batches to their ends, and a third until its late table is committed: what a start must recover."""
    (folder / "pipelines").mkdir()
    (folder / "etl.yml").write_text("version: 1\n", encoding="utf-8")
    (folder / "pipelines" / "users.yml").write_text(USERS, encoding="utf-8")
    seam = EndingSeam()
    write(folder, "users/1.ndjson")
    go_on(folder, "users", seam)
    declare(folder, WITH_OLD)
    write(folder, "events/1.ndjson", "refunds/1.csv", "old/1.ndjson")
    go_on(folder, "events", seam)
    declare(folder, EVENTS + TRANSFORMS)
    write(folder, "events/2.ndjson")
    go_on(folder, "events", seam)
    write(folder, "events/3.ndjson", "refunds/2.csv")
    seam.commits_left = 1
    with contextlib.suppress(StorageError):
        go_on(folder, "events", seam)
    for lock in folder.rglob("lease.lock"):
        lock.unlink()


def save(make: Callable[[Path], None], folder: Path) -> None:
    """Make a golden folder anew, as on any machine and in any process."""
    socket.gethostname = lambda: "host"
    os.getpid = lambda: 1
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        make(made)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(made, folder)


if __name__ == "__main__":
    save(make, FOLDER)
