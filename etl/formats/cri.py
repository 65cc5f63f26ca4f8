"""Logs of containers as Kubernetes keeps them (CRI): ``2024-03-05T10:20:30.123456789Z stdout F message``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.formats.log_columns import groups, other, without, wrong
from etl.formats.log_patterns import CRI, ISO_FORMAT
from etl.formats.log_records import Records
from etl.formats.multiline import MAX_RECORD_BYTES, bounded

if TYPE_CHECKING:
    from datetime import datetime

    import polars as pl

    from etl.formats.log_records import Parsed
    from etl.model import Schema

_MICROSECOND_DIGITS, _DIGITS = 6, 9
_HEAD = r"\A([^ ]+ [^ ]+) "

MAX_GAP_LINES = 10_000
"""How many lines of other streams may lie between the parts of a line; further on, the line counts as ended."""

_COLUMNS: Schema = {"timestamp": "timestamp(UTC)", "stream": "string", "message": "string", "nanoseconds": "int64"}


class Cri:
    """Lines of a container. ``timestamp`` keeps microseconds, ``nanoseconds`` (0 to 999) what lies behind them."""

    schema: Schema = _COLUMNS

    def parse(self, lines: pl.Series, _reference: datetime | None = None) -> Parsed:
        """Return lines as columns; of a line without a fraction of a second the nanoseconds are 0."""
        import polars as pl

        texts = groups(lines, CRI.text)
        digits = pl.col("fraction").fill_null("").str.pad_end(_DIGITS, "0")
        written = pl.col("moment") + "." + digits.str.head(_MICROSECOND_DIGITS) + pl.col("zone")
        finer = digits.str.tail(_DIGITS - _MICROSECOND_DIGITS).cast(pl.Int64)
        frame = texts.select(
            written.str.to_datetime(ISO_FORMAT, time_unit="us", time_zone="UTC", strict=False).alias("timestamp"),
            "stream",
            "message",
            pl.when(pl.col("stream").is_not_null()).then(finer).alias("nanoseconds"),
        )
        days = texts["moment"].alias("timestamp")
        faults = [
            other(lines, CRI, texts["stream"].is_null() & lines.is_not_null()),
            wrong(days, frame["timestamp"].is_null() & days.is_not_null(), "is no day of the calendar"),
        ]
        return without(frame, faults)


class PartialLines:
    """Joins lines with the tag ``P`` to the next ones of their stream, up to the one with ``F``.

    The record has the time of its first line. A line that is not of the format is a record by itself.
    """

    def __init__(self, max_bytes: int = MAX_RECORD_BYTES) -> None:
        self._max_bytes = max_bytes

    def join(self, lines: pl.Series, offsets: pl.Series, *, is_end: bool) -> Records:
        """Return the records of whole lines. Of a line ``P`` that nothing follows the record is what there is."""
        import polars as pl

        texts = groups(lines, CRI.text).select("stream", "tag", "message")
        numbers = pl.int_range(len(lines), eager=True)
        if not (texts["tag"] == "P").any():
            return Records(lines, offsets, numbers)
        frame = texts.with_columns(lines.alias("line"), offsets.alias("offset"), numbers.alias("number"))
        records = self._records(frame)
        held = 0 if is_end else len(lines) - _first_open(records, len(lines))
        records = records.filter(pl.col("number") < len(lines) - held)
        return Records(records["line"], records["offset"], records["number"], held)

    def _records(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return one row per record: line, offset, number, stream, and number (``last``) and tag of its last line."""
        import polars as pl

        own = pl.col("stream").fill_null("")
        frame = frame.with_columns(own.alias("stream")).sort("stream", "number")
        is_next = (pl.col("tag").shift(1) == "P") & (pl.col("stream") == pl.col("stream").shift(1))
        is_near = pl.col("number") - pl.col("number").shift(1) <= MAX_GAP_LINES
        is_start = ~(is_next & is_near & pl.col("tag").is_not_null()).fill_null(value=False)
        runs = frame.select(is_start.cum_sum()).to_series()
        frame = frame.with_columns(bounded(runs, frame["message"].fill_null(""), self._max_bytes).alias("run"))
        head = pl.col("line").first().str.extract(_HEAD)
        text = pl.when(pl.len() == 1).then(pl.col("line").first())
        return (
            frame.group_by("run", maintain_order=True)
            .agg(
                text.otherwise(head + " F " + pl.col("message").str.join()).alias("line"),
                pl.col("offset", "number", "stream").first(),
                pl.col("number").last().alias("last"),
                pl.col("tag").last(),
            )
            .sort("number")
        )


def _first_open(records: pl.DataFrame, count: int) -> int:
    """Return the number of the first of ``count`` lines that must be given again, ``count`` for none.

    It is of a record that may go on, or of one that ends behind the start of such a record.
    """
    import polars as pl

    is_newest = pl.col("number") == pl.col("number").max().over("stream")
    is_open = is_newest & (pl.col("tag") == "P") & (count - pl.col("last") <= MAX_GAP_LINES)
    found = records.filter(is_open)["number"].min()
    hold = count
    while found is not None and int(str(found)) < hold:
        hold = int(str(found))
        found = records.filter((pl.col("number") < hold) & (pl.col("last") >= hold))["number"].min()
    return hold
