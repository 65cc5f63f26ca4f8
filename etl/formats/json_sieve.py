"""Finding the lines of a piece that need a look of their own, and what comes of the piece once they had it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from etl.errors import RowError, SchemaDriftError
from etl.formats.json_judge import judge
from etl.formats.json_tokens import DepthError, Fault
from etl.formats.lines import BadRow, excerpt, located
from etl.rejects import Rule, rejects

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from etl.formats.json_layout import Layout
    from etl.formats.json_lines import Lines
    from etl.formats.json_pattern import Patterns

_PATIENCE = 20
"""So many lines in a row that fit and teach no pattern end the search for patterns in a piece."""


class Places(Protocol):
    """Where the lines of a piece stand in their file, by their numbers in the piece."""

    @property
    def path(self) -> str:
        """The file, for messages."""

    def offsets(self, numbers: pl.Series | None) -> pl.Series:
        """Return the byte at which each of the lines (None for all) starts, as ``_source_offset``."""

    def line(self, number: int) -> int:
        """Return the number of the line in the file, from 1."""

    def raw(self, number: int) -> bytes:
        """Return the line as it stands in the file, without its end."""


class Looking(Protocol):
    """Who looks at lines."""

    @property
    def patterns(self) -> Patterns:
        """What certainly fits by now."""

    def look(self, number: int, line: str) -> Mapping[str, Any] | None:
        """Return the row of a line that fits as it is, None for any other."""


def sift(lines: Lines, looking: Looking) -> None:
    """Have every line looked at that no pattern matches, in order. Those that are no text are left out."""
    numbers, texts = _rows(lines)
    is_open = looking.patterns.unmatched(texts)
    waiting, written = numbers.filter(is_open).to_list(), texts.filter(is_open).to_list()
    place = fruitless = 0
    while place < len(waiting):
        row = looking.look(waiting[place], written[place])
        place += 1
        if row is None or fruitless > _PATIENCE:
            continue
        if looking.patterns.learn(row):
            waiting, written = _unmatched(looking.patterns, waiting[place:], written[place:])
            place = fruitless = 0
        else:
            fruitless += 1


def _rows(lines: Lines) -> tuple[pl.Series, pl.Series]:
    import polars as pl

    numbers = lines.numbers
    if numbers is None:
        numbers = pl.int_range(lines.count, eager=True)
        texts = lines.texts
    else:
        texts = lines.texts.gather(numbers)
    if lines.bad_text:
        is_text = ~numbers.is_in(list(lines.bad_text))
        numbers, texts = numbers.filter(is_text), texts.filter(is_text)
    return numbers, texts


def _unmatched(patterns: Patterns, waiting: list[int], written: list[str]) -> tuple[list[int], list[str]]:
    import polars as pl

    is_open = patterns.unmatched_by_last(pl.Series(written, dtype=pl.String)).to_list()
    kept = [place for place, still in enumerate(is_open) if still]
    return [waiting[place] for place in kept], [written[place] for place in kept]


def stop(places: Places, number: int, reason: str) -> NoReturn:
    """Raise the RowError of a line at which the contract stops."""
    where = f"{places.path}:{places.line(number)}"
    hint = "correct the line, or let `schema_contract` say what becomes of such rows"
    raise RowError(f"{reason}, in: {excerpt(places.raw(number))}", where=where, hint=hint)


class Sieve:
    """The lines of one piece by what becomes of them when they are read with a schema."""

    def __init__(self, lines: Lines, layout: Layout, places: Places) -> None:
        self._lines = lines
        self._layout = layout
        self._places = places
        self._rejected: dict[int, tuple[Rule, str]] = {
            number: ("encoding", reason) for number, reason in lines.bad_text.items()
        }
        self._rewritten: dict[int, bytes] = {}
        self._seen: set[int] = set()

    @property
    def patterns(self) -> Patterns:
        """The patterns of the reading schema."""
        return self._layout.patterns

    def table(self) -> tuple[pa.Table | None, pl.Series]:
        """Return the rows that fit, None where none does, and the numbers of their lines.

        Raises SchemaDriftError, and RowError where the contract says so.
        """
        import pyarrow as pa

        sift(self._lines, self)
        try:
            return self._parsed()
        except pa.ArrowInvalid:
            self._look_at_all()
        while True:
            numbers = self._kept()
            content, bounds = self._content(numbers)
            try:
                return (located(content, bounds, self._layout.judged_table) if len(numbers) else None), numbers
            except BadRow as exc:
                self._rejected[numbers[bounds.index(exc.start)]] = ("type", exc.reason)

    @property
    def is_clean(self) -> bool:
        """Tell whether every line fits as it is."""
        return not (self._rejected or self._rewritten)

    def look(self, number: int, line: str) -> Mapping[str, Any] | None:
        """Judge a line."""
        layout = self._layout
        self._seen.add(number)
        try:
            verdict = judge(line.rstrip("\r\n"), layout.known, layout.wide, layout.contract)
        except DepthError as exc:
            # The parser here goes less deep than pyarrow's, to which depth is nothing in a part that is ignored.
            if not (layout.contract.new_columns == "ignore" and layout.takes(line.encode())):
                self._rejected[number] = (exc.rule, exc.message)
            return None
        except Fault as exc:
            if exc.fails:
                stop(self._places, number, exc.message)
            self._rejected[number] = (exc.rule, exc.message)
            return None
        if verdict.schema is not layout.known:
            self._drift(verdict.schema)
        if verdict.line is not None:
            self._rewritten[number] = verdict.line + b"\n"
        return verdict.row

    def rejects(self) -> pl.DataFrame | None:
        """Return the rejected rows in order, without ``_source_file``; None for none."""
        if not self._rejected:
            return None
        import polars as pl

        numbers = sorted(self._rejected)
        offsets = self._places.offsets(pl.Series(numbers, dtype=pl.UInt32)).to_list()
        rows = [
            {
                "raw": self._places.raw(number),
                "_source_offset": offset,
                "line": self._places.line(number),
                "rule": self._rejected[number][0],
                "reason": self._rejected[number][1],
            }
            for number, offset in zip(numbers, offsets, strict=True)
        ]
        return rejects(rows).drop("_source_file")

    def _drift(self, evolved: Mapping[str, Any]) -> NoReturn:
        known = self._layout.known
        names = [name for name, tree in evolved.items() if name not in known or tree is not known[name]]
        raise SchemaDriftError(f"input that the schema lacks: column {', '.join(names)}", where=self._places.path)

    def _look_at_all(self) -> None:
        numbers, texts = _rows(self._lines)
        for number, line in zip(numbers.to_list(), texts.to_list(), strict=True):
            if number not in self._seen:
                self.look(number, line)

    def _parsed(self) -> tuple[pa.Table | None, pl.Series]:
        numbers = self._kept()
        content, _ = self._content(numbers)
        return (self._layout.judged_table(content, len(numbers)) if len(numbers) else None), numbers

    def _kept(self) -> pl.Series:
        numbers, _ = _rows(self._lines)
        return numbers.filter(~numbers.is_in(list(self._rejected))) if self._rejected else numbers

    def _content(self, numbers: pl.Series) -> tuple[bytes, list[int]]:
        """Return the lines of these numbers, rewritten where they are, and where each starts."""
        import pyarrow as pa
        import pyarrow.compute as pc

        lines = self._lines.records
        if self._rewritten:
            is_new = pa.array(number in self._rewritten for number in range(len(lines)))
            new = pa.array([self._rewritten[number] for number in sorted(self._rewritten)], pa.large_binary())
            lines = pc.replace_with_mask(lines, is_new, new)
        kept = lines.take(numbers.to_arrow())
        bounds = pa.Array.from_buffers(pa.int64(), len(kept) + 1, [None, kept.buffers()[1]])
        return kept.buffers()[2].to_pybytes()[: bounds[-1].as_py()], bounds[:-1].to_pylist()
