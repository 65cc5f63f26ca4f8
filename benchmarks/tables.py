"""Tables of figures, ours beside bare ones, in Markdown."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from measure import Figures, ratios, spread


@dataclass(frozen=True)
class Line:
    """One line of a table. ``target`` is the greatest ratio that holds, None where there is no target."""

    what: str
    ours: Sequence[float]
    bare: Sequence[float]
    target: float | None = None

    def cells(self) -> list[str]:
        """Return the cells of the table."""
        ratio = ratios(self.ours, self.bare)
        holds = "" if self.target is None else ("yes" if ratio.median <= self.target else "NO")
        target = "" if self.target is None else f"≤ {self.target}"
        return [self.what, f"{spread(self.ours):.3g}", f"{spread(self.bare):.3g}", f"{ratio:.2f}", target, holds]


def show(title: str, lines: Sequence[Line], note: str = "") -> None:
    """Print a table in Markdown, and a note where the target speaks of another size."""
    heads = ["", "ours (min-max)", "bare (min-max)", "ratio (min-max)", "target", "holds"]
    print(f"\n## {title}\n\n| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for line in lines:
        print(f"| {' | '.join(line.cells())} |")
    print(f"\nload {os.getloadavg()[0]:.1f}{note}", flush=True)


def process_lines(ours: list[Figures], bare: list[Figures], wall: float | None, peak: float | None) -> list[Line]:
    """Return wall, CPU and memory as lines."""
    return [
        Line("wall s", [run.wall_s for run in ours], [run.wall_s for run in bare], wall),
        Line("CPU s", [run.cpu_s for run in ours], [run.cpu_s for run in bare]),
        Line("peak MiB", [run.peak_mib for run in ours], [run.peak_mib for run in bare], peak),
    ]
