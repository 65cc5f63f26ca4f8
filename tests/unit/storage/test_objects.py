"""What a store's library raises arrives as an OSError, whatever its own errors are called."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from etl.seam import Seam
from etl.storage import ObjectStorage


class LibraryError(Exception):
    """An error of a client library."""


class Refused(OSError):  # noqa: N818  named as libraries name theirs
    """An error that names the HTTP status that it came from."""

    def __init__(self, status: int) -> None:
        super().__init__(errno.EIO, "refused")
        self.__cause__ = LibraryError()
        self.__cause__.response = {"ResponseMetadata": {"HTTPStatusCode": status}}  # type: ignore[attr-defined]


class Failing:
    """A filesystem whose every call fails."""

    def __init__(self, trouble: Exception) -> None:
        self._trouble = trouble

    def __getattr__(self, name: str) -> Any:
        def fail(*_: object, **__: object) -> None:
            if name != "invalidate_cache":
                raise self._trouble

        return fail


def storage_with(trouble: Exception) -> ObjectStorage:
    return ObjectStorage("s3://b/lake", Failing(trouble), "b/lake", Seam())


@pytest.mark.parametrize(
    ("trouble", "kind", "text"),
    [
        (FileExistsError(errno.EEXIST, "there"), FileExistsError, "there"),
        (FileNotFoundError(errno.ENOENT, "not there"), FileNotFoundError, "not there"),
        (Refused(412), FileExistsError, "refused"),
        (Refused(503), Refused, "refused"),
        (PermissionError(errno.EACCES, "denied"), PermissionError, "denied"),
        (LibraryError("connection lost"), OSError, "LibraryError: connection lost"),
    ],
)
def test_error_of_a_creation_is_an_os_error_that_says_whether_the_record_exists(
    trouble: Exception, kind: type[OSError], text: str
) -> None:
    with pytest.raises(kind, match=text) as caught:
        storage_with(trouble).create("1.json", b"x", effect="e")
    assert isinstance(caught.value, FileExistsError) is (kind is FileExistsError)


def test_error_of_a_read_is_an_os_error() -> None:
    with pytest.raises(OSError, match="LibraryError: connection lost"):
        storage_with(LibraryError("connection lost")).read("1.json")
