"""Syslog: lines as RFC 3164 describes them and as rsyslog writes them to files, and those of RFC 5424."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from etl.errors import ConfigError
from etl.formats.log_columns import groups, if_dash, other, without, wrong
from etl.formats.log_patterns import ISO_FORMAT, RFC3164, RFC5424
from etl.formats.structured_data import STRUCTURED_DATA, structured

if TYPE_CHECKING:
    import polars as pl

    from etl.formats.log_records import Parsed
    from etl.model import Schema

_COLUMNS: Schema = {
    "priority": "int64",
    "facility": "int64",
    "severity": "int64",
    "timestamp": "timestamp(UTC)",
    "hostname": "string",
    "app_name": "string",
    "proc_id": "string",
    "message": "string",
}
_SEVERITIES = 8
_LEAP_YEARS_APART = 8
_AHEAD = timedelta(days=1)


class SyslogRfc3164:
    """``<pri>Mar  5 10:20:30 host app[pid]: message``, with or without ``<pri>``; the time may also be ISO 8601.

    Where no ``app:`` or ``app[pid]:`` follows the host, all of it is ``message``. A time without a year is of the
    newest year in which it is not more than a day ahead of the reference; without a zone it is of ``timezone``: of two
    moments when clocks are set back the earlier one, and none when they are set forward.
    """

    schema: Schema = _COLUMNS

    def __init__(self, timezone: str = "UTC") -> None:
        self._timezone = timezone

    def parse(self, lines: pl.Series, reference: datetime | None) -> Parsed:
        """Return lines as columns."""
        import polars as pl

        texts = groups(lines, RFC3164.text)
        naive = self._with_year(texts["bsd"], reference)
        local = naive.dt.replace_time_zone(self._timezone, ambiguous="earliest", non_existent="null")
        moments = local.dt.convert_time_zone("UTC")
        if texts["iso"].null_count() < len(lines):
            moments = moments.zip_with(texts["bsd"].is_not_null(), _iso(texts["iso"]))
        has_time = texts["bsd"].is_not_null() | texts["iso"].is_not_null()
        is_skipped = naive.is_not_null() & local.is_null()
        times = texts.select(pl.coalesce("bsd", "iso").alias("timestamp")).to_series()
        faults = [
            other(lines, RFC3164, texts["hostname"].is_null() & lines.is_not_null()),
            wrong(times, is_skipped, f"does not exist in {self._timezone}: clocks were set forward"),
            wrong(times, has_time & moments.is_null(), "is no day of the calendar"),
        ]
        return without(_columns(texts, moments, texts["message"]), faults)

    def _with_year(self, texts: pl.Series, reference: datetime | None) -> pl.Series:
        import polars as pl

        if texts.null_count() == len(texts):
            return texts.cast(pl.Datetime("us"))
        if reference is None:
            raise ConfigError("nothing tells the year", hint="the file has no modified time; use another format")
        return with_year(texts, reference.astimezone(ZoneInfo(self._timezone)))


class SyslogRfc5424:
    """``<pri>1 2024-03-05T10:20:30.123Z host app pid msg [id name="value"] message``; a mark of UTF-8 is left out."""

    schema: Schema = _COLUMNS | {"version": "int64", "msg_id": "string", "structured_data": STRUCTURED_DATA}

    def parse(self, lines: pl.Series, _reference: datetime | None = None) -> Parsed:
        """Return lines as columns."""
        import polars as pl

        texts = groups(lines, RFC5424.text)
        moments = _iso(texts["iso"])
        times = texts["iso"].alias("timestamp")
        faults = [
            other(lines, RFC5424, texts["hostname"].is_null() & lines.is_not_null()),
            wrong(times, moments.is_null() & (times != "-"), "is no day of the calendar"),
        ]
        frame = _columns(texts, moments, texts["message"].str.strip_prefix("\ufeff"))
        more = texts.select(pl.col("version").cast(pl.Int64), if_dash("msg_id"))
        return without(frame.hstack([*more, structured(texts["structured_data"])]), faults)


def _columns(texts: pl.DataFrame, moments: pl.Series, messages: pl.Series) -> pl.DataFrame:
    import polars as pl

    priority = pl.col("priority").cast(pl.Int64)
    return texts.select(
        priority,
        (priority // _SEVERITIES).alias("facility"),
        (priority % _SEVERITIES).alias("severity"),
        moments.alias("timestamp"),
        *(if_dash(name) for name in ("hostname", "app_name", "proc_id")),
        messages.alias("message"),
    )


def _iso(texts: pl.Series) -> pl.Series:
    return texts.str.to_datetime(ISO_FORMAT, time_unit="us", time_zone="UTC", strict=False)


def with_year(texts: pl.Series, reference: datetime) -> pl.Series:
    """Return ``Mar  5 10:20:30`` as moments without a zone, in the zone of ``reference``; null for no day at all."""
    import polars as pl

    limit = (reference + _AHEAD).replace(tzinfo=None)
    found = _of_year(texts, limit.year, limit)
    for year in range(limit.year - 1, limit.year - 1 - _LEAP_YEARS_APART, -1):
        left = (found.is_null() & texts.is_not_null()).arg_true()
        if not len(left):
            break
        found = found.scatter(left, _of_year(texts.gather(left), year, limit))
    return found if found.dtype == pl.Datetime("us") else found.cast(pl.Datetime("us"))


def _of_year(texts: pl.Series, year: int, limit: datetime) -> pl.Series:
    import polars as pl

    column = (f"{year} " + texts).str.to_datetime("%Y %b %e %H:%M:%S", time_unit="us", strict=False)
    return pl.select(pl.when(column <= limit).then(column)).to_series()


def check_timezone(name: str) -> str:
    """Return the name of a time zone. Raises ValueError for one that the IANA database lacks."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as exc:
        raise ValueError(f"{name!r} is no time zone; write UTC or a name such as Europe/Berlin") from exc
    return name
