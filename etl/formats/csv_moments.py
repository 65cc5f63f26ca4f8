"""Dates and times in CSV: ISO 8601, or a declared form; never a guess."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from etl.schema import arrow_type, to_polars
from etl.text_casts import DAY, ZONE

if TYPE_CHECKING:
    import polars as pl

_CLOCK = r"(?:[01][0-9]|2[0-3])(?::[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?)?"
_ISO = {
    "date": f"^{DAY}$",
    "timestamp": f"^{DAY}(?:[T ]{_CLOCK})?$",
    "timestamp(UTC)": f"^{DAY}[T ]{_CLOCK}{ZONE}$",
    "time": f"^{_CLOCK}$",
}
_ZONED = f"{ZONE}$"
_FIRST_YEAR = 1000
"""Under ``%Y`` a year has four digits; Polars takes ``24`` for the year 24."""


@dataclass(frozen=True, slots=True)
class MomentRules:
    """How dates and timestamps are written (None: ISO 8601), and the zone of timestamps without an offset."""

    date_format: str | None = None
    timestamp_format: str | None = None
    timezone: str | None = None

    def form(self, word: str) -> str | None:
        """Return the declared form of a type."""
        return {"date": self.date_format, "time": None}.get(word, self.timestamp_format)


def moments(texts: pl.Series, word: str, rules: MomentRules) -> pl.Series:
    """Return values of ``date``, ``time``, ``timestamp`` or ``timestamp(UTC)``, null for what is none."""
    form = rules.form(word)
    if form is None:
        return _iso_in_zone(texts, rules.timezone) if word == "timestamp(UTC)" and rules.timezone else _iso(texts, word)
    has_offset = _has_offset(form)
    if word == "timestamp" and has_offset:
        return texts.clear().cast(to_polars({"": word})[""]).extend_constant(None, len(texts))
    if word == "timestamp(UTC)" and not has_offset:
        plain = _formed(texts, "timestamp", form)
        return (
            _in_zone(plain, rules.timezone)
            if rules.timezone
            else _in_zone(plain.clear(), "UTC").extend_constant(None, len(texts))
        )
    return _formed(texts, word, form)


def _has_offset(form: str) -> bool:
    return any(sign in form for sign in ("%z", "%:z", "%#z", "%::z"))


def _formed(texts: pl.Series, word: str, form: str) -> pl.Series:
    """Return what is written as ``form`` says, in all of its digits."""
    import polars as pl

    values = texts.str.strptime(_kind(word), form, strict=False, exact=True)
    keep = values.dt.year() >= _FIRST_YEAR
    if "f" in form:
        keep &= ~texts.str.contains(r"\.[0-9]{6}[0-9]*[1-9]")
    return pl.select(pl.when(keep).then(values)).to_series()


def _kind(word: str) -> pl.Date | pl.Datetime:
    import polars as pl

    return pl.Date() if word == "date" else pl.Datetime("us", "UTC" if word == "timestamp(UTC)" else None)


def _in_zone(values: pl.Series, zone: str) -> pl.Series:
    """Return local times of a zone; null for what a change of the clocks makes doubtful."""
    placed = values.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
    return placed.dt.convert_time_zone("UTC")


def _iso_in_zone(texts: pl.Series, zone: str) -> pl.Series:
    import polars as pl

    is_zoned = texts.str.contains(_ZONED) & (texts.str.len_bytes() > len("2024-01-01"))
    zoned = _iso(pl.select(pl.when(is_zoned).then(texts)).to_series(), "timestamp(UTC)")
    local = _iso(pl.select(pl.when(~is_zoned).then(texts)).to_series(), "timestamp")
    return zoned.zip_with(zoned.is_not_null(), _in_zone(local, zone))


def _iso(texts: pl.Series, word: str) -> pl.Series:
    """Return ISO 8601 text as values. pyarrow is strict and fast but says nothing of which text it refuses."""
    import polars as pl
    import pyarrow as pa

    has_year_0 = texts.str.starts_with("0000")
    try:
        if not has_year_0.any():
            return _cast(texts, word)
    except pa.ArrowInvalid:
        pass
    is_iso = texts.str.contains(_ISO[word]) & ~has_year_0
    return _cast(pl.select(pl.when(is_iso).then(texts)).to_series(), word)


def _cast(texts: pl.Series, word: str) -> pl.Series:
    import polars as pl
    import pyarrow as pa
    import pyarrow.compute as pc

    array = texts.to_arrow()
    if word == "time":
        day, nothing = (pa.scalar(text, array.type) for text in ("1970-01-01T", ""))
        moment = pc.cast(pc.binary_join_element_wise(day, array, nothing), pa.timestamp("us"))
        array = pc.cast(moment, pa.time64("us"))
    else:
        array = pc.cast(array, arrow_type(word))
    found = pl.from_arrow(array)
    if not isinstance(found, pl.Series):
        raise TypeError(found)
    return found.cast(to_polars({"": word})[""])


def check_form(form: str) -> str:
    """Return a form of dates or timestamps, as ``strptime`` takes it. Raises ValueError for one that reads nothing."""
    import polars as pl

    sample = datetime(2024, 3, 5, 10, 20, 30, 123456, tzinfo=UTC)
    for kind in (pl.Datetime("us"), pl.Date()):
        try:
            text = pl.Series([sample]).dt.to_string(form)
            [found] = text.str.strptime(kind, form, strict=False, exact=True)
        except pl.exceptions.PolarsError:
            continue
        if found is not None and (found.year, found.month, found.day) == (sample.year, sample.month, sample.day):
            return form
    raise ValueError(f"{form!r} does not say what a day is, as %d.%m.%Y does")
