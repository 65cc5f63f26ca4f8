"""Where a Delta table can no longer be followed, or never could: told before a row is read, and never fewer rows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from etl.errors import ConfigError, SourceError
from etl.model import ReadLimit
from etl.schema_contract import RESCUE, STRICT, SchemaContract
from etl.seam import Seam
from etl.sources.contract import SourceSite
from etl.sources.delta_options import DeltaSourceOptions
from etl.sources.delta_source import DeltaSource
from etl.storage import LocalStorage
from tests.following import Follower


def add(root: Path, ids: list[int], mode: Any = "append") -> None:
    write_deltalake(root / "table", pl.DataFrame({"id": ids}), mode=mode)


def vacuum(root: Path) -> None:
    DeltaTable(root / "table").vacuum(0, enforce_retention_duration=False, dry_run=False)


def log_file(root: Path, version: int) -> Path:
    return root / "table" / "_delta_log" / f"{version:020d}.json"


def test_a_file_of_a_plan_that_was_vacuumed_is_told_with_version_and_table(tmp_path: Path) -> None:
    add(tmp_path, [1])
    follower = Follower(tmp_path)
    follower.rows()
    add(tmp_path, [2])
    planned = follower.plan()
    DeltaTable(tmp_path / "table").optimize.compact()
    vacuum(tmp_path)
    assert planned is not None
    with pytest.raises(SourceError, match=r"version 1 of .*table needs part-\S+, which is gone: VACUUM") as refused:
        follower.read(planned)
    assert "--full-refresh" in refused.value.hint


def test_a_reader_that_lags_behind_vacuum_is_refused_at_its_next_batch(tmp_path: Path) -> None:
    add(tmp_path, [1])
    follower = Follower(tmp_path)
    follower.rows()
    for number in (2, 3):
        add(tmp_path, [number])
    DeltaTable(tmp_path / "table").optimize.compact()
    vacuum(tmp_path)
    with pytest.raises(SourceError, match="which is gone"):
        follower.take(ReadLimit(max_files=1))


def test_changes_need_the_files_that_a_version_took_out(tmp_path: Path) -> None:
    add(tmp_path, [1])
    follower = Follower(tmp_path, {"read": "changes", "primary_key": ["id"]})
    follower.rows()
    add(tmp_path, [2], "overwrite")
    vacuum(tmp_path)
    with pytest.raises(SourceError, match=r"version 1 of .*table took out needs part-"):
        follower.rows()


def test_a_log_that_was_cleaned_beyond_the_reader_is_refused(tmp_path: Path) -> None:
    add(tmp_path, [1])
    follower = Follower(tmp_path)
    follower.rows()
    for number in range(3):
        add(tmp_path, [number])
    DeltaTable(tmp_path / "table").create_checkpoint()
    for version in range(3):
        log_file(tmp_path, version).unlink()
    follower.reopen()
    with pytest.raises(SourceError, match="no longer holds version 1, which comes next; the newest is 3"):
        follower.plan()


def test_a_log_that_was_cleaned_as_far_as_the_reader_stands_is_waited_at(tmp_path: Path) -> None:
    for number in range(3):
        add(tmp_path, [number])
    follower = Follower(tmp_path)
    follower.rows()
    DeltaTable(tmp_path / "table").create_checkpoint()
    for version in range(3):
        log_file(tmp_path, version).unlink()
    follower.reopen()
    assert follower.rows() == []


def test_a_snapshot_that_the_log_no_longer_tells_is_refused(tmp_path: Path) -> None:
    add(tmp_path, [1])
    add(tmp_path, [2])
    follower = Follower(tmp_path)
    assert follower.take(ReadLimit(max_files=1)) is not None
    add(tmp_path, [3])
    DeltaTable(tmp_path / "table").create_checkpoint()
    for version in range(2):
        log_file(tmp_path, version).unlink()
    follower.reopen()
    with pytest.raises(SourceError, match="no longer tells what its version 1 held, of which 1 files are read"):
        follower.take()


@pytest.mark.parametrize("versions", [1, 2, 4])
def test_another_table_in_the_place_of_the_one_that_is_followed_is_refused(tmp_path: Path, versions: int) -> None:
    add(tmp_path, [1])
    add(tmp_path, [2])
    follower = Follower(tmp_path)
    follower.rows()
    shutil.rmtree(tmp_path / "table")
    for number in range(versions):
        add(tmp_path, [number])
    follower.reopen()
    with pytest.raises(SourceError, match="is another table by now"):
        follower.take()


def test_a_table_that_is_gone_is_refused_once_it_was_read(tmp_path: Path) -> None:
    add(tmp_path, [1])
    follower = Follower(tmp_path)
    follower.rows()
    shutil.rmtree(tmp_path / "table")
    with pytest.raises(SourceError, match="there is no table any more"):
        follower.plan()


def test_a_torn_commit_is_refused(tmp_path: Path) -> None:
    add(tmp_path, [1])
    follower = Follower(tmp_path)
    follower.rows()
    for content in ("", '{"add": {"pa'):
        log_file(tmp_path, 1).write_text(content)
        with pytest.raises(SourceError, match=r"version 1 of .*table is torn"):
            follower.plan()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"deletionVector": {"storageType": "u", "pathOrInlineDv": "x", "sizeInBytes": 1, "cardinality": 1}},
            "deletion",
        ),
        ({"path": "s3://other/x.parquet"}, "files outside the table's folder"),
        ({"path": "/other/x.parquet"}, "files outside the table's folder"),
    ],
)
def test_files_that_do_not_say_by_themselves_which_rows_are_meant_are_refused(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    add(tmp_path, [1])
    follower = Follower(tmp_path)
    follower.rows()
    add(tmp_path, [2])
    info, add_action = map(json.loads, log_file(tmp_path, 1).read_text().splitlines())
    add_action["add"] |= change
    log_file(tmp_path, 1).write_text(f"{json.dumps(info)}\n{json.dumps(add_action)}\n")
    with pytest.raises(SourceError, match=f"version 1 of .*table has {told}"):
        follower.plan()


MAPPED = '"metadata":{"delta.columnMapping.id":1,"delta.columnMapping.physicalName":"c"}'


@pytest.mark.parametrize(
    ("settings", "features", "told"),
    [
        ({"delta.columnMapping.mode": "name"}, ["columnMapping"], "uses column mapping by name, which"),
        ({}, ["rowSorcery"], "rowSorcery"),
    ],
)
def test_features_that_change_what_a_file_means_are_refused_by_name(
    tmp_path: Path, settings: dict[str, str], features: list[str], told: str
) -> None:
    add(tmp_path, [1])
    lines = [json.loads(line) for line in log_file(tmp_path, 0).read_text().splitlines()]
    for line in lines:
        if "metaData" in line:
            line["metaData"]["configuration"] = settings
            line["metaData"]["schemaString"] = line["metaData"]["schemaString"].replace('"metadata":{}', MAPPED)
        if "protocol" in line:
            line["protocol"] = {
                "minReaderVersion": 3,
                "minWriterVersion": 7,
                "readerFeatures": features,
                "writerFeatures": features,
            }
    log_file(tmp_path, 0).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with pytest.raises(SourceError, match=told):
        Follower(tmp_path).plan()


def test_a_column_of_changes_is_refused_by_name(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "table", pl.DataFrame({"id": [1], "_change": ["x"]}))
    with pytest.raises(SourceError, match="has a column '_change'"):
        Follower(tmp_path).plan()


def test_a_damaged_file_is_told_by_its_name(tmp_path: Path) -> None:
    add(tmp_path, [1])
    (path,) = (tmp_path / "table").glob("*.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=f"{path.name} of version 0 cannot be read"):
        Follower(tmp_path).take()


def _made(root: Path, contract: SchemaContract, schema: Any = None) -> DeltaSource:
    site = SourceSite("s", root, LocalStorage(root / "ledger", Seam()), Seam(), contract=contract)
    return DeltaSource(DeltaSourceOptions(path="table"), schema, site)


@pytest.mark.parametrize("contract", [RESCUE, STRICT, SchemaContract(missing_columns="quarantine")])
def test_policies_for_single_rows_are_refused(tmp_path: Path, contract: SchemaContract) -> None:
    with pytest.raises(ConfigError, match="is for single rows"):
        _made(tmp_path, contract)


def test_a_declared_schema_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="says by itself which columns it has"):
        _made(tmp_path, SchemaContract(), {"id": "int64"})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "either 'table' or 'path'"),
        ({"path": "t", "table": "a.b"}, "either 'table' or 'path'"),
        ({"path": "t", "read": "changes"}, "needs a primary_key"),
        ({"path": "t", "primary_key": ["id"]}, "goes with 'read: changes'"),
        ({"path": "t", "read": "changes", "primary_key": ["id"], "on_rewrite": "skip"}, "goes with 'read: appends'"),
        ({"path": "t", "read": "changes", "primary_key": ["id", "id"]}, "names a column twice"),
        ({"path": "t", "starting": {}}, "either `version` or `timestamp`"),
        ({"path": "t", "starting": {"version": 1, "timestamp": "2026-01-01"}}, "either `version` or `timestamp`"),
        ({"path": "t", "starting": {"timestamp": "yesterday"}}, "not a time"),
        ({"path": "t", "starting": {"version": -1}}, "greater than or equal to 0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        DeltaSourceOptions.model_validate(options)
