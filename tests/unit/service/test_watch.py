from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from etl.operations.workspace import Workspace
from etl.service.metrics import Metrics
from etl.service.watch import Watch, join_watch, leave_watch
from tests.fleets import Stage, batch

Run = Callable[[], None]


@pytest.fixture
def watch(home: Workspace, stage: Stage) -> Watch:
    return Watch(home, stage, stage.clock)


def test_a_pipeline_is_looked_at_with_its_lag_and_its_promise(watch: Watch, stage: Stage, run_one: Run) -> None:
    run_one()
    watch.look_at_all()
    stage.clock.advance(5)
    seen = watch.seen()["orders"]

    assert seen.status is not None
    assert (seen.status.lag_files, seen.sla.max_age, seen.looked_s) == (1, 900.0, 0.0)
    assert seen.result is not None
    assert seen.result.batch_id == 0
    assert seen.committed_at is not None
    assert seen.committed_at.tzinfo == UTC


def test_lags_become_figures_with_their_age(watch: Watch, stage: Stage, run_one: Run) -> None:
    run_one()
    metrics = Metrics(stage, watch, stage.clock)
    watch.look_at_all()
    stage.clock.advance(5)

    lines = metrics.exposition()[0].decode().splitlines()

    assert 'etl_lag_files{pipeline="orders"} 1.0' in lines
    assert 'etl_lag_age_seconds{pipeline="orders"} 5.0' in lines
    assert 'etl_last_batch_id{pipeline="orders"} 0.0' in lines
    assert 'etl_quarantine_open_rows{pipeline="orders"} 0.0' in lines


def test_a_batch_is_known_before_the_next_look(watch: Watch, stage: Stage, run_one: Run) -> None:
    stage.clock.advance((datetime.now(UTC) - stage.clock.now()).total_seconds() + 3600)
    run_one()
    watch.look_at_all()
    stage.say("orders", "committed", result=batch(batch_id=1))
    watch.look_at_all()

    seen = watch.seen()["orders"]

    assert seen.result is not None
    assert seen.result.batch_id == 1
    assert seen.committed_at == stage.clock.now()


def test_an_edited_promise_counts_from_the_next_look_and_a_faulty_file_changes_nothing(
    home: Workspace, watch: Watch
) -> None:
    path = home.folder / "pipelines" / "orders.yml"
    watch.look_at_all()
    path.write_text(path.read_text().replace("15m", "1h"))
    watch.look_at_all()
    assert watch.seen()["orders"].sla.max_age == 3600.0

    path.write_text(path.read_text().replace("1h", "often"))
    watch.look_at_all()
    assert watch.seen()["orders"].sla.max_age == 3600.0


def test_a_faulty_file_keeps_nobody_else_from_being_looked_at(home: Workspace, watch: Watch, stage: Stage) -> None:
    (home.folder / "pipelines" / "broken.yml").write_text("sink: [")
    stage.put("broken")

    watch.look_at_all()

    assert watch.seen()["broken"].status is None
    assert watch.seen()["orders"].status is not None


def test_what_cannot_be_looked_at_is_told_and_the_look_before_stands(home: Workspace, watch: Watch) -> None:
    watch.look_at_all()
    (home.folder / "lake").write_text("no folder")

    watch.look_at_all()

    seen = watch.seen()["orders"]
    assert seen.trouble
    assert seen.status is not None


def test_a_look_is_followed_by_a_rest_that_may_end_the_round(watch: Watch, stage: Stage) -> None:
    stage.put("users")
    rests: list[float] = []

    def rest(took_s: float) -> bool:
        rests.append(took_s)
        return True

    watch.look_at_all(rest)

    assert rests == [0.0]


@dataclass
class Grounds:
    workspace: Workspace
    fleet: Stage
    seam: object


def test_everybody_shares_one_watch_until_the_last_has_left(home: Workspace, stage: Stage) -> None:
    grounds = Grounds(home, stage, stage.clock)
    first, second = join_watch(grounds), join_watch(grounds)  # type: ignore[arg-type]
    assert first is second

    leave_watch(grounds)  # type: ignore[arg-type]
    assert len(stage.listeners) == 1
    leave_watch(grounds)  # type: ignore[arg-type]
    assert stage.listeners == []


def test_it_is_whole_when_everything_was_looked_at_or_could_not_be(home: Workspace, stage: Stage) -> None:
    empty = Watch(home, Stage(), stage.clock)
    watch = Watch(home, stage, stage.clock)
    assert (empty.is_whole(), watch.is_whole()) == (False, False)

    stage.put("gone")
    watch.look_at_all()

    assert watch.is_whole()
    assert watch.seen()["gone"].trouble == "its file cannot be read"
