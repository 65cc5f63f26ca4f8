"""Kill, fail, tear or fill the disk at each effect in turn; restart; every row is in the table exactly once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.crash_lab import FAILING_ROWS, KNOWN_ROWS, REJECTED_ROWS, ROWS_BESIDE, SIZES
from tests.readers import committed_files, table_rows

FAILURES = ("kill_before", "kill_after", "error_before", "error_after", "torn", "full")
QUICK = {("kill_after", "memory"), ("torn", "memory"), ("kill_before", "files"), ("kill_after", "two")}
"""Run each time; `make slow` runs every failure with every pipeline."""


class Lab:
    """The forking process: one request, one answer."""

    def __init__(self, module: str = "tests.faults.crash_lab") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, folder: Path, pipeline: str, at: int | str = 0, failure: str = "kill_before") -> dict[str, Any]:
        """Run the pipeline once in a child; return how it ended."""
        return self.ask(folder=str(folder), pipeline=pipeline, at=at, failure=failure)

    def ask(self, **request: Any) -> dict[str, Any]:
        """Hand one request to a child; return how it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Return a laboratory that ends with the module."""
    made = Lab()
    yield made
    made.close()


def prepare(folder: Path, pipeline: str) -> None:
    """Lay out what a pipeline reads."""
    folder.mkdir(parents=True)
    if pipeline in ("files", "two"):
        (folder / "in").mkdir()
        for number, rows in enumerate(KNOWN_ROWS):
            lines = [json.dumps(row) + "\n" for row in (*rows, FAILING_ROWS[number])]
            (folder / "in" / f"{number}.ndjson").write_text("".join(lines))
    if pipeline == "two":
        (folder / "beside").mkdir()
        for number, rows in enumerate(ROWS_BESIDE):
            (folder / "beside" / f"{number}.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))


def expected(pipeline: str = "memory") -> Counter[str]:
    """Return the multiset of what both tables must hold."""
    return Counter(_main_rows(pipeline) + _rejected_rows(pipeline))


def _main_rows(pipeline: str) -> list[str]:
    rows = [row for batch in KNOWN_ROWS for row in batch]
    sizes = [size for batch in SIZES for size in batch] if pipeline == "memory" else [None] * len(rows)
    values = zip(rows, sizes, strict=True)
    beside = [row for batch in ROWS_BESIDE for row in batch if row["id"] not in (12, 99)] if pipeline == "two" else []
    return [
        *map(_main_row, beside),
        *(_main_row({**row, "size": None if size is None else float(size)}) for row, size in values),
    ]


def _main_row(row: dict[str, Any]) -> str:
    return json.dumps(["table", row["id"], row["kind"], row["amount"], row.get("note"), row.get("size")])


def _rejected_rows(pipeline: str) -> list[str]:
    """Return what the quarantine must hold: of the files only what an expectation refuses, of memory all."""
    refused = [{"rule": "known_kind", "reason": "known_kind: kind <> 'z'", "_batch_id": number} for number in range(3)]
    if pipeline == "two":
        refused.append({**refused[1]})
    own = [{**row, "_batch_id": number} for number, rows in enumerate(REJECTED_ROWS) for row in rows]
    return [_rejected_row(row) for row in (*refused, *(own if pipeline == "memory" else ()))]


def _rejected_row(row: dict[str, Any]) -> str:
    offset = row.get("_source_offset") if row["rule"] != "known_kind" else None
    return json.dumps(["quarantine", row["_batch_id"], row["rule"], row["reason"], offset, row.get("status", "open")])


def found(folder: Path) -> Counter[str]:
    """Return the multiset of what an independent reader finds in the tables."""
    rejected = table_rows(folder / "quarantine")
    ids = [row["row_id"] for row in rejected]
    assert len(set(ids)) == len(ids)
    return Counter([*map(_main_row, table_rows(folder / "table")), *map(_rejected_row, rejected)])


def finish(lab: Lab, folder: Path, pipeline: str) -> int:
    """Restart until a run ends well; return how many starts it took."""
    for start in range(1, 4):
        if lab.run(folder, pipeline)["exit"] == 0:
            return start
    pytest.fail((folder / "error.txt").read_text())


def effects(folder: Path) -> list[str]:
    """Return the names of the effects of the last run that lived to tell them."""
    names: list[str] = json.loads((folder / "effects.json").read_text())
    return names


EVERY_CASE = [
    pytest.param(failure, pipeline, marks=() if (failure, pipeline) in QUICK else pytest.mark.slow)
    for failure in FAILURES
    for pipeline in ("memory", "files", "two")
]


@pytest.mark.parametrize(("failure", "pipeline"), EVERY_CASE)
def test_every_row_lands_once_when_a_run_fails_at_any_effect(
    lab: Lab, tmp_path: Path, failure: str, pipeline: str
) -> None:
    """The loop ends when a run survives; before that each run must really have failed."""
    at = 0
    while True:
        at += 1
        folder = tmp_path / str(at)
        prepare(folder, pipeline)
        ended = lab.run(folder, pipeline, at, failure)
        has_survived = (folder / "effects.json").exists() and len(effects(folder)) < at
        if failure.startswith("kill"):
            assert has_survived or ended["signal"] == 9
        assert finish(lab, folder, pipeline) == 1, f"effect {at}"
        assert found(folder) == expected(pipeline), f"effect {at}"
        assert stray_files(folder) == [], f"effect {at}"
        if has_survived:
            break
    assert at > 75


def crash_twice(lab: Lab, folder: Path, first: int | str) -> int:
    """Kill after ``first``, then kill the recovery after each effect in turn; return how many effects it had."""
    second = 0
    while True:
        second += 1
        here = folder / str(second)
        prepare(here, "memory")
        lab.run(here, "memory", first, "kill_after")
        (here / "effects.json").unlink(missing_ok=True)
        lab.run(here, "memory", second, "kill_after")
        assert finish(lab, here, "memory") == 1, f"{first}, then {second}"
        assert found(here) == expected(), f"{first}, then {second}"
        assert stray_files(here) == [], f"{first}, then {second}"
        if (here / "effects.json").exists() and len(effects(here)) < second:
            return second


LAST_BATCH = {
    "manifest": ("manifest.put.publish", 3),
    "schema": ("schema.put.publish", 2),
    "commit of the quarantine": ("table.commit.publish", 5),
    "commit of the table": ("table.commit.publish", 6),
}
"""Moments of the batch that rewrites the table: the name of the effect, and which of that name."""


@pytest.mark.parametrize("first", LAST_BATCH)
def test_every_row_lands_once_when_the_recovery_is_killed_at_any_effect(lab: Lab, tmp_path: Path, first: str) -> None:
    prepare(tmp_path / "whole", "memory")
    lab.run(tmp_path / "whole", "memory")
    name, number = LAST_BATCH[first]
    places = [at for at, effect in enumerate(effects(tmp_path / "whole"), 1) if effect == name]
    assert crash_twice(lab, tmp_path, places[number - 1]) > 5


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1, 82, 3))
def test_every_row_lands_once_when_two_runs_are_killed_at_any_effects(lab: Lab, tmp_path: Path, first: int) -> None:
    assert crash_twice(lab, tmp_path, first) > 4


def stray_files(folder: Path) -> list[str]:
    """Return data files that no version of the tables ever referred to, and temporary files of the checkpoint.

    Those in ``_delta_log`` may belong to another writer of the table. They, and those beside notes of keys (``_keys``),
    are swept when they are an hour old.
    """
    referred = {path for name in ("table", "quarantine") for path in committed_files(folder / name)}
    lying = {
        str(path)
        for name in ("table", "quarantine")
        for path in (folder / name).rglob("*.parquet")
        if "_delta_log" not in path.parts
    }
    swept_later = {"_delta_log", "_keys"}
    temporary = {str(path) for path in folder.rglob(".tmp-*") if swept_later.isdisjoint(path.parts)}
    return sorted((lying - referred) | temporary)
