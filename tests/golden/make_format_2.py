"""Make ``format_2/``: a checkpoint of format version 2, its tables and its input, with fixed ids and time.

Run it only while no release has written format version 2: ``python -m tests.golden.make_format_2``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
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
from etl.sinks.quarantine import ROLE, Quarantine
from etl.sources.contract import SourceSite
from etl.sources.file_options import FileOptions
from etl.sources.files import FileSource
from etl.storage import LocalStorage
from etl.testing import memory_pipeline
from etl.transforms.expectations import ExpectationOptions, Expectations
from tests.golden.make_format_1 import FixedSeam

T = TypeVar("T")
FOLDER = Path(__file__).parent / "format_2"
FILES = {
    "1.ndjson": '{"id": 1, "kind": "a b/é", "amount": 1.5}\n{"id": 2, "kind": null, "amount": -2.0}\n',
    "2.ndjson": '{"id": 3, "kind": "a b/é", "amount": 2.5, "note": {"by": "x"}}\n',
    "3.ndjson": '{"id": 4, "kind": "c", "amount": 3.5}\n{"id": 5, "kind": "ü", "amount": -0.5}\n',
}


class EndingSeam(FixedSeam):
    """A seam on which the disk is full for the commit of the table, after that of the quarantine."""

    commits_left: int | None = None

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        """Carry out ``act``, unless the disk is full for it."""
        if name == "table.commit.write" and self.commits_left is not None:
            self.full_at = "" if self.commits_left else name
            self.commits_left -= 1
        return super().effect(name, act, torn)


def pipeline(folder: Path, seam: Seam) -> Pipeline:
    """Return the pipeline whose checkpoint and tables lie in ``folder``."""
    checkpoint = LocalStorage(folder / "checkpoint", seam)
    options = FileOptions(path="in/*.ndjson", identity="path", order="name")
    source = FileSource(options, None, SourceSite("source", folder, checkpoint.at("sources/source"), seam))
    return memory_pipeline(
        source,
        _table(folder / "table", seam, "main", ["kind"]),
        checkpoint,
        system=PROVENANCE_COLUMNS,
        expectations=Expectations(
            [
                ExpectationOptions(name="paid", check="amount >= 0"),
                ExpectationOptions(name="small", check="amount < 3", otherwise="warn"),
            ]
        ),
        quarantine=Quarantine(_table(folder / "quarantine", seam, ROLE, [])),
    )


def _table(root: Path, seam: Seam, role: str, partition_by: list[str]) -> DeltaSink:
    site = SinkSite(root.name, str(root), LocalStorage(root, seam), seam, {}, PROVENANCE_COLUMNS, role)
    return DeltaSink(DeltaOptions(path=str(root), partition_by=partition_by), site)


def make(folder: Path) -> None:
    """Run two batches to their ends, and a third until its quarantine is committed: what a start must recover."""
    (folder / "in").mkdir(parents=True)
    for name, text in FILES.items():
        path = folder / "in" / name
        path.write_text(text, encoding="utf-8")
        os.utime(path, (1_700_000_000, 1_700_000_000))
    seam = EndingSeam()
    run(pipeline(folder, seam), seam, Silent(), Bounds(max_batches=2))
    seam.commits_left = 1
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
