"""The Delta sink: staging shows nothing, a commit shows everything, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.schema import PrimitiveType
from pydantic import ValidationError

from etl.balance import Tally
from etl.errors import SinkError, TableStateError
from etl.sinks.delta_options import DeltaOptions
from etl.storage import LocalStorage
from tests.readers import table_files, table_rows
from tests.unit.sinks.tables import APP, actions, append, attempt, log_file, make_sink, table_data

TEXT, LONG = PrimitiveType("string"), PrimitiveType("long")
ROWS = pl.DataFrame({"id": [1, 2], "name": ["a", None]})


def ids(root: Path) -> list[int]:
    return sorted(row["id"] for row in table_rows(root))


@pytest.mark.parametrize("given", [{}, {"table": "a.b", "path": "/x"}])
def test_table_is_named_by_either_table_or_path(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="name the table by either 'table' or 'path'"):
        DeltaOptions.model_validate(given)


@pytest.mark.parametrize("name", ["orders", "a.b.c", "a/b.c", "../x.y", "a.", ".b", ""])
def test_table_name_is_a_schema_and_a_table(name: str) -> None:
    with pytest.raises(ValidationError, match="should match pattern"):
        DeltaOptions(table=name)
    assert DeltaOptions(table="silver.or-ders_2").target_file_size == 128_000_000


def test_write_modes_have_two_names() -> None:
    def mode(word: str, *keys: str) -> str:
        return DeltaOptions.model_validate({"table": "a.b", "write_mode": word, "primary_key": list(keys)}).write_mode

    found = [mode("append"), mode("merge", "id"), mode("upsert", "id"), mode("overwrite"), mode("replace")]
    assert found == ["append", "merge", "merge", "overwrite", "overwrite"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"write_mode": "merge"}, "'write_mode: merge' needs a primary_key"),
        ({"primary_key": ["id"]}, "'primary_key' goes with 'write_mode: merge'; append has no use for it"),
        ({"write_mode": "replace", "primary_key": ["id"]}, "overwrite has no use for it"),
        ({"write_mode": "merge", "primary_key": ["id", "id"]}, "names a column twice"),
        ({"delete_when": "a > 0"}, "'delete_when' goes with 'write_mode: merge'"),
        ({"write_mode": "scd3"}, "Input should be 'append', 'merge', 'overwrite', 'insert_only'"),
        ({"write_mode": ["merge"]}, "Input should be 'append', 'merge', 'overwrite', 'insert_only'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DeltaOptions.model_validate({"table": "a.b", **given})


def test_staged_rows_are_in_no_version_and_counted_as_written(tmp_path: Path) -> None:
    sink, tally = make_sink(tmp_path), Tally()
    (file,) = sink.stage(4, "f" * 32, ROWS.lazy(), tally)
    assert tally.counts()["written"] == 2
    assert file.path == f"part-01234567-0000000004-{'f' * 16}-00000.parquet"
    assert table_data(tmp_path) == [file.path]
    assert sink.last_batch_id() is None
    assert sink.table_id() is None
    assert not (tmp_path / "_delta_log").exists()


def test_first_batch_makes_the_table(tmp_path: Path) -> None:
    sink = make_sink(tmp_path, partition_by=["name"])
    assert append(sink, 0, ROWS) == 0
    found = actions(tmp_path, 0)
    assert found["protocol"] == {"minReaderVersion": 1, "minWriterVersion": 2}
    assert found["metaData"]["partitionColumns"] == ["name"]
    assert found["metaData"]["id"] == sink.table_id()
    assert found["txn"] == {"appId": APP, "version": 0}
    assert found["commitInfo"]["etl.batch_id"] == "0"
    assert found["commitInfo"]["operationMetrics"]["numOutputRows"] == "2"
    assert [(add["partitionValues"], add["dataChange"]) for add in found["add"]] == [
        ({"name": None}, True),
        ({"name": "a"}, True),
    ]
    assert sink.last_batch_id() == 0


def test_later_batches_carry_neither_protocol_nor_metadata_while_the_schema_stays(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    assert [append(sink, batch_id, ROWS) for batch_id in range(3)] == [0, 1, 2]
    assert set(actions(tmp_path, 2)) == {"commitInfo", "txn", "add"}
    assert ids(tmp_path) == [1, 1, 1, 2, 2, 2]


def test_commit_again_returns_the_version_of_the_first_time(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    first = attempt(sink, 0, ROWS)
    assert [first.commit(), first.commit(), append(sink, 1, ROWS), first.commit()] == [0, 0, 1, 0]
    assert make_sink(tmp_path).commit(first.manifest, {}) == 0
    assert ids(tmp_path) == [1, 1, 2, 2]


def test_commit_goes_behind_versions_of_other_writers(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, ROWS)
    staged = attempt(sink, 1, ROWS)
    write_deltalake(tmp_path, pl.DataFrame({"id": [50]}), mode="append", schema_mode="merge")
    assert staged.commit() == 2
    assert ids(tmp_path) == [1, 1, 2, 2, 50]


class Overtaken(LocalStorage):
    """A disk on which another writer commits just before our first version."""

    is_waiting = True

    def create(self, path: str, content: bytes, *, effect: str) -> None:
        if self.is_waiting:
            self.is_waiting = False
            write_deltalake(self.root, pl.DataFrame({"id": [50]}), mode="append")
        super().create(path, content, effect=effect)


def test_commit_that_lost_its_version_is_made_anew_on_what_the_table_is_then(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    staged = attempt(sink, 0, ROWS)
    sink._log._storage = Overtaken(tmp_path, sink._site.seam)
    assert staged.commit() == 1
    assert [field["name"] for field in json.loads(actions(tmp_path, 1)["metaData"]["schemaString"])["fields"]] == [
        "id",
        "name",
    ]
    assert ids(tmp_path) == [1, 2, 50]


def test_two_pipelines_share_a_table_without_seeing_each_others_batches(tmp_path: Path) -> None:
    one, two = make_sink(tmp_path), make_sink(tmp_path, app="fedcba9876543210fedcba9876543210/main")
    append(one, 0, ROWS)
    append(one, 1, ROWS)
    assert (one.last_batch_id(), two.last_batch_id()) == (1, None)
    assert append(two, 0, pl.DataFrame({"id": [70]})) == 2
    assert append(one, 2, ROWS) == 3
    assert (one.last_batch_id(), two.last_batch_id()) == (2, 0)
    assert make_sink(tmp_path).last_batch_id((2, 3)) == 2
    assert ids(tmp_path) == [1, 1, 1, 2, 2, 2, 70]


def test_expected_standing_is_answered_without_reading_the_table(tmp_path: Path) -> None:
    append(make_sink(tmp_path), 0, ROWS)
    sink = make_sink(tmp_path)
    assert sink.last_batch_id((0, 0)) == 0
    assert sink._log._head is None
    assert make_sink(tmp_path).last_batch_id((5, 9)) == 0
    assert make_sink(tmp_path / "none").last_batch_id((0, 0)) is None


def test_batch_without_rows_makes_a_version_and_leaves_no_file(tmp_path: Path) -> None:
    layouts: list[dict[str, Any]] = [{}, {"partition_by": ["name"]}]
    for number, options in enumerate(layouts):
        root = tmp_path / str(number)
        sink = make_sink(root, **options)
        empty = attempt(sink, 0, ROWS.clear())
        assert empty.files == ()
        assert empty.commit() == 0
        assert table_data(root) == []
        assert sink.last_batch_id() == 0
        assert table_rows(root) == []


def test_missing_files_are_those_that_are_gone_or_of_another_size(tmp_path: Path) -> None:
    sink = make_sink(tmp_path, partition_by=["id"])
    staged = attempt(sink, 0, pl.DataFrame({"id": [1, 2, 3], "v": [1, 2, 3]}))
    assert sink.missing(staged.manifest) == []
    gone, cut, _ = (file.path for file in staged.files)
    (tmp_path / gone).unlink()
    (tmp_path / cut).write_bytes(b"PAR1")
    assert sink.missing(staged.manifest) == [gone, cut]


def test_discarding_keeps_the_winner_other_batches_and_other_pipelines(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    attempt(sink, 0, ROWS, "a")
    kept = attempt(sink, 0, ROWS, "b")
    attempt(sink, 1, ROWS, "c")
    attempt(make_sink(tmp_path, app="fedcba9876543210/main"), 0, ROWS, "d")
    sink.discard(0, [file.path for file in kept.files])
    assert [path[14:-14] for path in table_data(tmp_path)] == [
        "0000000000-" + "b" * 16, "0000000001-" + "c" * 16, "0000000000-" + "d" * 16,
    ]  # fmt: skip
    sink.discard(1, [])
    assert len(table_data(tmp_path)) == 2


class Losing(LocalStorage):
    """A disk whose new files cannot be found."""

    def size(self, path: str) -> int | None:
        return None


def test_data_file_that_vanishes_while_it_is_staged_is_an_error(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    object.__setattr__(sink._site, "storage", Losing(tmp_path, sink._site.seam))
    with pytest.raises(SinkError, match="a data file vanished while it was staged"):
        sink.stage(0, "a" * 32, ROWS.lazy(), Tally())


def pad(root: Path, upto: int) -> None:
    """Add versions that change nothing, up to one."""
    start = len(list((root / "_delta_log").glob("*.json")))
    for version in range(start, upto + 1):
        log_file(root, version).write_text('{"commitInfo":{}}\n')


def checkpoints(root: Path) -> list[int]:
    return sorted(int(path.name[:20]) for path in (root / "_delta_log").glob("*.checkpoint.parquet"))


def test_tending_summarises_the_log_once_it_grew_by_a_hundred_versions_also_over_many_short_runs(
    tmp_path: Path,
) -> None:
    make_sink(tmp_path).tend()
    append(make_sink(tmp_path), 0, ROWS)
    pad(tmp_path, 98)
    append(make_sink(tmp_path), 1, ROWS)
    make_sink(tmp_path).tend()
    assert checkpoints(tmp_path) == []
    sink = make_sink(tmp_path)
    append(sink, 2, ROWS)
    sink.tend()
    sink.tend()
    assert checkpoints(tmp_path) == [100]
    pad(tmp_path, 198)
    append(make_sink(tmp_path), 3, ROWS)
    make_sink(tmp_path).tend()
    assert checkpoints(tmp_path) == [100]
    append(make_sink(tmp_path), 4, ROWS)
    make_sink(tmp_path).tend()
    assert checkpoints(tmp_path) == [100, 200]
    assert ids(tmp_path) == [1] * 5 + [2] * 5


def test_table_written_by_us_is_read_alike_by_four_readers(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, ROWS)
    append(sink, 1, pl.DataFrame({"id": [3], "name": ["c"], "extra": [1.5]}))
    wanted = [(1, "a", None), (2, None, None), (3, "c", 1.5)]
    assert pl.scan_delta(str(tmp_path)).sort("id").collect().rows() == wanted
    arrow = DeltaTable(tmp_path).to_pyarrow_dataset().to_table().sort_by("id")
    assert [tuple(row.values()) for row in arrow.to_pylist()] == wanted
    query = "SELECT id, name, extra FROM read_parquet($files, union_by_name=true) ORDER BY id"
    with duckdb.connect() as connection:
        assert connection.execute(query, {"files": table_files(tmp_path)}).fetchall() == wanted
    answer = (
        deltalake.QueryBuilder().register("t", DeltaTable(tmp_path)).execute("SELECT * FROM t ORDER BY id").read_all()
    )
    assert pl.DataFrame(answer).rows() == wanted


def test_another_table_in_the_place_is_told_apart(tmp_path: Path) -> None:
    sink = make_sink(tmp_path / "one")
    append(sink, 0, ROWS)
    append(make_sink(tmp_path / "two"), 0, ROWS)
    assert make_sink(tmp_path / "one").table_id() == sink.table_id() != make_sink(tmp_path / "two").table_id()


def test_restore_seen_at_start_is_refused(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    for batch_id in range(2):
        append(sink, batch_id, ROWS)
    DeltaTable(tmp_path).restore(0)
    with pytest.raises(TableStateError) as caught:
        make_sink(tmp_path).last_batch_id((1, 1))
    assert caught.value.kind == "table_behind"
