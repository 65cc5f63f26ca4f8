"""The generations of a checkpoint: one for the first run of a pipeline, one more for each full refresh.

The first is ``pipeline.json`` and the records beside it, the n-th ``pipeline.<n>.json`` and the records in the folder
``generation-<n>``. The highest one counts, and says in ``replaces`` whose batches its first batch takes the place of.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from etl.checkpoint.record import Record, TornRecordError, decode_record
from etl.errors import StorageError

if TYPE_CHECKING:
    from etl.storage import Storage

_NAMES = (re.compile(r"pipeline\.(\d+)\.json"), re.compile(r"generation-(\d+)"))


def newest_generation(folder: Storage) -> int:
    """Return the number of the generation that counts, from one listing; 1 where none was begun yet.

    Raises StorageError where the folder cannot be listed.
    """
    try:
        names = folder.list()
    except OSError as exc:
        message = f"cannot be listed: {exc.strerror or exc}"
        raise StorageError(message, where=folder.url, hint="mend the cause and run again") from exc
    matches = (pattern.fullmatch(name) for name in names for pattern in _NAMES)
    return max((int(match[1]) for match in matches if match), default=1)


def records_of(folder: Storage, generation: int) -> Storage:
    """Return where the records of a generation lie."""
    return folder if generation == 1 else folder.at(f"generation-{generation:04d}")


def identity_name(generation: int) -> str:
    """Return the name of a generation's identity."""
    return "pipeline.json" if generation == 1 else f"pipeline.{generation}.json"


def read_identity(folder: Storage, generation: int) -> Record:
    """Return the identity of a generation. Raises FileNotFoundError, CheckpointError."""
    name = identity_name(generation)
    return decode_record(folder.read(name), kind="pipeline", pipeline=None, where=f"{folder.url}/{name}")


def identities(folder: Storage, upto: int) -> dict[int, str]:
    """Return the identities of all generations up to ``upto``, without those that are lost or torn."""
    found = {}
    for generation in range(1, upto + 1):
        with suppress(FileNotFoundError, TornRecordError):
            found[generation] = read_identity(folder, generation).pipeline
    return found
