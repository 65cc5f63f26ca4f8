"""Compaction of Delta tables: which files, in which order of rows, beside which other writers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import SinkError
from etl.seam import Seam
from etl.sinks.delta_bins import BinRules, bins_of
from etl.sinks.delta_clustering import clustered, interleaved
from etl.sinks.delta_upkeep import TableUpkeep
from etl.testing import FailingSeam
from tests.faults.test_foreign_writers import Meanwhile
from tests.readers import table_files, table_rows
from tests.unit.sinks.merging import bring, held, merging_sink
from tests.unit.sinks.tables import actions, append, make_sink, table_data


def small_files(root: Path, files: int, **options: Any) -> TableUpkeep:
    """Make a table of so many files of two rows, in two partitions where ``part`` is one."""
    sink = make_sink(root, **options)
    for number in range(files):
        append(sink, number, pl.DataFrame({"id": [2 * number, 2 * number + 1], "part": ["a", None]}))
    return sink.upkeep


def compact_all(upkeep: TableUpkeep) -> list[int]:
    pending = upkeep.pending()
    assert pending is not None
    made = [upkeep.compact(pending, number) for number in range(len(pending.bins))]
    return [each.version for each in made if each is not None]


def test_small_files_become_one_in_a_version_that_changes_no_data(tmp_path: Path) -> None:
    upkeep = small_files(tmp_path, 5)
    before = held(tmp_path, "id", "part")

    assert compact_all(upkeep) == [5]

    assert held(tmp_path, "id", "part") == before
    assert len(table_files(tmp_path)) == 1
    told = [json.loads(line) for line in (tmp_path / "_delta_log" / f"{5:020d}.json").read_text().splitlines()]
    changes = [action[kind]["dataChange"] for action in told for kind in ("add", "remove") if kind in action]
    assert changes == [False] * 6
    assert told[0]["commitInfo"]["operation"] == "OPTIMIZE"
    assert compact_all(upkeep) == []


def test_each_partition_is_compacted_by_itself(tmp_path: Path) -> None:
    upkeep = small_files(tmp_path, 3, partition_by=["part"])

    assert compact_all(upkeep) == [3, 4]

    assert held(tmp_path, "id") == Counter([(number,) for number in range(6)])
    assert len(table_files(tmp_path)) == 2
    assert pl.read_delta(str(tmp_path)).filter(pl.col("part").is_null())["id"].sort().to_list() == [1, 3, 5]


def test_a_file_of_an_earlier_schema_gets_the_columns_that_came_later(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, pl.DataFrame({"id": [1]}))
    append(sink, 1, pl.DataFrame({"id": [2], "note": ["x"]}))

    assert compact_all(sink.upkeep) == [2]

    assert pl.read_delta(str(tmp_path)).sort("id").rows() == [(1, None), (2, "x")]


def test_rows_that_another_writer_appends_meanwhile_stay(tmp_path: Path) -> None:
    small_files(tmp_path, 3)
    theirs = pl.DataFrame({"id": [100], "part": ["a"]})
    seam = Meanwhile("table.commit.publish", lambda: write_deltalake(tmp_path, theirs, mode="append"))

    assert compact_all(make_sink(tmp_path, seam=seam).upkeep) == [4]

    assert held(tmp_path, "id") == Counter([*((number,) for number in range(6)), (100,)])


@pytest.mark.parametrize("what", ["compacted", "deleted from"])
def test_files_that_another_writer_takes_out_meanwhile_are_left_to_it(tmp_path: Path, what: str) -> None:
    small_files(tmp_path, 3)
    table = DeltaTable(tmp_path)
    act: Callable[[], object] = table.optimize.compact if what == "compacted" else (lambda: table.delete("id = 0"))
    seam = Meanwhile("table.commit.publish", act)

    assert compact_all(make_sink(tmp_path, seam=seam).upkeep) == []

    gone = 0 if what == "compacted" else 1
    assert held(tmp_path, "id") == Counter((number,) for number in range(gone, 6))
    assert [name for name in table_data(tmp_path) if "compact" in name and "part-compact" in name] == []


def test_a_lost_answer_to_the_commit_doubles_nothing(tmp_path: Path) -> None:
    small_files(tmp_path, 3)

    assert compact_all(make_sink(tmp_path, seam=FailingSeam("table.commit.publish", "error_after")).upkeep) == [3]

    assert held(tmp_path, "id") == Counter((number,) for number in range(6))


def test_a_merge_goes_on_over_a_compacted_table(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path)
    for number in range(4):
        bring(sink, number, {"id": [number, 9], "v": [number, number]})

    assert compact_all(merging_sink(tmp_path).upkeep) == [4]
    bring(sink, 4, {"id": [1, 9], "v": [10, 90]})

    assert held(tmp_path, "id", "v") == Counter([(0, 0), (1, 10), (2, 2), (3, 3), (9, 90)])


def test_a_table_with_deletion_vectors_is_refused(tmp_path: Path) -> None:
    table = DeltaTable.create(tmp_path, pl.DataFrame({"id": [1]}).to_arrow().schema)
    features = {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7}}
    features["protocol"] |= {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}  # type: ignore[dict-item]
    (tmp_path / "_delta_log" / f"{table.version() + 1:020d}.json").write_text(json.dumps(features) + "\n")
    with pytest.raises(SinkError, match="deletion vectors"):
        make_sink(tmp_path).upkeep.pending()


def files_of(*sizes: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "path": [f"f{number}" for number in range(len(sizes))],
            "size_bytes": sizes,
            "modification_time": range(len(sizes)),
        }
    )


def paths(files: pl.DataFrame, rules: BinRules) -> list[list[str]]:
    return [[file["path"] for file in each] for each in bins_of(files, rules)]


def test_bins_are_filled_in_the_order_of_time_up_to_the_target_size() -> None:
    assert paths(files_of(40, 40, 90, 40, 10, 10), BinRules(100)) == [["f0", "f1"], ["f3", "f4", "f5"]]
    assert paths(files_of(40, 60, 70), BinRules(100)) == []
    assert paths(files_of(1, 1, 1), BinRules(100, min_files=4)) == []


def test_a_file_waits_until_as_much_has_come_behind_it() -> None:
    rules = BinRules(1000, min_files=3, is_tiered=True)
    assert paths(files_of(300, 10, 10, 10), rules) == [["f1", "f2", "f3"]]
    assert paths(files_of(30, 10, 10, 10), rules) == [["f0", "f1", "f2", "f3"]]


def test_a_table_of_many_batches_is_rewritten_a_few_times_and_never_all_of_it_each_time(tmp_path: Path) -> None:
    sink = make_sink(tmp_path, maintain={"compact": {"min_files": 4}}, provenance=())
    rewritten = 0
    for number in range(64):
        values = pl.int_range(number * 500, (number + 1) * 500, eager=True).alias("id")
        append(sink, number, pl.DataFrame({"id": values, "text": values.hash(1).cast(pl.String)}))
        made = sink.upkeep.compact_next()
        rewritten += made.rows if made else 0

    assert pl.read_delta(str(tmp_path))["id"].sort().to_list() == list(range(64 * 500))
    assert len(table_files(tmp_path)) <= 12
    assert 64 * 250 < rewritten <= 64 * 500 * 5


def test_one_column_sorts(tmp_path: Path) -> None:
    sink = make_sink(tmp_path, z_order_by=["id"])
    batches: list[list[int | None]] = [[5, 1], [None, 4], [3, 2]]
    for number, values in enumerate(batches):
        append(sink, number, pl.DataFrame({"id": pl.Series(values, dtype=pl.Int64)}))

    assert compact_all(sink.upkeep) == [3]

    (file,) = table_files(tmp_path)
    assert pl.read_parquet(file)["id"].to_list() == [None, 1, 2, 3, 4, 5]


def test_bits_of_several_columns_take_turns() -> None:
    frame = pl.DataFrame(
        {"a": [0b00, 0b01, 0b10, 0b11], "b": [0b11, 0b00, 0b00, 0b01]}, schema_overrides={"a": pl.UInt64}
    )
    frame = frame.cast(pl.UInt64)
    assert frame.select(interleaved(["a", "b"], 2)).to_series().to_list() == [0b0101, 0b0010, 0b1000, 0b1011]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-9, 9)),
            st.sampled_from([None, "", "x", "é"]),
            st.sampled_from([None, 0.0, float("nan"), float("inf"), -1.5]),
        ),
        max_size=30,
    )
)
def test_an_order_along_the_curve_keeps_every_row(rows: list[Any]) -> None:
    frame = pl.DataFrame(rows, schema={"a": pl.Int64, "b": pl.String, "c": pl.Float64}, orient="row")
    ordered = clustered(frame.lazy(), ["a", "b", "c"]).collect()
    assert Counter(map(repr, ordered.rows())) == Counter(map(repr, frame.rows()))


def parts_with(frame: pl.DataFrame, column: str) -> int:
    """Return how many sixteenths of a frame have a 5, as far as the least and the greatest value tell."""
    parts = [frame[start : start + frame.height // 16][column] for start in range(0, frame.height, frame.height // 16)]
    return sum(bool(part.le(5).any() and part.ge(5).any()) for part in parts)


def test_an_order_along_the_curve_lets_a_reader_skip_most_rows_by_either_column(tmp_path: Path) -> None:
    grid = [(x, y) for x in range(64) for y in range(64)]
    shuffled = pl.DataFrame(grid, schema=["x", "y"], orient="row").sample(fraction=1, shuffle=True, seed=1)
    sink = make_sink(tmp_path, z_order_by=["x", "y"])
    for number in range(8):
        append(sink, number, shuffled[number * 512 : (number + 1) * 512])

    assert compact_all(sink.upkeep) == [8]

    (file,) = table_files(tmp_path)
    found = pl.read_parquet(file)
    assert sorted(found.rows()) == grid
    assert (parts_with(shuffled, "x"), parts_with(shuffled, "y")) == (16, 16)
    assert (parts_with(found, "x"), parts_with(found, "y")) == (4, 4)
    by_one = clustered(shuffled.lazy(), ["x"]).collect()
    assert (parts_with(by_one, "x"), parts_with(by_one, "y")) == (1, 16)


def test_a_column_to_order_by_that_is_not_there_is_named(tmp_path: Path) -> None:
    upkeep = small_files(tmp_path, 3, z_order_by=["nope"])
    with pytest.raises(SinkError, match="is not in the table"):
        compact_all(upkeep)
    assert len(table_rows(tmp_path)) == 6


def test_health_tells_what_a_reader_opens(tmp_path: Path) -> None:
    upkeep = small_files(tmp_path, 6)

    before = upkeep.health()
    compact_all(upkeep)
    assert upkeep.summarise(every=1)
    after = upkeep.health()

    assert before is not None
    assert after is not None
    assert (before.files, before.small_files, before.small_share, before.rows) == (6, 6, 0.833, 12)
    assert (before.log_entries, before.entries_to_read, before.scan_cost, before.least_cost) == (6, 6, 13, 2)
    assert (after.files, after.small_share, after.rows) == (1, 0.0, 12)
    assert (after.log_entries, after.entries_to_read, after.scan_cost) == (7, 0, 2)
    assert actions(tmp_path, 6)["commitInfo"]["operationMetrics"] == {"numFilesAdded": "1", "numFilesRemoved": "6"}


def test_a_seam_that_does_nothing_leaves_a_table_without_a_log_alone(tmp_path: Path) -> None:
    upkeep = make_sink(tmp_path, seam=Seam()).upkeep
    assert (upkeep.head(), upkeep.pending(), upkeep.compact_next(), upkeep.health()) == (None, None, None, None)
