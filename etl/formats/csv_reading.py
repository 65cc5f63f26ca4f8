"""One CSV file read to its end: windows of whole records, the sound ones as rows, the others as rejects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from etl.errors import RowError, UnreadableFileError
from etl.formats.contract import Chunk, FileOpener, numbers
from etl.formats.csv_columns import Converted, FileColumns
from etl.formats.csv_lines import units_of
from etl.formats.csv_parsing import Proof, is_about_a_value, parse
from etl.formats.csv_rejects import Place, Rejected, excerpt, reject_frame
from etl.formats.csv_sifting import Sieve, Sifted
from etl.formats.csv_values import are_exact
from etl.formats.records import LF, Window

if TYPE_CHECKING:
    import polars as pl

    from etl.formats.csv_text import TextBuffer

_MOST_STEPS = 1000


@dataclass(frozen=True, slots=True)
class _Taken:
    """Whole records of a window, parsed: their values, where each is, how many lines they are if that is known."""

    cut: int
    converted: Converted
    found: Proof | Sifted
    lines: int | None = None

    def spans(self, rows: list[int]) -> list[tuple[int, int]]:
        """Return where rows start and end in the window."""
        if isinstance(self.found, Sifted):
            return self.found.spans[rows].select("start", "end").rows()
        ends = self.found.ends()
        return list(zip(ends.shift(1, fill_value=0).gather(rows), ends.gather(rows), strict=True))

    def numbers(self, first: int) -> pl.Series:
        """Return the numbers of the parsed rows, those of a window starting at ``first``."""
        if isinstance(self.found, Sifted):
            return self.found.spans["number"].alias("_source_offset") + first
        return numbers(first, self.converted.frame.height)


@dataclass(slots=True)
class Outlook:
    """Whether the window before had bad records, so that the next one, of whichever file, probably has some too.

    It decides what is tried first and never what comes of it.
    """

    is_dirty: bool = False


class CsvRead:
    """The reading of one file, from its first record on."""

    def __init__(self, file: FileOpener, columns: FileColumns, buffer: TextBuffer, outlook: Outlook) -> None:
        self._file = file
        self._columns = columns
        self._buffer = buffer
        self._sieve = Sieve(columns.dialect, len(columns.names), buffer.text.encoding)
        self._rows = 0
        self._strict_end = 0
        self._outlook = outlook
        self._has_misfits = False

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows. Raises RowError where the contract says ``fail``."""
        buffer, wanted = self._buffer, self._file.chunk_bytes
        buffer.fill(wanted)
        while buffer.content:
            window = self._window(wanted)
            if _is_endless_line(window):
                yield self._too_long()
            elif (taken := self._taken(window)).cut:
                yield from self._chunk(taken, window)
                buffer.drop(taken.cut, taken.lines)
                self._strict_end = max(0, self._strict_end - taken.cut)
                wanted = self._file.chunk_bytes
            else:
                wanted = 2 * max(wanted, len(window.content))
            buffer.fill(wanted)

    def _window(self, wanted: int) -> Window:
        content = self._buffer.content
        if len(content) <= 2 * wanted:
            return Window(content, self._buffer.is_ended, self._file.max_line_bytes)
        return Window(content[:wanted], is_final=False, max_record_bytes=self._file.max_line_bytes)

    def _too_long(self) -> Chunk:
        """Return a line of which only the start was read as a reject, and leave out the rest of it."""
        buffer = self._buffer
        reason = f"a line is longer than {self._file.max_line_bytes} bytes"
        end = buffer.content.find(LF) + 1 or len(buffer.content)
        found = Rejected(0, end, "too_long", reason)
        frame = reject_frame([found], Place.of(buffer), buffer.content, self._columns.names)
        buffer.drop_line()
        self._rows += 1
        return Chunk(self._columns.empty, 0, partial(numbers, self._rows, 0), frame)

    def _taken(self, window: Window) -> _Taken:
        return (None if self._outlook.is_dirty else self._fast(window)) or self._sift(window)

    def _fast(self, window: Window) -> _Taken | None:
        """Return the records of a window that is clean but for values; None where it is not, or cannot be told."""
        dialect = self._columns.dialect
        cut = 0 if self._strict_end else _likely_cut(window, dialect.quote)
        if not 0 < cut <= window.max_record_bytes:
            return None
        piece = window.content[:cut]
        if dialect.escape and dialect.escape in piece:
            return None
        parsed = self._parsed(piece, Proof(piece, dialect))
        if parsed is None:
            return None
        frame, mark, proof = parsed
        return _Taken(cut, self._converted(frame, mark), proof, proof.lines)

    def _parsed(self, piece: bytes, proof: Proof) -> tuple[pl.DataFrame, str, Proof] | None:
        utf8 = self._buffer.text.utf8(piece)
        if utf8 is None:
            return None
        marked, mark = self._columns.marked(utf8)
        if not self._has_misfits:
            frame = parse(marked, self._columns.direct, self._columns.dialect)
            if isinstance(frame, str):
                self._has_misfits = is_about_a_value(frame)
                if not self._has_misfits:
                    return None
            elif not proof.holds(frame):
                return None
            elif are_exact(frame):
                return frame, mark, proof
        frame = parse(marked, self._columns.texts, self._columns.dialect)
        return None if isinstance(frame, str) or not proof.holds(frame) else (frame, mark, proof)

    def _sift(self, window: Window) -> _Taken:
        """Return the records of any window; none where the window ends before the first is decided."""
        sifted = self._sieve.sift(window, self._strict_end)
        self._strict_end = sifted.strict_end
        self._outlook.is_dirty = bool(sifted.bad)
        if not sifted.spans.height:
            return _Taken(sifted.cut, Converted(self._columns.empty, []), sifted)
        marked, mark = self._columns.marked(self._buffer.text.utf8(sifted.clean) or b"")
        frame: pl.DataFrame | str = ""
        if not self._has_misfits:
            frame = parse(marked, self._columns.direct, self._columns.dialect)
        if isinstance(frame, str) or not are_exact(frame):
            frame = parse(marked, self._columns.texts, self._columns.dialect)
        if isinstance(frame, str) or frame.height != sifted.spans.height:
            hint = "please report it, with the file"
            raise UnreadableFileError(self._file.path, "sound records were not read as they stand", hint=hint)
        return _Taken(sifted.cut, self._converted(frame, mark), sifted)

    def _converted(self, frame: pl.DataFrame, mark: str) -> Converted:
        found = self._columns.convert(frame, mark)
        self._has_misfits = bool(found.misfits)
        return found

    def _chunk(self, taken: _Taken, window: Window) -> Iterator[Chunk]:
        """Yield the rows of a window as a chunk, if there are any, and count them."""
        frame, first = taken.converted.frame, self._rows
        rejected = [Rejected(bad.start, bad.end, bad.rule, bad.reason) for bad in _bad(taken)]
        self._rows += frame.height + len(rejected)
        misfits = self._refused(frame.height) or [(fit.row, fit.rule, fit.reason) for fit in taken.converted.misfits]
        places = partial(taken.numbers, first)
        if misfits:
            rows = [row for row, _, _ in misfits]
            spans = zip(taken.spans(rows), misfits, strict=True)
            found = [Rejected(start, end, rule, reason) for (start, end), (_, rule, reason) in spans]
            self._fail_on_types(found, window)
            rejected = sorted([*rejected, *found], key=lambda item: item.start)
            frame, places = _without(frame, places, rows)
        rejects = None
        if rejected:
            rejects = reject_frame(rejected, Place.of(self._buffer), window.content, self._columns.names)
        if frame.height or rejects is not None:
            yield Chunk(frame, frame.height, places, rejects)

    def _refused(self, rows: int) -> list[tuple[int, str, str]]:
        refusal = self._columns.refusal
        return [] if refusal is None else [(row, *refusal) for row in range(rows)]

    def _fail_on_types(self, found: list[Rejected], window: Window) -> None:
        if self._columns.contract.type_change != "fail" or found[0].rule != "type":
            return
        first = found[0]
        line = self._buffer.line + window.content.count(LF, 0, first.start)
        raise RowError(
            f"{first.reason}, in: {excerpt(window.content[first.start : first.end])}",
            where=f"{self._file.path}:{line}",
            hint="correct the line, or the column's type under `schema:`",
        )


