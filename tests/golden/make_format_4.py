"""Make ``format_4/``: a project whose checkpoint is of format version 4, with fixed ids and time.

Its pipeline has two sinks; a file was read again after it was changed, and the newest
batch is in one of the two tables only. Run it only while no release has written format version 4:
``python -m tests.golden.make_format_4``.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from etl.errors import StorageError
from etl.operations.backfilling import backfill
from etl.operations.choosing import Wish
from etl.operations.quarantining import Listening
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.sources.file_choosing import Choice
from tests.golden.make_format_2 import EndingSeam
from tests.golden.make_format_3 import go_on, save

FOLDER = Path(__file__).parent / "format_4"
ORDERS = """\
version: 1
source:
  type: files
  path: orders/*.ndjson
  order: name
  batch: {max_files: 1}
  schema: {id: int64, customer: string, amount: float64}
sinks:
  - {type: delta, table: bronze.orders}
  - {type: delta, name: slim, table: silver.amounts, columns: [id, amount]}
"""
FILES = {
    "orders/1.ndjson": '{"id": 1, "customer": "a", "amount": 1.5}\n{"id": 2, "customer": "b", "amount": 2.0}\n',
    "orders/2.ndjson": '{"id": 3, "customer": "b", "amount": 4.0}\n{"id": "x"}\n',
    "orders/3.ndjson": '{"id": 4, "customer": "c", "amount": 8.0}\n',
}
CHANGED = '{"id": 1, "customer": "a", "amount": 1.75}\n{"id": 2, "customer": "b", "amount": 2.0}\n'


def write(folder: Path, name: str, text: str) -> None:
    """Put a file where the pipeline looks."""
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (1_700_000_000, 1_700_000_000))


def make(folder: Path) -> None:
    """Run two batches, read a changed file again, and run one more until its second table cannot be written."""
    (folder / "pipelines").mkdir()
    (folder / "etl.yml").write_text("version: 1\n", encoding="utf-8")
    (folder / "pipelines" / "orders.yml").write_text(ORDERS, encoding="utf-8")
    seam = EndingSeam()
    for name in ("orders/1.ndjson", "orders/2.ndjson"):
        write(folder, name, FILES[name])
    go_on(folder, "orders", seam)
    write(folder, "orders/1.ndjson", CHANGED)
    backfill(
        Workspace(folder), "orders", Wish(Choice(("orders/1.ndjson",)), "orders/1.ndjson"), Listening(seam, Silent())
    )
    write(folder, "orders/3.ndjson", FILES["orders/3.ndjson"])
    seam.commits_left = 1
    with contextlib.suppress(StorageError):
        go_on(folder, "orders", seam)
    for lock in folder.rglob("lease.lock"):
        lock.unlink()


if __name__ == "__main__":
    save(make, FOLDER)
