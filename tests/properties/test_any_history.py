"""Any history of files, runs, crashes and takeovers: each file's rows are in the table once, as one of its contents."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from etl.engine import open_runner, run
from etl.errors import FencedError, LeaseHeldError
from etl.model import PROVENANCE_COLUMNS, Bounds, ReadLimit
from etl.pipeline import Pipeline
from etl.progress import Silent
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.delta import DeltaSink
from etl.sinks.delta_options import DeltaOptions
from etl.sources.contract import SourceSite
from etl.sources.file_options import FileOptions
from etl.sources.files import FileSource
from etl.storage import LocalStorage
from etl.testing import memory_pipeline
from tests.leases import Free
from tests.readers import table_rows

T = TypeVar("T")
NAMES = ["a.ndjson", "b.ndjson", "sub/c.ndjson", "sub/d e#1.ndjson", "z.ndjson"]


class Crash(BaseException):
    """The process died here."""


class CrashingSeam(Seam):
    """A seam that ends a run at the k-th effect, before or after it."""

    def __init__(self, at: int, *, is_after: bool) -> None:
        self._at = at
        self._is_after = is_after
        self._count = 0

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        self._count += 1
        if self._count == self._at and not self._is_after:
            raise Crash(name)
        result = act()
        if self._count == self._at:
            raise Crash(name)
        return result


class AnyHistory(RuleBasedStateMachine):
    """The system against a plain model: every content that each file ever had, while it was not yet read."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="etl-history-"))
        (self.folder / "in" / "sub").mkdir(parents=True)
        self.contents: dict[str, list[list[int]]] = defaultdict(list)
        self.next_id = 0

    def teardown(self) -> None:
        try:
            self.settle()
            self.compare(is_settled=True)
        finally:
            shutil.rmtree(self.folder)

    def pipeline(self, seam: Seam, max_files: int) -> Pipeline:
        checkpoint = LocalStorage(self.folder / "checkpoint", seam)
        site = SourceSite("source", self.folder, checkpoint.at("sources/source"), seam)
        source = FileSource(FileOptions(path="in/**/*.ndjson", ignore_missing=True), None, site)
        table = self.folder / "table"
        sink_site = SinkSite("table", str(table), LocalStorage(table, seam), seam, provenance=PROVENANCE_COLUMNS)
        sink = DeltaSink(DeltaOptions(path=str(table)), sink_site)
        limit = ReadLimit(max_files=max_files)
        return memory_pipeline(source, sink, checkpoint, system=PROVENANCE_COLUMNS, limit=limit)

    @initialize()
    def begin(self) -> None:
        self.write("a.ndjson", 2, None)

    @rule(name=st.sampled_from(NAMES), rows=st.integers(0, 3), column=st.sampled_from([None, "x", "y"]))
    def write(self, name: str, rows: int, column: str | None) -> None:
        """Add a file, or write another content over it."""
        ids = list(range(self.next_id, self.next_id + rows))
        self.next_id += rows
        lines = [json.dumps({"id": number} | ({column: str(number)} if column else {})) + "\n" for number in ids]
        hidden = self.folder / "in" / ".incoming"
        hidden.write_text("".join(lines))
        hidden.replace(self.folder / "in" / name)
        self.contents[name].append(ids)

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name: str) -> None:
        """Remove a file, read or not."""
        (self.folder / "in" / name).unlink(missing_ok=True)

    @rule(max_files=st.integers(1, 3), max_batches=st.integers(1, 3))
    def run(self, max_files: int, max_batches: int) -> None:
        """Run some batches."""
        run(self.pipeline(Seam(), max_files), Seam(), Silent(), Bounds(max_batches))

    @rule(at=st.integers(1, 60), is_after=st.booleans(), max_files=st.integers(1, 3))
    def crash(self, at: int, is_after: bool, max_files: int) -> None:
        """Run until the k-th effect."""
        seam = CrashingSeam(at, is_after=is_after)
        with suppress(Crash):
            run(self.pipeline(seam, max_files), seam, Silent())

    @rule(at=st.integers(1, 40))
    def overtake(self, at: int) -> None:
        """Run, be overtaken by a second runner at the k-th effect, wake up and go on."""
        outer = self

        class Overtaken(Seam):
            count = 0

            def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
                self.count += 1
                if self.count == at:
                    outer.run_free(Seam())
                return act()

        with suppress(FencedError, LeaseHeldError):
            self.run_free(Overtaken())

    def run_free(self, seam: Seam) -> None:
        with open_runner(self.pipeline(seam, 2), seam, Silent(), Free()) as runner:
            runner.recover()
            while runner.run_batch() is not None:
                pass

    def settle(self) -> None:
        """Run to the end."""
        run(self.pipeline(Seam(), 100), Seam(), Silent())

    @invariant()
    def holds(self) -> None:
        self.compare(is_settled=False)

    def compare(self, *, is_settled: bool) -> None:
        """Compare the table with the model, as multisets by file."""
        if not (self.folder / "table" / "_delta_log").exists():
            assert not is_settled or not any((self.folder / "in" / name).exists() for name in self.contents)
            return
        found: dict[str, Counter[int]] = defaultdict(Counter)
        for row in table_rows(self.folder / "table"):
            found[row["_source_file"]][row["id"]] += 1
        paths = {f"in/{name}": name for name in NAMES}
        for path, ids in found.items():
            assert ids in [Counter(content) for content in self.contents[paths[path]]], path
        if is_settled:
            for path, name in paths.items():
                if (self.folder / path).exists():
                    wanted = self.contents[name]
                    assert path in found or [] in wanted, path


AnyHistory.TestCase.settings = settings(
    max_examples=30, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
TestAnyHistory = AnyHistory.TestCase
