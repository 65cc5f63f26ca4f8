"""Records of CSV told apart in bulk: which are sound, which are not, which must be written anew to be parsed.

Lines whose quotes stand at the edges of fields and come in pairs, without a carriage return alone, are records by
themselves; the others are walked one by one. A window that is clean never comes here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etl.formats.csv_lines import Lines
from etl.formats.records import CR, LF, STRAY, Dialect, Fault, Record, Window, record_at

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Exceptional:
    """A record that is not taken as it stands: written anew as ``text``, or rejected by ``rule``."""

    start: int
    end: int
    text: bytes = b""
    rule: str = ""
    reason: str = ""


@dataclass(slots=True)
class Sifted:
    """A window's whole records, up to ``cut``.

    ``clean`` holds the sound ones and can be parsed; ``spans`` says of each of them (``start``, ``end``, ``number``)
    where it is in the window and its number among all rows. ``bad`` are the others, ``numbers`` theirs; ``rows`` is
    how many there are of both. Up to ``strict_end`` lines stand below a quoted field that was not closed.
    """

    cut: int
    clean: bytes
    spans: pl.DataFrame
    bad: list[Exceptional]
    numbers: list[int]
    strict_end: int

    @property
    def rows(self) -> int:
        """How many records there are."""
        return self.spans.height + len(self.bad)


@dataclass(slots=True)
class _Walked:
    """What became of suspicious records: their spans, the odd and the bad ones, where the window is undecided."""

    spans: list[tuple[int, int]] = field(default_factory=list)
    sound: list[tuple[int, int]] = field(default_factory=list)
    exceptional: list[Exceptional] = field(default_factory=list)
    stop: int | None = None
    strict_end: int = 0


class Sieve:
    """Tells records of one dialect and width apart; ``damaged`` finds the bytes that are no text."""

    def __init__(self, dialect: Dialect, width: int, encoding: str) -> None:
        self._dialect = dialect
        self._width = width
        self._encoding = encoding

    def sift(self, window: Window, strict_end: int) -> Sifted:
        """Return the window's whole records."""
        import polars as pl

        lines = Lines(window, self._dialect)
        damaged = damaged_at(window.content, self._encoding)
        walked = self._walk(window, lines, damaged, strict_end)
        cut = lines.end if walked.stop is None else walked.stop
        simple = lines.without(walked.spans, cut)
        blanks, simple = lines.blank(simple)
        widths = lines.widths(simple)
        wrong = simple.filter(widths != self._width)
        bad = [item for item in walked.exceptional if item.rule]
        found = zip(wrong.rows(), widths.filter(widths != self._width), strict=True)
        bad += [self._of_width(start, end, width) for (start, end), width in found]
        odd = [item for item in walked.exceptional if not item.rule]
        good = [*walked.sound, *((item.start, item.end) for item in odd)]
        spans = pl.concat([simple.filter(widths == self._width), _spans(good)])
        out = [*bad, *odd, *(Exceptional(start, end) for start, end in blanks.rows())]
        clean = _assembled(window.content[:cut], sorted(out, key=lambda item: item.start))
        return _numbered(cut, clean, spans, sorted(bad, key=lambda item: item.start), walked.strict_end)

    def _of_width(self, start: int, end: int, width: int) -> Exceptional:
        return Exceptional(start, end, rule="syntax", reason=f"{width} fields where the header has {self._width}")

    def _walk(self, window: Window, lines: Lines, damaged: list[int], strict_end: int) -> _Walked:
        walked = _Walked(strict_end=strict_end)
        reached = 0
        for start, end in lines.suspicious(damaged):
            if start < reached:
                continue
            found = self._at(window, start, end)
            if found is None:
                walked.stop = start
                break
            reached = found.end
            walked.spans.append((start, reached))
            self._judge(found, start, damaged, walked)
        return walked

    def _at(self, window: Window, start: int, end: int) -> Record | Fault | Exceptional | None:
        line = window.content[start : min(end, start + window.max_record_bytes + len(b"\r\n"))]
        if len(line.removesuffix(LF).removesuffix(CR)) > window.max_record_bytes:
            return Exceptional(
                start, end, rule="too_long", reason=f"a line is longer than {window.max_record_bytes} bytes"
            )
        return record_at(window, start, self._dialect)

    def _judge(self, found: Record | Fault | Exceptional, start: int, damaged: list[int], walked: _Walked) -> None:
        if isinstance(found, Exceptional):
            walked.exceptional.append(found)
            return
        position = next((place for place in damaged if start <= place < found.end), None)
        if position is not None:
            reason = f"not {self._encoding} at byte {position - start} of the record"
            walked.exceptional.append(Exceptional(start, found.end, rule="encoding", reason=reason))
        elif isinstance(found, Fault):
            walked.exceptional.append(Exceptional(start, found.end, rule="syntax", reason=found.reason))
        elif start < walked.strict_end and self._dialect.has_stray(found.fields):
            walked.exceptional.append(Exceptional(start, found.end, rule="syntax", reason=STRAY))
        elif len(found.fields) != self._width:
            walked.exceptional.append(self._of_width(start, found.end, len(found.fields)))
        elif self._dialect.is_odd(found.fields):
            text = self._dialect.written(found.fields)
            walked.exceptional.append(Exceptional(start, found.end, text=text))
        else:
            walked.sound.append((start, found.end))
        if isinstance(found, Fault):
            walked.strict_end = max(walked.strict_end, found.strict_end)


def damaged_at(content: bytes, encoding: str) -> list[int]:
    """Return where bytes that are no text start, at most one place a line."""
    if content.isascii() or encoding == "latin-1":
        return []
    if encoding == "windows-1252":
        return [found.start() for found in re.finditer(rb"[\x81\x8d\x8f\x90\x9d][^\n]*+", content)]
    places, position = [], 0
    while position < len(content):
        try:
            content[position:].decode()
            break
        except UnicodeDecodeError as exc:
            places.append(position + exc.start)
            position = content.find(LF, places[-1]) + 1 or len(content)
    return places


def _spans(found: list[tuple[int, int]]) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(found, schema={"start": pl.Int64, "end": pl.Int64}, orient="row")


def _numbered(cut: int, clean: bytes, spans: pl.DataFrame, bad: list[Exceptional], strict_end: int) -> Sifted:
    """Return the records with their numbers: bad and good ones are counted alike, in the order of the file."""
    import polars as pl

    spans = spans.sort("start").with_row_index("number").cast(pl.Int64)
    if not bad:
        return Sifted(cut, clean, spans, [], [], strict_end)
    starts = pl.Series([item.start for item in bad], dtype=pl.Int64)
    before = starts.search_sorted(spans["start"])
    numbers = spans["start"].search_sorted(starts).cast(pl.Int64) + pl.int_range(len(bad), eager=True)
    return Sifted(
        cut, clean, spans.with_columns(pl.col("number") + before.cast(pl.Int64)), bad, numbers.to_list(), strict_end
    )


def _assembled(content: bytes, exceptional: list[Exceptional]) -> bytes:
    parts, position = [], 0
    for item in exceptional:
        parts += [content[position : item.start], item.text]
        position = item.end
    clean = b"".join([*parts, content[position:]]) if parts else content
    return clean if not clean or clean.endswith(LF) else clean + LF
