"""Any history of files, runs, backfills, rewinds, lost checkpoints and full refreshes, crashes in all of them.

The plain model is a list of batches, each of files and what they held when they were read: nothing else decides the
tables.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from etl.checkpoint.backfill_log import OPEN
from etl.checkpoint.folder import Checkpoint, find_checkpoint
from etl.checkpoint.generations import newest_generation
from etl.errors import EtlError
from etl.operations.backfilling import backfill, resume
from etl.operations.choosing import Wish
from etl.operations.looking import Onlooker
from etl.operations.quarantining import Listening
from etl.operations.rebuilding import rebuild
from etl.operations.refreshing import begin_refresh
from etl.operations.rewinding import Target, rewind
from etl.operations.running import Running, run_pipelines
from etl.operations.verifying import verify
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from etl.sources.file_choosing import Choice
from etl.storage import LocalStorage
from tests.readers import table_rows

T = TypeVar("T")
Row = tuple[int, int]
Batch = dict[str, tuple[Row, ...]]
NAMES = ["a", "b", "c", "d"]
LINES = """\
version: 1
source:
  type: files
  path: in/*.ndjson
  order: name
  batch: {max_files: 1}
  schema: {id: int64, amount: int64}
"""
APPEND = (
    LINES
    + """\
transforms: [{filter: amount >= 0}]
expect: [{name: small, check: amount < 10}]
sink: {type: delta, table: t.events}
quarantine: {max_fraction: 1}
"""
)


class Crash(BaseException):
    """The process died here."""


class Dying(Seam):
    """A seam that dies before or after the k-th effect, and has no further effect but to let go of locks."""

    def __init__(self, at: int, *, is_after: bool) -> None:
        self._left = at
        self._is_after = is_after
        self._is_dead = False

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        del torn
        self._left -= 1
        if self._is_dead or (self._left == 0 and not self._is_after):
            self._is_dead = True
            raise Crash(name)
        result = act()
        if self._left == 0:
            self._is_dead = True
            raise Crash(name)
        return result


SEAMS = st.one_of(st.none(), st.builds(lambda at, *, after: (at, after), st.integers(1, 60), after=st.booleans()))
ROWS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([-1, 1, 2, 3, 20])), max_size=3)


class Recovery(RuleBasedStateMachine):
    """A project against the list of its batches."""

    text = APPEND

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="etl-recovery-"))
        self.disk: dict[str, tuple[Row, ...]] = {}
        self.batches: list[Batch] = []
        self.is_refreshed = False
        (self.folder / "in").mkdir()
        (self.folder / "pipelines").mkdir()
        (self.folder / "pipelines" / "events.yml").write_text(self.text)

    def teardown(self) -> None:
        try:
            self.run_on()
            self.compare()
        finally:
            shutil.rmtree(self.folder)

    # what is there

    def workspace(self) -> Workspace:
        return Workspace(self.folder)

    def checkpoint(self) -> Checkpoint | None:
        storage = LocalStorage(self.folder / "lake" / "_checkpoints" / "events", Seam())
        return find_checkpoint(storage, Seam(), newest_generation(storage))

    def rows(self, table: str) -> Counter[Any]:
        folder = self.folder / "lake" / "t" / table
        found: Counter[Any] = Counter()
        for row in table_rows(folder) if folder.exists() else ():
            values = json.loads(row["raw"]) if table.endswith("quarantine") else row
            found[Path(row["_source_file"]).stem, values["id"], values["amount"]] += 1
        return found

    def read(self) -> Batch:
        """Return what was read of each file last."""
        return {name: rows for batch in self.batches for name, rows in batch.items()}

    def expected(self, *, is_kept: bool) -> Counter[Any]:
        return Counter(
            (name, id_, amount)
            for name, rows in self.read().items()
            for id_, amount in rows
            if (0 <= amount < 10 if is_kept else amount >= 10)
        )

    def compare(self) -> None:
        assert self.rows("events") == self.expected(is_kept=True)
        assert self.rows("events__quarantine") == self.expected(is_kept=False)
        if self.checkpoint() is not None:
            checks = verify(self.workspace(), "events", Onlooker(), is_deep=True).checks
            assert [fault for check in checks for fault in check.faults] == []

    # what is done

    @initialize(files=st.dictionaries(st.sampled_from(NAMES), ROWS, min_size=1))
    def begin(self, files: dict[str, list[Row]]) -> None:
        for name, rows in files.items():
            self.put(name, rows)

    @rule(name=st.sampled_from(NAMES), rows=ROWS)
    def put(self, name: str, rows: list[Row]) -> None:
        """A file comes, or changes: what was read of it stays."""
        self.disk[name] = tuple(rows)
        lines = [json.dumps({"id": id_, "amount": amount}) + "\n" for id_, amount in rows]
        (self.folder / "in" / f"{name}.ndjson").write_text("".join(lines))

    @rule(seam=SEAMS)
    def run_on(self, seam: tuple[int, bool] | None = None) -> None:
        """A run that may die, and another."""
        new = sorted(self.disk.keys() - self.read().keys())
        if seam is not None:
            self.dying(seam, self.run_all)
        self.run_all(Seam())
        is_refresh = self.is_refreshed and not self.batches
        self.batches += [{name: self.disk[name] for name in new}] if is_refresh else self.batches_of(new)
        self.compare()

    def batches_of(self, names: list[str]) -> list[Batch]:
        return [{name: self.disk[name]} for name in names]

    def run_all(self, seam: Seam) -> None:
        for outcome in run_pipelines(self.workspace(), None, Running(seam, Silent())):
            if outcome.error is not None:
                raise outcome.error

    def dying(self, seam: tuple[int, bool], act: Callable[[Seam], object]) -> bool:
        """Do something that dies at an effect; tell whether it was done before."""
        try:
            act(Dying(seam[0], is_after=seam[1]))
        except (Crash, EtlError):
            return False
        return True

    @precondition(lambda self: self.checkpoint() is not None)
    @rule(names=st.sets(st.sampled_from(NAMES), min_size=1), seam=SEAMS)
    def backfill(self, names: set[str], seam: tuple[int, bool] | None) -> None:
        """Files are read again, as they are now; what was never read is left."""
        self.run_on()
        chosen = sorted(names & self.disk.keys())
        if not chosen:
            return
        wish = Wish(Choice(tuple(f"in/{name}.ndjson" for name in chosen)), "some")

        def carry_out(seam: Seam) -> None:
            found = self.checkpoint()
            before = None if found is None else found.backfills.newest()
            listening = Listening(seam, Silent())
            if before is not None and before.state == OPEN:
                resume(self.workspace(), "events", listening)
            elif before is None or before.number < goal:
                backfill(self.workspace(), "events", wish, listening)

        known = self.checkpoint()
        goal = 0 if known is None else known.backfills.next_number()
        if seam is not None:
            self.dying(seam, carry_out)
        carry_out(Seam())
        self.batches += self.batches_of(chosen)
        self.compare()

    @precondition(lambda self: len(self.batches) > 0)
    @rule(back=st.integers(1, 3), seam=SEAMS)
    def rewind(self, back: int, seam: tuple[int, bool] | None) -> None:
        """The pipeline goes back some batches; what is undone is read again by the next run, as it is then."""
        target = max(0, len(self.batches) - 1 - back)
        generation = newest_generation(LocalStorage(self.folder / "lake" / "_checkpoints" / "events", Seam()))

        def carry_out(seam: Seam) -> None:
            rewind(self.workspace(), "events", Target(batch=target), seam)

        if seam is not None:
            self.dying(seam, carry_out)
        after = newest_generation(LocalStorage(self.folder / "lake" / "_checkpoints" / "events", Seam()))
        if after == generation:
            carry_out(Seam())
        self.batches = self.batches[: target + 1]
        if after != generation:
            self.run_on()  # which finishes it
        self.compare()

    @precondition(lambda self: len(self.batches) > 0)
    @rule(seam=SEAMS)
    def lose(self, seam: tuple[int, bool] | None) -> None:
        """The checkpoint is lost and made again: the newest batches that changed no table are not known any more."""
        found = self.checkpoint()
        assert found is not None
        while len(self.batches) > 1 and not found.commits.read(len(self.batches) - 1).result.tables:
            self.batches.pop()
        shutil.rmtree(self.folder / "lake" / "_checkpoints")

        def carry_out(seam: Seam) -> None:
            rebuild(self.workspace(), "events", seam)

        if seam is None or not (self.dying(seam, carry_out) or self.is_made()):
            carry_out(Seam())
        self.compare()

    def is_made(self) -> bool:
        return (self.folder / "lake" / "_checkpoints" / "events" / "pipeline.json").exists()

    @precondition(lambda self: len(self.batches) > 0)
    @rule(seam=SEAMS)
    def refresh(self, seam: tuple[int, bool] | None) -> None:
        """Everything is read anew, as it is now, in one batch."""
        begin_refresh(self.workspace().wired("events", Seam()), Seam())
        self.batches, self.is_refreshed = [], True
        self.run_on(seam)


TestRecovery = Recovery.TestCase
TestRecovery.settings = settings(
    max_examples=6, stateful_step_count=7, deadline=None, suppress_health_check=list(HealthCheck)
)


class LongRecovery(Recovery):
    """The same, at more length."""


TestLongRecovery = pytest.mark.slow(LongRecovery.TestCase)
TestLongRecovery.settings = settings(
    max_examples=150, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
