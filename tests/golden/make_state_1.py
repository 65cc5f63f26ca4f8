"""Make ``state_1/``: state of format version 1, with runs, partitions folded twice, tombstones and expired rows.

Run it only while no release has written format version 1: ``python -m tests.golden.make_state_1``.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl

from etl.model import StateRef, as_fields
from etl.seam import Seam
from etl.state.contract import Fingerprint, StateChange, TableLayout
from etl.state.limits import Limits
from etl.state.store import StateStore
from etl.storage import LocalStorage

FOLDER = Path(__file__).parent / "state_1"
MOMENT = pl.Datetime("us", "UTC")
START = datetime(2026, 1, 1, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
MADE_BY = Fingerprint("group_by", {"by": ["country"]}, {"n": "count()"})
LAYOUTS = {
    "counts": TableLayout(
        {"country": pl.String(), "price": pl.Decimal(10, 2)}, {"n": pl.Int64(), "at": MOMENT}, expires="at"
    ),
    "pairs": TableLayout({"id": pl.Int32()}, {"tags": pl.List(pl.String())}, {"side": pl.Int8()}),
}
LIMITS = Limits(part_rows=6, fold_bytes=0, fold_factor=2.0, max_runs=1, small_rows=0)
BATCHES = 5


def changes(batch_id: int) -> dict[str, StateChange]:
    """Return what a batch does to both tables."""
    numbers = range(batch_id * 2, batch_id * 2 + 4)
    counts = pl.DataFrame(
        {
            "country": [None if each == 3 else f"land {each}" for each in numbers],
            "price": [Decimal(each) / 4 for each in numbers],
            "n": [batch_id * 100 + each for each in numbers],
            "at": [None if each % 5 == 4 else START + timedelta(minutes=each) for each in numbers],
        },
        schema=LAYOUTS["counts"].columns,
    )
    pairs = pl.DataFrame(
        {"id": [1, 1, batch_id], "side": [0, 1, 2], "tags": [["a"], None, [f"b{batch_id}", "é"]]},
        schema_overrides={"id": pl.Int32, "side": pl.Int8},
    )
    gone = pl.DataFrame({"id": [batch_id - 2], "side": [2]}, schema={"id": pl.Int32, "side": pl.Int8})
    return {
        "counts": StateChange(put=counts, expire_upto_us=START_US + (batch_id - 2) * 60_000_000),
        "pairs": StateChange(put=pairs, remove=gone),
    }


def make(folder: Path) -> None:
    """Write five versions, and keep the last two."""
    storage = LocalStorage(folder, Seam())
    store = StateStore(storage, Seam(), 1 << 20, LIMITS)
    refs: list[StateRef] = []
    for batch_id in range(BATCHES):
        state = store.open(refs[-1] if refs else None, LAYOUTS, MADE_BY)
        refs.append(store.stage(batch_id, f"{batch_id:032x}", state, changes(batch_id)))
    store.collect(refs[-2:])
    (folder / "refs.json").write_text(json.dumps([as_fields(ref) for ref in refs[-2:]], indent=1) + "\n")


def main() -> None:
    """Make the folder anew."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    make(FOLDER)


if __name__ == "__main__":
    main()
