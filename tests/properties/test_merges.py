"""Any history of merged batches leaves what a dictionary would hold, however rows are cut into batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.readers import table_rows
from tests.unit.sinks.merging import bring, merging_sink

TYPES: dict[str, Any] = {"a": pl.Float64, "b": pl.String, "v": pl.Int64, "part": pl.Int64}
KEYS = st.tuples(
    st.sampled_from([None, 0.0, 1.5, float("nan"), -7.0, 1e300]), st.sampled_from([None, "", "x", "x" * 40, "é"])
)
ROWS = st.tuples(KEYS, st.integers(0, 3), st.sampled_from([None, 1, 2]))
CHANGES = st.dictionaries(KEYS, st.tuples(st.sampled_from(["put", "put", "delete"]), st.integers(0, 3)), max_size=8)
PLACE = ("_source_file", "_source_offset")
Model = dict[str, tuple[Any, ...]]
"""What a table holds: the text of a key to the row, so that NaN is itself."""


def frame_of(rows: Sequence[tuple[Any, ...]], changes: Sequence[str] | None = None) -> pl.DataFrame:
    """Return rows as they come from a source, each with its place."""
    frame = pl.DataFrame(rows, schema=TYPES, orient="row").with_row_index("_source_offset")
    frame = frame.with_columns(pl.col("_source_offset").cast(pl.Int64), _source_file=pl.lit("f"))
    return frame if changes is None else frame.with_columns(_change=pl.Series(changes, dtype=pl.String))


def found(root: Path, more: Sequence[str] = ()) -> Counter[str]:
    rows = table_rows(root)
    for row in rows:
        null = row.get("part") in (None, "__HIVE_DEFAULT_PARTITION__")
        row["part"] = None if null else int(row["part"])
    return Counter(repr(tuple(row[name] for name in (*TYPES, *more))) for row in rows)


def held(model: Model) -> Counter[str]:
    return Counter(map(repr, model.values()))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(ROWS, max_size=8), min_size=1, max_size=5), st.sampled_from([[], ["part"]]), st.randoms())
def test_plain_rows_leave_the_last_of_each_key(batches: list[list[Any]], partition_by: list[str], random: Any) -> None:
    with TemporaryDirectory() as name:
        model: Model = {}
        for number, batch in enumerate(batches):
            rows = [(*key, value, part) for key, value, part in batch]
            model |= {repr(row[:2]): row for row in rows}
            order = random.sample(range(len(rows)), len(rows))
            frame = frame_of(rows)[order]
            counts = bring(
                merging_sink(Path(name), ["a", "b"], partition_by=partition_by, key_index_from=1), number, frame
            )
            written = len({repr(row[:2]) for row in rows})
            assert counts.get("written", 0) == written
            assert counts.get("deduplicated", 0) == len(rows) - written
            assert found(Path(name)) == held(model)


@settings(max_examples=25, deadline=None)
@given(st.lists(CHANGES, min_size=1, max_size=6), st.booleans())
def test_a_changing_result_leaves_what_a_dictionary_would_hold(
    history: list[dict[Any, Any]], is_one_sink: bool
) -> None:
    with TemporaryDirectory() as name:
        model: Model = {}
        sink = merging_sink(Path(name), ["a", "b"], key_index_from=1)
        for number, batch in enumerate(history):
            rows, words = [], []
            for key, (act, value) in batch.items():
                is_known = repr(key) in model
                rows.append((*key, value, None))
                words.append("delete" if act == "delete" else "update" if is_known else "insert")
                model.pop(repr(key), None)
                if act == "put":
                    model[repr(key)] = rows[-1]
            sink = sink if is_one_sink else merging_sink(Path(name), ["a", "b"], key_index_from=1)
            assert bring(sink, number, frame_of(rows, words)).get("written", 0) == len(rows)
            assert found(Path(name)) == held(model)


@settings(max_examples=15, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=12), st.lists(st.integers(0, 12), max_size=3))
def test_the_result_does_not_depend_on_where_batches_are_cut(rows: list[Any], cuts: list[int]) -> None:
    frame = frame_of([(*key, value, part) for key, value, part in rows])
    with TemporaryDirectory() as name:
        one, many = (merging_sink(Path(name) / each, ["a", "b"], provenance=PLACE) for each in ("one", "many"))
        bring(one, 0, frame)
        borders = [0, *sorted(cut for cut in cuts if cut < frame.height), frame.height]
        for number, (start, end) in enumerate(pairwise(borders)):
            bring(many, number, frame[start:end])
        assert found(Path(name) / "many", PLACE) == found(Path(name) / "one", PLACE)
