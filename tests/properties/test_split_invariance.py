"""The same input in any batches gives the same rows, the same rejected rows and the same schema."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.checkpoint.folder import find_checkpoint
from etl.config.loader import load
from etl.config.wiring import wire
from etl.engine import run
from etl.model import Bounds
from etl.progress import Silent
from etl.seam import Seam
from tests.readers import table_rows

BIG = 2**53 + 1

values = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([BIG, -BIG, 2**63 - 1, 2**63, 10**30]),
    st.sampled_from([0.5, -1.25, 1e300, float(BIG)]),
    st.sampled_from(["x", "", "7", None, True, False]),
    st.sampled_from([[1], [1.5], ["a"], [], [None], {"u": 1}, {"u": 0.5, "v": "w"}, {}]),
)
nested = st.sampled_from(
    [{"u": 1}, {"u": 0.5}, {"v": "w"}, {"u": 2, "v": "w"}, {"w": [{"p": 1}]}, {"w": [{"p": 0.5, "q": 1}, None]}, None]
)
flat = st.dictionaries(st.sampled_from(["a", "b", "c", "new"]), values, max_size=3)
rows = st.one_of(flat, flat, st.tuples(flat, nested).map(lambda pair: {**pair[0], "s": pair[1]}))
lines = st.one_of(
    rows.map(json.dumps),
    rows.map(json.dumps),
    rows.map(json.dumps),
    st.sampled_from(['{"a": 1', "[1]", "null", '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": "\\ud800"}', ""]),
)
files = st.lists(st.lists(lines, min_size=1, max_size=6), min_size=2, max_size=5)

PIPELINE = """
version: 1
source:
  type: files
  path: in/*.ndjson
  format: ndjson
  schema_contract: {contract}
  order: name
{schema}
expect:
  - {{name: not_three, check: id <> 3, otherwise: quarantine}}
  - {{name: not_five, check: id <> 5, otherwise: drop}}
sink: {{type: delta, table: bronze.t}}
"""
CONTRACTS = {
    "evolve": ("evolve", ""),
    "rescue": ("rescue", "  schema: {id: int64, a: int64, b: string}"),
    "strict": ("strict", "  schema: {id: int64, a: float64, b: list<int64>}"),
    "each": ("{new_columns: ignore, type_change: widen, missing_columns: 'null'}", "  schema: {id: int64, a: int64}"),
}


def numbered(content: list[list[str]]) -> list[list[str]]:
    """Give every object an id of its own, first, so that no two rows are alike and the column is always there."""
    number = 0
    found: list[list[str]] = []
    for file in content:
        found.append([])
        for line in file:
            number += 1
            is_object = line.startswith("{") and line.endswith("}")
            rest = line[1:] if line != "{}" else "}"
            comma = "" if rest == "}" else ", "
            found[-1].append(f'{{"id": {number}{comma}{rest}' if is_object else line)
    return found


def outcome(folder: Path, content: list[list[str]], groups: list[list[int]], contract: str) -> dict[str, Any]:
    """Return what a project holds once the files have come in groups, each taken by a run of its own."""
    (folder / "pipelines").mkdir()
    (folder / "in").mkdir()
    policy, schema = CONTRACTS[contract]
    (folder / "pipelines/t.yml").write_text(PIPELINE.format(contract=policy, schema=schema))
    for group in groups:
        for index in group:
            path = folder / "in" / f"{index}.ndjson"
            path.write_text("".join(line + "\n" for line in content[index]))
            os.utime(path, (1000 + index, 1000 + index))
        project, specs = load(folder)
        pipeline = wire(specs[0], project, Seam())
        run(pipeline, Seam(), Silent(), Bounds(1))
    checkpoint = find_checkpoint(wire(specs[0], project, Seam()).checkpoint, Seam())
    assert checkpoint is not None
    last = max(checkpoint.manifests.log.revisions())
    manifest = checkpoint.manifests.read(last)
    counts: Counter[str] = Counter()
    for batch_id in checkpoint.commits.log.revisions():
        counts.update(checkpoint.commits.read(batch_id).result.rows)
    return {
        "rows": multiset(folder / "lake/bronze/t", ("_batch_id",)),
        "rejected": multiset(
            folder / "lake/bronze/t__quarantine", ("_batch_id", "row_id", "rejected_at", "resolved_at", "reason")
        ),
        "schema": manifest.source_schemas,
        "wide": manifest.wide,
        "counts": +counts,
    }


# a row that breaks two rules is told under one of them, and which it breaks depends on how far the schema has come


def multiset(table: Path, leave_out: tuple[str, ...]) -> Counter[str]:
    if not table.exists():
        return Counter()
    return Counter(json.dumps(pruned(row), default=str, sort_keys=True) for row in table_rows(table, leave_out))


def pruned(value: Any) -> Any:
    """Leave out what is null: the file of an earlier batch lacks the fields that a later one brought."""
    if isinstance(value, dict):
        return {name: pruned(below) for name, below in value.items() if below is not None}
    return [pruned(item) for item in value] if isinstance(value, list) else value


def check(content: list[list[str]], cuts: set[int], contract: str) -> None:
    content = numbered(content)
    together = [list(range(len(content)))]
    groups: list[list[int]] = [[]]
    for index in range(len(content)):
        if index in cuts and groups[-1]:
            groups.append([])
        groups[-1].append(index)
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        whole = outcome(Path(one), content, together, contract)
        cut = outcome(Path(other), content, groups, contract)
    assert cut == whole


@pytest.mark.parametrize("contract", list(CONTRACTS))
@given(content=files, cuts=st.sets(st.integers(1, 4), min_size=1))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_batches_cut_anywhere_give_the_same_result(content: list[list[str]], cuts: set[int], contract: str) -> None:
    check(content, cuts, contract)


@pytest.mark.slow
@pytest.mark.parametrize("contract", list(CONTRACTS))
@given(content=files, cuts=st.sets(st.integers(1, 4), min_size=1))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_many_batches_cut_anywhere_give_the_same_result(
    content: list[list[str]], cuts: set[int], contract: str
) -> None:
    check(content, cuts, contract)
