from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from etl.checkpoint.lease import FileLease
from etl.errors import ConfigError, LeaseHeldError, QuarantineError
from etl.model import Bounds
from etl.operations.failures import NAME, read_failure
from etl.operations.running import Outcome, Running, run_pipeline, run_pipelines
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from etl.storage import LocalStorage
from etl.testing import MemorySink, MemorySource, memory_pipeline

SECOND = """\
version: 1
source: {type: files, path: landing/second/*.ndjson}
sink: {type: delta, table: silver.second}
"""

READER = """\
version: 1
source: {type: files, path: lake/silver/orders/*.parquet, schema: {order_id: int64}}
sink: {type: delta, table: gold.copy}
"""


class Broken:
    """A transform that fails with whatever it is given."""

    label = "broken"

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def output_schema(self, given: Any) -> Any:
        return given

    def apply(self, rows: Any, plan: Any, tally: Any) -> Any:
        del rows, plan, tally
        raise self._error


def test_a_run_commits_every_batch_and_says_so(home: Workspace, run_all: Any) -> None:
    (outcome,) = run_all(home)

    assert outcome.exit_code == 0
    assert [(result.batch_id, result.rows["read"], result.rows["written"]) for result in outcome.results] == [
        (0, 2, 1),
        (1, 1, 1),
    ]


def test_a_run_stops_at_its_bound(home: Workspace, run_all: Any) -> None:
    (outcome,) = run_all(home, bounds=Bounds(max_batches=1))

    assert [result.batch_id for result in outcome.results] == [0]


def test_a_pipeline_with_the_trigger_once_takes_one_batch(home: Workspace, run_all: Any) -> None:
    path = home.folder / "pipelines" / "orders.yml"
    path.write_text(path.read_text() + "trigger: once\n")

    (outcome,) = run_all(home)

    assert [result.batch_id for result in outcome.results] == [0]


def test_an_unknown_pipeline_is_refused_with_the_nearest_name(home: Workspace, run_all: Any) -> None:
    with pytest.raises(ConfigError, match="unknown pipeline 'ordres'; did you mean 'orders'") as caught:
        run_all(home, "ordres")

    assert caught.value.exit_code == 2


def test_a_failed_pipeline_stops_its_readers_while_others_go_on(home: Workspace, run_all: Any) -> None:
    (home.folder / "landing" / "orders" / "1.ndjson").write_text("{\n")
    (home.folder / "landing" / "second").mkdir()
    (home.folder / "landing" / "second" / "1.ndjson").write_text('{"id": 1}\n')
    (home.folder / "pipelines" / "a_reader.yml").write_text(READER)
    (home.folder / "pipelines" / "second.yml").write_text(SECOND)

    outcomes = {outcome.pipeline: outcome for outcome in run_all(home)}

    assert list(outcomes).index("orders") < list(outcomes).index("a_reader")
    assert isinstance(outcomes["orders"].error, QuarantineError)
    assert outcomes["a_reader"].skipped_for == "orders"
    assert len(outcomes["second"].results) == 1
    assert {name: outcome.exit_code for name, outcome in outcomes.items()} == {"orders": 1, "a_reader": 1, "second": 0}


def test_a_reader_runs_after_the_pipeline_that_writes_its_input(home: Workspace, run_all: Any) -> None:
    (home.folder / "pipelines" / "a_reader.yml").write_text(READER.replace("{order_id: int64}", "{order_id: int64}"))

    outcomes = run_all(home, "a_reader", "orders")

    assert [outcome.pipeline for outcome in outcomes] == ["orders", "a_reader"]


def test_nothing_more_is_started_once_somebody_wants_to_stop(home: Workspace) -> None:
    running = Running(Seam(), Silent(), should_stop=lambda: True)

    assert list(run_pipelines(home, None, running)) == []


