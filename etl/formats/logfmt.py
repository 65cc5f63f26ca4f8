"""logfmt: ``level=info msg="it works" took=3ms done``."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from etl.formats.log_columns import frame_of, groups, without
from etl.formats.log_records import Parsed

if TYPE_CHECKING:
    from datetime import datetime

    import polars as pl

    from etl.formats.log_columns import Fault

_BLANK = r" \t\r\n\x0b\x0c"
_KEY = rf'[^{_BLANK}="]+'
_QUOTED = r'"(?:[^"\\]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"'
_PAIR = rf'{_KEY}(?:=(?:{_QUOTED}|[^{_BLANK}"]*))?'
_LINE = rf"\A[{_BLANK}]*{_PAIR}(?:[{_BLANK}]+{_PAIR})*[{_BLANK}]*\z"
_PYTHON_LINE = _LINE.replace(r"\z", r"\Z")
_MAX_LIKENESS = 2_000
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\/": "/", "\\b": "\b", "\\f": "\f", "\\n": "\n", "\\r": "\r", "\\t": "\t"}
_WORDS = "not logfmt: key=value, with quotes around a value that holds a space, a quote or an unknown escape"


class Logfmt:
    """Pairs ``key=value``, any keys; a key without ``=`` is ``true``. Quoted values have the escapes of JSON.

    A key that stands twice in a line is refused.
    """

    schema = None

    def parse(self, lines: pl.Series, _reference: datetime | None = None) -> Parsed:
        """Return a column of strings per key, in the order in which they come first; null where a line lacks it."""
        import polars as pl

        alike = _LinesAlike.of(lines)
        if alike is None:
            return self._any(lines)
        frame, others = alike.columns(lines)
        if not len(others):
            return Parsed(frame)
        rest = self._any(lines.gather(others))
        rows = rest.frame if rest.frame.width else frame.clear(len(others))
        order = pl.int_range(len(lines), dtype=pl.UInt32, eager=True)
        order = order.scatter(others, pl.int_range(len(lines), len(lines) + len(others), dtype=pl.UInt32, eager=True))
        reasons = None
        if rest.reasons is not None:
            reasons = pl.repeat(None, len(lines), dtype=pl.String, eager=True).scatter(others, rest.reasons)
        return Parsed(pl.concat([frame, rows], how="diagonal")[order], reasons)

    def _any(self, lines: pl.Series) -> Parsed:
        """Return lines as columns, whatever keys each of them has."""
        import polars as pl

        is_other = ~lines.str.contains(_LINE).fill_null(value=True)
        pairs = _pairs(lines.zip_with(~is_other, pl.Series([None], dtype=pl.String)))
        columns, twice = [], []
        for rows in pairs.partition_by("key", maintain_order=True):
            key = rows["key"][0]
            twice.append((key, rows["row"].filter(rows["row"].diff() == 0)))
            columns.append(_spread(rows, len(lines)).alias(key))
        broken = pairs.filter(pl.col("value").is_null())
        faults = [
            (is_other, lambda places: pl.repeat(_WORDS, len(places), eager=True)),
            *(_named(rows, len(lines), f"the key {key} stands twice") for key, rows in twice if len(rows)),
            _named(broken["row"], len(lines), "a value holds half of a surrogate pair"),
        ]
        parsed = without(frame_of(columns, len(lines)), faults)
        if parsed.reasons is None or parsed.is_bad.sum() == is_other.sum():
            return parsed
        return self._again(lines, parsed)

    def _again(self, lines: pl.Series, parsed: Parsed) -> Parsed:
        """Return the lines once more without the bad ones, whose keys must not be columns."""
        import polars as pl

        good = self._any(lines.zip_with(~parsed.is_bad, pl.Series([None], dtype=pl.String)))
        return Parsed(good.frame, parsed.reasons)


class _LinesAlike:
    """Lines with the keys of the first one in its order and without escapes: one expression finds all values."""

    def __init__(self, tokens: list[str]) -> None:
        self._keys = [token.partition("=")[0] for token in tokens]
        self._bare = {token for token in tokens if "=" not in token}
        parts = [
            re.escape(key)
            if key in self._bare
            else rf'{re.escape(key)}=(?:"(?P<q{place}>[^"\\]*)"|(?P<p{place}>[^{_BLANK}"]*))'
            for place, key in enumerate(self._keys)
        ]
        self._pattern = rf"\A{f'[{_BLANK}]+'.join(parts)}\z"

    @classmethod
    def of(cls, lines: pl.Series) -> _LinesAlike | None:
        """Return the likeness of the first line, None where it has none to offer."""
        first = lines.drop_nulls().head(1).to_list()
        if not first or len(first[0]) > _MAX_LIKENESS or re.fullmatch(_PYTHON_LINE, first[0]) is None:
            return None
        made = cls(re.findall(_PAIR, first[0]))
        is_useful = len(made._bare) < len(made._keys) == len(set(made._keys))
        return made if is_useful else None

    def columns(self, lines: pl.Series) -> tuple[pl.DataFrame, pl.Series]:
        """Return the columns, null for a line that is not alike, and the places of such lines."""
        import polars as pl

        texts = groups(lines, self._pattern)
        valued = [place for place, key in enumerate(self._keys) if key not in self._bare]
        is_alike = pl.col(f"q{valued[0]}").is_not_null() | pl.col(f"p{valued[0]}").is_not_null()
        frame = texts.select(
            (
                pl.coalesce(f"q{place}", f"p{place}") if place in valued else pl.when(is_alike).then(pl.lit("true"))
            ).alias(key)
            for place, key in enumerate(self._keys)
        )
        return frame, (frame[self._keys[valued[0]]].is_null() & lines.is_not_null()).arg_true()


def _pairs(lines: pl.Series) -> pl.DataFrame:
    """Return row, key and value of each pair, the value null where it is no text."""
    import polars as pl

    found = lines.str.extract_all(_PAIR).alias("pair").to_frame().with_row_index("row")
    found = found.drop_nulls("pair").explode("pair")
    parts = found.select("row", pl.col("pair").str.splitn("=", 2).struct.rename_fields(["key", "value"])).unnest("pair")
    text = pl.col("value").fill_null("true")
    is_quoted = text.str.starts_with('"')
    parts = parts.with_columns(
        pl.when(is_quoted).then(text.str.slice(1, text.str.len_chars() - 2)).otherwise(text),
        is_quoted.alias("is_quoted"),
    )
    escaped = (parts["is_quoted"] & parts["value"].str.contains("\\", literal=True)).arg_true()
    if not len(escaped):
        return parts
    return parts.with_columns(parts["value"].scatter(escaped, _unescaped(parts["value"].gather(escaped))))


def _unescaped(texts: pl.Series) -> pl.Series:
    import polars as pl

    plain = texts.str.replace_many(_ESCAPES)
    coded = texts.str.contains(r"\u", literal=True).arg_true()
    return plain.scatter(coded, pl.Series([_decoded(text) for text in texts.gather(coded)], dtype=pl.String))


def _decoded(text: str) -> str | None:
    found: str = json.loads(f'"{text}"', strict=False)
    return None if any("\ud800" <= sign <= "\udfff" for sign in found) else found


def _spread(rows: pl.DataFrame, height: int) -> pl.Series:
    """Return the values of one key at their rows, null at all others."""
    import polars as pl

    if rows.height == height and rows["row"].is_unique().all():
        return rows["value"]
    places = pl.repeat(None, height, dtype=pl.UInt32, eager=True)
    return rows["value"].gather(places.scatter(rows["row"], pl.int_range(rows.height, dtype=pl.UInt32, eager=True)))


def _named(rows: pl.Series, height: int, words: str) -> Fault:
    import polars as pl

    is_faulty = pl.repeat(value=False, n=height, dtype=pl.Boolean, eager=True).scatter(rows, values=True)
    return is_faulty, lambda places: pl.repeat(words, len(places), eager=True)
