"""What log lines become: columns, and a reason for each line that is not of its format. No input or output.

Whoever reads lines walks one way, be it a file as a whole or a growing one piece by piece::

    records = joiner.join(lines, offsets, is_end=False)     # only where lines make records: multiline, cri
    parsed = parser.parse(records.lines, reference)         # columns by the format's own types
    fitted = fit.apply(parsed, records)                     # the reading schema, under the schema contract

``etl.formats.log_formats`` makes the parser and the joiner from what a pipeline file says (``format``, ``multiline``);
``etl.formats.log_fitting`` makes ``fit``. All of them are immutable and may be called from any thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    import polars as pl

    from etl.model import Schema


@dataclass(frozen=True, slots=True)
class Records:
    """Records of a piece of a log, each a line or several joined by a line feed, in the order of their first lines.

    ``lines``: String, without line ends. ``offsets``: Int64, the byte at which each starts. ``numbers``: the index of
    each record's first line among the lines that were given. ``held``: how many of the lines that were given, at their
    end, are not in here, because a record among them may go on: they must be given again, with what follows them.
    """

    lines: pl.Series
    offsets: pl.Series
    numbers: pl.Series
    held: int = 0


class Joiner(Protocol):
    """A rule by which lines make records."""

    def join(self, lines: pl.Series, offsets: pl.Series, *, is_end: bool) -> Records:
        """Return the records of whole lines; with ``is_end`` nothing follows them, and nothing is held.

        The first line starts a record. The result of all pieces together does not depend on where they were cut.
        """


@dataclass(frozen=True, slots=True)
class Parsed:
    """Lines as columns: ``frame`` has one row per line, in order, null throughout where the line is not of the format.

    ``reasons``: String, for each line that is not of the format why, null for all others; None where all are.
    """

    frame: pl.DataFrame
    reasons: pl.Series | None = None

    @property
    def is_bad(self) -> pl.Series:
        """Which lines are not of the format (Boolean)."""
        import polars as pl

        if self.reasons is None:
            return pl.repeat(value=False, n=self.frame.height, dtype=pl.Boolean, eager=True)
        return self.reasons.is_not_null()


class LineParser(Protocol):
    """One format of log lines."""

    @property
    def schema(self) -> Schema | None:
        """The columns of ``parse``; None where the lines themselves name them (logfmt), all of them strings then."""

    def parse(self, lines: pl.Series, reference: datetime | None) -> Parsed:
        """Return lines (String, without line ends, none blank) as columns.

        ``reference`` (aware UTC) is when the lines were written at the latest: the modified time of the file, or the
        batch's. It completes timestamps without a year; ConfigError is raised where they need it and it is None. A null
        line gives a row of nulls and no reason.
        """
