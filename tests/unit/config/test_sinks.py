"""``sinks:`` of a pipeline file: which is the own one, what each is called, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import etl.sinks
from etl.config.loader import load
from etl.sinks.console import ConsoleSink
from etl.sinks.key_value import KeyValueSink

Write = Callable[[str, str], Path]
Faults = Callable[[Callable[[], object]], list[str]]

SOURCE = "source: {type: files, path: landing/orders}\n"


@pytest.fixture(autouse=True)
def every_sink(small_registries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    del small_registries  # first
    known = {**etl.sinks.SINKS, "console": ConsoleSink, "key_value": KeyValueSink}
    monkeypatch.setattr(etl.sinks, "SINKS", known, raising=False)


def test_the_first_table_is_the_own_sink_whatever_stands_before_it(write: Write, tmp_path: Path) -> None:
    write(
        "pipelines/orders.yml",
        f"""{SOURCE}sinks:
  - {{type: console}}
  - {{type: delta, table: silver.orders, columns: [id]}}
  - {{type: delta, table: gold.orders, name: copy}}
""",
    )
    (spec,) = load(tmp_path)[1]

    assert [(sink.role, sink.table, sink.columns) for sink in spec.sinks] == [
        ("main", "silver.orders", ("id",)),
        ("console", "console", None),
        ("copy", "gold.orders", None),
    ]
    assert spec.sink.quarantine == "silver.orders__quarantine"


def test_without_a_table_the_side_tables_are_called_like_the_pipeline(write: Write, tmp_path: Path) -> None:
    write("pipelines/orders.yml", f"{SOURCE}sink: {{type: console}}\n")
    (spec,) = load(tmp_path)[1]

    assert (spec.sink.role, spec.sink.quarantine) == ("main", "orders.rows__quarantine")


@pytest.mark.parametrize(
    ("sinks", "fault"),
    [
        ("sinks: []\n", "sinks: "),
        ("sink: {type: console}\nsinks: [{type: console}]\n", "sinks: give either sink or sinks"),
        ("sinks: [{type: console}, {type: console}]\n", "'console' is the name of another sink"),
        ("sinks: [{type: console, name: main}]\n", "'main' is a word of our own"),
        (
            "sinks: [{type: delta, table: a.b}, {type: delta, table: a.b, name: x}]\n",
            "a.b is what another sink writes to",
        ),
        ("sinks: [{type: key_value, url: 'mysql://h/d', table: t, primary_key: [id]}]\n", "write redis://"),
        ("sinks: [{type: key_value, url: 'sqlite://', table: t, primary_key: [id]}]\n", "name a file"),
        ("sinks: [{type: key_value, url: 'redis://h', table: t, primary_key: []}]\n", "primary_key"),
        (
            "sinks: [{type: key_value, url: 'sqlite:///f', table: t, value: json, primary_key: [a]}]\n",
            "goes with redis",
        ),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(
    write: Write, tmp_path: Path, faults_of: Faults, sinks: str, fault: str
) -> None:
    write("pipelines/orders.yml", f"{SOURCE}{sinks}")

    assert any(fault in told for told in faults_of(lambda: load(tmp_path)))
