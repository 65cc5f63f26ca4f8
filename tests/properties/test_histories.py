"""``write_mode: scd2``: any history of versions and deletes leaves the same, in whatever order and batches it comes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.test_sequenced_merges import CUTS, HISTORIES, shuffled
from tests.readers import table_files
from tests.unit.sinks.merging import Remembered, bring
from tests.unit.sinks.tables import make_sink

Change = tuple[tuple[float | None, str | None], int | None, int | None, int | None]
"""Key, moment, value (-1: a delete), note."""


def expected(history: list[Change], track: list[str]) -> Counter[str]:
    """Return the versions that a walk through the changes of each key makes."""
    found: list[list[Any]] = []
    for key in {repr(change[0]): change[0] for change in history}.values():
        mine = sorted(
            (change for change in history if repr(change[0]) == repr(key)), key=lambda change: moment(change[1])
        )
        open_, before = False, None
        for _, at, value, note in mine:
            now = (value,) if track else (value, note)
            if open_ and (value == -1 or now != before):
                found[-1][-1] = at
            if value != -1 and not (open_ and now == before):
                found.append([*key, at, value, note, at, None])
            open_, before = value != -1, now
    return Counter(repr((*version, version[-1] is None)) for version in found)


def moment(at: int | None) -> int:
    return -1 if at is None else at


def found(root: Path) -> Counter[str]:
    """Return what DuckDB finds in the table."""
    files = table_files(root)
    if not files:
        return Counter()
    query = "SELECT a, b, seq, v, part, valid_from, valid_to, is_current FROM read_parquet($files, union_by_name=true)"
    with duckdb.connect() as connection:
        return Counter(repr(row) for row in connection.sql(query, params={"files": files}).fetchall())


@settings(max_examples=60, deadline=None)
@given(HISTORIES, CUTS, st.sampled_from([[], ["v"]]), st.randoms())
def test_versions_are_the_same_in_whatever_order_and_batches_changes_come(
    history: list[Any], cuts: list[int], track: list[str], random: Any
) -> None:
    frame = shuffled(history, random)
    options: dict[str, Any] = {"primary_key": ["a", "b"], "sequence_by": "seq", "delete_when": "v = -1", "track": track}
    borders = [0, *sorted(cut for cut in cuts if cut < frame.height), frame.height]
    with TemporaryDirectory() as name:
        remembered: Remembered = {}
        for number, (start, end) in enumerate(pairwise(borders)):
            sink = make_sink(Path(name), write_mode="scd2", **options)
            counts = bring(sink, number, frame[start:end], remembered=remembered)
            assert sum(counts.values()) == end - start
        assert found(Path(name)) == expected(history, track)
        hidden = sum(table.rows for table in remembered.values())
        assert hidden <= len(history)


@settings(max_examples=20, deadline=None)
@given(HISTORIES)
def test_everything_again_changes_nothing(history: list[Any]) -> None:
    frame = pl.DataFrame(
        [(*key, *rest) for key, *rest in history],
        schema={"a": pl.Float64, "b": pl.String, "seq": pl.Int64, "v": pl.Int64, "part": pl.Int64},
        orient="row",
    )
    options: dict[str, Any] = {"primary_key": ["a", "b"], "sequence_by": "seq", "delete_when": "v = -1"}
    with TemporaryDirectory() as name:
        remembered: Remembered = {}
        sink = make_sink(Path(name), write_mode="scd2", **options)
        bring(sink, 0, frame, remembered=remembered)
        files, known = table_files(Path(name)), remembered["changes"]
        bring(sink, 1, frame[::-1], remembered=remembered)
        assert (table_files(Path(name)), remembered["changes"].rows) == (files, known.rows)
