"""Any history of a log, its rotator and its reader: each line once, or told as lost where nothing holds it any more."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from etl.errors import SourceChangedError
from etl.sources.log_positions import SnapshotAt
from tests.log_watch import Watch

LIVE = "app.log"
KEPT = 4
MEMORY = "/dev/shm"  # noqa: S108  a folder of our own in there: nothing waits for a disk


@dataclass(eq=False)
class Log:
    """What was written into one log: the text of all its lines, the last one perhaps not whole."""

    text: str = ""
    was_seen: bool = False
    may_lose: bool = False
    may_be_mistaken: bool = False

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@dataclass(eq=False)
class Files:
    """Which log lies under which name; a copy before its original is cut is the same log."""

    logs: list[Log] = field(default_factory=list)
    at: dict[str, Log] = field(default_factory=dict)


class AnyRotation(RuleBasedStateMachine):
    """The source against a plain list of what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="etl-logs-", dir=MEMORY if os.path.isdir(MEMORY) else None))
        root = self.base / "logs"
        root.mkdir()
        self.watch = Watch(root, snapshot_at=SnapshotAt(batches=3, events=3))
        self.watch.take()
        self.logs: list[Log] = []
        self.at: dict[str, Log] = {}
        self.cut: list[tuple[Log, str, bool]] = []
        self.header = ""
        self.next_line = 0

    def teardown(self) -> None:
        try:
            self.settle()
            self.compare()
        finally:
            shutil.rmtree(self.base)

    def line(self, size: int) -> str:
        self.next_line += 1
        return f"{self.next_line}:{'é' * size}\r\n" if size % 3 == 0 else f"{self.next_line}:{'x' * size}\n"

    @initialize(header=st.sampled_from(["", "the same first line\n"]))
    def begin(self, header: str) -> None:
        """Let all logs begin alike, or not; only the birth of a file tells logs apart of which no more was read."""
        self.header = header

    def append(self, text: str) -> None:
        if LIVE not in self.at:
            self.at[LIVE] = Log()
            self.logs.append(self.at[LIVE])
            text = self.header + text
        self.watch.write(text)
        self.at[LIVE].text += text

    @rule(sizes=st.lists(st.sampled_from([0, 1, 7, 900, 5000]), min_size=1, max_size=4), cut=st.integers(0, 9))
    def write(self, sizes: list[int], cut: int) -> None:
        """Append lines; the last one perhaps without its end, to be gone on with."""
        text = "".join(self.line(size) for size in sizes)
        self.append(text[: len(text) - cut])
        self.append(text[len(text) - cut :])

    @rule(size=st.integers(0, 5))
    def write_unfinished(self, size: int) -> None:
        """Append what a later line goes on with, or nothing ever does."""
        self.append(self.line(size).rstrip())

    @rule(size=st.sampled_from([3, 50, 3000]), first=st.integers(1, 3000))
    def write_in_halves(self, size: int, first: int) -> None:
        """Write a line in two parts, with a look and a restart between them."""
        raw = self.line(size)
        first = min(first, len(raw))
        self.append(raw[:first])
        self.watch.take()
        self.seen()
        self.restart_anew()
        self.append(raw[first:])

    @rule(creates=st.booleans())
    def rotate(self, creates: bool) -> None:
        """Rename all, as logrotate does; the oldest goes."""
        self.shift()
        if LIVE in self.at:
            os.rename(self.watch.path(LIVE), self.watch.path(f"{LIVE}.1"))
            self.at[f"{LIVE}.1"] = self.at.pop(LIVE)
        if creates:
            self.append("")

    @rule()
    def copytruncate(self) -> None:
        if LIVE not in self.at or self.header:
            return
        self.shift()
        self.watch.copytruncate(LIVE, f"{LIVE}.1")
        self.at[f"{LIVE}.1"] = self.at.pop(LIVE)
        self.append("")

    @rule()
    def copy_now_and_truncate_later(self) -> None:
        """Have a look between the two steps of copytruncate."""
        if LIVE not in self.at or self.header:
            return
        self.shift()
        self.watch.path(f"{LIVE}.1").write_bytes(self.watch.path(LIVE).read_bytes())
        self.watch.take()
        self.seen()
        os.truncate(self.watch.path(LIVE), 0)
        self.at[f"{LIVE}.1"] = self.at.pop(LIVE)
        self.append("")

    @rule(size=st.sampled_from([0, 7, 3000]), looks=st.sampled_from(["not", "all", "some"]))
    def copytruncate_with_a_write_between(self, size: int, looks: str) -> None:
        """What is written between the copy and the cut is gone, unless a look was quicker."""
        if self.header or LIVE not in self.at or not self.at[LIVE].text.endswith("\n"):
            return
        self.shift()
        self.watch.path(f"{LIVE}.1").write_bytes(self.watch.path(LIVE).read_bytes())
        log = self.at.pop(LIVE)
        self.at[LIVE] = log
        before = log.text
        self.append(self.line(size))
        if looks != "not":
            self.watch.take(**({} if looks == "all" else {"max_bytes": 1}))
            self.seen()
        os.truncate(self.watch.path(LIVE), 0)
        self.cut.append((log, log.text[len(before) :], looks != "not"))
        log.text = before
        self.at[f"{LIVE}.1"] = self.at.pop(LIVE)
        self.append("")

    @rule(number=st.integers(1, KEPT))
    def compress(self, number: int) -> None:
        name = f"{LIVE}.{number}"
        if name in self.at and not self.header:
            path, packed = self.watch.path(name), self.watch.path(f"{name}.gz")
            packed.write_bytes(gzip.compress(path.read_bytes()))
            shutil.copystat(path, packed)
            path.unlink()
            self.at[f"{name}.gz"] = self.at.pop(name)

    @rule()
    def delete(self) -> None:
        if LIVE in self.at:
            self.watch.path(LIVE).unlink()
            self.removed(self.at.pop(LIVE))

    @rule()
    def truncate(self) -> None:
        if LIVE in self.at and not self.header:
            os.truncate(self.watch.path(LIVE), 0)
            self.at.pop(LIVE).may_lose = True
            self.append("")

    def shift(self) -> None:
        for number in range(KEPT, 0, -1):
            for ending in ("", ".gz"):
                name = f"{LIVE}.{number}{ending}"
                if name in self.at and number == KEPT:
                    self.watch.path(name).unlink()
                    self.removed(self.at.pop(name))
                elif name in self.at:
                    to = f"{LIVE}.{number + 1}{ending}"
                    os.rename(self.watch.path(name), self.watch.path(to))
                    self.at[to] = self.at.pop(name)

    def restart_anew(self) -> None:
        """Start anew; of a log of which nothing was taken, what was only seen is forgotten."""
        self.watch.restart()
        taken = set(self.watch.lines)
        for log in self.logs:
            log.was_seen &= bool(taken.intersection(log.lines))

    def removed(self, log: Log) -> None:
        log.may_lose, log.may_be_mistaken = True, bool(self.header)

    def seen(self) -> None:
        for log in self.at.values():
            log.was_seen |= bool(log.text)

    @rule(max_bytes=st.sampled_from([None, 1, 100, 6000]), max_files=st.sampled_from([None, 1]))
    def take(self, max_bytes: int | None, max_files: int | None) -> None:
        limit = {"max_bytes": max_bytes, "max_files": max_files}
        self.watch.take(**{name: value for name, value in limit.items() if value is not None})
        self.seen()

    @rule()
    def restart(self) -> None:
        self.restart_anew()

    @rule()
    def crash_before_the_plan(self) -> None:
        """Die between the look and the plan record: nobody can know what was seen."""
        self.watch.source.latest(None, self.watch.no_limit)
        self.restart_anew()

    @rule(rotates=st.booleans())
    def crash_after_the_plan(self, rotates: bool) -> None:
        """Die before the rows are committed: the next process reads the same bytes, perhaps of a renamed file."""
        planned = self.watch.plan()
        self.seen()
        if planned is None:
            return
        before = self.watch.frame(planned)["line"].to_list()
        if rotates and f"{LIVE}.{KEPT}" not in self.at and f"{LIVE}.{KEPT}.gz" not in self.at:
            self.rotate(creates=True)
            self.compress(1)
        self.restart_anew()
        try:
            again = self.watch.frame(planned)["line"].to_list()
            assert again == before
        except SourceChangedError as exc:
            assert any(log.may_lose for log in self.logs)
            again = self.watch.frame(self.watch.amend(exc))["line"].to_list()
            assert set(again) < set(before)
        self.watch.lines += again

    @precondition(lambda self: self.watch.plans)
    @rule()
    def fold(self) -> None:
        self.watch.source.fold(len(self.watch.plans) - 1)

    def settle(self) -> None:
        """Let everything become old, so that last lines without an end are taken."""
        self.watch.drain()
        self.watch.seam.shift_s = 120
        self.watch.drain()
        self.seen()

    @invariant()
    def no_line_is_doubled(self) -> None:
        counts = Counter(line.split(":")[0] for line in self.watch.lines if ":" in line)
        assert max(counts.values(), default=1) == 1

    def compare(self) -> None:
        taken = set(self.watch.lines)
        headers = self.watch.lines.count(self.header.rstrip())
        assert headers <= len(self.logs)
        if self.header:
            assert headers >= len([log for log in self.logs if not log.may_lose])
        cut = {line for _, text, _ in self.cut for line in text.splitlines()}
        written = {line for log in self.logs for line in log.lines}
        assert taken - written - cut == set()
        short = [log for log in self.logs if not set(log.lines) <= taken]
        assert [log for log in short if not log.may_lose] == []
        told = len(self.watch.told())
        # Of one that was deleted, and another that begins alike rotated at once, nobody can tell that they are two.
        assert told >= len([log for log in short if log.was_seen and not log.may_be_mistaken])


class ManyRotations(AnyRotation):
    """The same at length."""


AnyRotation.TestCase.settings = settings(
    max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
ManyRotations.TestCase.settings = settings(AnyRotation.TestCase.settings, max_examples=500)
TestAnyRotation = AnyRotation.TestCase
TestManyRotations = pytest.mark.slow(ManyRotations.TestCase)
