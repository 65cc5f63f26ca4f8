"""Proving a pipeline while it runs: what it commits meanwhile is no fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from deltalake import DeltaTable

from etl.operations.library import run
from etl.operations.looking import Onlooker, look
from etl.operations.verified import Verification
from etl.operations.verifying import verify
from etl.operations.workspace import Workspace
from etl.pipeline import Pipeline
from etl.seam import Seam
from tests.unit.operations.proving import BY_KEY, check_of, define, failed, table

BESIDE = """\
version: 1
source: {type: files, path: landing/orders/*.ndjson, batch: {max_files: 1}}
sinks:
  - {type: delta, table: silver.orders}
  - {type: key_value, url: 'sqlite:///keyed.db', table: orders, primary_key: [order_id]}
"""


class Meanwhile:
    """A sink before whose n-th answer something else happens."""

    def __init__(self, sink: Any, act: Callable[[], object], at: int) -> None:
        self._sink, self._act, self.left = sink, act, at

    def last_batch_id(self, expected: tuple[int, int] | None = None) -> int | None:
        self.left -= 1
        if self.left == 0:
            self._act()
        found: int | None = self._sink.last_batch_id(expected)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)


class Interleaved(Workspace):
    """A project in which ``act`` happens before the n-th question to the own sink, or to the one beside it."""

    def __init__(self, home: Workspace, act: Callable[[], object], *, at: int, is_beside: bool) -> None:
        super().__init__(home.folder)
        self._act, self._at, self._is_beside = act, at, is_beside
        self.asked: list[Meanwhile] = []

    def wired(self, name: str, seam: Seam) -> Pipeline:
        made = super().wired(name, seam)
        flow = made.flow
        if self.asked:
            return made
        if self._is_beside:
            (outlet,) = flow.further
            self.asked.append(Meanwhile(outlet.sink, self._act, self._at))
            return replace(made, flow=replace(flow, further=(replace(outlet, sink=self.asked[0]),)))
        self.asked.append(Meanwhile(flow.sink, self._act, self._at))
        return replace(made, flow=replace(flow, sink=self.asked[0]))

    @property
    def has_happened(self) -> bool:
        return self.asked[0].left <= 0


class Restless(Interleaved):
    """A project in which it happens whenever the sink is looked for."""

    def wired(self, name: str, seam: Seam) -> Pipeline:
        self.asked.clear()
        return super().wired(name, seam)


@pytest.fixture
def another(home: Workspace, put_orders: Any) -> Callable[[], None]:
    """Return a function that brings a batch in which a row is new and one is known already."""

    def take() -> None:
        put_orders("3", [{"order_id": 4, "amount": 1.5}, {"order_id": 1, "amount": 8.0}])
        run("orders", home.folder)

    return take


def proven(project: Workspace) -> Verification:
    return verify(project, "orders", Onlooker(), is_deep=True)


@pytest.mark.parametrize(("at", "is_beside"), [(1, False), (1, True), (2, True)])
def test_a_batch_that_is_committed_between_records_and_sinks_is_no_fault(
    home: Workspace, another: Callable[[], None], at: int, is_beside: bool
) -> None:
    define(home, BESIDE)
    run("orders", home.folder)
    project = Interleaved(home, another, at=at, is_beside=is_beside)

    found = proven(project)

    assert project.has_happened
    assert failed(found) == {}
    assert check_of(found, "rows").looked_at["batches"] >= 2


def test_a_table_by_key_that_a_batch_changed_while_it_was_compared_is_told_as_unproven(
    home: Workspace, another: Callable[[], None]
) -> None:
    define(home, BY_KEY)
    run("orders", home.folder)
    project = Interleaved(home, another, at=1, is_beside=False)

    found = proven(project)

    assert project.has_happened
    assert failed(found) == {}
    assert check_of(found, "rows").unproven == [
        "any row: the pipeline went on and changed them while they were compared; verify again"
    ]
    assert failed(proven(home)) == {}


def test_a_look_at_a_pipeline_whose_batch_is_committed_meanwhile_sees_it(
    home: Workspace, another: Callable[[], None]
) -> None:
    define(home, BESIDE)
    run("orders", home.folder)
    project = Interleaved(home, another, at=1, is_beside=True)

    sight = look(project.wired("orders", Onlooker()), Onlooker())

    assert project.has_happened
    assert sight.standing is not None
    assert sight.standing.committed == 2


def test_a_pipeline_that_goes_on_by_two_batches_at_every_look_has_no_faults(home: Workspace, put_orders: Any) -> None:
    define(home, BESIDE)
    run("orders", home.folder)
    numbers = count(10)

    def take() -> None:
        for number in (next(numbers), next(numbers)):
            put_orders(str(number), [{"order_id": number, "amount": 1.0}])
        run("orders", home.folder)

    project = Restless(home, take, at=1, is_beside=True)

    assert failed(verify(project, "orders", Onlooker())) == {}
    assert next(numbers) >= 12


def test_a_row_that_is_gone_is_told_all_the_same(home: Workspace, another: Callable[[], None]) -> None:
    define(home, BESIDE)
    run("orders", home.folder)
    DeltaTable(table(home)).delete("order_id = 3")
    project = Interleaved(home, another, at=2, is_beside=True)

    found = proven(project)

    assert project.has_happened
    assert failed(found) == {
        "rows": ["batch 1, landing/orders/2.ndjson: the table has 0 rows, its input gives 1"],
    }
