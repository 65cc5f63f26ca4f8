"""What the pages show of pipeline files, projects, queries and programs is taken as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent, indent

import pytest

from etl.operations.validation import validate
from etl.operations.workspace import Workspace

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
FUNCTIONS = {
    "cards.py": "def fraud(rows, state, batch):\n    return rows, state\n",
    "sending.py": "def send(frame, batch):\n    pass\n",
    "scoring.py": "def score(frame):\n    return frame\n\nclass Model:\n    __call__ = staticmethod(score)\n",
}
SOURCE = "source: {type: files, path: in/*.ndjson}\n"
SINK = "sink: {type: delta, table: silver.examples}\n"
STREAMS = """\
sources:
  orders:
    type: files
    path: orders/*.ndjson
    schema: {id: int64, amount: float64, ordered_at: timestamp(UTC)}
    transforms: [{watermark: {column: ordered_at}}]
  refunds:
    type: files
    path: refunds/*.ndjson
    schema: {order_id: int64, amount: float64, refunded_at: timestamp(UTC)}
    transforms: [{watermark: {column: refunded_at}}]
"""


def blocks(page: Path, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [dedent(text) for text in found]


def examples(language: str) -> list[object]:
    return [
        pytest.param(text, id=f"{page.stem}-{place}")
        for page in PAGES
        for place, text in enumerate(blocks(page, language))
    ]


def whole(example: str) -> str:
    """Return a pipeline file that has an example where it belongs."""
    if example.startswith("given:"):
        example = "- name: example\n" + indent(example + "expect: []\n", "  ")
    if example.startswith("- "):
        example = ("tests:\n" if re.search(r"^  given:", example, re.MULTILINE) else "transforms:\n") + example
    if example.startswith("schema_contract:"):  # two forms of it, one below the other
        example = SOURCE.replace("}", f", {example.splitlines()[0].partition('  #')[0]}}}")
    keys = set(re.findall(r"^(\w+):", example, re.MULTILINE))
    lacks = {"version": "version: 1\n", "source": SOURCE, "sink": SINK}
    for one, several in (("source", "sources"), ("sink", "sinks")):
        if several in keys:
            del lacks[one]
    return "".join(text for key, text in lacks.items() if key not in keys) + example


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project folder without a pipeline, with the functions that examples name."""
    for name in ("pipelines", "transforms"):
        (tmp_path / name).mkdir()
    for name, text in FUNCTIONS.items():
        (tmp_path / "transforms" / name).write_text(text)
    for name in ("CRM", "MAIL"):
        monkeypatch.setenv(f"ETL_SECRET_{name}", "not-a-secret")
    monkeypatch.setenv("ETL_SECRET_OPS_HOOK", "https://example.com/not-a-secret")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("example", examples("yaml"))
def test_example_of_a_file_is_valid(example: str, folder: Path) -> None:
    is_project = re.search(r"^lake:", example, re.MULTILINE)
    if is_project:
        (folder / "etl.yml").write_text(example)
    (folder / "pipelines" / "example.yml").write_text(whole("" if is_project else example))

    assert len(validate(Workspace(folder), None)) == 1


@pytest.mark.parametrize("example", examples("sql"))
def test_example_of_a_query_is_planned(example: str, folder: Path) -> None:
    text = f"version: 1\n{STREAMS}transforms:\n  - sql: |\n{indent(example, '      ')}{SINK}"
    (folder / "pipelines" / "example.yml").write_text(text)

    (verdict,) = validate(Workspace(folder), None)

    assert verdict.columns is not None


def test_example_of_a_program_runs(folder: Path) -> None:
    (program,) = blocks(ROOT / "docs" / "testing.md", "python")

    exec(program, {})  # noqa: S102  the page's own program

    assert (folder / "checkpoint" / "commits").is_dir()
