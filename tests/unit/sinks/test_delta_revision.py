"""Rows that a table holds already, written anew: other types, without those of some files, with other marks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from etl.balance import Tally
from etl.errors import FencedError, SinkError, TableMovedError
from etl.model import PROVENANCE_COLUMNS, Manifest, Revision, Schema, StagedFile, TypeTree
from etl.sinks.contract import Edit
from etl.sinks.delta import DeltaSink
from tests.readers import table_files, table_rows
from tests.unit.sinks.tables import APP, actions, append, make_sink, table_data


def revised(
    sink: DeltaSink, batch_id: int, edit: Edit, name: str = "e"
) -> tuple[tuple[StagedFile, ...], Revision | None]:
    return sink.revise(batch_id, name * 32, edit)


def commit(sink: DeltaSink, batch_id: int, edit: Edit) -> int:
    """Stage and commit a batch that is an edit alone; return its version."""
    files, revision = revised(sink, batch_id, edit)
    assert revision is not None
    manifest = Manifest(
        batch_id, "e" * 32, {"main": files}, {"main": edit.schema}, {}, {}, revisions={"main": revision}
    )
    return sink.commit(manifest, {})


def rows(root: Path, *names: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(row.get(name) for name in names) for row in table_rows(root)), key=repr)


def types(root: Path) -> dict[str, str]:
    return {field.name: str(field.type.type) for field in DeltaTable(root).schema().fields}


def test_a_wider_type_rewrites_every_file_and_changes_no_value(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, pl.DataFrame({"id": [1, 2**53], "x": ["a", None]}))
    append(sink, 1, pl.DataFrame({"id": [None, -7], "x": ["b", "c"]}))
    before = table_files(tmp_path)
    edit = Edit({"id": "float64", "x": "string"})
    files, revision = revised(sink, 2, edit)
    assert revision is not None
    assert sorted(revision.removes) == sorted(Path(each).name for each in before)
    assert (revision.read_version, revision.is_data_change) == (1, False)
    assert [file.is_rewrite for file in files] == [True]
    assert sum(file.rows for file in files) == 4
    assert table_files(tmp_path) == before
    assert commit(sink, 2, edit) == 2
    assert types(tmp_path) == {"id": "double", "x": "string"}
    assert rows(tmp_path, "id", "x") == [(-7.0, "c"), (1.0, "a"), (9007199254740992.0, None), (None, "b")]


def test_a_version_that_only_changes_types_is_no_change_for_readers_that_follow(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, pl.DataFrame({"id": [1]}))
    commit(sink, 1, Edit({"id": "float64"}))
    found = actions(tmp_path, 1)
    assert [each["dataChange"] for each in found["add"]] == [False]
    assert found["remove"]["dataChange"] is False
    assert found["txn"] == {"appId": APP, "version": 1}
    assert found["commitInfo"]["isBlindAppend"] is False


def test_new_rows_beside_rewritten_ones_are_a_change(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, pl.DataFrame({"id": [1]}))
    wide = pl.DataFrame({"id": [1.5]})
    schema = sink.prepare(wide.schema, may_widen=True)
    new = sink.stage(1, "e" * 32, wide.lazy(), Tally())
    old, revision = revised(sink, 1, Edit(schema))
    assert revision is not None
    manifest = Manifest(1, "e" * 32, {"main": (*new, *old)}, {"main": schema}, {}, {}, revisions={"main": revision})
    sink.commit(manifest, {})
    assert sorted(each["dataChange"] for each in actions(tmp_path, 1)["add"]) == [False, True]
    assert rows(tmp_path, "id") == [(1.0,), (1.5,)]


def test_a_number_that_the_wider_type_cannot_hold_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, pl.DataFrame({"id": [1, 2**53 + 1]}))
    with pytest.raises(SinkError, match=r"cannot become Float64.*9007199254740993"):
        revised(sink, 1, Edit({"id": "float64"}))
    assert rows(tmp_path, "id") == [(1,), (2**53 + 1,)]


def test_partition_columns_stay_the_layout_of_rewritten_files(tmp_path: Path) -> None:
    sink = make_sink(tmp_path, partition_by=["kind", "day"])
    frame = pl.DataFrame(
        {"id": [1, 2, 3], "kind": ["a b/é", None, "c"], "day": [date(2026, 1, 1), date(2026, 1, 2), None]}
    )
    append(sink, 0, frame)
    commit(sink, 1, Edit({"id": "float64", "kind": "string", "day": "date"}))
    assert pl.read_delta(str(tmp_path)).sort("id").rows() == [
        (1.0, "a b/é", date(2026, 1, 1)), (2.0, None, date(2026, 1, 2)), (3.0, "c", None),
    ]  # fmt: skip
    values = [each["partitionValues"] for each in actions(tmp_path, 1)["add"]]
    assert {"kind": None, "day": "2026-01-02"} in values
    assert len(values) == 3


def test_a_column_that_is_new_with_the_edit_is_null_in_rewritten_rows(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, pl.DataFrame({"id": [1]}))
    append(sink, 1, pl.DataFrame({"id": [2], "late": ["x"]}))
    commit(sink, 2, Edit({"id": "float64", "late": "string", "new": {"list": "date"}}))
    assert pl.read_delta(str(tmp_path)).sort("id").rows() == [(1.0, None, None), (2.0, "x", None)]


def test_fields_in_structs_and_items_of_lists_become_wider(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, pl.DataFrame({"s": [{"a": 1, "l": [1, None]}, None]}))
    commit(sink, 1, Edit({"s": {"struct": {"a": "float64", "l": {"list": "float64"}}}}))
    assert pl.read_delta(str(tmp_path))["s"].to_list() == [{"a": 1.0, "l": [1.0, None]}, None]


def test_fields_that_structs_gain_are_null_in_rows_that_are_written_anew(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, pl.DataFrame({"n": [1, 2], "s": [{"a": 1}, None], "l": [[{"a": 1}], [None]]}))
    append(sink, 1, pl.DataFrame({"n": [3], "s": [{"b": "x", "a": 2}], "l": [[{"b": "y", "a": 3}]]}))
    grown: TypeTree = {"struct": {"a": "int64", "b": "string", "c": {"list": "date"}}}
    commit(sink, 2, Edit({"n": "float64", "s": grown, "l": {"list": grown}}))
    expected: list[Any] = [
        (1.0, {"a": 1, "b": None, "c": None}, [{"a": 1, "b": None, "c": None}]),
        (2.0, None, [None]),
        (3.0, {"a": 2, "b": "x", "c": None}, [{"a": 3, "b": "y", "c": None}]),
    ]
    assert pl.read_delta(str(tmp_path)).sort("n").rows() == expected


def test_fields_that_structs_gain_leave_the_files_of_a_table_alone(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, pl.DataFrame({"s": [{"a": 1}], "l": [[{"a": 1}]]}))
    grown: TypeTree = {"struct": {"a": "int64", "b": "string"}}
    assert revised(sink, 1, Edit({"s": grown, "l": {"list": grown}})) == ((), None)


SOURCED = pl.DataFrame(
    {"id": [1, 2, 3], "_source_file": ["in/a", "in/b", None], "_source_offset": [0, 0, None], "_batch_id": [0, 0, 0]},
)


def sourced(root: Path) -> DeltaSink:
    return make_sink(root, provenance=PROVENANCE_COLUMNS)


def schema_of(sink: DeltaSink) -> Schema:
    return sink.prepare(pl.Schema({}))


def test_rows_of_an_input_file_go_and_others_stay(tmp_path: Path) -> None:
    sink = sourced(tmp_path)
    append(sink, 0, SOURCED)
    append(sink, 1, SOURCED.with_columns(id=pl.col("id") + 10, _source_file=pl.lit("in/c")))
    kept = actions(tmp_path, 1)["add"][0]["path"]
    commit(sink, 2, Edit(schema_of(sink), files=frozenset({"in/a", "in/none"})))
    assert rows(tmp_path, "id", "_source_file") == [
        (11, "in/c"), (12, "in/c"), (13, "in/c"), (2, "in/b"), (3, None),
    ]  # fmt: skip
    found = actions(tmp_path, 2)
    assert found["remove"]["dataChange"] is True
    assert found["remove"]["path"] != kept
    assert kept in [Path(each).name for each in table_files(tmp_path)]


def test_a_file_that_loses_every_row_is_taken_out_and_none_is_put_back(tmp_path: Path) -> None:
    sink = sourced(tmp_path)
    append(sink, 0, SOURCED.filter(pl.col("id") == 1))
    files, revision = revised(sink, 1, Edit(schema_of(sink), files=frozenset({"in/a"})))
    assert files == ()
    assert revision is not None
    assert len(revision.removes) == 1
    assert len(table_data(tmp_path)) == 1


def test_files_without_such_rows_are_left_alone_though_their_bounds_do_not_tell(tmp_path: Path) -> None:
    sink = sourced(tmp_path)
    append(sink, 0, SOURCED.with_columns(_source_file=pl.Series(["in/a", "in/c", "in/c"])))
    assert revised(sink, 1, Edit(schema_of(sink), files=frozenset({"in/b"}))) == ((), None)
    long = "in/" + "x" * 40
    append(sink, 1, SOURCED.with_columns(_source_file=pl.lit(f"{long}1")))
    _, revision = revised(sink, 2, Edit(schema_of(sink), files=frozenset({f"{long}1"})))
    assert revision is not None
    assert len(revision.removes) == 1
    assert revised(sink, 2, Edit(schema_of(sink), files=frozenset({f"{long}2"})), "f") == ((), None)


def test_a_table_without_provenance_has_no_rows_of_a_file(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, pl.DataFrame({"id": [1]}))
    with pytest.raises(SinkError, match="the table has no _source_file"):
        revised(sink, 1, Edit({"id": "int64"}, files=frozenset({"in/a"})))


def test_a_table_that_is_not_there_or_that_nothing_is_asked_of_stays(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    assert revised(sink, 0, Edit({"id": "int64"}, files=frozenset({"a"}))) == ((), None)
    append(sink, 0, pl.DataFrame({"id": [1]}))
    assert revised(sink, 1, Edit({"id": "int64"})) == ((), None)
    assert revised(sink, 1, Edit({"id": "int64", "new": "date"})) == ((), None)
    assert len(table_data(tmp_path)) == 1


MARKED = pl.DataFrame(
    {"row_id": ["0-1", "0-2", "0-3"], "status": ["open"] * 3, "resolved_in": [None] * 3, "at": [None] * 3},
    schema={"row_id": pl.String, "status": pl.String, "resolved_in": pl.Int64, "at": pl.Datetime("us", "UTC")},
)
AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_column_that_another_writer_added_since_the_schema_was_agreed_on_is_not_dropped(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, pl.DataFrame({"id": [1]}))
    schema = sink.prepare(pl.Schema({"id": pl.Float64}), may_widen=True)
    write_deltalake(tmp_path, pl.DataFrame({"id": [2], "w": ["x"]}), mode="append", schema_mode="merge")
    with pytest.raises(TableMovedError, match="added column 'w' while the batch was staged"):
        revised(sink, 1, Edit(schema))
    assert rows(tmp_path, "id", "w") == [(1, None), (2, "x")]


def test_marks_change_the_rows_with_those_ids_alone(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, MARKED)
    append(sink, 1, MARKED.with_columns(row_id=pl.col("row_id").str.replace("0-", "1-")))
    marks: Mapping[str, Any] = {key: {"status": "discarded", "resolved_in": 2, "at": AT} for key in ("0-2", "9-9")}
    commit(sink, 2, Edit(schema_of(sink), marks=marks))
    found = pl.read_delta(str(tmp_path)).filter(pl.col("status") != "open").rows()
    assert found == [("0-2", "discarded", 2, AT)]
    assert Counter(row["row_id"] for row in table_rows(tmp_path)) == Counter(["0-1", "0-2", "0-3", "1-1", "1-2", "1-3"])
    assert actions(tmp_path, 2)["remove"]["path"] == actions(tmp_path, 0)["add"][0]["path"]


def test_a_mark_may_clear_a_value(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, MARKED.with_columns(resolved_in=pl.lit(5, pl.Int64)))
    commit(sink, 1, Edit(schema_of(sink), marks={"0-2": {"resolved_in": None}}))
    assert rows(tmp_path, "row_id", "resolved_in") == [("0-1", 5), ("0-2", None), ("0-3", 5)]


def test_files_of_another_writer_without_statistics_are_looked_into(tmp_path: Path) -> None:
    sink = sourced(tmp_path)
    append(sink, 0, SOURCED.filter(pl.col("id") == 2))
    frame = SOURCED.filter(pl.col("id") == 1).with_columns(_source_file=pl.lit("in/z"))
    write_deltalake(tmp_path, frame, mode="append")
    log = tmp_path / "_delta_log" / f"{1:020d}.json"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if "add" in line:
            line["add"].pop("stats")
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    commit(sourced(tmp_path), 2, Edit(schema_of(sink), files=frozenset({"in/z"})))
    assert rows(tmp_path, "id") == [(2,)]


def test_a_revision_of_files_that_others_changed_is_refused_and_one_of_settings_is_not(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, pl.DataFrame({"id": [1]}))
    edit = Edit({"id": "float64"})
    files, revision = revised(sink, 1, edit)
    assert revision is not None
    manifest = Manifest(1, "e" * 32, {"main": files}, {"main": edit.schema}, {}, {}, revisions={"main": revision})
    DeltaTable(tmp_path).alter.set_table_properties({"delta.logRetentionDuration": "interval 9 days"})
    write_deltalake(tmp_path, pl.DataFrame({"id": [2]}), mode="append")
    with pytest.raises(TableMovedError, match="version 2 of another writer changed files that the batch rewrites"):
        sink.commit(manifest, {})
    assert rows(tmp_path, "id") == [(1,), (2,)]


def test_a_table_that_a_refresh_took_over_is_not_revised(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    append(sink, 0, pl.DataFrame({"id": [1]}))
    refresh = make_sink(tmp_path, app="2" * 32 + "/main")
    refresh.bind("2" * 32 + "/main", "", [APP])
    append(refresh, 0, pl.DataFrame({"id": ["x"]}))
    with pytest.raises(FencedError):
        revised(sink, 1, Edit({"id": "float64"}))
