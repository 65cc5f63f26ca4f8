"""Pipelines in memory, wired the shortest way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from etl.seam import Seam
from etl.storage import LocalStorage
from etl.testing import MemorySink, MemorySource, memory_pipeline


def fed(*units: list[dict[str, Any]], source: MemorySource | None = None) -> MemorySource:
    source = source or MemorySource()
    for unit in units or ([{"id": 1}], [{"id": 2}], [{"id": 3}]):
        source.add(unit)
    return source


def pipeline_in(folder: Path, source: MemorySource, sink: MemorySink, seam: Seam | None = None, **changes: Any) -> Any:
    return memory_pipeline(source, sink, LocalStorage(folder, seam or Seam()), **changes)
