"""Versions of the reading schema: one a batch at most, each once, whatever crashes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etl.checkpoint.folder import Checkpoint
from etl.checkpoint.schema_log import SchemaVersion
from etl.errors import EtlError
from etl.model import SchemaChange
from etl.storage import LocalStorage
from etl.testing import ManualClock

FIRST = SchemaVersion(0, 0, "source", {"id": "int64"}, (SchemaChange("id", None, "int64", "in/1"),))
SECOND = SchemaVersion(
    1, 4, "source", {"id": "float64", "x": {"list": "date"}},
    (SchemaChange("id", "int64", "float64", "in/9"), SchemaChange("x", None, {"list": "date"}, "in/9")),
)  # fmt: skip


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    clock = ManualClock()
    return Checkpoint(LocalStorage(tmp_path, clock), "p-1", clock)


def add(checkpoint: Checkpoint, *found: SchemaVersion, epoch: int = 1) -> None:
    for each in found:
        checkpoint.schemas.add(each, epoch=epoch, attempt="a1")


def test_versions_are_read_back_as_they_were_written_oldest_first(checkpoint: Checkpoint) -> None:
    assert checkpoint.schemas.all() == []
    add(checkpoint, FIRST, SECOND)
    assert checkpoint.schemas.all() == [FIRST, SECOND]
    assert checkpoint.schemas.read(1) == SECOND


def test_versions_are_numbered_by_the_log_alone(checkpoint: Checkpoint, tmp_path: Path) -> None:
    add(checkpoint, SchemaVersion(17, 3, "source", {"id": "int64"}, ()))
    assert sorted(path.name for path in (tmp_path / "schemas").iterdir()) == ["0000000000.json"]
    record = json.loads((tmp_path / "schemas" / "0000000000.json").read_text())
    assert record["kind"] == "schema"
    assert record["body"] == {"batch": 3, "source": "source", "schema": {"id": "int64"}, "changes": []}


def test_a_batch_publishes_its_version_once(checkpoint: Checkpoint) -> None:
    add(checkpoint, FIRST, SECOND, SECOND)
    add(checkpoint, SECOND, epoch=2)
    assert checkpoint.schemas.all() == [FIRST, SECOND]


def test_a_version_of_an_older_batch_comes_too_late(checkpoint: Checkpoint) -> None:
    add(checkpoint, SECOND, FIRST)
    assert [each.batch_id for each in checkpoint.schemas.all()] == [4]


def test_an_equal_schema_is_no_new_version(checkpoint: Checkpoint) -> None:
    add(checkpoint, FIRST, SchemaVersion(0, 7, "source", dict(FIRST.schema), ()))
    assert checkpoint.schemas.all() == [FIRST]


def test_a_torn_version_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    add(checkpoint, FIRST)
    (tmp_path / "schemas" / "0000000000.json").write_bytes(b"{")
    with pytest.raises(EtlError, match="torn or altered"):
        checkpoint.schemas.all()
