"""``write_mode: scd2``: every version of a key, with the time in which it was valid."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError, SinkError
from etl.model import PROVENANCE_COLUMNS
from etl.sinks.delta import DeltaSink
from tests.unit.sinks.merging import AT, Remembered, bring, held, stage
from tests.unit.sinks.tables import append, make_sink

COLUMNS = ("id", "v", "valid_from", "valid_to", "is_current")


def history(root: Path, **options: Any) -> DeltaSink:
    options = {"write_mode": "scd2", "primary_key": ["id"], "sequence_by": "at", "delete_when": "v = 'gone'"} | options
    return make_sink(root, **options)


def rows(*each: tuple[Any, Any, str | None]) -> pl.DataFrame:
    return pl.DataFrame(list(each), schema={"id": pl.Int64, "at": pl.Int64, "v": pl.String}, orient="row")


def versions(root: Path) -> Counter[Any]:
    return held(root, *COLUMNS)


def counted(*each: tuple[Any, ...]) -> Counter[Any]:
    """Return versions of a table: the key, the value, from, to."""
    return Counter((*version, version[-1] is None) for version in each)


def test_a_change_ends_the_version_before_it(tmp_path: Path) -> None:
    sink = history(tmp_path)
    assert bring(sink, 0, rows((1, 10, "a"), (2, 10, "b"))) == {"written": 2}
    assert bring(sink, 1, rows((1, 20, "A"), (3, 20, "c"))) == {"written": 2}
    assert versions(tmp_path) == counted((1, "a", 10, 20), (1, "A", 20, None), (2, "b", 10, None), (3, "c", 20, None))
    assert pl.read_delta(str(tmp_path)).columns == ["id", "at", "v", "valid_from", "valid_to", "is_current"]


def test_several_changes_of_a_key_in_a_batch_are_versions_one_behind_the_other(tmp_path: Path) -> None:
    bring(history(tmp_path), 0, rows((1, 30, "c"), (1, 10, "a"), (1, 20, "b")))
    assert versions(tmp_path) == counted((1, "a", 10, 20), (1, "b", 20, 30), (1, "c", 30, None))


def test_an_older_change_splits_the_version_it_falls_into(tmp_path: Path) -> None:
    sink = history(tmp_path)
    bring(sink, 0, rows((1, 10, "a"), (1, 40, "d")))
    bring(sink, 1, rows((1, 20, "b"), (1, 5, "z")))
    assert versions(tmp_path) == counted((1, "z", 5, 10), (1, "a", 10, 20), (1, "b", 20, 40), (1, "d", 40, None))


def test_a_delete_closes_a_version_and_a_later_row_begins_another(tmp_path: Path) -> None:
    sink = history(tmp_path)
    bring(sink, 0, rows((1, 10, "a"), (2, 10, "b")))
    assert bring(sink, 1, rows((1, 20, "gone"))) == {"written": 1}
    assert versions(tmp_path) == counted((1, "a", 10, 20), (2, "b", 10, None))
    bring(sink, 2, rows((1, 30, "a")))
    assert versions(tmp_path) == counted((1, "a", 10, 20), (1, "a", 30, None), (2, "b", 10, None))
    bring(sink, 3, rows((1, 15, "x")))
    assert versions(tmp_path) == counted((1, "a", 10, 15), (1, "x", 15, 20), (1, "a", 30, None), (2, "b", 10, None))


def test_a_delete_that_comes_before_its_insert_closes_it(tmp_path: Path) -> None:
    remembered: Remembered = {}
    sink = history(tmp_path)
    assert bring(sink, 0, rows((1, 20, "gone"), (1, 40, "gone")), remembered=remembered) == {"written": 2}
    assert (versions(tmp_path), remembered["changes"].rows) == (counted(), 2)
    bring(sink, 1, rows((1, 10, "a")), remembered=remembered)
    assert (versions(tmp_path), remembered["changes"].rows) == (counted((1, "a", 10, 20)), 1)
    bring(sink, 2, rows((1, 30, "b")), remembered=remembered)
    assert versions(tmp_path) == counted((1, "a", 10, 20), (1, "b", 30, 40))
    assert remembered["changes"].rows == 0


def test_a_row_that_changes_nothing_makes_no_version_until_another_comes_between(tmp_path: Path) -> None:
    remembered: Remembered = {}
    sink = history(tmp_path)
    bring(sink, 0, rows((1, 10, "a")), remembered=remembered)
    staged = stage(sink, 1, rows((1, 30, "a"), (1, 10, "a")), remembered=remembered)
    assert (staged.files, staged.revision and staged.revision.removes) == ((), ())
    staged.commit()
    assert staged.manifest.rows["written"] == 2
    assert versions(tmp_path) == counted((1, "a", 10, None))
    bring(sink, 2, rows((1, 20, "b")), remembered=remembered)
    assert versions(tmp_path) == counted((1, "a", 10, 20), (1, "b", 20, 30), (1, "a", 30, None))
    assert remembered["changes"].rows == 0


def test_changes_that_show_nowhere_are_forgotten_when_they_were_remembered_long_enough(tmp_path: Path) -> None:
    remembered: Remembered = {}
    sink = history(tmp_path, remember_for="1h")
    bring(sink, 0, rows((1, 10, "a"), (1, 30, "a")), remembered=remembered)
    bring(sink, 1, rows((2, 10, "x")), remembered=remembered, at=AT + timedelta(hours=1))
    bring(sink, 2, rows((1, 20, "b")), remembered=remembered, at=AT + timedelta(hours=2))
    assert versions(tmp_path) == counted((1, "a", 10, 20), (1, "b", 20, None), (2, "x", 10, None))


def test_only_tracked_columns_make_versions_whose_rows_are_those_that_began_them(tmp_path: Path) -> None:
    remembered: Remembered = {}
    sink = history(tmp_path, track=["v"])
    for number, (at, value, note) in enumerate([(10, "a", "n1"), (30, "a", "n3"), (20, "b", "n2")]):
        bring(sink, number, rows((1, at, value)).with_columns(note=pl.lit(note)), remembered=remembered)
    assert held(tmp_path, *COLUMNS[:-1], "note") == {
        (1, "a", 10, 20, "n1"): 1,
        (1, "b", 20, 30, "n2"): 1,
        (1, "a", 30, None, "n3"): 1,
    }


def test_of_changes_of_one_moment_the_later_batch_counts_and_in_a_batch_the_last_row(tmp_path: Path) -> None:
    sink = history(tmp_path)
    frame = rows((1, 10, "b"), (1, 10, "a"), (2, 10, "x"))
    frame = frame.with_columns(_source_file=pl.lit("f"), _source_offset=pl.int_range(pl.len()))
    assert bring(sink, 0, frame) == {"written": 2, "deduplicated": 1}
    assert versions(tmp_path) == counted((1, "a", 10, None), (2, "x", 10, None))
    bring(sink, 1, rows((1, 10, "c"), (2, 10, "gone")))
    assert versions(tmp_path) == counted((1, "c", 10, None))


def test_a_moment_without_a_value_is_before_all(tmp_path: Path) -> None:
    sink = history(tmp_path)
    bring(sink, 0, rows((None, 5, "b"), (None, None, "a")))
    assert versions(tmp_path) == counted((None, "a", None, 5), (None, "b", 5, None))


def test_a_changing_result_and_the_origin_of_rows_are_kept_with_their_version(tmp_path: Path) -> None:
    sink = history(tmp_path, delete_when=None, provenance=PROVENANCE_COLUMNS, partition_by=["is_current"])
    words = ["insert", "update", "delete"]
    for number, word in enumerate(words):
        frame = rows((1, number, word)).with_columns(
            _change=pl.lit(word), _source_file=pl.lit(f"f{number}"), _source_offset=pl.lit(0), _batch_id=pl.lit(number)
        )
        assert bring(sink, number, frame) == {"written": 1}
    found = (
        pl.read_delta(str(tmp_path))
        .sort("valid_from")
        .select("v", "valid_to", "is_current", "_source_file", "_batch_id")
    )
    assert found.rows() == [("insert", 1, False, "f0", 0), ("update", 2, False, "f1", 1)]


def test_only_files_with_versions_that_change_are_written_anew(tmp_path: Path) -> None:
    sink = history(tmp_path)
    for number in range(4):
        bring(sink, number, rows((1, number, str(number)), (number + 10, number, "x")))
    staged = stage(sink, 4, rows((1, 9, "9")))
    assert staged.revision is not None
    assert (len(staged.revision.removes), sum(file.rows for file in staged.files)) == (1, 3)


def test_a_table_without_versions_is_refused(tmp_path: Path) -> None:
    append(make_sink(tmp_path), 0, rows((1, 1, "a")))
    with pytest.raises(SinkError, match="the table was not written by `write_mode: scd2`"):
        bring(history(tmp_path), 1, rows((1, 2, "b")))


@pytest.mark.parametrize(
    ("options", "more", "message"),
    [
        ({"track": ["w"]}, {}, "track names 'w', which is not among the columns that can change: id, at, v"),
        ({"track": ["at"]}, {}, "track names 'at', which is not among the columns that can change"),
        ({}, {"valid_to": pl.Int64()}, "the column 'valid_to' is one that `write_mode: scd2` makes"),
        ({"sequence_by": "when"}, {}, "sequence_by names 'when'"),
    ],
)
def test_columns_that_make_no_versions_are_refused(
    tmp_path: Path, options: Any, more: dict[str, pl.DataType], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        history(tmp_path, **options).prepare(pl.Schema({**rows().schema, **more}))
