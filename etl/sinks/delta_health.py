"""How a table stands: how many files and log entries a reader has to open, and how many would do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.sinks.delta_bins import SMALL, small_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

_COSTLY_TIMES = 4
_COSTLY_FILES = 200


@dataclass(frozen=True, slots=True)
class TableHealth:
    """A table at a glance.

    ``rows`` is None where a writer did not count. ``small_files`` are those of less than half the target size, of which
    ``small_share`` leaves one of each partition out. ``log_entries`` are all that lie in the log, ``entries_to_read``
    those since its newest summary. ``scan_cost`` is how many things a reader of all rows opens; ``least_cost`` how many
    it would be with files of the target size and a fresh summary.
    """

    version: int
    rows: int | None
    files: int
    size_bytes: int
    partitions: int
    small_files: int
    small_share: float
    log_entries: int
    summary_version: int
    entries_to_read: int
    scan_cost: int
    least_cost: int

    @property
    def is_costly(self) -> bool:
        """Tell whether a reader opens many more files than would do."""
        return self.scan_cost > _COSTLY_TIMES * self.least_cost + _COSTLY_FILES


def health_of(version: int, files: pl.DataFrame, logged: Sequence[int], summary: int, target_bytes: int) -> TableHealth:
    """Return how a version stands that has ``files``; ``summary`` is the version of the log's newest summary."""
    import polars as pl

    rows = files.get_column("num_records")
    keys = ["partition"] if "partition" in files.columns else []
    sizes = files.group_by(keys).agg(pl.sum("size_bytes")) if keys else files.select(pl.sum("size_bytes"))
    small = files.filter(pl.col("size_bytes") < target_bytes * SMALL).height
    entries = sum(1 for each in logged if each > summary) if summary else len(logged)
    least = int(sizes.select((pl.col("size_bytes") / target_bytes).ceil().sum()).item() or 0)
    return TableHealth(
        version=version,
        rows=None if rows.null_count() else int(rows.sum()),
        files=files.height,
        size_bytes=int(files.get_column("size_bytes").sum()),
        partitions=sizes.height if keys else 0,
        small_files=small,
        small_share=round(small_share(files, target_bytes), 3),
        log_entries=len(logged),
        summary_version=summary,
        entries_to_read=entries,
        scan_cost=files.height + entries + 1,
        least_cost=least + 1,
    )
