"""The log of a Delta table: its head, its compare-and-swap, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import deltalake
import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from etl.errors import SinkError, StorageError, TableStateError, UnknownOutcomeError
from etl.seam import Seam
from etl.sinks.delta_log import DeltaLog, Head
from etl.storage import LocalStorage
from etl.testing import ManualClock, crash_at
from tests.unit.sinks.tables import APP, append, log_file, log_of, make_sink, our_table

ROWS = pl.DataFrame({"id": [1]})


def head_of(root: Path) -> Head:
    head = log_of(root).head()
    assert head is not None
    return head


def test_folder_without_log_has_no_head(tmp_path: Path) -> None:
    assert log_of(tmp_path).head() is None
    (tmp_path / "_delta_log").mkdir()
    (tmp_path / "_delta_log" / ".tmp-00000000000000000000.json-x").write_text("")
    assert log_of(tmp_path).head() is None


def test_head_is_the_newest_version_with_our_newest_batch(tmp_path: Path) -> None:
    head = head_of(our_table(tmp_path, 3))
    assert (head.version, head.batch_id, head.partition_columns) == (2, 2, [])
    assert head.fields == [{"name": "id", "type": "long", "nullable": True, "metadata": {}}]
    assert head.table_id == str(DeltaTable(tmp_path).metadata().id)


def test_head_knows_no_batch_of_other_writers(tmp_path: Path) -> None:
    assert log_of(our_table(tmp_path), app="other/main").head() == head_without_batch(tmp_path)


def head_without_batch(root: Path) -> Head:
    head = head_of(root)
    return Head(head.version, head.table_id, head.metadata, head.protocol, None)


def test_head_moves_on_with_commits_of_others(tmp_path: Path) -> None:
    log = log_of(our_table(tmp_path))
    assert log.head() is not None
    write_deltalake(tmp_path, pl.DataFrame({"id": [2], "new": ["x"]}), mode="append", schema_mode="merge")
    DeltaTable(tmp_path).alter.add_feature(
        deltalake.TableFeatures.TimestampWithoutTimezone, allow_protocol_versions_increase=True
    )
    head = log.head()
    assert head is not None
    assert (head.version, head.batch_id) == (2, 0)
    assert [field["name"] for field in head.fields] == ["id", "new"]
    assert head.protocol["minWriterVersion"] == 7
    assert "timestampNtz" in head.protocol["writerFeatures"]


def test_head_takes_our_batches_that_another_process_committed(tmp_path: Path) -> None:
    log = log_of(our_table(tmp_path))
    assert log.head() is not None
    append(make_sink(tmp_path), 1, ROWS)
    head = log.head()
    assert head is not None
    assert (head.batch_id, head.batch_version) == (1, 1)


def test_head_is_read_from_a_checkpoint_when_older_versions_are_gone(tmp_path: Path) -> None:
    our_table(tmp_path, 3)
    DeltaTable(tmp_path).create_checkpoint()
    for version in range(3):
        log_file(tmp_path, version).unlink()
    assert (head_of(tmp_path).version, head_of(tmp_path).batch_id) == (2, 2)


@pytest.mark.parametrize("content", [b"", b"\n", b"\0" * 80, b'{"commitInfo":', b'"text"\n', b"[1]\n", b"\xff\xfe"])
def test_torn_last_version_is_refused(tmp_path: Path, content: bytes) -> None:
    our_table(tmp_path, 2)
    log_file(tmp_path, 1).write_bytes(content)
    with pytest.raises(TableStateError, match=r"00001\.json is torn or empty, as after a power cut") as caught:
        log_of(tmp_path).head()
    assert caught.value.kind == "table_torn"
    assert "remove it if no later version exists" in caught.value.hint


def test_version_that_is_torn_while_we_look_on_is_refused(tmp_path: Path) -> None:
    log = log_of(our_table(tmp_path))
    assert log.head() is not None
    log_file(tmp_path, 1).write_bytes(b"")
    with pytest.raises(TableStateError, match="torn or empty"):
        log.head()


@pytest.mark.parametrize("lost", [0, 1])
def test_gap_is_refused(tmp_path: Path, lost: int) -> None:
    our_table(tmp_path, 3)
    log_file(tmp_path, lost).unlink()
    with pytest.raises(TableStateError, match="its log cannot be read") as caught:
        log_of(tmp_path).head()
    assert caught.value.kind == "table_torn"


def test_table_stands_where_our_batch_made_its_newest_version(tmp_path: Path) -> None:
    our_table(tmp_path, 2)
    assert log_of(tmp_path).stands_at(1, 1)
    assert not log_of(tmp_path).stands_at(0, 1)
    assert not log_of(tmp_path).stands_at(0, 0), "there is a later version"
    assert not log_of(tmp_path).stands_at(2, 2), "there is no such version"
    assert not log_of(tmp_path, app="other/main").stands_at(1, 1)


def test_version_of_a_batch_is_found_from_the_head_and_by_walking_back(tmp_path: Path) -> None:
    our_table(tmp_path, 2)
    write_deltalake(tmp_path, ROWS, mode="append")
    append(make_sink(tmp_path), 2, ROWS)
    log = log_of(tmp_path)
    assert [log.version_of(batch_id) for batch_id in (0, 1, 2)] == [0, 1, 3]
    sink = make_sink(tmp_path)
    append(sink, 3, ROWS)
    assert append(sink, 3, ROWS, "b") == 4


@pytest.mark.parametrize("lost", ["its part of the log", "all but the checkpoint"])
def test_version_of_a_batch_is_the_head_when_its_part_of_the_log_is_cleaned_away(tmp_path: Path, lost: str) -> None:
    our_table(tmp_path, 2)
    write_deltalake(tmp_path, ROWS, mode="append")
    DeltaTable(tmp_path).create_checkpoint()
    for version in (0, 1) if lost == "its part of the log" else (0, 1, 2):
        log_file(tmp_path, version).unlink()
    assert log_of(tmp_path).version_of(1) == 2


def test_version_of_a_batch_that_no_version_names_is_the_head(tmp_path: Path) -> None:
    our_table(tmp_path, 2)
    assert log_of(tmp_path, app="other/main").version_of(0) == 1


def test_version_in_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="there is no table"):
        log_of(tmp_path).version_of(0)


def test_commit_goes_right_after_the_head(tmp_path: Path) -> None:
    log = log_of(our_table(tmp_path))
    head = log.commit(log.head(), [{"commitInfo": {"n": "é"}}, {"txn": {"appId": APP, "version": 7}}])
    assert head is not None
    assert (head.version, head.batch_id, head.batch_version) == (1, 7, 1)
    assert log.head() == head
    assert (
        log_file(tmp_path, 1).read_text()
        == f'{{"commitInfo":{{"n":"é"}}}}\n{{"txn":{{"appId":"{APP}","version":7}}}}\n'
    )


def test_commit_is_nothing_when_another_writer_took_the_version(tmp_path: Path) -> None:
    log = log_of(our_table(tmp_path))
    head = log.head()
    write_deltalake(tmp_path, ROWS, mode="append")
    before = log_file(tmp_path, 1).read_bytes()
    assert log.commit(head, [{"commitInfo": {}}]) is None
    assert log_file(tmp_path, 1).read_bytes() == before


@pytest.mark.parametrize("at", ["table.commit.publish", "table.commit.sync"])
def test_commit_counts_once_when_its_answer_was_lost(tmp_path: Path, at: str) -> None:
    log = log_of(our_table(tmp_path), crash_at(at, "error_after"))
    head = log.commit(log.head(), [{"commitInfo": {}}])
    assert head is not None
    assert head.version == 1
    assert not log_file(tmp_path, 2).exists()


class Unreadable(LocalStorage):
    """A disk that loses the answer to a write and cannot be read afterwards."""

    def read(self, path: str) -> bytes:
        raise OSError(5, "input/output error")


def test_commit_whose_outcome_cannot_be_read_back_is_unknown(tmp_path: Path) -> None:
    seam = crash_at("table.commit.publish", "error_after")
    log = DeltaLog(Unreadable(tmp_path, seam), {}, seam)
    with pytest.raises(UnknownOutcomeError, match="the answer was lost and it cannot be read back"):
        log.commit(None, [{"commitInfo": {}}])
    assert log_file(tmp_path, 0).exists()


def test_checkpoint_of_the_log_lets_readers_do_without_older_versions(tmp_path: Path) -> None:
    our_table(tmp_path, 3)
    stale = tmp_path / "_delta_log" / ".tmp-00000000000000000003.json-x"
    stale.write_text("half")
    clock = ManualClock()
    clock.advance(-10 * 365 * 86400)
    log_of(tmp_path, clock).write_checkpoint()
    assert stale.exists(), "it may belong to a writer that is alive"
    clock.advance(30 * 365 * 86400)
    log_of(tmp_path, clock).write_checkpoint()
    assert not stale.exists()
    for version in (0, 1):
        log_file(tmp_path, version).unlink()
    table = DeltaTable(tmp_path)
    assert (table.version(), table.transaction_version(APP)) == (2, 2)
    assert sorted(pl.read_delta(str(tmp_path))["id"]) == [1, 1, 1]


def test_version_of_the_newest_log_checkpoint_is_read_and_zero_for_none(tmp_path: Path) -> None:
    our_table(tmp_path, 3)
    assert log_of(tmp_path).checkpoint_version() == 0
    log_of(tmp_path).write_checkpoint()
    assert log_of(tmp_path).checkpoint_version() == 2
    (tmp_path / "_delta_log" / "_last_checkpoint").write_text("{")
    assert log_of(tmp_path).checkpoint_version() == 0
    (tmp_path / "_delta_log" / "_last_checkpoint").write_text("[]")
    assert log_of(tmp_path).checkpoint_version() == 0


def test_transactions_of_deltalake_and_of_ours_are_the_same_thing(tmp_path: Path) -> None:
    our_table(tmp_path)
    properties = CommitProperties(app_transactions=[Transaction(APP, 1)])
    write_deltalake(DeltaTable(tmp_path), ROWS, mode="append", commit_properties=properties)
    assert head_of(tmp_path).batch_id == 1


def test_store_that_does_not_answer_says_nothing_about_the_table(tmp_path: Path) -> None:
    storage = LocalStorage(our_table(tmp_path), Seam())
    storage.url = "s3://bucket/t"
    options = {
        "aws_endpoint_url": "http://127.0.0.1:1", "aws_allow_http": "true", "aws_region": "r", "max_retries": "0",
        "aws_access_key_id": "k", "aws_secret_access_key": "s", "aws_s3_allow_unsafe_rename": "true",
    }  # fmt: skip
    with pytest.raises(StorageError, match="the table's log cannot be reached"):
        DeltaLog(storage, options, Seam()).head()
