"""A static table that changes between a crash and the restart: each batch is joined with the version of its plan."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from tests.faults.joined_lab import VISITS
from tests.faults.test_crash_at_every_step import Lab, effects, finish
from tests.readers import table_rows

USERS = [
    {10: ["ann"], 20: ["bob", "bo"]},
    {10: ["anna", "an"], 20: ["robert"], 30: ["cy"]},
]
"""What the static table holds, version by version: the names of each user."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab("tests.faults.joined_lab")
    yield made
    made.close()


def put(folder: Path, kind: str, version: int) -> None:
    """Make the static table the next version."""
    rows = [{"user": user, "name": name} for user, names in USERS[version].items() for name in names]
    folder.mkdir(exist_ok=True)
    if kind == "delta":
        write_deltalake(f"{folder}/users", pl.DataFrame(rows), mode="overwrite")
    else:
        (folder / "users.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))


def plans(folder: Path) -> dict[int, dict[str, Any]]:
    """Return the newest plan of each batch, with its revision."""
    found: dict[int, dict[str, Any]] = {}
    for path in sorted((folder / "checkpoint" / "offsets").glob("*.json"), key=lambda path: (len(path.name), path)):
        batch, revision = re.fullmatch(r"(\d+)(?:\.(\d+))?", path.stem).groups()  # type: ignore[union-attr]
        found[int(batch)] = {**json.loads(path.read_text())["body"], "revision": int(revision or 1)}
    return found


def version_of(plan: dict[str, Any], sizes: list[int]) -> int:
    (pin,) = plan["pins"].values()
    return int(pin["version"]) if "version" in pin else sizes.index(pin["files"][0][1])


def expected(versions: dict[int, int]) -> Counter[str]:
    """Return the multiset of the table, each batch joined with its version."""
    return Counter(
        json.dumps([batch, row["visit"], row["user"], name])
        for batch, version in versions.items()
        for row in VISITS[batch]
        for name in USERS[version].get(row["user"], [])
    )


def found(folder: Path) -> Counter[str]:
    rows = table_rows(folder / "table")
    return Counter(json.dumps([row["_batch_id"], row["visit"], row["user"], row["name"]]) for row in rows)


CASES = [
    ("delta", "kill_after", 3),
    ("file", "kill_before", 7),
    *(
        pytest.param(kind, failure, 1, marks=pytest.mark.slow)
        for kind in ("delta", "file")
        for failure in ("kill_before", "kill_after", "error_after", "torn")
    ),
]
"""What is joined, how the run ends, and at every which effect; `make slow` tries all of them."""


@pytest.mark.parametrize(("kind", "failure", "stride"), CASES)
def test_a_batch_is_joined_with_the_version_of_its_plan_when_the_table_changes_after_a_crash(
    lab: Lab, tmp_path: Path, kind: str, failure: str, stride: int
) -> None:
    at, seen = 0, set()
    while True:
        at += stride
        folder = tmp_path / str(at)
        put(folder, kind, 0)
        sizes = [] if kind == "delta" else [(folder / "users.ndjson").stat().st_size]
        lab.run(folder, kind, at, failure)
        has_survived = (folder / "effects.json").exists() and len(effects(folder)) < at
        before = plans(folder)
        put(folder, kind, 1)
        sizes += [] if kind == "delta" else [(folder / "users.ndjson").stat().st_size]

        assert finish(lab, folder, kind) == 1, f"effect {at}"

        versions = {batch: version_of(plan, sizes) for batch, plan in plans(folder).items()}
        assert found(folder) == expected(versions), f"effect {at}"
        if kind == "delta":
            assert [versions[batch] for batch in before] == [0] * len(before), f"effect {at}"
            assert {plan["revision"] for plan in plans(folder).values()} == {1}
        seen.add(tuple(versions.values()))
        if has_survived:
            break
    assert {(0, 0, 1), (0, 1, 1)} <= seen


def test_a_plan_whose_version_was_vacuumed_is_pinned_anew(lab: Lab, tmp_path: Path) -> None:
    put(tmp_path / "home", "delta", 0)
    folder = tmp_path / "home"
    lab.run(folder, "delta", "plan.put.publish", "kill_after")
    put(folder, "delta", 1)
    DeltaTable(f"{folder}/users").vacuum(0, dry_run=False, enforce_retention_duration=False)

    assert finish(lab, folder, "delta") == 1

    first = plans(folder)[0]
    assert first["revision"] == 2
    assert re.match(r"version 0 of users cannot be read: ", first["reason"])
    assert found(folder) == expected({0: 1, 1: 1, 2: 1})
