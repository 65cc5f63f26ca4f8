"""A pipeline in a process of its own: what it uses up, or crashes, it has for itself."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, cast

from etl.errors import CheckpointError, ConfigError, EtlError, LeaseHeldError
from etl.model import BatchResult

if TYPE_CHECKING:
    from io import TextIOWrapper

    from etl.service.edition import Definition, Edition

TIED = "ETL_TIED_TO_STDIN"
"""Set for a child: it ends when its standard input does, which is when the service is gone, however it went."""

_SLICE_S = 0.2
_KEPT_LINES = 40
_KINDS: dict[int, type[EtlError]] = {2: ConfigError, 3: LeaseHeldError, 4: CheckpointError}
_INTERRUPTED = (130, -signal.SIGTERM)


class ChildSeat:
    """Runs a pipeline as ``etl run NAME --json``; its lease is held by the child, for as long as it runs.

    The child is given the definition in force: a file that became faulty meanwhile is nothing to it.
    """

    def __init__(self, edition: Edition) -> None:
        self._edition = edition

    def run(self, should_stop: Callable[[], bool]) -> BaseException | None:
        """Take what is there, until nothing is left or somebody wants it to stop; return what went wrong."""
        proposed = self._edition.due()
        if proposed is not None:
            self._edition.judge(proposed, "")
        child = _Child(_started(self._edition.current))
        try:
            is_stopped = self._hear(child, should_stop)
            return _error_of(child.process.wait(), child.text(), is_stopped=is_stopped)
        finally:
            child.end()

    def _hear(self, child: _Child, should_stop: Callable[[], bool]) -> bool:
        """Pass on what the child prints until it ends; tell whether it was asked to end."""
        is_stopped = False
        while (line := child.line()) != "":
            if not is_stopped and (should_stop() or self._is_outdated):
                is_stopped = True
                child.process.terminate()  # it brings its batch to its end
            if line is not None:
                self._pass_on(line)
        return is_stopped

    @property
    def _is_outdated(self) -> bool:
        """Whether a child that never ends by itself has an older definition."""
        return self._edition.has_proposed and self._edition.current.spec.trigger == "continuous"

    def _pass_on(self, line: str) -> None:
        with contextlib.suppress(ValueError, TypeError):  # a line of something else: a print in a user's function
            self._edition.reporter.committed(BatchResult(**json.loads(line)))

    def rest(self) -> None:
        """Let go of nothing: between runs there is no child."""


@dataclass
class _Child:
    """A process whose lines can be waited for. Its last lines for people are kept."""

    process: subprocess.Popen[str]
    lines: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)
    told: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))

    def __post_init__(self) -> None:
        """Begin to read."""
        self._threads = [
            self._reading(self.process.stdout, self._print),
            self._reading(self.process.stderr, self._tell),
        ]

    def _reading(self, stream: IO[str] | None, read: Callable[[IO[str]], None]) -> threading.Thread:
        thread = threading.Thread(target=read, args=(stream,), name="etl-child", daemon=True)
        thread.start()
        return thread

    def _print(self, stream: IO[str]) -> None:
        for line in stream:
            self.lines.put(line)
        self.lines.put("")

    def _tell(self, stream: IO[str]) -> None:
        self.told.extend(line.rstrip("\n") for line in stream)

    def line(self) -> str | None:
        """Return the next line, empty at the end, None where there is none for a moment."""
        try:
            return self.lines.get(timeout=_SLICE_S)
        except queue.Empty:
            return None

    def text(self) -> str:
        """Return what it told people, when it has ended."""
        self._threads[1].join()
        return "\n".join(self.told)

    def end(self) -> None:
        """Leave nothing behind. *Repeat*: safe."""
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def _started(definition: Definition) -> subprocess.Popen[str]:
    from etl.operations.handing_over import HANDED, handed_over

    workspace = definition.workspace
    profile = [] if workspace.profile is None else ["--profile", workspace.profile]
    command = [sys.executable, "-m", "etl", "-C", str(workspace.folder), *profile]
    pipe = subprocess.PIPE
    child = subprocess.Popen(  # noqa: S603  our own command line
        [*command, "run", definition.spec.name, "--json"],
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        errors="replace",
        env=os.environ | {TIED: "1", HANDED: "1"},
        start_new_session=True,  # a Ctrl-C at the terminal is for the service, which passes it on
    )
    if child.stdin is not None:
        with contextlib.suppress(OSError):  # it is gone already: its exit code tells why
            given = cast("TextIOWrapper", child.stdin).buffer
            given.write(handed_over(workspace, definition.spec))
            given.flush()
    return child


def _error_of(code: int, text: str, *, is_stopped: bool) -> EtlError | None:
    """Return what an exit code and the last lines for people say."""
    if code == 0 or (is_stopped and code in _INTERRUPTED):
        return None
    if code < 0:
        return EtlError(
            f"its process was ended by {signal.Signals(-code).name}",
            hint="the system may have run out of memory: take less in a batch, or give it a smaller memory:",
        )
    lines = [line for line in text.splitlines() if not line.endswith(": failed")]
    return _KINDS.get(code, EtlError)("\n".join(lines).strip().removeprefix("error: "))
