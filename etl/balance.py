"""The rows of a batch by their fate, and the equation that they must satisfy."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from copy import copy
from typing import TYPE_CHECKING

from etl.errors import BalanceError
from etl.rejects import PART, SOURCE, LateRows, RejectedRows

if TYPE_CHECKING:
    import polars as pl

ARRIVED = ("read", "added")
LEFT = ("written", "filtered", "deduplicated", "late", "quarantined", "folded")
FILE = "_source_file"


class Tally:
    """Row counts of one attempt, each measured at its own place while rows stream by, and the rows that it set aside.

    Appends are atomic, so that the engine's worker threads may count without a lock.
    """

    def __init__(self) -> None:
        self._seen: dict[str, deque[int]] = {fate: deque() for fate in (*ARRIVED, *LEFT)}
        self._by_file: dict[str, deque[Mapping[str, int]]] = {fate: deque() for fate in (*ARRIVED, *LEFT)}
        self._asked: deque[int] = deque()
        self._failed: deque[tuple[str, int]] = deque()
        self.rejected = RejectedRows()
        self.late = LateRows()
        self.is_of_parts = False
        self.source = ""
        self._event_times: deque[tuple[str, int]] = deque()

    def of_parts(self) -> Tally:
        """Return this tally for what is behind a transform that may make several rows of one; both count together."""
        view = copy(self)
        view.is_of_parts = True
        return view

    def of_source(self, name: str) -> Tally:
        """Return this tally for the rows of one source among several; both count together."""
        view = copy(self)
        view.source = name
        return view

    def add(self, fate: str, rows: int) -> None:
        """Count ``rows`` more of ``fate``, a word of ``ARRIVED`` or ``LEFT``."""
        self._seen[fate].append(rows)

    def add_of_files(self, fate: str, files: Mapping[str, int]) -> None:
        """Count rows of ``fate`` by the file that each came from, beside ``add``, which counts all of them."""
        self._by_file[fate].append(files)

    def count(self, fate: str, frame: pl.DataFrame, weights: pl.Series | None = None) -> None:
        """Count the rows of ``frame``, each ``weights`` times, in all and by the file that they came from."""
        self.add(fate, frame.height if weights is None else int(weights.sum()))
        self.add_of_files(fate, rows_by_file(frame, weights))

    def quarantine(self, frame: pl.DataFrame) -> None:
        """Set rows aside (``etl.rejects.reject_schema``) and count them; a source counts its own as ``read`` too."""
        if self.is_of_parts:
            import polars as pl

            frame = frame.with_columns(context=pl.lit(PART))
        if self.source:
            import polars as pl

            frame = frame.with_columns(pl.lit(self.source).alias(SOURCE))
        self.rejected.add(frame)
        self.count("quarantined", frame)

    def set_late(self, frame: pl.DataFrame, watermark_us: int | None) -> None:
        """Set rows aside that came behind the watermark (None: that have no event time), and count them."""
        if frame.height:
            self.late.add(frame, watermark_us)
            self.count("late", frame)

    def see_event_time(self, clock: str, at_us: int) -> None:
        """Take note of the newest event time of some rows, microseconds since 1970 in UTC."""
        self._event_times.append((clock, at_us))

    def event_times(self) -> dict[str, int]:
        """Return the newest event time that each clock has seen; clocks without rows are not among them."""
        found: dict[str, int] = {}
        for clock, at_us in self._event_times:
            found[clock] = max(at_us, found.get(clock, at_us))
        return found

    def ask(self, rows: int) -> None:
        """Count rows that expectations look at."""
        self._asked.append(rows)

    def fail(self, rule: str, rows: int) -> None:
        """Count rows that do not satisfy an expectation, whatever becomes of them."""
        self._failed.append((rule, rows))

    def counts(self) -> dict[str, int]:
        """Return the sum of each fate."""
        return {fate: sum(seen) for fate, seen in self._seen.items()}

    @property
    def asked(self) -> int:
        """How many rows expectations looked at."""
        return sum(self._asked)

    def failed(self) -> dict[str, int]:
        """Return how many rows failed each expectation that was asked."""
        found: Counter[str] = Counter()
        for rule, rows in self._failed:
            found[rule] += rows
        return dict(found)

    def by_file(self) -> dict[str, dict[str, int]]:
        """Return the counts of each file, without fates that no row of it had."""
        found: dict[str, Counter[str]] = {}
        for fate, seen in self._by_file.items():
            for counted in seen:
                for file, rows in counted.items():
                    found.setdefault(file, Counter())[fate] += rows
        return {file: {fate: rows for fate, rows in fates.items() if rows} for file, fates in found.items()}


def rows_by_file(frame: pl.DataFrame, weights: pl.Series | None = None) -> dict[str, int]:
    """Return how many rows of ``frame`` came from each file; empty where it does not say."""
    if FILE not in frame.columns or not frame.height:
        return {}
    files = frame.get_column(FILE)
    first = files[0]
    if first is not None and (files == first).all(
        ignore_nulls=False
    ):  # the rule: a third of the cost of counting values (2026-11)
        return {first: frame.height if weights is None else int(weights.sum())}
    if weights is None:
        found = files.value_counts(name="rows")
    else:
        import polars as pl

        found = pl.DataFrame({FILE: files, "rows": weights}).group_by(FILE).agg(pl.col("rows").sum())
    return {file: int(rows) for file, rows in found.iter_rows() if file is not None}


def check_balance(rows: Mapping[str, int], *, where: str) -> None:
    """Refuse a batch, or a file of it, whose rows do not add up.

    Raises BalanceError with both sides of
    ``read + added = written + filtered + deduplicated + late + quarantined + folded``.
    """
    arrived = sum(rows.get(fate, 0) for fate in ARRIVED)
    left = sum(rows.get(fate, 0) for fate in LEFT)
    if arrived != left:
        sides = [" + ".join(f"{fate} {rows.get(fate, 0)}" for fate in side) for side in (ARRIVED, LEFT)]
        raise BalanceError(
            f"{arrived} rows arrived, {left} left: {sides[0]} is not {sides[1]}",
            where=where,
            hint="nothing was committed; a transform lost or doubled rows without counting them",
        )


def observed(rows: pl.LazyFrame, see: Callable[[pl.DataFrame], None]) -> pl.LazyFrame:
    """Return ``rows`` unchanged, with ``see`` called once on every morsel that passes, in any order and thread."""

    def look(frame: pl.DataFrame) -> pl.DataFrame:
        see(frame)
        return frame

    return rows.map_batches(look, streamable=True)