def test_a_failure_is_noted_beside_the_checkpoint_and_cleared_by_success(home: Workspace, run_all: Any) -> None:
    path = home.folder / "landing" / "orders" / "1.ndjson"
    good = path.read_text()
    path.write_text("{\n")
    checkpoint = LocalStorage(home.folder / "lake" / "_checkpoints" / "orders", Seam())

    run_all(home)
    failure = read_failure(checkpoint)
    assert failure is not None
    assert (failure.kind, failure.exit_code) == ("QuarantineError", 1)
    assert failure.where == "silver.orders__quarantine"

    path.write_text(good)
    (outcome,) = run_all(home)
    assert outcome.exit_code == 0
    assert read_failure(checkpoint) is None


def test_results_before_a_failure_are_kept(home: Workspace, run_all: Any) -> None:
    (home.folder / "landing" / "orders" / "2.ndjson").write_text("{\n")

    (outcome,) = run_all(home)

    assert isinstance(outcome.error, QuarantineError)
    assert [result.batch_id for result in outcome.results] == [0]


def test_a_second_runner_is_told_and_leaves_no_note(memory: Any, tmp_path: Path) -> None:
    _, _, wired = memory
    lease = FileLease(tmp_path / "checkpoint" / "lease.lock", Seam())
    assert lease.acquire()

    outcome = run_pipeline(wired(), Running(Seam(), Silent()))
    lease.release()

    assert isinstance(outcome.error, LeaseHeldError)
    assert outcome.exit_code == 3
    assert not (tmp_path / "checkpoint" / NAME).exists()


class Panic(BaseException):
    """What a panic in Rust is to Python: no Exception."""


def test_what_is_no_exception_is_recorded_too_and_frees_the_lease(memory: Any, tmp_path: Path) -> None:
    _, _, wired = memory

    outcome = run_pipeline(wired(transforms=[Broken(Panic("index out of bounds"))]), Running(Seam(), Silent()))

    assert isinstance(outcome.error, Panic)
    assert outcome.exit_code == 1
    failure = read_failure(LocalStorage(tmp_path / "checkpoint", Seam()))
    assert failure is not None
    assert failure.message == "internal error: index out of bounds"
    assert not FileLease(tmp_path / "checkpoint" / "lease.lock", Seam()).is_held()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_an_interruption_goes_through_and_frees_the_lease(error: BaseException, memory: Any, tmp_path: Path) -> None:
    _, _, wired = memory

    with pytest.raises(type(error)):
        run_pipeline(wired(transforms=[Broken(error)]), Running(Seam(), Silent()))

    assert not FileLease(tmp_path / "checkpoint" / "lease.lock", Seam()).is_held()
    assert not (tmp_path / "checkpoint" / NAME).exists()


def test_an_outcome_without_an_error_is_zero() -> None:
    assert Outcome("orders").exit_code == 0
    assert Outcome("orders", skipped_for="users").exit_code == 1


def test_the_reporter_hears_everything_that_is_said(tmp_path: Path) -> None:
    heard: list[str] = []

    class Ear:
        def planned(self, pipeline: str, plan: Any) -> None:
            heard.append(f"planned {pipeline} {plan.batch_id}")

        def committed(self, result: Any) -> None:
            heard.append(f"committed {result.batch_id}")

        def noted(self, pipeline: str, message: str) -> None:
            heard.append(f"noted {pipeline} {message}")

    source = MemorySource()
    source.add([{"id": 1}])
    checkpoint = LocalStorage(tmp_path / "checkpoint", Seam())
    sink = MemorySink()
    run_pipeline(
        memory_pipeline(source, sink, checkpoint, transforms=[Broken(ValueError("no"))]), Running(Seam(), Ear())
    )
    run_pipeline(memory_pipeline(source, sink, checkpoint), Running(Seam(), Ear()))

    assert heard == [
        "planned test 0",
        "noted test batch 0: read, transform and stage the planned batch again under a new attempt",
        "committed 0",
    ]
    assert sink.rows() == [{"id": 1}]
