"""Charts of batches: as SVG for pages without scripts and for reports, as plain series for uPlot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.service.web.text import parsed

if TYPE_CHECKING:
    from etl.checkpoint.commit_log import CommitEntry

FATES = ("written", "filtered", "deduplicated", "folded", "late", "quarantined")
_STEPS = ("plan", "stage", "commit")
_WIDTH, _HEIGHT = 600.0, 120.0
_GAP = 0.25
_SPARK_WIDTH, _SPARK_HEIGHT = 120.0, 24.0


@dataclass(frozen=True, slots=True)
class Series:
    """One quantity over batches. ``tone`` names its colour in the style sheet."""

    label: str
    tone: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Quantities over the same batches; ``unit``: ``rows``, ``s``, ``bytes`` or ``moment`` (seconds since 1970)."""

    key: str
    title: str
    unit: str
    batches: tuple[int, ...]
    series: tuple[Series, ...]
    is_stacked: bool = True

    @property
    def series_json(self) -> dict[str, object]:
        """What the script of the page draws."""
        each = [{"label": one.label, "tone": one.tone, "values": list(one.values)} for one in self.series]
        return {"batches": list(self.batches), "unit": self.unit, "stacked": self.is_stacked, "series": each}

    @property
    def summary(self) -> str:
        """What a person who does not see it is told."""
        if not self.batches:
            return f"{self.title}: no batches yet"
        shown = ", ".join(one.label for one in self.series)
        return f"{self.title} of batches {self.batches[0]} to {self.batches[-1]}: {shown}. The table has the figures."

    @property
    def bars(self) -> list[tuple[str, str]]:
        """One path of bars for each series, stacked, with its tone."""
        heights = [[value or 0.0 for value in one.values] for one in self.series]
        top = max((sum(column) for column in zip(*heights, strict=True)), default=0.0) or 1.0
        wide = _WIDTH / max(len(self.batches), 12)
        below = [0.0] * len(self.batches)
        paths = []
        for one, values in zip(self.series, heights, strict=True):
            parts = []
            for index, value in enumerate(values):
                if value > 0:
                    start, high = below[index] / top * _HEIGHT, value / top * _HEIGHT
                    at, size = index * wide + wide * _GAP / 2, wide * (1 - _GAP)
                    parts.append(f"M{at:.1f},{_HEIGHT - start:.1f}v{-high:.1f}h{size:.1f}v{high:.1f}z")
                below[index] += value
            paths.append((one.tone, "".join(parts)))
        return paths

    @property
    def lines(self) -> list[tuple[str, str]]:
        """One path of a line for each series, with its tone."""
        known = [value for one in self.series for value in one.values if value is not None]
        if not known:
            return []
        low, high = min(known), max(known)
        wide = _WIDTH / max(len(self.batches) - 1, 1)
        reach = (high - low) or 1.0
        paths = []
        for one in self.series:
            points = [
                f"{index * wide:.1f},{_HEIGHT - 4 - (value - low) / reach * (_HEIGHT - 8):.1f}"
                for index, value in enumerate(one.values)
                if value is not None
            ]
            paths.append((one.tone, f"M{'L'.join(points)}" if points else ""))
        return paths


def charts_of(entries: Sequence[CommitEntry]) -> list[Chart]:
    """Return the charts of batches, given newest first; those that have nothing to show are left out."""
    ordered = entries[::-1]
    batches = tuple(entry.result.batch_id for entry in ordered)
    fates = [fate for fate in FATES if fate == "written" or any(entry.result.rows.get(fate) for entry in ordered)]
    rows = tuple(
        Series(fate, fate, tuple(float(entry.result.rows.get(fate, 0)) for entry in ordered)) for fate in fates
    )
    steps = list(dict.fromkeys([*_STEPS, *(step for entry in ordered for step in entry.result.seconds)]))
    shown = [step for step in steps if step != "total"]
    seconds = tuple(
        Series(step, f"step{index % 6}", tuple(entry.result.seconds.get(step, 0.0) for entry in ordered))
        for index, step in enumerate(shown)
    )
    found = [Chart("rows", "Rows by fate", "rows", batches, rows), Chart("seconds", "Duration", "s", batches, seconds)]
    return [*found, *_event_time(ordered, batches), *_state(ordered, batches)]


def _event_time(ordered: Sequence[CommitEntry], batches: tuple[int, ...]) -> list[Chart]:
    if not any(entry.result.watermark for entry in ordered):
        return []
    marks = tuple(_seconds(entry.result.watermark) for entry in ordered)
    commits = tuple(_seconds(entry.committed_at) for entry in ordered)
    series = (Series("watermark", "written", marks), Series("committed", "filtered", commits))
    return [Chart("watermark", "Watermark against the clock", "moment", batches, series, is_stacked=False)]


def _state(ordered: Sequence[CommitEntry], batches: tuple[int, ...]) -> list[Chart]:
    names = sorted({name for entry in ordered for name in entry.result.state})
    series = tuple(
        Series(
            name,
            f"step{index % 6}",
            tuple(float(entry.result.state.get(name, {}).get("bytes", 0)) for entry in ordered),
        )
        for index, name in enumerate(names)
    )
    return [Chart("state", "State by transform", "bytes", batches, series)] if series else []


def _seconds(text: str | None) -> float | None:
    found = parsed(text)
    return None if found is None else found.timestamp()


def spark(values: Sequence[float], places: int) -> str:
    """Return the path of small bars, the newest value at the right; nothing for no values.

    >>> spark([1, 2], 2)
    'M0.0,24.0v-12.0h48.0v12.0zM60.0,24.0v-24.0h48.0v24.0z'
    """
    top = max(values, default=0) or 1
    wide = _SPARK_WIDTH / places
    first = places - len(values)
    return "".join(
        f"M{(first + index) * wide:.1f},{_SPARK_HEIGHT:.1f}v-{max(value / top * _SPARK_HEIGHT, 1):.1f}"
        f"h{wide * 0.8:.1f}v{max(value / top * _SPARK_HEIGHT, 1):.1f}z"
        for index, value in enumerate(values)
        if value > 0
    )
