"""Figures of whole processes: wall time, CPU seconds and peak memory, from the kernel's own account of a child.

Nothing heavy is imported here: a child begins with the peak memory of the process that forked it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = list[str]


@dataclass(frozen=True)
class Figures:
    """What one process took, and the last line that it printed."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    said: str = ""


def environment() -> dict[str, str]:
    """Return the environment of a measured process: it finds this library, and keeps bytecode as installed ones do."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": str(ROOT)}


def script(name: str, *arguments: object) -> COMMAND:
    """Return the command that runs a script of this folder."""
    return [sys.executable, str(ROOT / "benchmarks" / name), *map(str, arguments)]


def measure(command: COMMAND) -> Figures:
    """Run a command to its end. Raises CalledProcessError with what it wrote where it fails."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment())
    assert process.stdout is not None
    with process.stdout as out:
        said = out.read().decode()
    return reap(process, begun, said)


def reap(process: subprocess.Popen[bytes], begun: float, said: str = "") -> Figures:
    """Wait for a process and return its figures. Raises CalledProcessError."""
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args, said)
    lines = said.strip().splitlines()
    cpu_s = usage.ru_utime + usage.ru_stime
    return Figures(wall_s, cpu_s, usage.ru_maxrss / 1024, lines[-1] if lines else "")


def paired(ours: COMMAND, bare: COMMAND, runs: int, prepare: Callable[[], None]) -> tuple[list[Figures], list[Figures]]:
    """Run both in turn (A B A B …), each after ``prepare``; a first pair warms caches and is thrown away."""
    pairs: list[tuple[Figures, Figures]] = []
    for _ in range(runs + 1):
        figures = []
        for command in (ours, bare):
            prepare()
            figures.append(measure(command))
        pairs.append((figures[0], figures[1]))
    return [pair[0] for pair in pairs[1:]], [pair[1] for pair in pairs[1:]]


@dataclass(frozen=True)
class Spread:
    """The median of some values, and the least and the greatest."""

    median: float
    least: float
    greatest: float

    def __format__(self, spec: str) -> str:
        """Return all three, each in the form that ``spec`` says."""
        return f"{self.median:{spec}} ({self.least:{spec}}-{self.greatest:{spec}})"


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def ratios(ours: Sequence[float], bare: Sequence[float]) -> Spread:
    """Return the spread of the ratio, pair by pair: what a machine does to both at the same time cancels out."""
    return spread([mine / its for mine, its in zip(ours, bare, strict=True)])
