"""``sequence_by``: the newest row of a key counts, in whatever order and batches rows come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError
from etl.sinks.delta import DeltaSink
from tests.unit.sinks.merging import AT, Remembered, bring, held, merging_sink, stage
from tests.unit.sinks.tables import append, make_sink

NAN = float("nan")


def sequenced(root: Path, **options: Any) -> DeltaSink:
    return merging_sink(root, sequence_by="seq", delete_when="v = 'gone'", **options)


def rows(*each: tuple[Any, Any, str]) -> pl.DataFrame:
    return pl.DataFrame(list(each), schema={"id": pl.Int64, "seq": pl.Int64, "v": pl.String}, orient="row")


def test_within_a_batch_the_row_with_the_greatest_sequence_counts(tmp_path: Path) -> None:
    frame = rows((1, 2, "new"), (1, 1, "old"), (2, 5, "b"), (2, None, "none"))
    frame = frame.with_columns(_source_file=pl.lit("f"), _source_offset=pl.int_range(pl.len()))
    assert bring(sequenced(tmp_path), 0, frame) == {"written": 2, "deduplicated": 2}
    assert held(tmp_path, "id", "v") == {(1, "new"): 1, (2, "b"): 1}


def test_an_older_row_that_comes_later_does_not_win_and_an_equal_one_does(tmp_path: Path) -> None:
    sink = sequenced(tmp_path)
    bring(sink, 0, rows((1, 10, "a"), (2, 10, "b"), (3, None, "c"), (4, 10, "d")))
    counts = bring(sink, 1, rows((1, 9, "A"), (2, 10, "B"), (3, None, "C"), (4, None, "D")))
    assert counts == {"written": 2, "deduplicated": 2}
    assert held(tmp_path, "id", "v") == {(1, "a"): 1, (2, "B"): 1, (3, "C"): 1, (4, "d"): 1}


def test_an_older_delete_takes_nothing_out_and_a_newer_or_equal_one_does(tmp_path: Path) -> None:
    sink = sequenced(tmp_path)
    bring(sink, 0, rows((1, 10, "a"), (2, 10, "b"), (3, 10, "c")))
    counts = bring(sink, 1, rows((1, 9, "gone"), (2, 10, "gone"), (3, 11, "gone")))
    assert counts == {"written": 2, "deduplicated": 1}
    assert held(tmp_path, "id", "v") == {(1, "a"): 1}


def test_a_delete_that_comes_before_its_insert_stays_and_a_newer_row_ends_it(tmp_path: Path) -> None:
    remembered: Remembered = {}
    for number, (batch, expected) in enumerate(
        [
            (rows((1, 5, "gone"), (2, 5, "b")), {(2, "b"): 1}),
            (rows((1, 4, "late")), {(2, "b"): 1}),
            (rows((1, 3, "gone"), (2, 1, "x")), {(2, "b"): 1}),
            (rows((1, 4, "late")), {(2, "b"): 1}),
            (rows((1, 6, "back")), {(1, "back"): 1, (2, "b"): 1}),
            (rows((1, 5, "gone")), {(1, "back"): 1, (2, "b"): 1}),
        ]
    ):
        bring(sequenced(tmp_path), number, batch, remembered=remembered)
        assert held(tmp_path, "id", "v") == expected
    assert remembered["deletes"].rows == 0


def test_only_deletes_that_count_are_remembered_with_their_sequence(tmp_path: Path) -> None:
    remembered: Remembered = {}
    sink = sequenced(tmp_path)
    bring(sink, 0, rows((1, 5, "a"), (2, 5, "gone"), (3, 5, "gone")), remembered=remembered)
    bring(sink, 1, rows((1, 4, "gone"), (2, 4, "gone"), (3, 7, "gone")), remembered=remembered)
    (table,) = remembered["deletes"].scan()
    assert sorted(table.select("id", "seq").rows()) == [(2, 5), (3, 7)]


def test_a_delete_is_forgotten_when_it_was_remembered_long_enough(tmp_path: Path) -> None:
    remembered: Remembered = {}
    sink = sequenced(tmp_path, remember_for="1d")
    bring(sink, 0, rows((1, 5, "gone"), (2, 5, "gone")), remembered=remembered)
    bring(sink, 1, rows((1, 4, "x")), remembered=remembered, at=AT + timedelta(hours=23))
    assert held(tmp_path, "id") == {}
    bring(sink, 2, rows((9, 1, "y")), remembered=remembered, at=AT + timedelta(hours=24))
    assert remembered["deletes"].rows == 0
    bring(sink, 3, rows((1, 4, "x")), remembered=remembered, at=AT + timedelta(hours=25))
    assert held(tmp_path, "id") == {(1,): 1, (9,): 1}


def test_a_batch_that_is_staged_again_begins_with_what_was_remembered_before_it(tmp_path: Path) -> None:
    remembered: Remembered = {}
    sink = sequenced(tmp_path)
    bring(sink, 0, rows((1, 5, "gone")), remembered=remembered)
    for name in "ab":
        staged = stage(sink, 1, rows((1, 6, "back"), (2, 1, "gone")), name, remembered=remembered)
    staged.commit()
    assert held(tmp_path, "id", "v") == {(1, "back"): 1}
    (table,) = remembered["deletes"].scan()
    assert table["id"].to_list() == [2]


def test_without_a_change_nothing_is_written_anew(tmp_path: Path) -> None:
    sink = sequenced(tmp_path)
    bring(sink, 0, rows((1, 5, "a"), (2, 5, "b")))
    staged = stage(sink, 1, rows((1, 5, "a"), (2, 4, "old")))
    assert staged.files == ()
    assert staged.revision is not None
    assert staged.revision.removes == ()
    assert (staged.manifest.rows["written"], staged.manifest.rows["deduplicated"]) == (1, 1)


def test_a_key_that_the_table_has_more_than_once_is_as_new_as_its_newest_row(tmp_path: Path) -> None:
    append(make_sink(tmp_path), 0, pl.concat([rows((1, 5, "a"), (1, None, "b"))] * 3))
    sink = sequenced(tmp_path)
    bring(sink, 1, rows((1, 4, "x")))
    assert held(tmp_path, "v") == {("a",): 3, ("b",): 3}
    bring(sink, 2, rows((1, 5, "y")))
    assert held(tmp_path, "v") == {("y",): 1}


@pytest.mark.parametrize(
    "values",
    [
        [None, -1.5, 0.0, 2.0, NAN],
        [None, "", "a", "b"],
        [None, datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, 0, 0, 0, 1, tzinfo=UTC)],
        [None, 1, 2**62],
    ],
)
def test_numbers_moments_and_text_have_an_order_with_null_before_and_nan_behind_all(
    tmp_path: Path, values: list[Any]
) -> None:
    frame = pl.DataFrame({"id": [1] * len(values), "seq": values, "v": [str(value) for value in values]})
    ahead, back = sequenced(tmp_path / "ahead"), sequenced(tmp_path / "back")
    for number in range(len(values)):
        bring(ahead, number, frame[number : number + 1])
        bring(back, number, frame[len(values) - 1 - number :][:1])
    bring(sequenced(tmp_path / "one"), 0, frame)
    for name in ("ahead", "back", "one"):
        assert held(tmp_path / name, "v") == {(str(values[-1]),): 1}


def test_the_types_of_key_and_sequence_may_become_wider(tmp_path: Path) -> None:
    sink = sequenced(tmp_path)
    bring(sink, 0, rows((1, 5, "a"), (2, 5, "b")).cast({"id": pl.Int32, "seq": pl.Int32}))
    bring(sink, 1, rows((1, 2**40, "A"), (2, 4, "B")), may_widen=True)
    assert held(tmp_path, "id", "seq", "v") == {(1, 2**40, "A"): 1, (2, 5, "b"): 1}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sek", "sequence_by names 'sek', which is not among the columns: id, seq, v"),
        ("id", "sequence_by names 'id', a column of the primary_key"),
        ("v", r"the sequence_by column 'v' is a List\(Int64\), which says no order"),
    ],
)
def test_a_column_that_gives_no_order_is_refused(tmp_path: Path, name: str, message: str) -> None:
    given = pl.Schema({"id": pl.Int64(), "seq": pl.Int64(), "v": pl.List(pl.Int64())})
    with pytest.raises(ConfigError, match=message):
        merging_sink(tmp_path, sequence_by=name).prepare(given)
