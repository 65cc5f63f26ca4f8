"""What ``etl.sinks.delta_log`` rests on in how deltalake reads and writes a table's log."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

ROWS = pl.DataFrame({"id": [1]})


def version_file(table: Path, version: int) -> Path:
    return table / "_delta_log" / f"{version:020d}.json"


def three_versions(table: Path) -> Path:
    for _ in range(3):
        write_deltalake(table, ROWS, mode="append")
    return table


def test_empty_last_version_reads_as_a_version_whose_rows_vanished(tmp_path: Path) -> None:
    three_versions(tmp_path)
    version_file(tmp_path, 2).write_bytes(b"")
    assert DeltaTable(tmp_path).version() == 2
    assert pl.read_delta(str(tmp_path)).height == 2


@pytest.mark.parametrize("content", [b'{"commitInfo":{"timestamp":1', b"\0" * 100], ids=["torn", "zeros"])
def test_torn_last_version_makes_the_table_unreadable(tmp_path: Path, content: bytes) -> None:
    three_versions(tmp_path)
    version_file(tmp_path, 2).write_bytes(content)
    with pytest.raises(DeltaError):
        pl.read_delta(str(tmp_path))


def test_gap_between_versions_makes_the_table_unreadable(tmp_path: Path) -> None:
    three_versions(tmp_path)
    version_file(tmp_path, 1).unlink()
    with pytest.raises(DeltaError):
        DeltaTable(tmp_path)


def test_folder_without_a_log_is_no_table(tmp_path: Path) -> None:
    assert not DeltaTable.is_deltatable(str(tmp_path))
    with pytest.raises(DeltaError):
        DeltaTable(tmp_path)


def test_temporary_files_in_the_log_do_not_disturb(tmp_path: Path) -> None:
    three_versions(tmp_path)
    (tmp_path / "_delta_log" / ".tmp-00000000000000000003.json-x").write_text('{"half')
    assert DeltaTable(tmp_path).version() == 2
    write_deltalake(tmp_path, ROWS, mode="append")
    assert DeltaTable(tmp_path).version() == 3


def test_metadata_keys_land_in_the_commit_info_as_they_are(tmp_path: Path) -> None:
    given = {"etl.batch_id": "7", "etl.offsets": '{"source":{}}'}
    write_deltalake(tmp_path, ROWS, commit_properties=CommitProperties(custom_metadata=given))
    info = DeltaTable(tmp_path).history(1)[0]
    assert {name: info[name] for name in given} == given


def test_last_checkpoint_names_its_version(tmp_path: Path) -> None:
    three_versions(tmp_path)
    DeltaTable(tmp_path).create_checkpoint()
    assert json.loads((tmp_path / "_delta_log" / "_last_checkpoint").read_text())["version"] == 2
    assert (tmp_path / "_delta_log" / f"{2:020d}.checkpoint.parquet").exists()


def test_schema_of_a_table_is_written_back_as_it_was(tmp_path: Path) -> None:
    array = {"type": "array", "elementType": "timestamp", "containsNull": False}
    schema = {
        "type": "struct",
        "fields": [
            {"name": "a", "type": "long", "nullable": False, "metadata": {"comment": "the key"}},
            {"name": "b", "type": array, "nullable": True, "metadata": {}},
            {"name": "c", "type": "decimal(10,2)", "nullable": True, "metadata": {}},
        ],
    }  # fmt: skip
    metadata = {
        "id": "t", "format": {"provider": "parquet", "options": {}}, "schemaString": json.dumps(schema),
        "partitionColumns": [], "configuration": {}, "createdTime": 1,
    }  # fmt: skip
    version_file(tmp_path, 0).parent.mkdir()
    protocol = {"minReaderVersion": 1, "minWriterVersion": 2}
    version_file(tmp_path, 0).write_text(
        f"{json.dumps({'protocol': protocol})}\n{json.dumps({'metaData': metadata})}\n"
    )
    table = DeltaTable(tmp_path)
    assert json.loads(table.schema().to_json()) == schema
    assert (str(table.metadata().id), table.metadata().created_time) == ("t", 1)


def test_no_version_is_written_over_by_a_commit_on_a_stale_handle(tmp_path: Path) -> None:
    three_versions(tmp_path)
    stale = DeltaTable(tmp_path)
    version_file(tmp_path, 3).write_text('{"commitInfo":{"n":1}}\n')
    write_deltalake(stale, ROWS, mode="append")
    assert version_file(tmp_path, 3).read_text() == '{"commitInfo":{"n":1}}\n'
    assert version_file(tmp_path, 4).exists()


def test_log_paths_stay_inside_the_table(tmp_path: Path) -> None:
    outside = tmp_path / "outside.parquet"
    ROWS.write_parquet(outside)
    table = three_versions(tmp_path / "t")
    add = {
        "path": "../outside.parquet", "partitionValues": {}, "size": outside.stat().st_size, "modificationTime": 1,
        "dataChange": True, "stats": '{"numRecords":1}',
    }  # fmt: skip
    version_file(table, 3).write_text(json.dumps({"add": add}) + "\n")
    with pytest.raises(Exception, match=r"outside\.parquet|not found|No such file|No such"):
        DeltaTable(table).to_pyarrow_dataset().to_table()
