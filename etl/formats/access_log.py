"""Access logs of Apache and nginx: ``common`` and ``combined``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.formats.log_columns import groups, if_dash, other, overlaid, without, wrong
from etl.formats.log_patterns import COMBINED, COMBINED_PLAIN, COMMON, COMMON_PLAIN, REQUEST_LINE

if TYPE_CHECKING:
    from datetime import datetime

    import polars as pl

    from etl.formats.log_records import Parsed
    from etl.model import Schema

_TIME_FORMAT = "%d/%b/%Y:%H:%M:%S %z"
_COMMON: Schema = {
    "remote_addr": "string",
    "ident": "string",
    "remote_user": "string",
    "time": "timestamp(UTC)",
    "request": "string",
    "method": "string",
    "path": "string",
    "protocol": "string",
    "status": "int64",
    "body_bytes": "int64",
}
_INTEGERS = ("status", "body_bytes")


class AccessLog:
    """Lines of an access log. Text in quotes stays as it is written, with its escapes; ``-`` is null.

    A request that is not `METHOD path HTTP/version` has no ``method``, ``path`` and ``protocol``.
    """

    def __init__(self, *, is_combined: bool) -> None:
        self._pattern = COMBINED if is_combined else COMMON
        self._plain = COMBINED_PLAIN if is_combined else COMMON_PLAIN
        more: Schema = {"referer": "string", "user_agent": "string"} if is_combined else {}
        self.schema: Schema = _COMMON | more

    def parse(self, lines: pl.Series, _reference: datetime | None = None) -> Parsed:
        """Return lines as columns."""
        texts = groups(lines, self._plain.text)
        others = (texts["remote_addr"].is_null() & lines.is_not_null()).arg_true()
        if len(others):
            texts = overlaid(texts, others, self._any(lines.gather(others), texts.columns))
        frame = texts.select(self._column(name) for name in self.schema)
        faults = [
            other(lines, self._pattern, texts["remote_addr"].is_null() & lines.is_not_null()),
            wrong(texts["time"], frame["time"].is_null() & texts["time"].is_not_null(), "is no day of the calendar"),
        ]
        faults += [
            wrong(texts[name], frame[name].is_null() & (texts[name] != "-"), "is beyond int64") for name in _INTEGERS
        ]
        return without(frame, faults)

    def _any(self, lines: pl.Series, names: list[str]) -> pl.DataFrame:
        """Return the texts of lines that are not plain."""
        texts = groups(lines, self._pattern.text)
        return texts.hstack(groups(texts["request"], REQUEST_LINE)).select(names)

    def _column(self, name: str) -> pl.Expr:
        import polars as pl

        if name == "time":
            return pl.col(name).str.to_datetime(_TIME_FORMAT, time_unit="us", time_zone="UTC", strict=False)
        return pl.col(name).cast(pl.Int64, strict=False) if name in _INTEGERS else if_dash(name)
