"""The note that a failed run leaves beside its checkpoint, for ``etl status``. Losing it loses nothing."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from etl.errors import EtlError
from etl.secrets import mask

if TYPE_CHECKING:
    from etl.seam import Seam
    from etl.storage import Storage

NAME = "last_error.json"
_INTERNAL_HINT = "this is a defect; run again with etl --debug run … for the traceback"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it was when the run ended with it; secrets are masked."""

    failed_at: str
    kind: str
    message: str
    where: str
    hint: str
    exit_code: int


def failure_of(exc: BaseException, failed_at: str) -> Failure:
    """Return an error for people; one that is not ours is called internal."""
    if isinstance(exc, EtlError):
        return Failure(failed_at, type(exc).__name__, mask(exc.message), mask(exc.where), mask(exc.hint), exc.exit_code)
    if isinstance(exc, OSError) and exc.strerror:
        where = "" if exc.filename is None else mask(str(exc.filename))
        return Failure(failed_at, type(exc).__name__, mask(exc.strerror), where, "", 1)
    return Failure(failed_at, type(exc).__name__, f"internal error: {mask(str(exc))}", "", _INTERNAL_HINT, 1)


def record_failure(checkpoint: Storage, exc: BaseException, seam: Seam) -> None:
    """Leave a note of an error. A disk that is full or read-only keeps none: the error itself is what counts."""
    content = json.dumps(asdict(failure_of(exc, seam.now().isoformat())), ensure_ascii=False, indent=1)
    with contextlib.suppress(Exception):
        checkpoint.replace(NAME, content.encode("utf-8", "backslashreplace"), effect="failure.put")


def clear_failure(checkpoint: Storage) -> None:
    """Remove the note. *Repeat*: safe."""
    with contextlib.suppress(OSError):
        if checkpoint.size(NAME) is not None:
            checkpoint.remove(NAME, effect="failure.remove")


def read_failure(checkpoint: Storage) -> Failure | None:
    """Return the error that the newest run ended with, None where it ended well or the note is unreadable."""
    try:
        return Failure(**json.loads(checkpoint.read(NAME)))
    except (FileNotFoundError, ValueError, TypeError):
        return None
