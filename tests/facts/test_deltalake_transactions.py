"""What ``etl.sinks`` rests on, or guards against, in how deltalake treats application transactions."""

from __future__ import annotations

import json
from pathlib import Path

import deltalake
import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction

ROWS = pl.DataFrame({"id": [1]})


def properties(version: int) -> CommitProperties:
    return CommitProperties(app_transactions=[Transaction("app", version)])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table whose version 0 has no transaction, and version 1 that of batch 5."""
    write_deltalake(tmp_path, ROWS)
    write_deltalake(tmp_path, ROWS, mode="append", commit_properties=properties(5))
    return tmp_path


def batch(table: Path) -> int | None:
    version: int | None = DeltaTable(table).transaction_version("app")
    return version


def test_unknown_application_has_no_version_and_the_first_batch_has_zero(tmp_path: Path) -> None:
    write_deltalake(tmp_path, ROWS)
    assert batch(tmp_path) is None
    write_deltalake(tmp_path, ROWS, mode="append", commit_properties=properties(0))
    assert batch(tmp_path) == 0


@pytest.mark.parametrize("version", [5, 4])
def test_fresh_handle_commits_an_equal_or_a_lower_transaction(table: Path, version: int) -> None:
    write_deltalake(DeltaTable(table), ROWS, mode="append", commit_properties=properties(version))
    assert batch(table) == version
    assert DeltaTable(table).version() == 2


def test_stale_handle_with_the_same_application_is_refused(table: Path) -> None:
    stale = DeltaTable(table)
    write_deltalake(DeltaTable(table), ROWS, mode="append", commit_properties=properties(6))
    with pytest.raises(CommitFailedError, match="Concurrent transaction failed"):
        write_deltalake(stale, ROWS, mode="append", commit_properties=properties(6))
    assert DeltaTable(table).version() == 2


def test_restore_keeps_the_transaction_and_says_so_in_its_commit(table: Path) -> None:
    DeltaTable(table).restore(0)
    assert batch(table) == 5
    assert pl.read_delta(str(table)).height == 1
    lines = (table / "_delta_log" / f"{2:020d}.json").read_text().splitlines()
    info = next(json.loads(line)["commitInfo"] for line in lines if "commitInfo" in line)
    assert (info["operation"], str(info["operationParameters"]["version"])) == ("RESTORE", "0")


def test_restore_to_a_moment_names_no_version(table: Path) -> None:
    first = DeltaTable(table).history()[-1]["timestamp"]
    from datetime import UTC, datetime

    DeltaTable(table).restore(datetime.fromtimestamp(first / 1000, UTC))
    info = DeltaTable(table).history(1)[0]
    assert info["operation"] == "RESTORE"
    assert "version" not in info["operationParameters"]


def test_merge_that_changes_nothing_writes_no_commit_and_loses_its_transaction(table: Path) -> None:
    (
        DeltaTable(table)
        .merge(ROWS, "t.id = s.id", "s", "t", commit_properties=properties(6))
        .when_matched_delete("s.id > 100")
        .execute()
    )
    assert (batch(table), DeltaTable(table).version()) == (5, 1)


def test_compaction_and_overwrite_keep_the_transaction(table: Path) -> None:
    DeltaTable(table).optimize.compact()
    assert (batch(table), DeltaTable(table).version()) == (5, 2)
    write_deltalake(table, ROWS, mode="overwrite")
    assert batch(table) == 5


def test_transaction_survives_a_checkpoint_and_the_loss_of_older_versions(table: Path) -> None:
    write_deltalake(table, ROWS, mode="append")
    DeltaTable(table).create_checkpoint()
    for version in range(3):
        (table / "_delta_log" / f"{version:020d}.json").unlink()
    assert (batch(table), DeltaTable(table).version()) == (5, 2)


def test_transaction_survives_the_clean_up_of_the_log(table: Path) -> None:
    DeltaTable(table).alter.set_table_properties({"delta.logRetentionDuration": "interval 0 seconds"})
    write_deltalake(table, ROWS, mode="append")
    DeltaTable(table).create_checkpoint()
    write_deltalake(
        table, ROWS, mode="append", post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False)
    )
    DeltaTable(table).cleanup_metadata()
    assert not (table / "_delta_log" / f"{0:020d}.json").exists()
    assert batch(table) == 5


def test_written_actions_are_not_checked_against_the_files(table: Path) -> None:
    handle = DeltaTable(table)
    missing = AddAction("no-such-file.parquet", 10, {}, 0, True, '{"numRecords": 1}')
    handle.create_write_transaction([missing], "append", handle.schema(), commit_properties=properties(6))
    assert (batch(table), DeltaTable(table).version()) == (6, 2)
    assert any(uri.endswith("no-such-file.parquet") for uri in DeltaTable(table).file_uris())


def test_written_actions_leave_the_handle_at_its_version(table: Path) -> None:
    handle = DeltaTable(table)
    handle.create_write_transaction([], "append", handle.schema(), commit_properties=properties(6))
    assert handle.version() == 1
    handle.update_incremental()
    assert (handle.version(), handle.transaction_version("app")) == (2, 6)


def test_written_actions_do_not_add_columns(table: Path) -> None:
    handle = DeltaTable(table)
    wider = deltalake.Schema.from_arrow(pl.Schema({"id": pl.Int64, "new": pl.String}))
    handle.create_write_transaction([], "append", wider, commit_properties=properties(6))
    assert [field.name for field in DeltaTable(table).schema().fields] == ["id"]


def test_adding_a_path_twice_shows_its_rows_once(tmp_path: Path) -> None:
    write_deltalake(tmp_path, ROWS)
    handle = DeltaTable(tmp_path)
    (path,) = (Path(uri) for uri in handle.file_uris())
    again = AddAction(path.name, path.stat().st_size, {}, 0, True, '{"numRecords": 1}')
    handle.create_write_transaction([again], "append", handle.schema())
    assert DeltaTable(tmp_path).version() == 1
    assert pl.read_delta(str(tmp_path)).height == 1


def test_swapping_files_races_a_foreign_compaction_and_doubles_rows(tmp_path: Path) -> None:
    from deltalake.transaction import RemoveAction

    write_deltalake(tmp_path, ROWS)
    (old,) = (Path(uri) for uri in DeltaTable(tmp_path).file_uris())
    write_deltalake(tmp_path, ROWS, mode="append")
    DeltaTable(tmp_path).optimize.compact()
    new = tmp_path / "new.parquet"
    ROWS.write_parquet(new)
    handle = DeltaTable(tmp_path)
    size = new.stat().st_size
    handle.create_write_transaction(
        [AddAction("new.parquet", size, {}, 0, True, '{"numRecords": 1}'),
         RemoveAction(old.name, True, 0, old.stat().st_size, {})],
        "append", handle.schema(),
    )  # fmt: skip
    assert pl.read_delta(str(tmp_path)).height == 3
