"""Rows that are set aside, on their way to the quarantine."""

from __future__ import annotations

import threading

import polars as pl
import pytest

from etl.rejects import RejectedRows, reject_schema, rejects

NAMES = ["raw", "form", "context", "_source_file", "_source_offset", "line", "rule", "reason"]


def test_rejects_have_every_column_and_are_text_unless_said_otherwise() -> None:
    frame = rejects([{"raw": b"{x", "_source_offset": 7, "rule": "syntax", "reason": "cut"}, {"form": "file"}])
    assert frame.schema == pl.Schema(reject_schema())
    assert frame.columns == NAMES
    assert frame.rows() == [
        (b"{x", "text", None, None, 7, None, "syntax", "cut"),
        (None, "file", None, None, None, None, None, None),
    ]


def test_no_rejects_still_have_columns() -> None:
    assert rejects([]).schema == pl.Schema(reject_schema())


def test_rejects_of_another_key_or_type_are_refused() -> None:
    with pytest.raises((pl.exceptions.PolarsError, TypeError)):
        rejects([{"_source_offset": "seven"}])


def test_what_was_taken_does_not_come_again() -> None:
    rows = RejectedRows()
    assert rows.take().rows() == []
    assert rows.take().schema == pl.Schema(reject_schema())
    rows.add(rejects([{"raw": b"a"}, {"raw": b"b"}]))
    rows.add(rejects([]))
    rows.add(rejects([{"raw": b"c"}]))
    assert sorted(rows.take()["raw"].to_list()) == [b"a", b"b", b"c"]
    assert rows.take().height == 0


def test_rows_from_many_threads_are_all_there() -> None:
    rows = RejectedRows()
    frame = rejects([{"raw": b"a"}])

    def set_aside() -> None:
        for _ in range(200):
            rows.add(frame)

    threads = [threading.Thread(target=set_aside) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows.take().height == 800
