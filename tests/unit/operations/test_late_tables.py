"""The late table among the tables of a project: nobody else writes it, and its own pipeline does not read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.config.faults import ConfigFaults
from etl.config.loader import load
from tests.remembering import SINK, VISITS

READER = """\
version: 1
source: {{type: files, path: {path}, schema: {{id: string}}}}
sink: {{type: delta, table: {table}}}
"""


def write(folder: Path, **pipelines: str) -> Path:
    (folder / "pipelines").mkdir(exist_ok=True)
    for name, text in pipelines.items():
        (folder / "pipelines" / f"{name}.yml").write_text(text)
    return folder


def faults(folder: Path) -> list[str]:
    with pytest.raises(ConfigFaults) as caught:
        load(folder, None, None)
    return [f"{fault.file} {fault}" if fault.file not in str(fault) else str(fault) for fault in caught.value.faults]


def test_a_pipeline_does_not_read_its_own_late_table(tmp_path: Path) -> None:
    text = VISITS.replace("landing/visits/*.ndjson", "lake/silver/visits__late/*.ndjson")

    (fault,) = faults(write(tmp_path, visits=text))

    assert "source.path: reads its own late table (silver.visits__late): late rows would come back" in fault


@pytest.mark.parametrize("table", ["silver.visits__late", "SILVER.visits__LATE"])
def test_nobody_else_writes_a_late_table(tmp_path: Path, table: str) -> None:
    (fault,) = faults(write(tmp_path, visits=VISITS, other=READER.format(path="landing/x/*.ndjson", table=table)))

    assert "is written by pipelines/" in fault


def test_a_quarantine_is_not_put_into_a_late_table(tmp_path: Path) -> None:
    (fault,) = faults(write(tmp_path, visits=f"{VISITS}quarantine: {{table: silver.visits__late}}\n"))

    assert "silver.visits__late is not beside the late table silver.visits__late" in fault


def test_a_reader_of_a_late_table_comes_after_its_writer(tmp_path: Path) -> None:
    reader = READER.format(path="lake/silver/visits__late/*.parquet", table="gold.a")

    _, specs = load(write(tmp_path, a=reader, visits=VISITS), None, None)

    assert [spec.name for spec in specs] == ["visits", "a"]


@pytest.mark.parametrize("late", ["drop", "count"])
def test_a_pipeline_that_keeps_no_late_rows_has_no_late_table(tmp_path: Path, late: str) -> None:
    text = VISITS.replace("delay: 5m", f"delay: 5m, late: {late}")
    other = READER.format(path="landing/x/*.ndjson", table="silver.visits__late")

    _, specs = load(write(tmp_path, visits=text, other=other), None, None)

    assert {spec.name: list(spec.tables) for spec in specs} == {
        "visits": [("sink",), ("quarantine",)],
        "other": [("sink",), ("quarantine",)],
    }
    assert SINK in text
