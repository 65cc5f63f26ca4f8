"""Replays as people run them: two at once, killed on the way, after the pipeline was edited and the file is gone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STRICT = """\
version: 1
source: {type: files, path: landing/*, schema: {id: int64}}
transforms:
  - python: gate:wait
expect:
  - {name: small, check: id < 11}
quarantine: {max_fraction: 0.9}
sink: {type: delta, table: silver.orders}
"""
LOOSE = STRICT.replace("{id: int64}", "{id: int64}, schema_contract: evolve").replace("id < 11", "id < 100")


@pytest.fixture
def rejecting(shop: Path, etl: Any, open_gate: Callable[[], None]) -> Path:
    """Return a project with five rejected rows: by the format, the contract and an expectation. The gate is shut."""
    (shop / "pipelines" / "orders.yml").write_text(STRICT)
    (shop / "landing" / "3.ndjson").write_text('{"id": 3}\nnonsense\n{"id": 4, "note": "x"}\n')
    (shop / "landing" / "4.csv").write_text("id\n5\n6,7\n")
    open_gate()
    done = etl("run", "orders")
    assert (done.returncode, done.stderr) == (0, "")
    os.mkfifo(shop / "gate")
    return shop


def ids(etl: Any) -> list[int]:
    done = etl("query", "SELECT id FROM silver.orders ORDER BY id", "--format", "json")
    return [row["id"] for row in json.loads(done.stdout)]


def statuses(etl: Any) -> dict[str, int]:
    counts = json.loads(etl("quarantine", "list", "orders", "--json").stdout)
    return {f"{each['rule']} {each['status']}": each["rows"] for each in counts}


def test_rows_that_fit_after_an_edit_are_replayed_without_their_files(
    rejecting: Path, etl: Any, open_gate: Callable[[], None]
) -> None:
    assert statuses(etl) == {"new_column open": 1, "small open": 2, "syntax open": 2}
    (rejecting / "pipelines" / "orders.yml").write_text(LOOSE)
    for path in (rejecting / "landing").iterdir():
        path.unlink()
    open_gate()

    done = etl("quarantine", "replay", "orders")

    assert done.stdout.splitlines()[-1] == "orders  5 rows replayed: 3 written, 2 rejected again, batch 1"
    assert ids(etl) == [0, 1, 2, 3, 4, 5, 10, 11, 12]
    assert statuses(etl) == {"new_column replayed": 1, "small replayed": 2, "syntax open": 2, "syntax replayed": 2}
    assert etl("run", "orders").stdout == "orders  nothing new\n"


def test_of_two_replays_at_once_one_is_told_who_holds_the_pipeline(
    rejecting: Path, etl: Any, start: Any, open_gate: Callable[[], None]
) -> None:
    (rejecting / "pipelines" / "orders.yml").write_text(LOOSE)
    first = start("quarantine", "replay", "orders")
    with (rejecting / "gate").open("w") as gate:  # opens once a batch waits at the gate
        second = etl("quarantine", "replay", "orders")
        open_gate()
        gate.write("pass")
    told, _ = first.communicate(timeout=60)

    assert second.returncode == 3
    assert "holds" in second.stderr
    assert (first.returncode, told.splitlines()[-1]) == (
        0,
        "orders  5 rows replayed: 3 written, 2 rejected again, batch 1",
    )
    assert ids(etl) == [0, 1, 2, 3, 4, 5, 10, 11, 12]


def test_a_replay_that_was_killed_is_completed_by_the_next_run(
    rejecting: Path, etl: Any, start: Any, open_gate: Callable[[], None]
) -> None:
    (rejecting / "pipelines" / "orders.yml").write_text(LOOSE)
    replay = start("quarantine", "replay", "orders")
    with (rejecting / "gate").open("w"):
        replay.kill()
        replay.communicate(timeout=60)
    open_gate()
    planned = etl("plan", "orders")

    done = etl("run", "orders")

    assert "this batch is unfinished" in planned.stdout
    assert done.returncode == 0
    assert "batch 1 (replay)" in done.stdout
    assert ids(etl) == [0, 1, 2, 3, 4, 5, 10, 11, 12]
    assert statuses(etl) == {"new_column replayed": 1, "small replayed": 2, "syntax open": 2, "syntax replayed": 2}


def test_without_a_quarantine_there_is_nothing_to_list(etl: Any) -> None:
    assert etl("quarantine", "list", "orders").stdout == "no such rows\n"
    assert etl("quarantine", "replay", "orders").stdout == "no open rows\n"
