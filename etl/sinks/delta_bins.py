"""Which small files of a Delta table are worth being written anew together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from etl.sinks.delta_reading import LiveFile

_MOST_FILES = 1000
SMALL = 0.5
"""A file is small that has less than this part of the size that files should have."""

Bin = tuple["LiveFile", ...]


@dataclass(frozen=True, slots=True)
class BinRules:
    """What makes a bin: the size that a file should have, how many files are worth it, how much is rewritten at once.

    With ``is_tiered`` a file waits until as much as it holds has come behind it, so that no row is rewritten again with
    every few new ones.
    """

    target_bytes: int
    min_files: int = 2
    most_bytes: int = 0
    is_tiered: bool = False


def bins_of(files: pl.DataFrame, rules: BinRules) -> list[Bin]:
    """Return the small files of each partition in groups that become files of the target size, oldest first."""
    import polars as pl

    small = files.filter(pl.col("size_bytes") < rules.target_bytes * SMALL).sort("modification_time", "path")
    found: list[Bin] = []
    for part in _partitions(small):
        if part.height >= rules.min_files:
            found += _cut(_tier(part, rules).to_dicts(), rules)
    return found


def _partitions(files: pl.DataFrame) -> Sequence[pl.DataFrame]:
    if "partition" not in files.columns or not files.height:
        return [files]
    return files.partition_by("partition", maintain_order=True)


def _tier(files: pl.DataFrame, rules: BinRules) -> pl.DataFrame:
    """Return the files without those that are larger than all smaller ones together."""
    import polars as pl

    if not rules.is_tiered:
        return files
    sizes = files.get_column("size_bytes").sort()
    before = sizes.cum_sum() - sizes
    fitting = sizes.filter(sizes <= before)
    most = 0 if fitting.is_empty() else int(fitting[-1])
    return files.filter(pl.col("size_bytes") <= most)


def _cut(files: Sequence[dict[str, Any]], rules: BinRules) -> Iterator[Bin]:
    most = rules.most_bytes or rules.target_bytes
    taken: list[dict[str, Any]] = []
    size_bytes = 0
    for file in files:
        if taken and (size_bytes + file["size_bytes"] > most or len(taken) == _MOST_FILES):
            if len(taken) > 1:
                yield tuple(taken)
            taken, size_bytes = [], 0
        taken.append(file)
        size_bytes += file["size_bytes"]
    if len(taken) >= rules.min_files:
        yield tuple(taken)


def small_share(files: pl.DataFrame, target_bytes: int) -> float:
    """Return which part of the files is small, leaving out one of each partition, which may well be."""
    import polars as pl

    if not files.height:
        return 0.0
    is_small = pl.col("size_bytes") < target_bytes * SMALL
    small = sum(max(0, part.filter(is_small).height - 1) for part in _partitions(files))
    return small / files.height