def _bad(taken: _Taken) -> list[Rejected]:
    if not isinstance(taken.found, Sifted):
        return []
    return [Rejected(bad.start, bad.end, bad.rule, bad.reason) for bad in taken.found.bad]


def _without(
    frame: pl.DataFrame, places: partial[pl.Series], rows: list[int]
) -> tuple[pl.DataFrame, partial[pl.Series]]:
    """Return rows and the numbers of rows without some of them."""
    import polars as pl

    keep = ~pl.int_range(frame.height, eager=True).is_in(rows)
    return frame.filter(keep), partial(_kept, places, keep)


def _kept(places: partial[pl.Series], keep: pl.Series) -> pl.Series:
    return places().filter(keep)


def _is_endless_line(window: Window) -> bool:
    """Tell whether the window starts with a line that is too long and does not end in it."""
    bound = window.max_record_bytes + len(b"\r\n")
    return not window.is_final and len(window.content) > bound and LF not in window.content


def _likely_cut(window: Window, quote: bytes) -> int:
    """Return where the last whole record ends if quotes come in pairs; 0 for none. Parsing proves or refutes it."""
    content = window.content
    if window.is_final:
        return len(content)
    cut = content.rfind(LF) + 1
    if not quote or quote not in content:
        return cut
    is_open = int((units_of(content).slice(0, cut) == quote[0]).sum()) % 2 == 1
    for _ in range(_MOST_STEPS):
        if not (cut and is_open):
            return cut
        opened = content.rfind(quote, 0, cut)
        end = content.rfind(LF, 0, opened) + 1
        is_open = content.count(quote, end, cut) % 2 == 0
        cut = end
    return 0
