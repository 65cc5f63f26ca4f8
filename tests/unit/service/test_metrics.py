from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from etl.operations.workspace import Workspace
from etl.service.contract import Phase
from etl.service.metrics import Metrics
from etl.service.watch import Watch
from tests.fleets import Stage, batch

Figures = dict[tuple[str, ...], float]
Scrape = Callable[[], Figures]


def _by_label(label: tuple[str, str]) -> tuple[bool, bool, str]:
    return label[0] != "pipeline", label[0] != "step", label[0]


@pytest.fixture
def watch(stage: Stage, tmp_path: Path) -> Watch:
    return Watch(Workspace(tmp_path), stage, stage.clock)


@pytest.fixture
def scrape(stage: Stage, watch: Watch) -> Scrape:
    """Return what reads the figures: metric and label values to value."""
    metrics = Metrics(stage, watch, stage.clock)

    def read() -> Figures:
        text, _ = metrics.exposition()
        families = text_string_to_metric_families(text.decode())
        return {
            (sample.name, *dict(sorted(sample.labels.items(), key=_by_label)).values()): sample.value
            for family in families
            for sample in family.samples
            if sample.name.startswith("etl_")
        }

    return read


def test_batches_are_counted_with_their_rows_bytes_and_steps(stage: Stage, scrape: Scrape) -> None:
    stage.say("orders", "committed", result=batch())
    stage.say("orders", "committed", result=batch(batch_id=1, rows={"read": 5, "written": 5, "late": 2}))

    figures = scrape()

    assert {key[2]: value for key, value in figures.items() if key[0] == "etl_rows_total"} == {
        "filtered": 1,
        "late": 2,
        "quarantined": 1,
        "read": 15,
        "written": 13,
    }
    assert figures["etl_batches_total", "orders"] == 2
    assert figures["etl_bytes_read_total", "orders"] == 2000
    assert figures["etl_batch_duration_seconds_count", "orders", "stage"] == 2
    assert figures["etl_batch_duration_seconds_sum", "orders", "stage"] == 0.4
    assert figures["etl_batch_duration_seconds_bucket", "orders", "stage", "0.1"] == 0
    assert figures["etl_batch_duration_seconds_bucket", "orders", "stage", "0.25"] == 2
    assert figures["etl_last_batch_id", "orders"] == 1


def test_what_never_happened_is_zero_and_what_is_not_known_is_left_out(scrape: Scrape) -> None:
    figures = scrape()

    assert figures["etl_batches_total", "orders"] == 0
    assert figures["etl_failures_total", "orders"] == 0
    assert figures["etl_missed_ticks_total", "orders"] == 0
    assert not [key for key in figures if key[0].startswith(("etl_lag", "etl_last", "etl_watermark", "etl_state"))]


def test_failures_and_success_are_told_with_their_time(stage: Stage, scrape: Scrape) -> None:
    stage.say("orders", "committed", result=batch())
    committed_at = stage.clock.now().timestamp()
    stage.clock.advance(10)
    stage.say("orders", "failed", "disk full")
    stage.put("orders", phase=Phase.DEGRADED, failures=1, missed=3, fault="orders.yml:3:1", next_at=stage.clock.now())

    figures = scrape()

    assert figures["etl_failures_total", "orders"] == 1
    assert figures["etl_consecutive_failures", "orders"] == 1
    assert figures["etl_missed_ticks_total", "orders"] == 3
    assert figures["etl_faulty_definition", "orders"] == 1
    assert figures["etl_next_run_timestamp_seconds", "orders"] == committed_at + 10
    assert figures["etl_last_commit_timestamp_seconds", "orders"] == committed_at
    assert figures["etl_last_success_timestamp_seconds", "orders"] == committed_at
    phases = {key[2]: value for key, value in figures.items() if key[0] == "etl_pipeline_phase"}
    assert phases == {"waiting": 0, "running": 0, "degraded": 1, "paused": 0, "faulty": 0}

    stage.clock.advance(5)
    stage.say("orders", "ended")

    assert scrape()["etl_last_success_timestamp_seconds", "orders"] == committed_at + 15


def test_watermark_and_state_are_those_of_the_newest_batch(stage: Stage, scrape: Scrape) -> None:
    state = {"transforms[1].group_by": {"rows": 7, "bytes": 4096}}
    stage.say("orders", "committed", result=batch(watermark="2025-12-31T23:59:00+00:00", state=state))
    stage.clock.advance(30)

    figures = scrape()

    assert figures["etl_watermark_delay_seconds", "orders"] == 90
    assert figures["etl_state_rows", "orders", "transforms[1].group_by"] == 7
    assert figures["etl_state_bytes", "orders", "transforms[1].group_by"] == 4096


def test_a_pipeline_that_is_removed_leaves_no_figures(stage: Stage, scrape: Scrape) -> None:
    stage.say("orders", "committed", result=batch())
    del stage.pipelines["orders"]
    stage.say("orders", "removed")

    assert [key for key in scrape() if "orders" in key] == []


def test_build_and_process_are_told(stage: Stage, watch: Watch) -> None:
    text, kind = Metrics(stage, watch, stage.clock).exposition()

    assert kind.startswith("text/plain")
    assert b"\netl_build_info{python=" in text or b"\netl_build_info{version=" in text
    assert b"\nprocess_resident_memory_bytes " in text
