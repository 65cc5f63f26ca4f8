"""The type of a column of text, by its values: one that keeps every one of them, else text, and why not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_INTEGER = r"^-?(?:0|[1-9][0-9]*)$"
_DECIMAL = r"^-?(?:0|[1-9][0-9]*)\.[0-9]+$"
_FLOAT = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$"
_ZEROS = r"^-?0[0-9]+(?:\.[0-9]+)?$"
_COMMA = r"^-?(?:0|[1-9][0-9]*),[0-9]+$"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
_LONG_CLOCK = r"\d:[0-5][0-9]\.[0-9]{7,}"
_ISO_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_ZONE = r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
_DATES = {
    "%d.%m.%Y": r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4}",
    "%d/%m/%Y": r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}",
    "%m/%d/%Y": r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}",
    "%d-%m-%Y": r"[0-9]{1,2}-[0-9]{1,2}-[0-9]{4}",
    "%m-%d-%Y": r"[0-9]{1,2}-[0-9]{1,2}-[0-9]{4}",
    "%Y/%m/%d": r"[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}",
    "%Y.%m.%d": r"[0-9]{4}\.[0-9]{1,2}\.[0-9]{1,2}",
    "%d %b %Y": r"[0-9]{1,2} [A-Z][a-z]{2} [0-9]{4}",
    "%b %d, %Y": r"[A-Z][a-z]{2} [0-9]{1,2}, [0-9]{4}",
}
_CLOCKS = {
    "%H:%M": r"[0-9]{2}:[0-9]{2}",
    "%H:%M:%S": r"[0-9]{2}:[0-9]{2}:[0-9]{2}",
    "%H:%M:%S%.f": r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?",
}
_EXACT_DIGITS = 15
_MAX_DIGITS = 38
_USUAL_DIGITS = 18
_NEARLY = 0.9
"""So many values of a type make the others worth a word."""

_SHOWN = 3
_TRIED = 200


@dataclass(frozen=True, slots=True)
class Verdict:
    """A type, what was doubtful about it, and the form that its dates or timestamps are written in, if not ISO."""

    type: str
    note: str = ""
    form: str = ""


def uses_decimal_comma(columns: list[pl.Series]) -> bool:
    """Tell whether numbers have a comma: some column has nothing else, and none has numbers with a point."""

    def are_all(pattern: str, values: pl.Series) -> bool:
        return bool(len(values)) and bool(values.str.contains(f"{pattern}|{_INTEGER}").all())

    given = [column.drop_nulls() for column in columns]
    with_comma = any(are_all(_COMMA, values) and values.str.contains(_COMMA).any() for values in given)
    with_point = any(are_all(_DECIMAL, values) and values.str.contains(_DECIMAL).any() for values in given)
    return with_comma and not with_point


def verdict_of(column: pl.Series, *, has_comma: bool = False) -> Verdict:
    """Return the type of a column of text, ``string`` where no other keeps each value.

    ``has_comma``: numbers are written 1,5. Blanks around values do not count, as in the format.
    """
    values = column.drop_nulls().str.strip_chars(" \t")
    values = values.filter(values != "")
    if not len(values):
        return Verdict("string", "no value in the sample")
    if values.str.contains(_ZEROS).any():
        return Verdict("string", "leading zeros: kept as text")
    numbers = partial(_fraction, has_comma=has_comma)
    best, best_mask = Verdict("string"), _none(values)
    for look in (_boolean, _integer, numbers, _day, _moment):
        mask, verdict = look(values)
        if mask.all():
            return verdict
        if mask.sum() > best_mask.sum():
            best, best_mask = verdict, mask
    if best_mask.sum() < _NEARLY * len(values) or best.type == "string":
        return Verdict("string", best.note if best_mask.sum() else _why_text(values, has_comma=has_comma))
    wrong = values.filter(~best_mask)
    shown = ", ".join(repr(each) for each in wrong.unique(maintain_order=True).head(_SHOWN))
    return Verdict("string", f"{len(wrong):,} of {len(values):,} values are no {best.type}: {shown}")


def _why_text(values: pl.Series, *, has_comma: bool) -> str:
    if values.str.contains(f"^{_CLOCK}$").all():
        return "times of day, for which Delta has no type: kept as text"
    if values.str.contains(_LONG_CLOCK).all():
        return "more than six digits behind the second: kept as text"
    if not has_comma and values.str.contains(f"{_COMMA}|{_INTEGER}").all():
        return "decimal commas, while other columns have points: kept as text"
    return ""


def _boolean(values: pl.Series) -> tuple[pl.Series, Verdict]:
    return values.str.to_lowercase().is_in(["true", "false"]), Verdict("boolean")


def _integer(values: pl.Series) -> tuple[pl.Series, Verdict]:
    import polars as pl

    mask = values.str.contains(_INTEGER)
    numbers = values.filter(mask)
    if _longest(numbers.str.strip_prefix("-")) > _MAX_DIGITS:
        return _none(values), Verdict("string")
    if numbers.cast(pl.Int64, strict=False).null_count():
        return mask, Verdict(f"decimal({_MAX_DIGITS},0)", "integers beyond int64")
    may_be_days = len(numbers) and numbers.str.contains("^(?:19|20)[0-9]{6}$").all()
    if may_be_days and not numbers.str.to_date("%Y%m%d", strict=False).null_count():
        return mask, Verdict("int64", "perhaps dates: `date`, with date_format: '%Y%m%d'")
    return mask, Verdict("int64")


def _fraction(values: pl.Series, *, has_comma: bool) -> tuple[pl.Series, Verdict]:
    import polars as pl

    mask = values.str.contains(_FLOAT.replace(r"\.", ",") if has_comma else _FLOAT)
    pointed = values.str.replace(",", ".", literal=True)
    mask &= pointed.cast(pl.Float64, strict=False).is_finite().fill_null(value=False)
    numbers = pointed.filter(mask)
    plain = numbers.filter(~numbers.str.contains("[eE]"))
    digits = _longest(plain.str.replace_all(r"[^0-9]", ""))
    scales = plain.str.extract(r"\.([0-9]+)$", 1).str.len_bytes().fill_null(0)
    scale = max(scales, default=0)
    is_even = len(plain) == len(numbers) and scales.n_unique() == 1 and scale > 0
    if is_even and digits <= _USUAL_DIGITS:
        return mask, Verdict(f"decimal({_USUAL_DIGITS},{scale})")
    if digits <= _EXACT_DIGITS:
        return mask, Verdict("float64")
    whole = _longest(plain.str.extract(r"^-?([0-9]+)", 1))
    if len(plain) == len(numbers) and whole + scale <= _MAX_DIGITS:
        return mask, Verdict(f"decimal({_MAX_DIGITS},{scale})", "more digits than float64 keeps")
    return mask, Verdict("string", "numbers with more digits than any type keeps: kept as text")


def _none(values: pl.Series) -> pl.Series:
    """Return a mask of no value."""
    return values.str.len_bytes() < 0


def _longest(texts: pl.Series) -> int:
    return max(texts.drop_nulls().str.len_bytes(), default=0)


def _day(values: pl.Series) -> tuple[pl.Series, Verdict]:
    import polars as pl

    iso = _parsed(values, f"^{_ISO_DATE}$", "%Y-%m-%d", pl.Date())
    if iso.any():
        return iso, Verdict("date")
    return _formed(values, "date", {form: (form, pattern) for form, pattern in _DATES.items()})


def _moment(values: pl.Series) -> tuple[pl.Series, Verdict]:
    zoned = values.str.contains(f"^{_ISO_DATE}[T ]{_CLOCK}{_ZONE}$")
    local = values.str.contains(f"^{_ISO_DATE}[T ]{_CLOCK}$")
    if zoned.any() or local.any():
        is_zoned = zoned.sum() >= local.sum()
        return (zoned, Verdict("timestamp(UTC)")) if is_zoned else (local, Verdict("timestamp"))
    forms = {
        f"{day}{gap}{clock}": (day, f"{days}{gap}{clocks}")
        for day, days in _DATES.items()
        for gap in (" ", "T")
        for clock, clocks in _CLOCKS.items()
    }
    return _formed(values, "timestamp", forms)


def _formed(values: pl.Series, word: str, forms: dict[str, tuple[str, str]]) -> tuple[pl.Series, Verdict]:
    """Return the form in which most values are written; where day and month may change places, it is text.

    ``forms``: how days are written in each, and a pattern of the whole.
    """
    import polars as pl

    kind: pl.Date | pl.Datetime = pl.Date() if word == "date" else pl.Datetime("us")
    first = values.head(_TRIED)
    fitting: dict[str, tuple[pl.Series, str]] = {}
    for form, (day, pattern) in forms.items():
        if first.str.contains(f"^{pattern}$").any():
            mask = _parsed(values, f"^{pattern}$", form, kind)
            if day not in fitting or mask.sum() > fitting[day][0].sum():
                fitting[day] = (mask, form)
    most = max((mask.sum() for mask, _ in fitting.values()), default=0)
    best = [(mask, form) for mask, form in fitting.values() if mask.sum() == most]
    if not most:
        return _none(values), Verdict(word)
    if len(best) > 1:
        return best[0][0], Verdict("string", f"{values[0]}: day or month first? both fit")
    return best[0][0], Verdict(word, form=best[0][1])


def _parsed(values: pl.Series, pattern: str, form: str, kind: pl.Date | pl.Datetime) -> pl.Series:
    """Return a mask of the values that are written as ``pattern`` and mean a day or moment as ``form``."""
    import polars as pl

    mask = values.str.contains(pattern)
    written = pl.select(pl.when(mask).then(values)).to_series()
    return written.str.strptime(kind, form, strict=False).is_not_null()
