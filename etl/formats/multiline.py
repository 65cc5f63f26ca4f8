"""Records of several lines: which lines belong together, and the text that they make. No input or output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.formats.log_records import Records

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

MAX_RECORD_BYTES = 1_000_000
"""How long a record of several lines may become; the line that would make it longer starts another one."""


class Multiline:
    """Joins lines by a line feed: one that matches ``start`` begins a record, the others go on with it.

    ``start`` is an expression of the linear-time engine, looked for anywhere in a line.
    """

    def __init__(self, start: str, max_bytes: int = MAX_RECORD_BYTES) -> None:
        self._start = start
        self._max_bytes = max_bytes

    def join(self, lines: pl.Series, offsets: pl.Series, *, is_end: bool) -> Records:
        """Return the records of whole lines; the last one is held until the next begins, or ``is_end``."""
        import polars as pl

        numbers = pl.int_range(len(lines), eager=True)
        is_start = lines.str.contains(self._start).fill_null(value=True)
        if not len(lines) or (is_start.all() and is_end):
            return Records(lines, offsets, numbers)
        is_start = is_start.scatter(0, values=True)
        runs = bounded(is_start.cum_sum(), lines, self._max_bytes)
        frame = pl.DataFrame({"run": runs, "line": lines, "offset": offsets, "number": numbers})
        first = pl.col("offset", "number").first()
        records = frame.group_by("run", maintain_order=True).agg(pl.col("line").str.join("\n"), first)
        held = 0
        if not is_end:
            held = len(lines) - int(records["number"][-1])
            records = records.head(-1)
        return Records(records["line"], records["offset"], records["number"], held)


def bounded(runs: pl.Series, lines: pl.Series, max_bytes: int) -> pl.Series:
    """Return the numbers of runs of lines (rising), those of more than ``max_bytes`` cut into several.

    A cut depends only on the lines since the one before, so that it is the same wherever reading sets in anew.
    """
    import polars as pl

    frame = pl.DataFrame({"run": runs, "size": lines.str.len_bytes() + 1})
    sizes = frame.group_by("run").agg(pl.col("size").sum(), pl.col("size").alias("sizes"))
    long = dict(sizes.filter(pl.col("size") > max_bytes).select("run", "sizes").iter_rows())
    if not long:
        return runs
    cuts = pl.repeat(0, len(runs), dtype=pl.Int64, eager=True)
    for run, parts in long.items():
        cuts = cuts.scatter((runs == run).arg_true(), list(_cuts(parts, max_bytes)))
    return pl.DataFrame([runs.alias("run"), cuts.alias("cut")]).select(pl.struct("run", "cut").rle_id()).to_series()


def _cuts(sizes: list[int], max_bytes: int) -> Iterator[int]:
    """Yield for each line of a run in which part it is."""
    part = total = 0
    for size in sizes:
        total += size
        if total > max_bytes and total > size:
            part, total = part + 1, size
        yield part
