"""What a full refresh rests on in how deltalake reads removes, new metadata and transactions."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake


def write_version(table: Path, *actions: dict[str, Any]) -> None:
    version = DeltaTable(table).version() + 1
    text = "".join(json.dumps(action, ensure_ascii=False) + "\n" for action in actions)
    (table / "_delta_log" / f"{version:020d}.json").write_text(text)


def logged_paths(table: Path) -> list[str]:
    lines = (table / "_delta_log" / f"{0:020d}.json").read_text().splitlines()
    return [json.loads(line)["add"]["path"] for line in lines if "add" in json.loads(line)]


def told_paths(table: Path) -> list[str]:
    return [str(path) for path in DeltaTable(table).get_add_actions().column("path").to_pylist()]


def remove(path: str) -> dict[str, Any]:
    return {"remove": {"path": path, "deletionTimestamp": 1_700_000_000_000, "dataChange": True}}


def test_add_actions_tell_paths_exactly_as_the_log_writes_them(tmp_path: Path) -> None:
    rows = pl.DataFrame({"id": [1, 2, 3], "kind": ["a b/é", "c%41", None]})
    write_deltalake(tmp_path, rows, partition_by=["kind"])
    assert sorted(told_paths(tmp_path)) == sorted(logged_paths(tmp_path))
    assert any("%2520" in path for path in told_paths(tmp_path))


def test_a_remove_works_under_the_path_that_the_log_wrote_and_under_no_other_spelling(tmp_path: Path) -> None:
    write_deltalake(tmp_path, pl.DataFrame({"id": [1]}))
    log = tmp_path / "_delta_log" / f"{0:020d}.json"
    (written,) = logged_paths(tmp_path)
    os.rename(tmp_path / written, tmp_path / "x:y z.parquet")
    log.write_text(log.read_text().replace(written, "x:y%20z.parquet"))
    assert told_paths(tmp_path) == ["x:y%20z.parquet"]
    write_version(tmp_path, remove("x%3Ay%20z.parquet"))
    assert told_paths(tmp_path) == ["x:y%20z.parquet"]
    write_version(tmp_path, remove("x:y%20z.parquet"))
    assert told_paths(tmp_path) == []


def test_one_version_may_change_columns_and_partitioning_when_it_removes_every_file(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", pl.DataFrame({"id": [1], "kind": ["a"]}), partition_by=["kind"])
    write_deltalake(tmp_path / "other", pl.DataFrame({"id": ["one"]}))
    lines = (tmp_path / "other" / "_delta_log" / f"{0:020d}.json").read_text().splitlines()
    (add,) = (json.loads(line) for line in lines if "add" in json.loads(line))
    (metadata,) = (json.loads(line) for line in lines if "metaData" in json.loads(line))
    os.rename(tmp_path / "other" / add["add"]["path"], tmp_path / "t" / add["add"]["path"])
    write_version(tmp_path / "t", metadata, *map(remove, told_paths(tmp_path / "t")), add)
    assert pl.read_delta(str(tmp_path / "t")).to_dicts() == [{"id": "one"}]
    assert pl.read_delta(str(tmp_path / "t"), version=0).to_dicts() == [{"id": 1, "kind": "a"}]


@pytest.mark.parametrize("is_summarised", [False, True], ids=["log", "checkpoint"])
def test_several_transactions_in_one_version_are_all_remembered_also_the_highest_whole_number_of_json(
    tmp_path: Path, is_summarised: bool
) -> None:
    write_deltalake(tmp_path, pl.DataFrame({"id": [1]}))
    versions = {"one/main": 3, "etl-pipeline:orders": 3, "zero/main": 2**53}
    write_version(tmp_path, *({"txn": {"appId": name, "version": version}} for name, version in versions.items()))
    if is_summarised:
        DeltaTable(tmp_path).create_checkpoint()
        (tmp_path / "_delta_log" / f"{0:020d}.json").unlink()
    table = DeltaTable(tmp_path)
    assert {name: table.transaction_version(name) for name in versions} == versions
    assert table.transaction_version("other") is None
