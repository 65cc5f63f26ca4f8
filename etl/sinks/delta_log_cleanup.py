"""Entries of a Delta table's log that no reader needs any more.

*Source*: Delta protocol, "Metadata Cleanup": what is kept begins with a checkpoint, and is whole from there on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from etl.sinks.delta_log import Head
    from etl.sinks.delta_past import TablePast

_LOG = "_delta_log"
_COMMIT = re.compile(r"(\d{20})\.(json|crc)")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")
_ANY_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\..+")


def old_entries(past: TablePast, head: Head, floor: int | None, cutoff: datetime) -> list[str]:
    """Return the entries before the newest checkpoint that is older than ``cutoff``, the oldest first.

    ``floor`` is the oldest version that a reader may still ask for, None for none: it stays, and what it is made from.
    """
    if "v2Checkpoint" in (head.protocol.get("writerFeatures") or ()):
        return []  # its checkpoints have parts in a folder of their own
    names = past.storage.list(_LOG)
    start = _start(past, names, head.version if floor is None else min(floor, head.version), cutoff)
    if start is None:
        return []
    found = []
    for name in names:
        match = _COMMIT.fullmatch(name) or _ANY_CHECKPOINT.fullmatch(name)
        if match and int(match[1]) < start:
            found.append(f"{_LOG}/{name}")
    return found


def _start(past: TablePast, names: list[str], floor: int, cutoff: datetime) -> int | None:
    """Return the version of the newest checkpoint that is old enough, None where there is none."""
    cutoff_ms = cutoff.timestamp() * 1000
    for match in filter(None, map(_CHECKPOINT.fullmatch, reversed(names))):
        version = int(match[1])
        if version > floor:
            continue
        try:
            at_ms = past.version(version).at_ms
        except FileNotFoundError:
            return None
        if at_ms is not None and at_ms < cutoff_ms:
            return version
    return None
