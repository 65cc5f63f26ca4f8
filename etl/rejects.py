"""Rows that are set aside: what they were, where they stood, which rule they broke and how."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from etl.errors import QuarantineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

MOST_BYTES = 500_000_000
"""How much of rejected rows one batch may hold in memory before it is staged."""

Rule: TypeAlias = Literal["syntax", "encoding", "new_column", "type", "missing_column", "too_long", "unreadable_file"]
"""The rules that input can break before an expectation is asked; an expectation's own name is its rule.

``syntax``: not a record of the format. ``encoding``: bytes that are no text. ``new_column``, ``type``,
``missing_column``: the policies of the schema contract. ``too_long``: a line beyond the bound. ``unreadable_file``: the
whole file.
"""

Form: TypeAlias = Literal["text", "json", "file"]
"""What ``raw`` holds: the record's own bytes, the row as JSON (formats without text, expectations), nothing."""


PART = '{"is_part": true}'
"""The context of a row that was rejected behind a transform that makes several rows of one: the others went on."""

TAIL = '{"is_tail": true}'
"""The context of what a file has grown by, and that cannot be read as a whole: the first part of the file went on."""


SOURCE = "source"
"""A column more of rejected rows: the source that each came from, where the pipeline has several."""


def reject_schema() -> dict[str, Any]:
    """Return the columns of rejected rows, as Polars types.

    ``raw``: the bytes of the record without its line end; of a row without text its JSON. ``form``: which of the two.
    ``context``: JSON that the format needs beside ``raw`` to read it again (the names of a CSV file's columns), or
    null. ``_source_offset``: the byte at which the record starts in the uncompressed file, or the row's number.
    ``line`` counts from 1 and is null where there are no lines. ``rule`` and ``reason`` say what was wrong.
    """
    import polars as pl

    return {
        "raw": pl.Binary,
        "form": pl.String,
        "context": pl.String,
        "_source_file": pl.String,
        "_source_offset": pl.Int64,
        "line": pl.Int64,
        "rule": pl.String,
        "reason": pl.String,
    }


def rejects(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return rejected rows as a frame of ``reject_schema``; keys that are not given are null, ``form`` is text."""
    import polars as pl

    return pl.DataFrame([{"form": "text"} | dict(row) for row in rows], schema=reject_schema())


class RejectedRows:
    """The rejected rows of one attempt, from any thread, on their way to the quarantine; held in memory until then."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._frames: deque[pl.DataFrame] = deque()
        self._most_bytes = most_bytes
        self._held_bytes = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Take rows of ``reject_schema``, perhaps with ``SOURCE``.

        Raises QuarantineError where there are more than may be held.
        """
        if not frame.height:
            return
        self._held_bytes += int(frame.estimated_size())
        if self._held_bytes > self._most_bytes:
            raise QuarantineError(
                f"more than {self._most_bytes:,} bytes of rejected rows in one batch; one reason: {frame['reason'][0]}",
                hint="nothing was committed; mend the input or the pipeline, or take less at a time: batch.max_bytes",
            )
        self._frames.append(frame)

    def take(self) -> pl.DataFrame:
        """Return what came since the last call, in no particular order."""
        import polars as pl

        taken = []
        while self._frames:
            taken.append(self._frames.popleft())
        return pl.concat([pl.DataFrame(schema=reject_schema()), *taken], how="diagonal")


WATERMARK = "_watermark"
"""The column of a late row that says which watermark it came behind."""


class LateRows:
    """The late rows of one attempt, on their way to the late table; held in memory until then.

    With ``keeps`` False they are counted elsewhere and not held.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._frames: deque[pl.DataFrame] = deque()
        self._most_bytes = most_bytes
        self._held_bytes = 0
        self.keeps = True

    def add(self, frame: pl.DataFrame, watermark_us: int | None) -> None:
        """Take rows, of any columns. Raises QuarantineError where there are more than may be held."""
        import polars as pl

        if not self.keeps:
            return
        self._held_bytes += int(frame.estimated_size())
        if self._held_bytes > self._most_bytes:
            raise QuarantineError(
                f"more than {self._most_bytes:,} bytes of late rows in one batch",
                hint="nothing was committed; take less at a time (batch.max_bytes), or say `late: drop`",
            )
        came_behind = pl.lit(watermark_us, pl.Int64).cast(pl.Datetime("us", "UTC"))
        self._frames.append(frame.with_columns(came_behind.alias(WATERMARK)))

    def take(self) -> list[pl.DataFrame]:
        """Return what came since the last call: frames whose columns may differ."""
        taken = []
        while self._frames:
            taken.append(self._frames.popleft())
        return taken
