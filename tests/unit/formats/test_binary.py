"""Binary: a row a file."""

from __future__ import annotations

import gzip
import io

import pytest

from etl.errors import UnreadableFileError
from etl.formats import FileOpener
from tests.unit.formats.files import read, survey


@pytest.mark.parametrize("content", [b"", b"\x00\xff\r\n", gzip.compress(b"x")], ids=["empty", "bytes", "compressed"])
def test_file_is_one_row_of_its_own_bytes(content: bytes) -> None:
    assert survey("binary", content).schema == {"content": "binary"}
    assert read("binary", content, {"content": "binary"}).rows == [(content, 0)]


def test_file_beyond_the_bound_is_unreadable() -> None:
    class Endless(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return bytes(size or 0)

    with pytest.raises(UnreadableFileError, match=r"^in/f: it is larger than 256000000 bytes"):
        read("binary", FileOpener("in/f", 10, Endless), {"content": "binary"})
