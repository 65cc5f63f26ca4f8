"""Make ``format_5/``: a project in the middle of a full refresh, whose identity is of format version 5.

Its pipeline merges; the table holds what it was before, one batch lies beside it, and the next is staged. Run it only
while no release has written format version 5: ``python -m tests.golden.make_format_5``.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from etl.errors import StorageError
from etl.operations.refreshing import begin_refresh
from etl.operations.workspace import Workspace
from tests.golden.make_format_1 import FixedSeam
from tests.golden.make_format_3 import go_on, save
from tests.golden.make_format_4 import write

FOLDER = Path(__file__).parent / "format_5"
ORDERS = """\
version: 1
source:
  type: files
  path: orders/*.ndjson
  order: name
  batch: {max_files: 1}
  schema: {id: int64, amount: float64}
transforms:
  - with_columns: {amount: amount * %d}
sink: {type: delta, table: bronze.orders, write_mode: merge, primary_key: [id]}
"""
FILES = {
    "orders/1.ndjson": '{"id": 1, "amount": 1.5}\n{"id": 2, "amount": 2.0}\n',
    "orders/2.ndjson": '{"id": 2, "amount": 4.0}\n{"id": 3, "amount": 8.0}\n',
}


def make(folder: Path) -> None:
    """Run two batches, begin a full refresh, run one batch of it and another until it cannot be written beside."""
    (folder / "pipelines").mkdir()
    (folder / "etl.yml").write_text("version: 1\n", encoding="utf-8")
    declared = folder / "pipelines" / "orders.yml"
    declared.write_text(ORDERS % 1, encoding="utf-8")
    seam = FixedSeam()
    for name, text in FILES.items():
        write(folder, name, text)
    go_on(folder, "orders", seam)
    declared.write_text(ORDERS % 10, encoding="utf-8")
    begin_refresh(Workspace(folder).wired("orders", seam), seam)
    go_on(folder, "orders", seam, max_batches=1)
    seam.full_at = "refresh.commit.write"
    with contextlib.suppress(StorageError):
        go_on(folder, "orders", seam)
    for lock in folder.rglob("lease.lock"):
        lock.unlink()


if __name__ == "__main__":
    save(make, FOLDER)
