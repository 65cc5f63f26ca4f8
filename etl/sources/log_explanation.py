"""What is known of a log: what ``etl trace --explain`` and ``etl status`` show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from etl.model import Json
from etl.sources.file_names import to_text
from etl.sources.log_handles import LogHandles
from etl.sources.log_identity import look_at
from etl.sources.log_positions import LogPositions
from etl.sources.log_tail import Tail

if TYPE_CHECKING:
    from etl.sources.log_discovery import LogDiscovery


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the reader is behind in one log: bytes not planned, and seconds since the oldest of them can be told.

    ``behind_s`` is the time since the last write where bytes wait, else 0.
    """

    path: str
    generation: int
    offset: int
    behind_bytes: int
    behind_s: float


def lags(positions: LogPositions, handles: LogHandles, now: datetime) -> list[Lag]:
    """Return the lag of each log that has a name."""
    found = []
    for tail in positions.tails.values():
        if tail.is_skipped or tail.is_gone:
            continue
        status = None if tail.path is None else look_at(handles.whole(tail.path))
        is_it = status is not None and status.identity == tail.identity
        size = status.size_bytes if status is not None and is_it and not tail.is_packed else tail.seen_bytes
        modified_ns = status.modified_ns if status is not None and is_it else tail.modified_ns
        behind = max(0, size - tail.offset)
        behind_s = max(0.0, now.timestamp() - modified_ns / 1e9) if behind else 0.0
        found.append(Lag(tail.path or tail.origin, tail.generation, tail.offset, behind, behind_s))
    return sorted(found, key=lambda lag: (-lag.behind_bytes, lag.path, lag.generation))


def explain(path: str, positions: LogPositions, discovery: LogDiscovery) -> dict[str, Json]:
    """Return the story of one path: what is there now and which logs were ever first seen there."""
    text = to_text(path)
    here = [tail for tail in positions.tails.values() if tail.path == text]
    born = [tail for tail in positions.tails.values() if tail.origin == text]
    told: dict[str, Json] = {"path": text, "is_read": any(not tail.is_skipped for tail in here)}
    if here:
        told |= {"reason": _reason(here[0]), **_identity(here[0])}
    else:
        told["reason"] = discovery.why_not(path)
    told["generations"] = [
        _identity(tail) for tail in sorted(born, key=lambda tail: tail.generation) if not tail.is_skipped
    ]
    told["lost"] = [loss.to_json() for loss in positions.losses if loss.path == text]
    return told


def _identity(tail: Tail) -> dict[str, Json]:
    return {
        "origin": tail.origin,
        "generation": tail.generation,
        "device": tail.device,
        "inode": tail.inode,
        "offset": tail.offset,
        "size_bytes": tail.seen_bytes,
        "fingerprint": tail.mark.head,
        "now_at": tail.path,
    }


def _reason(tail: Tail) -> str:
    if tail.is_skipped:
        return "it was there before the first look and is not read"
    if tail.path != tail.origin:
        return f"was {tail.origin}, and rotated; read up to byte {tail.offset}"
    return f"read up to byte {tail.offset}"
