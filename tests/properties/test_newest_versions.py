"""Any history of files that change, in any batches: the table holds the newest version of each that was read."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.engine import run
from etl.model import PROVENANCE_COLUMNS, Bounds, ReadLimit
from etl.progress import Silent
from etl.seam import Seam
from etl.sources.contract import SourceSite
from etl.sources.file_options import FileOptions
from etl.sources.files import FileSource
from etl.storage import LocalStorage
from etl.testing import memory_pipeline
from tests.faults.crash_lab import table_sink
from tests.readers import table_rows

NAMES = ["a", "b", "sub/c d#1"]
VERSIONS = st.dictionaries(st.sampled_from(NAMES), st.lists(st.integers(0, 3), max_size=4), max_size=3)
STEPS = st.tuples(VERSIONS, st.integers(1, 3), st.booleans())
"""What is written, how many files a batch takes, and whether one batch runs or all of them."""


def step(folder: Path, change: str, max_files: int, max_batches: int | None) -> None:
    """Run the pipeline in a process of its own, as far as its objects go."""
    seam = Seam()
    checkpoint = LocalStorage(folder / "checkpoint", seam)
    site = SourceSite("source", folder, checkpoint.at("sources/source"), seam)
    options = FileOptions.model_validate(
        {"path": "in/**/*.ndjson", "identity": "path_and_version", "on_change": change}
    )
    source = FileSource(options, {"id": "int64", "kind": "string"}, site)
    limit = ReadLimit(max_files=max_files)
    pipeline = memory_pipeline(source, table_sink(folder, seam), checkpoint, system=PROVENANCE_COLUMNS, limit=limit)
    run(pipeline, seam, Silent(), Bounds(max_batches))


def put(folder: Path, name: str, ids: list[int], modified_s: int, *, is_grown: bool = False) -> None:
    path = folder / "in" / f"{name}.ndjson"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a" if is_grown else "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"id": each, "kind": str(each % 2)}) + "\n" for each in ids)
    os.utime(path, (modified_s, modified_s))


def found(folder: Path) -> Counter[tuple[str, int]]:
    return Counter((row["_source_file"], row["id"]) for row in table_rows(folder / "table"))


def expected(files: dict[str, list[int]]) -> Counter[tuple[str, int]]:
    return Counter((f"in/{name}.ndjson", each) for name, ids in files.items() for each in ids)


@settings(max_examples=12, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=5))
def test_the_table_holds_the_newest_version_of_each_file(
    history: list[tuple[dict[str, list[int]], int, bool]],
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        newest: dict[str, list[int]] = {}
        (folder / "in").mkdir()
        for at, (changes, max_files, is_one_batch) in enumerate(history):
            for file, ids in changes.items():
                put(folder, file, ids, 1000 + at)
            newest |= changes
            step(folder, "replace_rows", max_files, 1 if is_one_batch else None)
        step(folder, "replace_rows", 2, None)
        assert found(folder) == expected(newest)


@settings(max_examples=12, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=5))
def test_the_table_holds_every_line_of_files_that_grow(
    history: list[tuple[dict[str, list[int]], int, bool]],
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        whole: dict[str, list[int]] = {}
        (folder / "in").mkdir()
        for at, (changes, max_files, is_one_batch) in enumerate(history):
            for file, ids in changes.items():
                put(folder, file, ids, 1000 + at, is_grown=True)
                whole[file] = whole.get(file, []) + ids
            step(folder, "append_tail", max_files, 1 if is_one_batch else None)
        step(folder, "append_tail", 2, None)
        assert found(folder) == expected(whole)
