"""Why a file was read, or was not: what ``etl trace --explain`` shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from etl.model import Json
from etl.sources.file_discovery import FoundFile
from etl.sources.file_ledger import BEFORE_START, FileLedger
from etl.sources.file_listing import FileListing
from etl.sources.file_names import to_text
from etl.sources.file_selection import FileSelection

Twin: TypeAlias = Callable[[FoundFile], "str | None"]
"""Gives the file that was read with the same content, None where there is none or content does not count."""


def explain(
    path: str, listing: FileListing, selection: FileSelection, ledger: FileLedger, twin: Twin
) -> dict[str, Json]:
    """Return the story of one path: ``path``, ``is_read``, ``reason``, and ``batch_id`` where one settled it."""
    told: dict[str, Json] = {"path": to_text(path)}
    if (origin := ledger.origin(path)) is not None:
        batch_id, same_as = origin
        told |= _settled(batch_id, same_as)
        found = listing.look(path)
        version = ledger.version(path)
        if version is not None and not isinstance(found, str) and not version.is_same(found):
            told["reason"] = f"{told['reason']}; it has changed since"
        return told
    return {**told, "is_read": False, "reason": _unread(path, listing, selection, twin)}


def _settled(batch_id: int, same_as: str | None) -> dict[str, Json]:
    if batch_id == BEFORE_START:
        return {"is_read": False, "reason": "it was there before the first look, and `start` is `now`"}
    if same_as is not None:
        return {"is_read": False, "reason": f"the same content as {same_as}", "batch_id": batch_id}
    return {"is_read": True, "reason": f"known since batch {batch_id}", "batch_id": batch_id}


def _unread(path: str, listing: FileListing, selection: FileSelection, twin: Twin) -> str:
    found = listing.look(path)
    if isinstance(found, str):
        return found
    if (same_as := twin(found)) is not None:
        return f"the same content as {same_as}"
    if wait_s := selection.wait_s(found):
        return f"not stable yet: must stay as it is for {wait_s:.1f} s more"
    return "waiting: a coming batch reads it"
