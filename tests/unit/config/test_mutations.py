from __future__ import annotations

import re
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from etl.config.faults import ConfigFaults
from etl.config.loader import load

PROJECT = """\
version: 1
lake: ./lake
storage:
  s3: {endpoint_url: "${S3_ENDPOINT:-}", region: eu-west-1}
profiles:
  prod: {lake: s3://company-lake}
defaults: {batch: {max_files: 1000, max_bytes: 256MB}}
memory: 2GB
"""
PIPELINE = """\
version: 1
name: orders
source: &source
  type: files
  path: landing/orders/**/*.jsonl
  schema: {id: int64, amount: "decimal(18,2)", tags: list<string>}
  batch: {max_rows: 10}
  after_commit: {archive: done}
transforms:
  - filter: [amount >= 0, "id IS NOT NULL"]
  - deduplicate: {keys: [id], within: 1h}
sink: {type: delta, table: silver.orders}
trigger: once
"""
SNIPPETS = [
    "\t",
    "*source",
    "&x ",
    "!!int ",
    "${",
    "${X}",
    "${secret:x}",
    "\0",
    "\ufeff",
    "{",
    "]",
    "- ",
    ": ",
    "? ",
    "|",
]
SNIPPETS += [
    "null",
    "1e999",
    "-",
    "'",
    '"',
    "\n",
    "\r",
    "\x85",
    "\u2028",
    "%",
    "#",
    "---\n",
    "...\n",
    "<<: *source",
    "é😀",
]

positions = st.integers(0, len(PIPELINE))
changes = st.lists(
    st.tuples(positions, st.integers(0, 12), st.sampled_from(SNIPPETS) | st.text(max_size=4)), min_size=1, max_size=4
)


def mutated(text: str, edits: list[tuple[int, int, str]]) -> str:
    for position, length, new in edits:
        at = position % (len(text) + 1)
        text = text[:at] + new + text[at + length :]
    return text


def load_or_faults(project: bytes, pipeline: bytes) -> None:
    texts = {"etl.yml": project, "pipelines/orders.yml": pipeline}
    with tempfile.TemporaryDirectory() as name:
        write_project(Path(name), project, pipeline)
        try:
            load(Path(name))
        except ConfigFaults as exc:
            faults = exc.faults
        else:
            return
    assert faults
    for fault in faults:
        assert_lies_inside(fault.line, fault.column, texts[fault.file])
        assert "\n" not in fault.message


def write_project(folder: Path, project: bytes, pipeline: bytes) -> None:
    (folder / "pipelines").mkdir()
    (folder / "etl.yml").write_bytes(project)
    (folder / "pipelines" / "orders.yml").write_bytes(pipeline)


def assert_lies_inside(line: int, column: int, content: bytes) -> None:
    """A fault stands on a character, or just behind the last one of its line."""
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", content.decode("utf-8-sig", errors="replace"))
    assert 1 <= line <= len(lines)
    assert 1 <= column <= len(lines[line - 1]) + 1


quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(changes)
@example([(0, 0, "a: &a [*a]\n")])
def test_a_mutated_pipeline_file_loads_or_is_told_by_its_faults(edits: list[tuple[int, int, str]]) -> None:
    load_or_faults(PROJECT.encode(), mutated(PIPELINE, edits).encode("utf-8", "replace"))


@quick
@given(changes)
def test_a_mutated_project_file_loads_or_is_told_by_its_faults(edits: list[tuple[int, int, str]]) -> None:
    load_or_faults(mutated(PROJECT, edits).encode("utf-8", "replace"), PIPELINE.encode())


@quick
@given(positions, st.binary(min_size=1, max_size=3))
def test_bytes_in_a_pipeline_file_load_or_are_told_by_faults(position: int, noise: bytes) -> None:
    content = PIPELINE.encode()
    load_or_faults(PROJECT.encode(), content[:position] + noise + content[position:])


def test_the_files_that_are_mutated_are_valid(tmp_path: Path) -> None:
    write_project(tmp_path, PROJECT.encode(), PIPELINE.encode())
    project, specs = load(tmp_path)
    assert (project.lake, [spec.name for spec in specs]) == (f"{tmp_path}/lake", ["orders"])
