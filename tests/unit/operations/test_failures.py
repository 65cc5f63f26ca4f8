from __future__ import annotations

from pathlib import Path

import pytest

from etl.errors import SinkError
from etl.operations.failures import NAME, Failure, clear_failure, failure_of, read_failure, record_failure
from etl.secrets import register_secret
from etl.storage import LocalStorage
from etl.testing import FailingSeam, ManualClock

AT = "2026-01-01T00:00:00+00:00"


def test_a_note_comes_back_as_it_was_written(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, ManualClock())

    record_failure(storage, SinkError("no room", where="silver.orders", hint="make room"), ManualClock())

    assert read_failure(storage) == Failure(AT, "SinkError", "no room", "silver.orders", "make room", 1)


def test_secrets_are_masked_in_a_note(tmp_path: Path) -> None:
    register_secret("hunter-2-canary")
    storage = LocalStorage(tmp_path, ManualClock())

    record_failure(storage, SinkError("denied for hunter-2-canary", where="s3://hunter-2-canary/x"), ManualClock())

    assert b"canary" not in (tmp_path / NAME).read_bytes()


def test_an_error_that_is_not_ours_is_called_internal() -> None:
    assert failure_of(ValueError("x"), AT).message == "internal error: x"
    assert failure_of(OSError(28, "No space left on device", "/lake/x"), AT) == Failure(
        AT, "OSError", "No space left on device", "/lake/x", "", 1
    )


def test_a_disk_that_takes_no_note_does_not_hide_the_error(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, FailingSeam("failure.put.write", "full"))

    record_failure(storage, SinkError("no room"), ManualClock())

    assert read_failure(storage) is None


def test_clearing_is_safe_to_repeat(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, ManualClock())
    record_failure(storage, SinkError("no room"), ManualClock())

    clear_failure(storage)
    clear_failure(storage)

    assert read_failure(storage) is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"kind": 1}', b"\xff"])
def test_an_unreadable_note_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(content)

    assert read_failure(LocalStorage(tmp_path, ManualClock())) is None
