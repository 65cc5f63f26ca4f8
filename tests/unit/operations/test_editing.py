"""Pipelines that are edited while they run: from which batch on the new definition holds, and what is not taken."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from etl.model import BatchResult, Bounds
from etl.operations.running import Outcome, Running, run_pipelines
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from tests.readers import table_rows


@dataclass
class Editor(Silent):
    """A listener that does something once a batch is committed, and keeps what is noted."""

    acts: dict[int, Callable[[], object]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def committed(self, result: BatchResult) -> None:
        self.acts.pop(result.batch_id, bool)()

    def noted(self, pipeline: str, message: str) -> None:
        self.notes.append(message)


def run(home: Workspace, editor: Editor, *names: str, bounds: Bounds | None = None) -> list[Outcome]:
    running = Running(Seam(), editor, bounds or Bounds())
    outcomes = list(run_pipelines(Workspace(home.folder), names or None, running))
    assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)
    return outcomes


def replaced(home: Workspace, old: str, new: str, file: str = "pipelines/orders.yml") -> Callable[[], object]:
    path = home.folder / file
    return lambda: path.write_text(path.read_text().replace(old, new))


def doubles(home: Workspace) -> list[tuple[int, float]]:
    rows = table_rows(home.folder / "lake" / "silver" / "orders")
    return sorted((row["_batch_id"], row["double"]) for row in rows)


def definitions(home: Workspace) -> list[int]:
    """Return which definition each batch is of by its commit entry, numbered as they come."""
    entries = sorted((home.folder / "lake" / "_checkpoints" / "orders" / "commits").glob("*.json"))
    found = [json.loads(entry.read_text())["body"]["definition"] for entry in entries]
    return [list(dict.fromkeys(found)).index(each) for each in found]


@pytest.fixture
def busy(home: Workspace, put_orders: Callable[..., Path]) -> Workspace:
    """Return a project with one pipeline and four batches for it."""
    for number in (2, 3, 4):
        put_orders(str(number), [{"order_id": number, "amount": 10.0 * number}])
    return home


def test_an_edit_between_two_batches_holds_from_the_next_one_on(busy: Workspace) -> None:
    editor = Editor({1: replaced(busy, "amount * 2", "amount * 3")})
    (outcome,) = run(busy, editor)
    assert len(outcome.results) == 4
    assert doubles(busy) == [(0, 10.0), (1, 40.0), (2, 90.0), (3, 120.0)]
    assert definitions(busy) == [0, 0, 1, 1]
    assert editor.notes == ["edited: another definition holds from batch 2 on"]
    assert len(list((busy.folder / "lake" / "_checkpoints" / "orders" / "epochs").glob("*.json"))) == 1


def test_an_edit_that_changes_no_result_is_taken_under_the_same_definition(busy: Workspace) -> None:
    editor = Editor({0: replaced(busy, "max_files: 1", "max_files: 2")})
    (outcome,) = run(busy, editor)
    assert len(outcome.results) == 3
    assert definitions(busy) == [0, 0, 0]
    assert editor.notes == ["edited: the definition is the same, its limits hold from batch 1 on"]


def test_a_faulty_edit_is_told_once_with_its_place_and_the_run_goes_on_as_it_was(busy: Workspace) -> None:
    editor = Editor({0: replaced(busy, "amount * 2", "amounts * 2"), 2: replaced(busy, "amounts * 2", "amount * 3")})
    run(busy, editor)
    assert doubles(busy) == [(0, 10.0), (1, 40.0), (2, 60.0), (3, 120.0)]
    refused, taken = editor.notes
    first, second = refused.splitlines()[:2]
    assert first == "edited, and not taken: it goes on as it was"
    assert second.startswith("pipelines/orders.yml:8:5: transforms[1].with_columns: double: unknown column 'amounts'")
    assert taken == "edited: another definition holds from batch 3 on"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("sink: {type: delta", "sink: {type: dleta", "pipelines/orders.yml:9:14: sink.type: unknown sink"),
        ("version: 1", "version: 1\n  x: [", "pipelines/orders.yml:2:"),
        ("silver.orders", "silver.others", "table_missing: the table that earlier batches went to is gone"),
        ("version: 1", "version: 1\nname: purchases", "unknown pipeline 'orders'"),
    ],
)
def test_what_a_run_cannot_go_on_with_is_not_taken(busy: Workspace, old: str, new: str, told: str) -> None:
    editor = Editor({0: replaced(busy, old, new)})
    run(busy, editor)
    assert doubles(busy) == [(0, 10.0), (1, 40.0), (2, 60.0), (3, 80.0)]
    (note,) = editor.notes
    assert told in note


def test_a_lake_that_is_moved_counts_from_the_next_start_on(busy: Workspace) -> None:
    editor = Editor({0: lambda: (busy.folder / "etl.yml").write_text("version: 1\nlake: elsewhere\n")})
    run(busy, editor)
    assert len(doubles(busy)) == 4
    (note,) = editor.notes
    assert "etl.yml: the lake is another" in note


def test_a_pipeline_that_waited_for_its_turn_is_taken_as_it_is_by_then(busy: Workspace) -> None:
    (busy.folder / "pipelines" / "before.yml").write_text(
        "version: 1\nsource: {type: files, path: landing/orders/*.ndjson}\nsink: {type: delta, table: bronze.orders}\n"
    )
    editor = Editor({0: replaced(busy, "amount * 2", "amount * 3")})
    outcomes = run(busy, editor)
    assert [outcome.pipeline for outcome in outcomes] == ["before", "orders"]
    assert doubles(busy) == [(0, 15.0), (1, 60.0), (2, 90.0), (3, 120.0)]


def test_a_function_is_loaded_anew_also_when_its_file_has_the_size_and_the_second_of_before(busy: Workspace) -> None:
    module = busy.folder / "transforms" / "money.py"
    module.parent.mkdir()

    def write(factor: int, nanoseconds: int) -> None:
        module.write_text(
            "import polars as pl\n\ndef scale(rows):\n"
            f"    return rows.with_columns(double=pl.col('amount') * {factor})\n"
        )
        os.utime(module, ns=(nanoseconds, nanoseconds))

    replaced(busy, "with_columns: {double: amount * 2}", "python: money:scale")()
    write(2, 1_700_000_000_000_000_000)
    editor = Editor({1: lambda: write(3, 1_700_000_000_000_000_001)})
    run(busy, editor)
    assert doubles(busy) == [(0, 10.0), (1, 40.0), (2, 90.0), (3, 120.0)]
    assert definitions(busy) == [0, 0, 1, 1]
    assert not list(module.parent.rglob("*.pyc"))


def test_a_function_that_an_edit_names_is_watched_even_before_its_file_is_there(busy: Workspace) -> None:
    code = "import polars as pl\n\ndef scale(rows):\n    return rows.with_columns(double=pl.col('amount') * 3)\n"
    module = busy.folder / "transforms" / "money.py"
    module.parent.mkdir()
    editor = Editor(
        {
            0: replaced(busy, "with_columns: {double: amount * 2}", "python: money:scale"),
            1: lambda: module.write_text(code),
        }
    )
    run(busy, editor)
    assert doubles(busy) == [(0, 10.0), (1, 40.0), (2, 90.0), (3, 120.0)]
    assert [note.splitlines()[0] for note in editor.notes] == [
        "edited, and not taken: it goes on as it was",
        "edited: another definition holds from batch 2 on",
    ]


COUNTED = """\
version: 1
source:
  type: files
  path: landing/orders/*.ndjson
  batch: {max_files: 1}
  schema: {order_id: int64, amount: float64}
transforms:
  - group_by: {by: [kind: order_id % 2], aggregate: {total: SUM(amount)}, emit: updates}
sink: {type: delta, table: silver.orders, write_mode: merge, primary_key: [kind]}
"""


def totals(home: Workspace) -> list[tuple[Any, float]]:
    return sorted((row["kind"], row["total"]) for row in table_rows(home.folder / "lake" / "silver" / "orders"))


@pytest.fixture
def counting(busy: Workspace) -> Workspace:
    """Return the same with a pipeline that remembers totals."""
    text = COUNTED.replace("[kind: order_id % 2]", "{kind: order_id % 2}")
    (busy.folder / "pipelines" / "orders.yml").write_text(text)
    return busy


def test_state_goes_on_under_an_edit_that_it_fits(counting: Workspace) -> None:
    editor = Editor({1: replaced(counting, "transforms:", "transforms:\n  - filter: order_id <> 3")})
    run(counting, editor)
    assert totals(counting) == [(0, -1.0 + 20.0 + 40.0), (1, 5.0)]
    assert definitions(counting) == [0, 0, 1, 1]


def test_an_edit_that_state_does_not_fit_is_not_taken(counting: Workspace) -> None:
    editor = Editor({1: replaced(counting, "order_id % 2", "order_id % 3")})
    run(counting, editor)
    assert totals(counting) == [(0, -1.0 + 20.0 + 40.0), (1, 5.0 + 30.0)]
    assert definitions(counting) == [0, 0, 0, 0]
    (note,) = editor.notes
    assert note.startswith("edited, and not taken: it goes on as it was\n")
    assert "--full-refresh" in note


def test_a_step_that_remembers_is_not_taken_away(counting: Workspace) -> None:
    path: Path = counting.folder / "pipelines" / "orders.yml"
    kept = [line for line in path.read_text().splitlines() if "group_by" not in line]
    without = "\n".join(kept).replace(
        "transforms:", "transforms:\n  - with_columns: {kind: order_id % 2, total: amount}"
    )
    editor = Editor({0: lambda: path.write_text(without)})
    run(counting, editor)
    assert totals(counting) == [(0, -1.0 + 20.0 + 40.0), (1, 5.0 + 30.0)]
    (note,) = editor.notes
    assert "there is state of transforms that the pipeline no longer has" in note
