"""``sequence_by``: any history of versions and deletes leaves the same, in whatever order and batches it comes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.readers import table_rows
from tests.unit.sinks.merging import Remembered, bring, merging_sink

TYPES: dict[str, Any] = {"a": pl.Float64, "b": pl.String, "seq": pl.Int64, "v": pl.Int64, "part": pl.Int64}
KEYS = st.tuples(st.sampled_from([None, 1.5, float("nan")]), st.sampled_from([None, "", "é"]))
SEQUENCES = st.one_of(st.none(), st.integers(0, 6))
CHANGES = st.tuples(KEYS, SEQUENCES, st.sampled_from([None, 1, 2, -1]), st.sampled_from([None, 7, 8]))
"""The key, the sequence, the value (-1: a delete), the partition."""

HISTORIES = st.lists(CHANGES, max_size=25, unique_by=lambda change: repr(change[:2]))
CUTS = st.lists(st.integers(0, 30), max_size=5)


def shuffled(history: list[Any], random: Any) -> pl.DataFrame:
    """Return the changes in any order, some of them twice."""
    again = random.sample(history, len(history) // 3)
    rows = random.sample([*history, *again], len(history) + len(again))
    frame = pl.DataFrame([(*key, *rest) for key, *rest in rows], schema=TYPES, orient="row")
    return frame.with_columns(_source_file=pl.lit("f"), _source_offset=pl.int_range(pl.len(), dtype=pl.Int64))


def expected(history: list[Any]) -> Counter[str]:
    """Return what a dictionary of the newest change of each key holds."""
    newest: dict[str, Any] = {}
    for key, *rest in sorted(history, key=lambda change: -1 if change[1] is None else change[1]):
        newest[repr(key)] = (*key, *rest)
    return Counter(repr(row) for row in newest.values() if row[3] != -1)


def found(root: Path) -> Counter[str]:
    rows = table_rows(root) if root.exists() else []
    for row in rows:
        row["part"] = None if row["part"] in (None, "__HIVE_DEFAULT_PARTITION__") else int(row["part"])
    return Counter(repr(tuple(row[name] for name in TYPES)) for row in rows)


@settings(max_examples=40, deadline=None)
@given(HISTORIES, CUTS, st.sampled_from([[], ["part"]]), st.booleans(), st.randoms())
def test_the_newest_change_of_each_key_counts_in_whatever_order_and_batches_changes_come(
    history: list[Any], cuts: list[int], partition_by: list[str], has_words: bool, random: Any
) -> None:
    frame = shuffled(history, random)
    options: dict[str, Any] = {"partition_by": partition_by, "sequence_by": "seq"}
    if has_words:
        word = pl.when(pl.col("v") == -1).then(pl.lit("delete")).otherwise(pl.lit("update"))
        frame = frame.with_columns(_change=word)
    else:
        options["delete_when"] = "v = -1"
    borders = [0, *sorted(cut for cut in cuts if cut < frame.height), frame.height]
    with TemporaryDirectory() as name:
        remembered: Remembered = {}
        for number, (start, end) in enumerate(pairwise(borders)):
            counts = bring(
                merging_sink(Path(name), ["a", "b"], key_index_from=1, **options),
                number,
                frame[start:end],
                remembered=remembered,
            )
            assert sum(counts.values()) == end - start
        assert found(Path(name)) == expected(history)
