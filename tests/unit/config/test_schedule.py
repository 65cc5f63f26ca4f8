"""The block ``trigger:`` of pipelines that a service starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.config.loader import load
from etl.errors import ConfigError
from tests.scheduling import folder_with
from tests.serving import source_of


def faults(folder: Path, **triggers: str) -> list[str]:
    """Return the faults of pipelines with these triggers."""
    folder_with(folder, **{name: source_of(name, text) for name, text in triggers.items()})
    with pytest.raises(ConfigError) as caught:
        load(folder)
    return [line.strip() for line in str(caught.value).splitlines() if line.startswith("  ")]


def told(folder: Path, trigger: str) -> str:
    folder_with(folder, a=source_of("a", trigger))
    (spec,) = load(folder)[1]
    return str(spec.schedule)


@pytest.mark.parametrize(
    ("trigger", "text"),
    [
        ("{every: 90s}", "every 90s"),
        ("{every: 5m, jitter: 10s, overlap: queue}", "every 5m"),
        ('{cron: "*/5 * * * *", timezone: Europe/Berlin, catch_up: true}', "cron */5 * * * * Europe/Berlin"),
    ],
)
def test_a_schedule_reads_as_it_is_written(tmp_path: Path, trigger: str, text: str) -> None:
    assert told(tmp_path, trigger) == text


@pytest.mark.parametrize(
    ("trigger", "fault"),
    [
        ("{every: 10ms}", "at least 100ms; `trigger: continuous` is quicker"),
        ("{every: 1s, cron: '* * * * *'}", "give exactly one of every, cron and after, not every and cron"),
        ("{jitter: 1s}", "give exactly one of every, cron and after, not none"),
        ("{every: 1m, timezone: UTC}", "timezone belongs to cron"),
        ("{every: 1m, catch_up: true}", "catch_up belongs to cron"),
        ("{every: 1m, jitter: 2m}", "jitter is at most every"),
        ("{after: [b], jitter: 1s}", "jitter belongs to every and cron"),
        ("{cron: '* * * * *', timezone: Mars/Base}", "unknown time zone; write one like Europe/Berlin or UTC"),
        ("{cron: '0 0 31 2 *'}", "it never fires: no such day is in any of its months"),
        ("{evry: 1m}", "unknown key; did you mean 'every'?"),
    ],
)
def test_what_is_no_schedule_is_told_with_its_place(tmp_path: Path, trigger: str, fault: str) -> None:
    found = faults(tmp_path, a=trigger, b="once")
    assert len(found) == 1
    assert found[0].startswith("3:")
    assert fault in found[0]


def test_after_wants_a_pipeline_that_is_there(tmp_path: Path) -> None:
    assert faults(tmp_path, orders="once", b="{after: [order]}") == [
        "3:19   trigger.after[0]: unknown pipeline 'order'; did you mean 'orders'?"
    ]


def test_no_pipeline_comes_after_itself(tmp_path: Path) -> None:
    assert faults(tmp_path, a="{after: [a]}") == ["3:19   trigger.after[0]: a pipeline cannot come after itself"]


def test_cycles_are_refused(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, a="{after: [c]}", b="{after: [a]}", c="{after: [b]}")
    assert "a cycle of pipelines, each coming after the next: " in found


def test_a_cycle_of_after_and_of_tables_is_refused(tmp_path: Path) -> None:
    folder_with(
        tmp_path,
        a=source_of("a", "{after: [b]}"),
        b="source: {type: files, path: lake/bronze/a/*.parquet}\nsink: {type: delta, table: silver.b}\n",
    )
    with pytest.raises(ConfigError, match="a cycle of pipelines"):
        load(tmp_path)
