"""A file that was rejected as a whole is read again, as it is now."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.errors import SourceError
from etl.operations.quarantining import (
    RuleCount,
    Selection,
)
from etl.operations.workspace import Workspace
from tests.unit.operations.resolving import ALL, interrupted, of, orders, replay, rows, statuses

BROKEN = "source: {type: files, path: 'landing/orders/*', unready_for: 0s}\nsink: {type: delta, table: silver.orders}\n"


@pytest.fixture
def broken(home: Workspace, run_all: Any) -> Path:
    """Return a Parquet file that was rejected as a whole, of the pipeline ``orders``."""
    (home.folder / "pipelines" / "orders.yml").write_text(BROKEN)
    path = home.folder / "landing" / "orders" / "9.parquet"
    path.write_bytes(b"PAR1 and no more")
    (outcome,) = run_all(Workspace(home.folder))
    assert outcome.error is None
    assert of(home).counts(ALL) == [RuleCount("unreadable_file", "open", 1, 0, 0)]
    return path


def test_a_file_that_was_rejected_whole_is_read_as_it_is_now(broken: Path, home: Workspace) -> None:
    pl.DataFrame({"order_id": [8, 9], "amount": [1.0, 2.0]}).write_parquet(broken)

    done = replay(home)

    assert (done.written, done.rejected_again) == (2, 0)
    assert orders(home)[-2:] == [(8, ".parquet", 0, 1), (9, ".parquet", 1, 1)]
    assert statuses(home) == {"0-1": ("replayed", 1)}


@pytest.mark.usefixtures("broken")
def test_a_file_that_is_still_broken_is_rejected_again(home: Workspace) -> None:
    assert replay(home).rejected_again == 1
    assert statuses(home) == {"0-1": ("replayed", 1), "1-1": ("open", None)}


def test_a_file_that_was_rejected_whole_must_be_there(broken: Path, home: Workspace) -> None:
    broken.unlink()

    with pytest.raises(SourceError, match=r"9\.parquet: is gone, and nothing of it was kept"):
        replay(home)
    assert statuses(home) == {"0-1": ("open", None)}


def test_a_file_that_vanishes_in_the_middle_of_a_replay_is_rejected_again(
    broken: Path, home: Workspace, run_all: Any
) -> None:
    pl.DataFrame({"order_id": [8], "amount": [1.0]}).write_parquet(broken)
    interrupted(home)
    broken.unlink()

    (outcome,) = run_all(Workspace(home.folder))

    assert outcome.error is None
    assert statuses(home) == {"0-1": ("replayed", 1), "1-1": ("open", None)}
    found = of(home).shown(Selection(status="open"), 1)
    assert found is not None
    assert found["reason"].to_list() == ["it is no longer there"]
    assert [order for order, *_ in orders(home)] == [1, 2, 3]


def test_a_file_that_was_read_again_by_itself_is_not_replayed(broken: Path, home: Workspace, run_all: Any) -> None:
    versions = BROKEN.replace("unready_for: 0s", "unready_for: 0s, identity: path_and_version, on_change: reingest")
    (home.folder / "pipelines" / "orders.yml").write_text(versions)
    pl.DataFrame({"order_id": [8], "amount": [1.0]}).write_parquet(broken)
    run_all(Workspace(home.folder))
    assert [order for order, *_ in orders(home)] == [1, 2, 3, 8]

    with pytest.raises(SourceError, match=r"9\.parquet: was read again since, by batch 1"):
        replay(home)
    assert [order for order, *_ in orders(home)] == [1, 2, 3, 8]


def test_a_line_of_what_a_file_has_grown_by_is_replayed_alone(home: Workspace, run_all: Any) -> None:
    grows = BROKEN.replace("unready_for: 0s", "unready_for: 0s, identity: path_and_version, on_change: append_tail")
    (home.folder / "pipelines" / "orders.yml").write_text(grows.replace("orders/*'", "orders/*.txt', format: text"))
    path = home.folder / "landing" / "orders" / "a.txt"
    path.write_bytes(b"one\n")
    run_all(Workspace(home.folder))
    path.write_bytes(b"one\n\xfftwo\nthree\n")
    run_all(Workspace(home.folder))

    done = replay(home)

    assert Counter(row["line"] for row in rows(home)) == Counter(["one", "three"])
    assert (done.rows, done.rejected_again) == (1, 1)
