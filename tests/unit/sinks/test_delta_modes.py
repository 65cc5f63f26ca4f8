"""``insert_only`` and ``replace_partitions``: rows of new keys are added, partitions of a batch replaced."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from etl.errors import ConfigError, TableMovedError
from etl.sinks.delta import DeltaSink
from tests.unit.sinks.merging import bring, held, stage
from tests.unit.sinks.tables import append, make_sink, table_data


def inserting(root: Path, **options: Any) -> DeltaSink:
    return make_sink(root, write_mode="insert_only", primary_key=["id"], **options)


def replacing(root: Path, by: str = "day", **options: Any) -> DeltaSink:
    return make_sink(root, write_mode="replace_partitions", partition_by=[by], **options)


def test_rows_of_known_keys_are_dropped_and_counted(tmp_path: Path) -> None:
    sink = inserting(tmp_path)
    assert bring(sink, 0, {"id": [1, None, 3], "v": ["a", "n", "c"]}) == {"written": 3}
    before = table_data(tmp_path)
    assert bring(sink, 1, {"id": [1, None, 4], "v": ["A", "N", "d"]}) == {"written": 1, "deduplicated": 2}
    assert held(tmp_path, "id", "v") == {(1, "a"): 1, (None, "n"): 1, (3, "c"): 1, (4, "d"): 1}
    assert set(before) < set(table_data(tmp_path))
    assert bring(sink, 2, {"id": [1], "v": ["z"]}) == {"deduplicated": 1}
    assert DeltaTable(tmp_path).version() == 2


def test_the_first_row_of_a_new_key_in_a_batch_is_added(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {"id": [1, 1, 1], "v": ["c", "a", "b"], "_source_file": ["g", "f", "f"], "_source_offset": [0, 7, 3]}
    )
    assert bring(inserting(tmp_path), 0, rows) == {"written": 1, "deduplicated": 2}
    assert held(tmp_path, "id", "v") == {(1, "b"): 1}


def test_a_key_that_another_writer_adds_meanwhile_is_not_doubled(tmp_path: Path) -> None:
    sink = inserting(tmp_path)
    bring(sink, 0, {"id": [1], "v": ["a"]})
    staged = stage(sink, 1, {"id": [2], "v": ["ours"]})
    append(make_sink(tmp_path, app="f" * 32 + "/main"), 0, pl.DataFrame({"id": [2], "v": ["theirs"]}))
    with pytest.raises(TableMovedError):
        staged.commit()
    assert bring(sink, 1, {"id": [2], "v": ["ours"]}, name="b") == {"deduplicated": 1}
    assert held(tmp_path, "id", "v") == {(1, "a"): 1, (2, "theirs"): 1}


def test_a_column_that_becomes_wider_is_written_anew_while_rows_are_added(tmp_path: Path) -> None:
    sink = inserting(tmp_path)
    bring(sink, 0, {"id": [1], "v": [1]})
    assert bring(sink, 1, {"id": [1, 2], "v": [0.5, 2.5]}, may_widen=True) == {"written": 1, "deduplicated": 1}
    assert held(tmp_path, "id", "v") == {(1, 1.0): 1, (2, 2.5): 1}


def test_partitions_of_a_batch_are_replaced_as_a_whole_in_one_version(tmp_path: Path) -> None:
    sink = replacing(tmp_path)
    days = [date(2026, 1, 1), date(2026, 1, 2), None]
    assert bring(sink, 0, {"day": [days[0], days[0], days[1], days[2]], "v": [1, 2, 3, 4]}) == {"written": 4}
    assert bring(sink, 1, {"day": [days[0], days[2]], "v": [10, 40]}) == {"written": 2}
    assert sorted(pl.read_delta(str(tmp_path))["v"]) == [3, 10, 40]
    assert DeltaTable(tmp_path).version() == 1


@pytest.mark.parametrize(
    "values", [["a b/é%=", "x"], [-1, 7], [True, False], [None, "x"], [date(1969, 12, 31), date(2026, 1, 1)]]
)
def test_partitions_of_every_type_are_found_again(tmp_path: Path, values: list[Any]) -> None:
    sink = replacing(tmp_path)
    for number in range(3):
        bring(sink, 2 * number, {"day": values, "v": [number, number]})
        bring(sink, 2 * number + 1, {"day": values[:1], "v": [-number]})
        assert sorted(pl.read_delta(str(tmp_path))["v"]) == sorted([-number, number])


def test_two_columns_of_partitions_are_replaced_by_both_values(tmp_path: Path) -> None:
    sink = make_sink(tmp_path, write_mode="replace_partitions", partition_by=["a", "b"])
    bring(sink, 0, {"a": [1, 1, 2], "b": ["x", "y", "x"], "v": [1, 2, 3]})
    bring(sink, 1, {"a": [1, 2], "b": ["y", "y"], "v": [20, 40]})
    assert sorted(pl.read_delta(str(tmp_path))["v"]) == [1, 3, 20, 40]


def test_a_batch_without_rows_replaces_nothing(tmp_path: Path) -> None:
    sink = replacing(tmp_path)
    bring(sink, 0, {"day": ["x"], "v": [1]})
    assert bring(sink, 1, pl.DataFrame(schema={"day": pl.String, "v": pl.Int64})) == {}
    assert held(tmp_path, "day", "v") == {("x", 1): 1}


def test_partitions_that_stay_take_a_wider_type(tmp_path: Path) -> None:
    sink = replacing(tmp_path)
    bring(sink, 0, {"day": ["x", "y"], "v": [1, 2]})
    bring(sink, 1, {"day": ["x"], "v": [0.5]}, may_widen=True)
    assert held(tmp_path, "day", "v") == {("x", 0.5): 1, ("y", 2.0): 1}


def test_what_another_writer_puts_into_a_partition_meanwhile_is_seen(tmp_path: Path) -> None:
    sink = replacing(tmp_path)
    bring(sink, 0, {"day": ["x"], "v": [1]})
    staged = stage(sink, 1, {"day": ["x"], "v": [2]})
    append(make_sink(tmp_path, app="f" * 32 + "/main", partition_by=["day"]), 0, pl.DataFrame({"day": ["x"], "v": [9]}))
    with pytest.raises(TableMovedError):
        staged.commit()
    bring(sink, 1, {"day": ["x"], "v": [2]}, name="b")
    assert held(tmp_path, "v") == {(2,): 1}


@pytest.mark.parametrize("make", [inserting, replacing])
def test_a_changing_result_is_refused(tmp_path: Path, make: Any) -> None:
    with pytest.raises(ConfigError, match="the rows are a changing result"):
        make(tmp_path).prepare(pl.Schema({"id": pl.Int64(), "day": pl.String(), "_change": pl.String()}))
