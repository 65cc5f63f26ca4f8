"""Who is told (``alerts:`` of etl.yml), and what a pipeline promises (``sla:``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from etl.config.definition import definition_hash
from etl.config.loader import load, load_project
from etl.config.specification import SlaOptions
from etl.notifying import CONDITIONS, Receiver
from etl.project import default_project
from etl.secrets import mask

if TYPE_CHECKING:
    import pytest

Write = Callable[[str, str], Path]
Faults = Callable[[Callable[[], object]], list[str]]

ORDERS = "source: {type: files, path: a}\nsink: {type: delta, table: silver.orders}\n"


def test_receivers_are_read_with_their_defaults(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETL_SECRET_HOOK", "https://hooks.example/T0/zq10")
    write(
        "etl.yml",
        """\
        alerts:
          - {name: ops, url: "${secret:hook}"}
          - {name: data, url: "slack://token", when: [freshness], pipelines: [orders], remind: 1h}
        """,
    )

    assert load_project(tmp_path).receivers == (
        Receiver("ops", "https://hooks.example/T0/zq10", CONDITIONS, None, 21_600.0),
        Receiver("data", "slack://token", ("freshness",), ("orders",), 3600.0),
    )
    assert mask("at https://hooks.example/T0/zq10") == "at ***"


def test_the_url_of_a_receiver_is_hidden_also_where_it_stands_in_the_file(write: Write, tmp_path: Path) -> None:
    write("etl.yml", 'alerts: [{name: ops, url: "https://hooks.example/T0/zq11"}]')
    project = load_project(tmp_path)

    assert mask("at https://hooks.example/T0/zq11") == "at ***"
    assert "zq11" not in repr(project)


def test_faults_of_receivers_are_told_with_their_place_and_without_their_urls(
    write: Write, tmp_path: Path, faults_of: Faults
) -> None:
    write(
        "etl.yml",
        """\
        alerts:
          - {name: ops, url: zq12-no-url}
          - {name: ops 2, url: "https://x", wen: [failure]}
          - {name: b, url: "https://x", when: [failing]}
          - {name: c, url: "https://me:zq13pw@x"}
        """,
    )

    told = faults_of(lambda: load_project(tmp_path))

    assert [line.split(": ")[0] for line in told] == [
        "2:22 alerts[0].url",
        "3:12 alerts[1].name",
        "3:37 alerts[1].wen",
        "4:40 alerts[2].when[0]",
        "5:20 alerts[3].url",
    ]
    assert "zq12" not in "".join(told)
    assert "zq13" not in "".join(told)
    assert "did you mean 'when'?" in told[2]


def test_two_receivers_of_one_name_are_refused(write: Write, tmp_path: Path, faults_of: Faults) -> None:
    write("etl.yml", 'alerts: [{name: ops, url: "https://x/1"}, {name: ops, url: "https://x/2"}]')

    assert faults_of(lambda: load_project(tmp_path)) == ["1:50 alerts[1].name: 'ops' is the name of receiver 0 too"]


def test_a_profile_replaces_the_receivers(write: Write, tmp_path: Path) -> None:
    write("etl.yml", 'profiles: {prod: {alerts: [{name: ops, url: "https://x/prod"}]}}')

    assert load_project(tmp_path).receivers == ()
    assert [each.name for each in load_project(tmp_path, "prod").receivers] == ["ops"]


def test_a_promise_is_read_and_is_no_part_of_the_definition(write: Write, tmp_path: Path) -> None:
    path = write("pipelines/orders.yml", ORDERS)
    project = default_project(tmp_path)
    before = definition_hash(load(tmp_path)[1][0], project)
    path.write_text(f"{ORDERS}sla: {{max_age: 15m, max_quarantined: 0.05}}\n")
    spec = load(tmp_path)[1][0]

    assert spec.sla == SlaOptions.model_validate({"max_age": "15m", "max_quarantined": 0.05})
    assert (spec.sla.max_age, spec.sla.of) == (900.0, "commit")
    assert definition_hash(spec, project) == before


def test_a_promise_about_data_needs_a_watermark(write: Write, tmp_path: Path, faults_of: Faults) -> None:
    write("pipelines/orders.yml", f"{ORDERS}sla: {{max_age: 15m, of: data}}\n")

    assert faults_of(lambda: load(tmp_path)) == [
        "3:25 sla.of: `of: data` goes by the watermark; add a watermark transform, or say commit"
    ]
