"""Batches of which some give the table nothing, in a process whose children die, or fail, at a given effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from etl.pipeline import Pipeline
from etl.seam import Seam
from etl.storage import LocalStorage
from etl.testing import MemorySource
from etl.transforms.contract import TransformSite
from etl.transforms.filter import Filter, FilterOptions
from tests.faults import crash_lab

BATCHES: list[list[dict[str, Any]]] = [
    [{"id": 1, "kind": "a", "amount": 1.0}],
    [{"id": 2, "kind": "z", "amount": 2.0}],
    [{"id": 3, "kind": "a", "amount": -3.0}],
    [{"id": 4, "kind": "z", "amount": 4.0}],
    [{"id": 5, "kind": "b", "amount": 5.0}, {"id": 6, "kind": "a", "amount": -6.0}],
    [{"id": 7, "kind": "a", "amount": -7.0}],
]
"""Amounts below 0 are filtered, kind z is refused: the first and the fifth batch give the table rows."""


def idle(folder: Path, seam: Seam) -> Pipeline:
    """Return the batches into ``folder/table``, what is refused into ``folder/quarantine``."""
    source = MemorySource()
    for rows in BATCHES:
        source.add(rows)
    own = Filter(FilterOptions("amount >= 0"), TransformSite(folder, 0))
    checkpoint = LocalStorage(folder / "checkpoint", seam)
    return crash_lab.watched_pipeline(folder, seam, source, checkpoint, transforms=(own,))


if __name__ == "__main__":
    crash_lab.PIPELINES["idle"] = idle
    crash_lab.main()
