"""logfmt: ``level=info msg="it works" took=3ms done``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from etl.formats.log_columns import frame_of, without
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

        good = self.parse(lines.zip_with(~parsed.is_bad, pl.Series([None], dtype=pl.String)))
        return Parsed(good.frame, parsed.reasons)


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
