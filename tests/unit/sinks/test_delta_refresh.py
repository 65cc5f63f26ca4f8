"""A batch that takes the place of all that a Delta table holds, and the names under which a table remembers batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from etl.errors import FencedError, SinkError, TableStateError
from etl.sinks.delta import DeltaSink
from tests.readers import table_rows
from tests.unit.sinks.tables import append, attempt, make_sink

OLD, NEW = "1" * 32 + "/main", "2" * 32 + "/main"
ROWS = pl.DataFrame({"id": [1, 2], "kind": ["a b/é", None]})


def bound(root: Path, app: str, replaces: list[str] | None = None, **options: Any) -> DeltaSink:
    sink = make_sink(root, **options)
    sink.bind(app, "orders", replaces)
    return sink


def actions(root: Path, version: int, kind: str) -> list[dict[str, Any]]:
    lines = (root / "_delta_log" / f"{version:020d}.json").read_text().splitlines()
    return [json.loads(line)[kind] for line in lines if kind in json.loads(line)]


def ids(root: Path) -> list[object]:
    return sorted(row["id"] for row in table_rows(root))


def test_every_batch_claims_the_table_for_its_pipeline(tmp_path: Path) -> None:
    sink = bound(tmp_path, OLD)
    assert sink.claimed_batch_id() is None
    for batch_id in range(2):
        append(sink, batch_id, ROWS)
    assert actions(tmp_path, 1, "txn") == [
        {"appId": OLD, "version": 1},
        {"appId": "etl-pipeline:orders", "version": 1},
    ]
    assert sink.claimed_batch_id() == 1
    other = bound(tmp_path, NEW)
    assert (other.last_batch_id(), other.claimed_batch_id()) == (None, 1)


def test_a_claim_is_of_one_pipeline_alone(tmp_path: Path) -> None:
    append(bound(tmp_path, OLD), 0, ROWS)
    sink = make_sink(tmp_path)
    sink.bind(NEW, "refunds")
    assert sink.claimed_batch_id() is None
    assert append(sink, 0, ROWS) == 1


def test_another_checkpoint_of_the_pipeline_cannot_commit(tmp_path: Path) -> None:
    late = attempt(bound(tmp_path, NEW), 0, ROWS)
    append(bound(tmp_path, OLD), 0, ROWS)
    with pytest.raises(TableStateError, match="table_ahead: another checkpoint of this pipeline"):
        late.commit()
    assert ids(tmp_path) == [1, 2]


def test_the_first_batch_of_a_refresh_takes_every_file_out_in_its_own_version(tmp_path: Path) -> None:
    append(bound(tmp_path, OLD, partition_by=["kind"]), 0, ROWS)
    write_deltalake(tmp_path, pl.DataFrame({"id": [9], "kind": ["x"]}), mode="append")
    sink = bound(tmp_path, NEW, [OLD])
    assert append(sink, 0, pl.DataFrame({"id": ["three"], "more": [1.5]})) == 2
    added = {each["path"] for version in (0, 1) for each in actions(tmp_path, version, "add")}
    assert {each["path"] for each in actions(tmp_path, 2, "remove")} == added
    assert actions(tmp_path, 2, "txn") == [
        {"appId": NEW, "version": 0},
        {"appId": "etl-pipeline:orders", "version": 0},
        {"appId": OLD, "version": 9007199254740992},
    ]
    assert actions(tmp_path, 2, "commitInfo")[0]["operationParameters"] == {"mode": "Overwrite"}
    assert pl.read_delta(str(tmp_path)).to_dicts() == [{"id": "three", "more": 1.5}]
    assert table_rows(tmp_path) == [{"id": "three", "more": 1.5}]
    assert sorted(pl.read_delta(str(tmp_path), version=1)["id"]) == [1, 2, 9]


def test_later_batches_of_a_refresh_append(tmp_path: Path) -> None:
    append(bound(tmp_path, OLD), 0, ROWS)
    for batch_id in range(3):
        append(bound(tmp_path, NEW, [OLD]), batch_id, pl.DataFrame({"id": [10 + batch_id]}))
    assert ids(tmp_path) == [10, 11, 12]
    assert actions(tmp_path, 2, "txn") == [{"appId": NEW, "version": 1}, {"appId": "etl-pipeline:orders", "version": 1}]


def test_a_refresh_is_committed_once(tmp_path: Path) -> None:
    append(bound(tmp_path, OLD), 0, ROWS)
    first = attempt(bound(tmp_path, NEW, [OLD]), 0, pl.DataFrame({"id": [10]}))
    assert [first.commit(), first.commit()] == [1, 1]
    append(bound(tmp_path, NEW, [OLD]), 1, pl.DataFrame({"id": [11]}))
    again = bound(tmp_path, NEW, [OLD])
    assert again.commit(first.manifest, {}) == 1
    assert ids(tmp_path) == [10, 11]


def test_a_batch_without_rows_empties_the_table(tmp_path: Path) -> None:
    append(bound(tmp_path, OLD), 0, ROWS)
    append(bound(tmp_path, NEW, [OLD]), 0, ROWS.clear())
    assert table_rows(tmp_path) == []
    assert pl.read_delta(str(tmp_path)).columns == ["id", "kind"]


def test_a_refresh_makes_the_table_where_there_is_none(tmp_path: Path) -> None:
    append(bound(tmp_path, NEW, [OLD]), 0, ROWS)
    assert ids(tmp_path) == [1, 2]
    with pytest.raises(TableStateError, match="a full refresh took the place"):
        bound(tmp_path, OLD).last_batch_id()


def test_a_replaced_checkpoint_can_neither_start_nor_stage_nor_commit(tmp_path: Path) -> None:
    append(bound(tmp_path, OLD), 0, ROWS)
    asleep = bound(tmp_path, OLD)
    late = attempt(asleep, 1, ROWS)
    append(bound(tmp_path, NEW, [OLD]), 0, pl.DataFrame({"id": [10]}))
    with pytest.raises(FencedError, match="the refresh goes on"):
        late.commit()
    with pytest.raises(FencedError):
        asleep.prepare(ROWS.schema)
    with pytest.raises(TableStateError, match="table_ahead") as caught:
        bound(tmp_path, OLD).last_batch_id((0, 0))
    assert "etl run orders --full-refresh" in caught.value.hint
    assert ids(tmp_path) == [10]


def test_a_refresh_keeps_name_identity_and_settings_of_the_table(tmp_path: Path) -> None:
    write_deltalake(
        tmp_path, ROWS, name="shop", description="d", configuration={"delta.logRetentionDuration": "interval 9 days"}
    )
    before = DeltaTable(tmp_path).metadata()
    append(bound(tmp_path, NEW, []), 0, pl.DataFrame({"other": [1]}))
    after = DeltaTable(tmp_path).metadata()
    assert (after.id, after.name, after.description, after.configuration) == (
        before.id,
        "shop",
        "d",
        {"delta.logRetentionDuration": "interval 9 days"},
    )


def test_a_refresh_with_times_without_zone_raises_the_protocol(tmp_path: Path) -> None:
    append(bound(tmp_path, OLD), 0, ROWS)
    times = pl.DataFrame({"at": ["2026-01-02T03:04:05"]}).with_columns(pl.col("at").str.to_datetime("%FT%T"))
    append(bound(tmp_path, NEW, [OLD]), 0, times)
    assert DeltaTable(tmp_path).protocol().reader_features == ["timestampNtz"]
    assert pl.read_delta(str(tmp_path)).equals(times)


def test_an_append_only_table_is_not_replaced(tmp_path: Path) -> None:
    write_deltalake(tmp_path, ROWS, configuration={"delta.appendOnly": "true"})
    assert append(bound(tmp_path, OLD), 0, ROWS) == 1
    with pytest.raises(SinkError, match="append-only") as caught:
        bound(tmp_path, NEW, [OLD]).prepare(ROWS.schema)
    assert "delta.appendOnly" in caught.value.hint


def test_a_table_that_may_hold_deletion_vectors_is_not_replaced(tmp_path: Path) -> None:
    append(bound(tmp_path, OLD), 0, ROWS)
    protocol = {
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": ["deletionVectors"],
        "writerFeatures": ["deletionVectors"],
    }
    (tmp_path / "_delta_log" / f"{1:020d}.json").write_text(json.dumps({"protocol": protocol}) + "\n")
    with pytest.raises(SinkError, match="deletion vectors"):
        bound(tmp_path, NEW, [OLD]).prepare(ROWS.schema)


def test_a_change_of_the_partitioning_names_the_refresh(tmp_path: Path) -> None:
    append(bound(tmp_path, OLD), 0, ROWS)
    with pytest.raises(SinkError, match="is partitioned by") as caught:
        bound(tmp_path, OLD, partition_by=["kind"]).prepare(ROWS.schema)
    assert caught.value.hint.endswith("build the table anew: etl run orders --full-refresh")
