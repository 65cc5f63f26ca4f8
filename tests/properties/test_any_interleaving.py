"""Two sources and a union: whatever comes when, each row is in the table once, and every batch tells of both."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.engine import run
from etl.flow import Branch
from etl.model import Bounds, ReadLimit
from etl.progress import Silent
from etl.seam import Seam
from etl.storage import LocalStorage
from etl.testing import MemorySink, MemorySource, memory_pipeline, multiset
from etl.transforms.contract import TransformSite
from etl.transforms.union import Union, UnionOptions

ROWS = st.lists(st.integers(0, 9), max_size=3)
STEP = st.one_of(
    st.tuples(st.just("orders"), ROWS),
    st.tuples(st.just("refunds"), ROWS),
    st.tuples(st.just("run"), st.integers(1, 3)),
)
DECLARED = {"id": "int64", "note": "string"}


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(STEP, max_size=10), limits=st.tuples(st.integers(1, 3), st.integers(1, 3)), is_declared=st.booleans()
)
def test_every_row_of_both_lands_once_whatever_comes_when(
    steps: list[tuple[str, Any]], limits: tuple[int, int], is_declared: bool
) -> None:
    orders = MemorySource({"id": "int64"} if is_declared else None)
    refunds = MemorySource(dict(DECLARED) if is_declared else None)
    expected: list[dict[str, Any]] = []
    sink = MemorySink()
    union = Union(UnionOptions.model_validate({"with": ["refunds"]}), TransformSite(Path(), 0))
    with tempfile.TemporaryDirectory() as folder:

        def go(bounds: Bounds) -> None:
            branch = Branch("refunds", refunds, limit=ReadLimit(max_files=limits[1]))
            pipeline = memory_pipeline(
                orders, sink, LocalStorage(Path(folder), Seam()),
                transforms=(union,), branches=(branch,), limit=ReadLimit(max_files=limits[0]),
            )  # fmt: skip
            for result in run(pipeline, Seam(), Silent(), bounds):
                assert result.offsets.keys() == {"source", "refunds"}

        for what, value in steps:
            if what == "run":
                go(Bounds(max_batches=value))
            elif what == "orders":
                orders.add([{"id": number} for number in value])
                expected += [{"id": number, "note": None} for number in value]
            else:
                refunds.add([{"id": number, "note": f"n{number}"} for number in value])
                expected += [{"id": number, "note": f"n{number}"} for number in value]
        orders.add([{"id": 77}])  # the columns of the main source are known by now
        expected.append({"id": 77, "note": None})
        go(Bounds())
    assert multiset({"note": None, **row} for row in sink.rows()) == multiset(expected)
