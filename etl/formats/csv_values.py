"""Fields of CSV as values of their declared types: each kept exactly, or null where it is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etl.formats.csv_moments import MomentRules, moments
from etl.schema import decimal_digits

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from etl.model import Schema

_MOMENTS = ("date", "time", "timestamp", "timestamp(UTC)")
_EXACT = {"float32": 2**24, "float64": 2**53}
"""Up to here every integer is a value of the type."""

_BLANKS = " \t"


@dataclass(frozen=True, slots=True)
class ValueRules:
    """How values are written: texts that are null, a comma for the decimal point, the forms of dates and times."""

    null_values: tuple[str, ...] = ("",)
    decimal_comma: bool = False
    moments: MomentRules = field(default_factory=MomentRules)

    @property
    def has_words(self) -> bool:
        """Whether a text that is not empty means null."""
        return any(self.null_values)


def direct_types(schema: Schema, dtypes: pl.Schema, names: list[str], rules: ValueRules) -> Mapping[str, pl.DataType]:
    """Return the types that Polars may parse into at once, by a column's place: it keeps their values, or refuses.

    Floats are to be looked at: ``are_exact``. Everything else is text first, and the last column always.
    """
    import polars as pl

    types: dict[str, pl.DataType] = {}
    for place, name in enumerate(names):
        word = schema.get(name)
        is_integer = isinstance(word, str) and "int" in word
        is_float = word in _EXACT and not rules.decimal_comma
        is_direct = (is_integer or is_float) and not rules.has_words and place < len(names) - 1
        types[str(place)] = dtypes[name] if is_direct else pl.String()
    return types


def text_types(names: list[str]) -> Mapping[str, pl.DataType]:
    """Return text for every column, by its place."""
    import polars as pl

    return {str(place): pl.String() for place in range(len(names))}


def are_exact(frame: pl.DataFrame) -> bool:
    """Tell whether no float is infinite or so large that an integer may have been rounded to it."""
    import polars as pl

    for column in frame:
        if column.dtype.is_float():
            limit = _EXACT["float32" if column.dtype == pl.Float32 else "float64"]
            bounds = (column.min(), column.max())
            if any(isinstance(bound, float) and abs(bound) >= limit for bound in bounds):
                return False
    return True


def is_text(word: str) -> bool:
    """Tell whether a quoted empty field is a value of the type; of every other type it is null."""
    return word in ("string", "binary")


def converted(texts: pl.Series, word: str, dtype: pl.DataType, rules: ValueRules) -> pl.Series:
    """Return values of the type ``word``; null where the text is null, blank (for types but text) or no such value."""
    import polars as pl

    if texts.dtype == dtype or is_text(word):
        return texts.cast(dtype)
    stripped = bare(texts)
    if word in _MOMENTS:
        return moments(stripped, word, rules.moments)
    if word == "boolean":
        low = stripped.str.to_lowercase()
        return low.is_in(["true", "1"]).zip_with(
            low.is_in(["true", "1", "false", "0"]), pl.Series([None], dtype=pl.Boolean).new_from_index(0, len(low))
        )
    if word == "null":
        return pl.Series([None]).new_from_index(0, len(texts))
    return _number(_pointed(stripped, rules), word, dtype)


def bare(texts: pl.Series) -> pl.Series:
    """Return texts without blanks around them, null where nothing else is left."""
    import polars as pl

    stripped = texts.str.strip_chars(_BLANKS)
    return pl.select(pl.when(stripped != "").then(stripped)).to_series()


def _pointed(texts: pl.Series, rules: ValueRules) -> pl.Series:
    """Return decimal commas as points; what has a point already is no number then."""
    import polars as pl

    if not rules.decimal_comma:
        return texts
    swapped = texts.str.replace(",", ".", literal=True)
    return pl.select(pl.when(~texts.str.contains(".", literal=True)).then(swapped)).to_series()


def _number(texts: pl.Series, word: str, dtype: pl.DataType) -> pl.Series:
    import polars as pl

    if digits := decimal_digits(word):
        scale = digits[1]
        fraction = rf"[0-9]+(?:\.[0-9]{{0,{scale}}}0*)?" + (rf"|\.[0-9]{{1,{scale}}}0*" if scale else "")
        is_exact = texts.str.contains(rf"^[+-]?(?:{fraction})$")
        texts = pl.select(pl.when(is_exact).then(texts)).to_series()
    values = texts.cast(dtype, strict=False)
    return _faithful(texts, values, word) if word in _EXACT else values


def _faithful(texts: pl.Series, values: pl.Series, word: str) -> pl.Series:
    """Return floats without those that are infinite by overflow, or whose text is an integer that was rounded."""
    is_large = (values.is_not_nan() & (values.abs() >= _EXACT[word])).fill_null(value=False)
    if not is_large.any():
        return values
    places = is_large.arg_true()
    pairs = zip(texts.gather(places), values.gather(places), strict=True)
    lost = [place for place, (text, value) in zip(places, pairs, strict=True) if not _is_kept(text, value)]
    return values.scatter(lost, [None] * len(lost)) if lost else values


def _is_kept(text: str, value: float) -> bool:
    if abs(value) == float("inf"):
        return "inf" in text.lower()
    sign = text.removeprefix("-").removeprefix("+")
    return not (sign.isascii() and sign.isdigit()) or int(value) == int(text)
