"""The only way a record appears: created if absent, and read back after any error."""

from __future__ import annotations

from etl.errors import EtlError, RecordExistsError, StorageError, UnknownOutcomeError
from etl.seam import Seam
from etl.storage.contract import Storage

_TRIES = 6


def put_if_absent(storage: Storage, path: str, content: bytes, *, effect: str, seam: Seam) -> None:
    """Publish ``content`` under ``path``, unless another record has the name.

    ``content`` must hold a nonce: after any error, or the answer "exists", the record is read back and equal bytes
    are ours. *Repeat*: safe. Raises RecordExistsError (with what is there) and UnknownOutcomeError.
    """
    attempt = 0
    while True:
        try:
            storage.create(path, content, effect=effect)
        except Exception as exc:
            if _is_ours(storage, path, content, seam):
                return
            if attempt == _TRIES - 1 or not _is_worth_repeating(exc):
                raise StorageError(f"cannot be written: {exc}", where=f"{storage.url}/{path}") from exc
            seam.sleep(0.05 * 2**attempt)
            attempt += 1
        else:
            return


def _is_ours(storage: Storage, path: str, content: bytes, seam: Seam) -> bool:
    """Return True when our record is there, False when none is. Raises RecordExistsError, UnknownOutcomeError."""
    trouble: Exception | None = None
    for attempt in range(_TRIES):
        try:
            found = storage.read(path)
        except FileNotFoundError:
            return False
        except Exception as exc:  # noqa: BLE001  client libraries have errors of their own; unreadable is unknown
            trouble = exc
            seam.sleep(0.05 * 2**attempt)
            continue
        if found == content:
            return True
        raise RecordExistsError(path, found)
    raise UnknownOutcomeError(
        "written, but the answer was lost and it cannot be read back", where=f"{storage.url}/{path}"
    ) from trouble


def _is_worth_repeating(exc: Exception) -> bool:
    """Tell whether the same write may succeed in a moment: not when the disk is full or forbids it."""
    if isinstance(exc, EtlError):
        return False
    return (
        not isinstance(exc, OSError)
        or exc.errno in (None, 5, 11, 16)
        or isinstance(exc, FileExistsError | TimeoutError)
    )
