"""Where the rows of a JSON document are: found in bulk, from the nesting of brackets outside strings."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from etl.errors import UnreadableFileError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_BLOCK_BYTES = 4_000_000
_BLANK = " \t\r\n"
_QUOTE, _COMMA, _NEWLINE = 34, 44, 10
_OPEN_OBJECT, _CLOSE_OBJECT, _OPEN_LIST, _CLOSE_LIST = 123, 125, 91, 93
_OPENING, _CLOSING = [_OPEN_OBJECT, _OPEN_LIST], [_CLOSE_OBJECT, _CLOSE_LIST]
_HINT = "is it cut off, or NDJSON? `format: ndjson` reads one JSON object per line"


@dataclass(frozen=True)
class Document:
    """The bytes of a file behind its byte order mark, which take ``start`` bytes."""

    path: str
    content: bytes
    start: int = 0
    broken: list[int] = field(default_factory=list, init=False)
    """The places of line breaks inside strings, where JSON allows none."""

    def elements(self, group_bytes: int) -> Iterator[tuple[pl.Series, pl.Series]]:
        """Yield where elements start and end, so many bytes of them at a time, without the blanks around them.

        An element without anything between two commas is empty. Raises UnreadableFileError unless the document is
        whole and nothing stands outside of its objects and lists.
        """
        import polars as pl

        starts, ends = self._spans()
        frame = pl.DataFrame({"start": starts, "end": ends, "group": ends // group_bytes})
        for part in frame.partition_by("group", maintain_order=True):
            yield self._trimmed(part["start"], part["end"])

    def lines(self, starts: pl.Series, ends: pl.Series) -> bytes:
        """Return elements as lines: line breaks between their parts become blanks."""
        import pyarrow as pa
        import pyarrow.compute as pc

        first, last = int(starts[0]), int(ends[-1])
        part = self.content[first:last]
        if broken := self.broken[bisect_left(self.broken, first) : bisect_left(self.broken, last)]:
            marked = bytearray(part)
            for place in broken:
                marked[place - first] = 1  # as wrong inside a string as the line break is
            part = bytes(marked)
        elements = _slices(part.replace(b"\n", b" "), starts - first, ends - first)
        nothing, line_end = (pa.scalar(text, pa.large_binary()) for text in (b"", b"\n"))
        lines = pc.binary_join_element_wise(elements, line_end, nothing)
        found: bytes = lines.buffers()[2].to_pybytes()
        return found

    def line(self, place: int) -> int:
        """Return the number of the line on which a byte stands, from 1."""
        return int(self._newlines.search_sorted(place)) + 1

    @cached_property
    def _newlines(self) -> pl.Series:
        return (_units(self.content) == _NEWLINE).arg_true()

    def _trimmed(self, starts: pl.Series, ends: pl.Series) -> tuple[pl.Series, pl.Series]:
        import polars as pl
        import pyarrow as pa
        import pyarrow.compute as pc

        text = _slices(self.content, starts, ends).view(pa.large_string())
        left = pc.ascii_ltrim(text, _BLANK)
        starts = ends - pl.Series(pc.binary_length(left)).cast(pl.Int64)
        return starts, starts + pl.Series(pc.binary_length(pc.ascii_rtrim(left, _BLANK))).cast(pl.Int64)

    def _spans(self) -> tuple[pl.Series, pl.Series]:
        import polars as pl

        places, codes = self._borders()
        kinds = codes.to_frame("code").select(
            pl.when(pl.col("code").is_in(_OPENING)).then(pl.col("code")).forward_fill()
        )["code"]
        is_kept = ~((codes == _COMMA) & (kinds == _OPEN_OBJECT))
        places, codes, kinds = places.filter(is_kept), codes.filter(is_kept), kinds.filter(is_kept)
        is_close = _is_closing(codes)
        if not (codes.filter(is_close) == kinds.filter(is_close) + 2).all():
            raise self._unreadable("its brackets do not match")
        self._check_outside(places.filter(_is_opening(codes)), places.filter(is_close))
        if not len(codes):
            return places.alias("start"), places.alias("end")
        frame = pl.DataFrame({"place": places, "code": codes, "kind": kinds})
        is_object = pl.col("kind") == _OPEN_OBJECT
        spans = frame.select(
            start=pl.col("place") + pl.when(is_object).then(0).otherwise(1),
            end=pl.col("place").shift(-1) + pl.when(is_object).then(1).otherwise(0),
            is_first=~pl.col("code").is_in(_CLOSING),
            is_empty=(pl.col("code") == _OPEN_LIST) & (pl.col("code").shift(-1) == _CLOSE_LIST),
        ).filter("is_first")
        spans = spans.with_columns(pl.col("is_empty") & self._are_blank(spans["start"], spans["end"]))
        spans = spans.filter(~pl.col("is_empty"))
        return spans["start"], spans["end"]

    def _are_blank(self, starts: pl.Series, ends: pl.Series) -> pl.Series:
        import polars as pl
        import pyarrow as pa
        import pyarrow.compute as pc

        text = _slices(self.content, starts, ends).view(pa.large_string())
        return pl.Series(pc.equal(pc.binary_length(pc.ascii_trim(text, _BLANK)), 0))

    def _check_outside(self, opens: pl.Series, closes: pl.Series) -> None:
        import polars as pl

        starts = pl.concat([pl.Series([0], dtype=pl.Int64), closes + 1])
        ends = pl.concat([opens, pl.Series([len(self.content)], dtype=pl.Int64)])
        if not self._are_blank(starts, ends).all():
            raise self._unreadable("there is something outside of its objects and lists")

    def _borders(self) -> tuple[pl.Series, pl.Series]:
        """Return where documents and elements of lists begin and end, and the bracket or comma that stands there."""
        import polars as pl

        found = [(pl.Series([], dtype=pl.Int64), pl.Series([], dtype=pl.UInt8))]
        quotes = depth = place = 0
        while place < len(self.content):
            block = self._block(place)
            nesting = _Nesting(block, quotes, depth)
            if nesting.lowest < 0:
                raise self._unreadable("a bracket closes what was not opened")
            found.append((nesting.places + place, nesting.codes))
            self.broken.extend((nesting.broken + place).to_list())
            quotes, depth, place = nesting.quotes, nesting.depth, place + len(block)
        if quotes or depth:
            raise self._unreadable("it ends inside " + ("a string" if quotes else "an object or a list"))
        return pl.concat([places for places, _ in found]), pl.concat([codes for _, codes in found])

    def _block(self, place: int) -> bytes:
        """Return the next bytes, with escaped quotes blanked out; never only the first half of an escape."""
        end = place + _BLOCK_BYTES
        while self.content[end - 1 : end] == b"\\":
            end += 1
        block = self.content[place:end]
        return block.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in block else block

    def _unreadable(self, reason: str) -> UnreadableFileError:
        return UnreadableFileError(self.path, f"this is no JSON document: {reason}", hint=_HINT)


class _Nesting:
    """The brackets and commas of a block that stand outside strings, at the top of the document or right below."""

    def __init__(self, block: bytes, quotes: int, depth: int) -> None:
        import polars as pl

        units = _units(block)
        marks = (_QUOTE, _COMMA, _NEWLINE, *_OPENING, *_CLOSING)
        is_mark = units == marks[0]
        for mark in marks[1:]:
            is_mark |= units == mark
        places, codes = is_mark.arg_true(), units.filter(is_mark)
        is_quote = codes == _QUOTE
        inside = ((is_quote.cast(pl.Int32).cum_sum() + quotes) & 1) == 1
        self.quotes = (quotes + int(is_quote.sum())) % 2
        self.broken = places.filter(inside & (codes == _NEWLINE)).cast(pl.Int64)
        is_structure = ~inside & ~is_quote & (codes != _NEWLINE)
        places, codes = places.filter(is_structure), codes.filter(is_structure)
        steps = _is_opening(codes).cast(pl.Int32) - _is_closing(codes).cast(pl.Int32)
        after = steps.cum_sum() + depth
        lowest = after.min()
        self.lowest = lowest if isinstance(lowest, int) else 0
        self.depth = int(after[-1]) if len(after) else depth
        is_border = ((after == 1) & (steps >= 0)) | ((after == 0) & (steps < 0))
        self.places, self.codes = places.filter(is_border).cast(pl.Int64), codes.filter(is_border)


def _is_opening(codes: pl.Series) -> pl.Series:
    return (codes == _OPEN_OBJECT) | (codes == _OPEN_LIST)


def _is_closing(codes: pl.Series) -> pl.Series:
    return (codes == _CLOSE_OBJECT) | (codes == _CLOSE_LIST)


def _units(content: bytes) -> pl.Series:
    import polars as pl
    import pyarrow as pa

    return pl.Series(pa.Array.from_buffers(pa.uint8(), len(content), [None, pa.py_buffer(content)]))


def _slices(content: bytes, starts: pl.Series, ends: pl.Series) -> pa.LargeBinaryArray:
    """Return slices that follow one another."""
    import polars as pl
    import pyarrow as pa

    if not len(starts):
        return pa.array([], pa.large_binary())
    offsets = pl.concat([starts, ends]).sort().to_arrow()
    pieces = pa.Array.from_buffers(
        pa.large_binary(), len(offsets) - 1, [None, offsets.buffers()[1], pa.py_buffer(content)]
    )
    return pieces.take(pl.int_range(0, len(pieces), 2, eager=True).to_arrow())
