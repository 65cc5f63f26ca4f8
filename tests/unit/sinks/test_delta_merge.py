"""``write_mode: merge``: rows are inserted, replaced and deleted by key."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from etl.errors import ConfigError, SinkError
from etl.model import PROVENANCE_COLUMNS, Revision
from etl.seam import Seam
from etl.sinks.contract import Edit, SinkSite
from etl.sinks.delta import DeltaSink
from etl.sinks.delta_options import DeltaOptions
from etl.storage import LocalStorage
from tests.unit.sinks.merging import bring, held, merging_sink, stage
from tests.unit.sinks.tables import append, make_sink

LATE, EARLY = datetime(2026, 1, 1, tzinfo=UTC), datetime(1969, 1, 1, 0, 0, 0, 1, tzinfo=UTC)


def test_rows_of_known_keys_take_the_place_of_the_old_ones_and_others_are_added(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path)
    assert bring(sink, 0, {"id": [1, 2], "v": ["a", "b"]}) == {"written": 2}
    assert bring(sink, 1, {"id": [2, 3], "v": ["B", "C"]}) == {"written": 2}
    assert held(tmp_path, "id", "v") == {(1, "a"): 1, (2, "B"): 1, (3, "C"): 1}
    assert DeltaTable(tmp_path).version() == 1
    assert pl.read_delta(str(tmp_path)).sort("id").rows() == [(1, "a"), (2, "B"), (3, "C")]


def test_a_changing_result_is_applied_and_its_change_is_not_stored(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path)
    bring(sink, 0, {"id": [1, 2, 3], "v": ["a", "b", "c"], "_change": ["insert"] * 3})
    counts = bring(
        sink, 1, {"id": [1, 2, 4, 9], "v": ["x", "b", "d", "z"], "_change": ["update", "delete", "insert", "delete"]}
    )
    assert counts == {"written": 4}
    assert held(tmp_path, "id", "v") == {(1, "x"): 1, (3, "c"): 1, (4, "d"): 1}
    assert pl.read_delta(str(tmp_path)).columns == ["id", "v"]


def test_the_last_row_of_a_key_by_source_file_and_offset_counts_however_rows_are_ordered(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {
            "id": [1, 1, 1, 2],
            "v": ["first", "last", "middle", "only"],
            "_source_file": ["a", "b", "a", "a"],
            "_source_offset": [0, 0, 7, 3],
        }
    )
    for number, order in enumerate([[0, 1, 2, 3], [1, 2, 3, 0], [3, 2, 1, 0]]):
        root = tmp_path / str(number)
        assert bring(merging_sink(root), 0, rows[order]) == {"written": 2, "deduplicated": 2}
        assert held(root, "id", "v") == {(1, "last"): 1, (2, "only"): 1}


def test_rows_of_one_key_and_place_are_told_apart_by_their_values(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {"id": [1, 1, 1], "v": [[2], [1, 9], None], "_source_file": ["a"] * 3, "_source_offset": [5] * 3}
    )
    assert bring(merging_sink(tmp_path), 0, rows) == {"written": 1, "deduplicated": 2}
    assert pl.read_delta(str(tmp_path))["v"].to_list() == [[2]]


def test_a_delete_that_comes_last_wins_over_rows_before_it(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path)
    bring(sink, 0, {"id": [1], "v": ["a"]})
    rows = pl.DataFrame(
        {
            "id": [1, 1, 2, 2],
            "v": ["b", None, None, "n"],
            "_change": ["update", "delete", "delete", "insert"],
            "_source_file": ["f"] * 4,
            "_source_offset": [0, 1, 0, 1],
        }
    )
    assert bring(sink, 1, rows) == {"written": 2, "deduplicated": 2}
    assert held(tmp_path, "id", "v") == {(2, "n"): 1}


def test_a_condition_tells_rows_that_delete_their_key(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path, delete_when="op = 'D' OR v < 0")
    bring(sink, 0, {"id": [1, 2, 3, 4], "v": [1, 2, 3, 4], "op": ["I"] * 4})
    assert bring(sink, 1, {"id": [1, 2, 3, 9], "v": [None, -1, None, 9], "op": ["D", "U", None, "D"]}) == {"written": 4}
    assert held(tmp_path, "id", "v", "op") == {(3, None, None): 1, (4, 4, "I"): 1}
    rows: dict[str, list[Any]] = {"id": [4, 5], "v": [-4, 5], "op": [None, None], "_change": ["update", "insert"]}
    bring(sink, 2, rows)
    assert held(tmp_path, "id", "v") == {(3, None): 1, (5, 5): 1}


@pytest.mark.parametrize(
    ("condition", "message"), [("opp = 'D'", "opp"), ("v + 1", "delete_when: gives Int64, not true or false")]
)
def test_a_condition_of_deletes_that_is_none_is_refused(tmp_path: Path, condition: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        merging_sink(tmp_path, delete_when=condition).prepare(pl.Schema({"id": pl.Int64, "v": pl.Int64}))


def test_all_rows_of_a_key_that_the_table_holds_more_than_once_are_replaced_by_the_one(tmp_path: Path) -> None:
    append(make_sink(tmp_path), 0, pl.DataFrame({"id": [1, 1, 2], "v": ["a", "b", "c"]}))
    append(make_sink(tmp_path), 1, pl.DataFrame({"id": [1] * 20, "v": ["d"] * 20}))
    sink = merging_sink(tmp_path)
    bring(sink, 2, {"id": [1], "v": ["a"]})
    assert held(tmp_path, "id", "v") == {(1, "a"): 1, (2, "c"): 1}


@pytest.mark.parametrize(
    ("old", "new", "dtype"),
    [
        ([1.0, float("nan"), None, -0.0], [float("nan"), None, 0.0], pl.Float64),
        (["a", "", None, "b" * 60], ["", None, "b" * 60], pl.String),
        ([b"a", b"", None, b"\xff"], [b"", None, b"\xff"], pl.Binary),
        ([True, False, None], [False, None], pl.Boolean),
        ([date(2026, 1, 1), date.min, None, date.max], [date.min, None, date.max], pl.Date),
        ([LATE, EARLY, None], [EARLY, None], pl.Datetime("us", "UTC")),
        ([LATE, EARLY, None], [EARLY, None], pl.Datetime("us")),
        ([1, -(2**63), None, 2**63 - 1], [-(2**63), None, 2**63 - 1], pl.Int64),
        (["1.50", "-7.25", None], ["-7.25", None], pl.Decimal(20, 2)),
    ],
    ids=lambda each: str(each) if isinstance(each, pl.DataType) else "",
)  # fmt: skip
def test_null_and_nan_are_key_values_like_others(tmp_path: Path, old: list[Any], new: list[Any], dtype: Any) -> None:
    sink = merging_sink(tmp_path)
    bring(sink, 0, pl.DataFrame({"id": pl.Series(old).cast(dtype), "v": ["old"] * len(old)}))
    for one in new:
        bring(sink, sink.last_batch_id() + 1, pl.DataFrame({"id": pl.Series([one]).cast(dtype), "v": ["new"]}))  # type: ignore[operator]
    found = pl.read_delta(str(tmp_path))
    assert Counter(found["v"]) == {"new": len(new), "old": len(old) - len(new)}
    assert found["id"].n_unique() == len(old)


def test_a_key_of_several_columns_matches_as_a_whole(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path, ["a", "b"])
    bring(sink, 0, {"a": [1, 1, None], "b": ["x", "y", "x"], "v": [1, 2, 3]})
    bring(sink, 1, {"a": [1, None, 2], "b": ["y", "x", "x"], "v": [20, 30, 40]})
    assert held(tmp_path, "a", "b", "v") == {(1, "x", 1): 1, (1, "y", 20): 1, (None, "x", 30): 1, (2, "x", 40): 1}


def test_rows_that_the_table_has_as_they_are_rewrite_nothing_and_keep_their_batch(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path, provenance=PROVENANCE_COLUMNS)
    rows = pl.DataFrame(
        {
            "id": [1, 2, 3],
            "v": [float("nan"), None, 1.5],
            "l": [[1, None], None, []],
            "s": [{"x": None}, None, {"x": 1}],
            "_source_file": ["a"] * 3,
            "_source_offset": [0, 1, 2],
            "_batch_id": [0] * 3,
        }
    )
    bring(sink, 0, rows)
    again = rows.with_columns(_batch_id=pl.lit(1, pl.Int64))
    staged = stage(sink, 1, again)
    assert (staged.files, staged.revision) == ((), Revision((), 0, is_data_change=False))
    assert staged.manifest.rows["written"] == 3
    staged.commit()
    assert sink.last_batch_id() == 1
    changed = again.with_columns(v=pl.when(pl.col("id") == 3).then(2.5).otherwise("v"))
    assert bring(sink, 2, changed) == {"written": 3}
    assert held(tmp_path, "id", "_batch_id") == {(1, 0): 1, (2, 0): 1, (3, 1): 1}


def test_rows_that_come_again_from_another_file_take_its_name(tmp_path: Path) -> None:
    rows = pl.DataFrame({"id": [1, 2], "v": ["a", "b"], "_source_file": ["f", "f"], "_source_offset": [0, 1]})
    sink = merging_sink(tmp_path, provenance=PROVENANCE_COLUMNS)
    bring(sink, 0, rows)
    bring(sink, 1, rows.with_columns(_source_file=pl.lit("g"))[1:])
    assert held(tmp_path, "id", "v", "_source_file") == {(1, "a", "f"): 1, (2, "b", "g"): 1}
    without = merging_sink(tmp_path / "bare")
    bring(without, 0, rows)
    staged = stage(without, 1, rows.with_columns(_source_file=pl.lit("g")))
    assert staged.files == ()


def test_a_row_that_lacks_a_column_is_not_the_same_as_one_that_has_it(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path)
    bring(sink, 0, {"id": [1, 2], "v": ["a", None]})
    staged = stage(sink, 1, {"id": [1, 2]})
    assert sum(file.rows for file in staged.files if not file.is_rewrite) == 1
    staged.commit()
    assert held(tmp_path, "id", "v") == {(1, None): 1, (2, None): 1}


def test_columns_that_come_later_are_null_in_rows_before_them(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path)
    bring(sink, 0, {"id": [1, 2], "v": ["a", "b"]})
    bring(sink, 1, {"id": [2, 3], "v": ["B", "C"], "w": [{"x": 1}, None]})
    assert pl.read_delta(str(tmp_path)).sort("id").rows() == [(1, "a", None), (2, "B", {"x": 1}), (3, "C", None)]


def test_batch_without_rows_is_remembered_and_changes_nothing(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path)
    bring(sink, 0, {"id": [1], "v": ["a"]})
    bring(sink, 1, pl.DataFrame(schema={"id": pl.Int64, "v": pl.String}))
    assert (sink.last_batch_id(), held(tmp_path, "id")) == (1, {(1,): 1})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"v": [1]}, "the primary_key names 'id', which is not among the columns: v"),
        ({"id": [[1]]}, r"the primary_key column 'id' is a List\(Int64\)"),
        ({"id": [1], "_change": [1]}, "the column _change is a Int64, not text"),
    ],
)
def test_rows_that_cannot_be_merged_are_refused_by_name(
    tmp_path: Path, rows: dict[str, list[Any]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        merging_sink(tmp_path).prepare(pl.DataFrame(rows).schema)


@pytest.mark.parametrize("mode", ["append", "overwrite"])
def test_a_changing_result_needs_keys(tmp_path: Path, mode: str) -> None:
    sink = make_sink(tmp_path, write_mode=mode)
    with pytest.raises(ConfigError, match="changing result") as caught:
        sink.prepare(pl.Schema({"id": pl.Int64, "_change": pl.String}))
    assert "write_mode: merge" in caught.value.hint


def test_a_side_table_keeps_what_the_change_of_a_row_was(tmp_path: Path) -> None:
    site = SinkSite("t__late", str(tmp_path), LocalStorage(tmp_path, Seam()), Seam(), role="late")
    sink = DeltaSink(DeltaOptions(path=str(tmp_path)), site)
    assert sink.prepare(pl.Schema({"id": pl.Int64, "_change": pl.String})) == {"id": "int64", "_change": "string"}


@pytest.mark.parametrize("word", ["upsert", None])
def test_a_change_of_another_word_is_refused(tmp_path: Path, word: str | None) -> None:
    sink = merging_sink(tmp_path)
    with pytest.raises(SinkError, match=f"_change is {word!r} in 1 rows"):
        stage(sink, 0, pl.DataFrame({"id": [1, 2], "_change": ["insert", word]}))


def test_a_key_without_a_type_is_refused_until_there_is_one(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path)
    with pytest.raises(SinkError, match="has no type yet"):
        sink.prepare(pl.Schema({"id": pl.Null, "v": pl.Int64}))
    bring(sink, 0, {"id": [1], "v": [1]})
    bring(sink, 1, pl.DataFrame({"id": [None], "v": [2]}))
    assert held(tmp_path, "id", "v") == {(1, 1): 1, (None, 2): 1}


def test_rows_are_not_merged_by_key_and_by_file_at_once(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path, provenance=PROVENANCE_COLUMNS)
    rows = pl.DataFrame({"id": [1], "_source_file": ["a"]})
    schema = sink.prepare(rows.schema)
    with pytest.raises(SinkError, match="by their key"):
        sink.revise(0, "a" * 32, Edit(schema, files=frozenset({"a"})))


def test_rows_that_the_table_has_and_deletes_of_what_it_has_not_leave_it_alone(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path)
    first = stage(sink, 0, {"id": [1], "v": ["a"], "_change": ["delete"]})
    assert not first.is_left_alone
    bring(sink, 0, {"id": [1, 2], "v": ["a", "b"], "_change": ["insert"] * 2}, name="b")
    same = stage(sink, 1, {"id": [1, 9], "v": ["a", "z"], "_change": ["update", "delete"]}, "c")
    assert (same.is_left_alone, same.manifest.rows["written"]) == (True, 2)
    assert not stage(sink, 1, {"id": [1], "v": ["a"], "_change": ["delete"]}, "d").is_left_alone
    assert not stage(sink, 1, {"id": [1], "v": ["x"], "_change": ["update"]}, "e").is_left_alone
    assert not stage(sink, 1, {"id": [9], "v": ["a"], "new": [1], "_change": ["delete"]}, "f").is_left_alone
