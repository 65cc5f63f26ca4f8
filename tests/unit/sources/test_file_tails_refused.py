"""``on_change: append_tail`` refuses what is no tail, with the reason."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import polars as pl
import pytest

from etl.errors import SourceChangedError, SourceError
from etl.sources.file_tails import PROOF_BYTES
from tests.landing import Landing, planned

GROWING = {"identity": "path_and_version", "on_change": "append_tail"}


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (b'{"id": 1}\n', b'{"id": 2}\n{"id": 3}\n', "has other bytes in the part that was read"),
        (b'{"id": 1}\n', b'{"id": 9}\n', "has other bytes in the part that was read"),
        (b'{"id": 1}\n{"id": 2}\n', b'{"id": 1}\n', "is shorter than when it was read: 10 bytes, 20 then"),
        (b'{"id": 1}', b'{"id": 1}\n{"id": 2}\n', "goes on in a line that was read as a row: it had no line end then"),
        (gzip.compress(b'{"id": 1}\n'), gzip.compress(b'{"id": 1}\n') * 2, "compressed files cannot be read from"),
        (b"\xff\xfe1\0\n", b"\xff\xfe1\0\n\x002\0\n", "UTF-16 cannot be read from its middle on"),
    ],
    ids=["first part", "equal size", "shorter", "unfinished line", "gzip", "UTF-16"],
)
def test_a_file_that_has_changed_otherwise_is_refused_with_the_way_out(
    landing: Landing, before: bytes, after: bytes, reason: str
) -> None:
    landing.put_bytes("a.ndjson", before, modified_s=100)
    walk = landing.run(**GROWING)
    assert walk.take() == ["in/a.ndjson"]
    landing.put_bytes("a.ndjson", after, modified_s=200)
    with pytest.raises(SourceError, match=reason) as caught:
        walk.take()
    assert caught.value.where == "in/a.ndjson"
    assert "on_change: replace_rows" in caught.value.hint


def test_a_parquet_file_that_has_grown_is_refused(landing: Landing) -> None:
    path = landing.root / "in" / "a.parquet"
    pl.DataFrame({"id": [1]}).write_parquet(path)
    walk = landing.run(**GROWING, format=None)
    walk.take()
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(SourceError, match="parquet files cannot be read from their middle on"):
        walk.take()


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({}, b'id,note\n1,"open\n'),
        ({"escape": "\\"}, b'id,note\n1,"a \\" quote, still open\n'),
    ],
    ids=["quoted", "escaped"],
)
def test_a_csv_file_that_ended_in_a_quoted_field_is_refused(
    landing: Landing, grow: Callable[[str, bytes], None], options: dict[str, str], first: bytes
) -> None:
    landing.put_bytes("a.csv", first)
    walk = landing.run(**GROWING, format="csv", format_options=options)
    walk.take()
    grow("a.csv", b'end"\n2,b\n')
    with pytest.raises(SourceError, match="goes on in a quoted field"):
        walk.take()


def test_a_change_near_either_end_of_the_part_that_was_read_is_seen(landing: Landing) -> None:
    lines = [json.dumps({"id": number}).encode() + b"\n" for number in range(100_000, 125_000)]
    content = b"".join(lines)
    assert len(content) > 5 * PROOF_BYTES
    width = len(lines[0])
    for line in (0, PROOF_BYTES // width - 1, len(lines) - PROOF_BYTES // width, len(lines) - 1):
        landing.put_bytes("a.ndjson", content, modified_s=100)
        walk = landing.run(**GROWING)
        walk.take()
        changed = b"".join([*lines[:line], lines[line].replace(b"1", b"7", 1), *lines[line + 1 :]])
        landing.put_bytes("a.ndjson", changed + lines[0], modified_s=200)
        with pytest.raises(SourceError, match="other bytes"):
            walk.take()


def test_a_file_that_is_written_anew_after_the_plan_is_refused(
    landing: Landing, grow: Callable[[str, bytes], None]
) -> None:
    landing.put("a.ndjson", 1)
    walk = landing.run(**GROWING)
    walk.take()
    grow("a.ndjson", b'{"id": 2}\n')
    plan = planned(walk)
    landing.put("a.ndjson", 7, 8, 9)
    with pytest.raises(SourceError, match="other bytes"):
        walk.source.refresh(plan, SourceChangedError("in/a.ndjson", "changed"))


def test_a_file_read_before_tails_were_asked_for_is_refused_once_it_grows(
    landing: Landing, grow: Callable[[str, bytes], None]
) -> None:
    landing.put("a.ndjson", 1)
    walk = landing.run(identity="path_and_version")
    walk.take()
    grow("a.ndjson", b'{"id": 2}\n')
    walk.restart(on_change="append_tail")
    with pytest.raises(SourceError, match="nothing was kept to prove its first part by"):
        walk.take()
