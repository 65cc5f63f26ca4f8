"""The log that a full refresh has of its own, beside that which readers see."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.errors import SinkError
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.delta_beside import TableLogs
from etl.sinks.delta_log import Action
from etl.storage import LocalStorage

INFO: Action = {"commitInfo": {"operation": "WRITE"}}
PROTOCOL: Action = {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}
METADATA: Action = {
    "metaData": {
        "id": "t",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": '{"type":"struct","fields":[{"name":"a","type":"long","nullable":true,"metadata":{}}]}',
        "partitionColumns": [],
        "configuration": {},
    }
}


def add(path: str, rows: int) -> Action:
    stats = f'{{"numRecords":{rows}}}'
    values: Action = {"path": path, "partitionValues": {}, "size": 3, "modificationTime": 0}
    return {"add": values | {"dataChange": True, "stats": stats}}


def txn(app_id: str, batch: int) -> Action:
    return {"txn": {"appId": app_id, "version": batch}}


def logs_of(folder: Path, app_id: str = "abc/main") -> TableLogs:
    logs = TableLogs(SinkSite("t", str(folder), LocalStorage(folder, Seam()), Seam()))
    logs.bind(app_id, "p")
    logs.build_beside()
    return logs


def commit(logs: TableLogs, *actions: Action) -> None:
    assert logs.current.commit(logs.current.head(), [INFO, *actions]) is not None


def test_files_are_those_of_the_log_beside_less_what_is_gone(tmp_path: Path) -> None:
    logs = logs_of(tmp_path)
    for name in ("a b", "b", "c"):
        (tmp_path / name).write_text("abc")
    commit(logs, PROTOCOL, METADATA, txn("abc/main", 0), add("a%20b", 1), add("b", 2))
    commit(logs, txn("abc/main", 1), {"remove": {"path": "b", "dataChange": True}}, add("c", 3))
    assert [(file.path, file.rows, file.is_rewrite) for file in logs.files(())] == [("a b", 1, True), ("c", 3, True)]
    assert [file.path for file in logs.files(("a%20b",))] == ["c"]
    assert not (tmp_path / "_delta_log").exists()


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    logs = logs_of(tmp_path)
    (tmp_path / "a").write_text("ab")
    commit(logs, PROTOCOL, METADATA, txn("abc/main", 0), add("a", 1))
    with pytest.raises(SinkError, match="a, which the full refresh has written, is gone or has another size") as caught:
        logs.files(())
    assert caught.value.hint.endswith("or begin again: etl run p --full-refresh")


def test_batches_go_to_the_table_once_it_holds_one_of_them(tmp_path: Path) -> None:
    assert logs_of(tmp_path).is_beside
    own = logs_of(tmp_path)
    own.arrive()
    commit(own, PROTOCOL, METADATA, txn("abc/main", 4))
    assert not logs_of(tmp_path).is_beside
    assert logs_of(tmp_path, "other/main").is_beside


def test_only_logs_of_refreshes_that_are_over_are_removed(tmp_path: Path) -> None:
    for identity in ("abc", "old", "foreign"):
        commit(logs_of(tmp_path, f"{identity}/main"), PROTOCOL, METADATA)
    logs_of(tmp_path).clear(["old/main"])
    assert [path.parts[-3] for path in sorted(tmp_path.rglob("*.json"))] == ["abc", "foreign"]
    arrived = logs_of(tmp_path)
    arrived.arrive()
    arrived.clear([])
    assert [path.parts[-3] for path in sorted(tmp_path.rglob("*.json"))] == ["foreign"]
