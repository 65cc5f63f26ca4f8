"""The built-in log formats as data: each a sequence of named parts, and the expressions of their moments.

Every expression is one of the linear-time engine: no look-around, no back-references.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_YEAR = "[12][0-9]{3}"
_DAY_OF_MONTH = "(?:0[1-9]|[12][0-9]|3[01])"
_OFFSET_HOURS = "[+-](?:[01][0-9]|2[0-3])"

ACCESS_TIME = rf"{_DAY_OF_MONTH}/{_MONTH}/{_YEAR}:{_CLOCK} {_OFFSET_HOURS}[0-5][0-9]"
BSD_TIME = rf"{_MONTH} (?:[ 0]?[1-9]|[12][0-9]|3[01]) {_CLOCK}"
_ISO_DAY = rf"{_YEAR}-(?:0[1-9]|1[0-2])-{_DAY_OF_MONTH}"
_ISO_ZONE = rf"(?:Z|{_OFFSET_HOURS}:[0-5][0-9])"
ISO_TIME = rf"{_ISO_DAY}T{_CLOCK}(?:\.[0-9]{{1,6}})?{_ISO_ZONE}"
ISO_FORMAT = "%Y-%m-%dT%H:%M:%S%.f%#z"
ISO_NANOSECONDS = rf"(?P<moment>{_ISO_DAY}T{_CLOCK})(?:\.(?P<fraction>[0-9]{{1,9}}))?(?P<zone>{_ISO_ZONE})"

PRIORITY = "(?:1[0-8][0-9]|19[01]|0?[0-9]{1,2}|00[0-9])"
"""The number in ``<…>`` of syslog: 0 to 191."""

_METHOD = r"[!#$%&'*+.^_|~0-9A-Za-z-]+"
_PROTOCOL = r"HTTP/[0-9]+(?:\.[0-9]+)?"
REQUEST_LINE = rf"^(?P<method>{_METHOD}) (?P<path>[^ ]+) (?P<protocol>{_PROTOCOL})$"

_SD_NAME = r'[^\s="\]]+'
_SD_VALUE = r'(?:[^"\\\]]|\\[\s\S])*'
SD_PARAM = f'{_SD_NAME}="{_SD_VALUE}"'
SD_PARAM_NAMED = f'(?P<name>{_SD_NAME})="(?P<value>{_SD_VALUE})"'
SD_ELEMENT = rf"\[{_SD_NAME}(?: {SD_PARAM})*\]"
SD_ID = rf"\A\[({_SD_NAME})"


@dataclass(frozen=True)
class LinePattern:
    """A format as parts that follow one another, each with the name that people know it by."""

    format: str
    parts: tuple[tuple[str, str], ...]

    @cached_property
    def text(self) -> str:
        """The expression of a whole line, with a named group per column."""
        return rf"\A{''.join(part for _, part in self.parts)}\z"

    def reasons(self, lines: pl.Series) -> pl.Series:
        """Return, for lines that do not match, which part is the first that is not there."""
        import polars as pl

        reached = pl.repeat(0, len(lines), dtype=pl.UInt32, eager=True)
        for end in range(1, len(self.parts) + 1):
            prefix = rf"\A{''.join(part for _, part in self.parts[:end])}"
            reached += lines.str.contains(prefix).fill_null(value=False).cast(pl.UInt32)
        names = [f"{name} is missing or written otherwise" for name, _ in self.parts]
        texts = pl.Series([f"not in the format {self.format}: {words}" for words in [*names, "text behind its end"]])
        return texts.gather(reached)


def _quoted(name: str) -> tuple[str, str]:
    return f"{name} in quotes", rf' "(?P<{name}>(?:[^"\\]|\\[\s\S])*)"'


_ACCESS_HEAD = (("remote_addr", "(?P<remote_addr>[^ ]+)"), ("ident", " (?P<ident>[^ ]+)"))
_ACCESS_TIME = ("time, as 17/May/2015:10:05:03 +0000,", rf" \[(?P<time>{ACCESS_TIME})\]")
_ACCESS_NUMBERS = (("status", " (?P<status>[0-9]+|-)"), ("body_bytes", " (?P<body_bytes>[0-9]+|-)"))
_USER = ("remote_user", r" (?P<remote_user>[^ ][\s\S]*?)")
_PLAIN_USER = ("remote_user", " (?P<remote_user>[^ ]+)")
_PLAIN_REQUEST = (
    "request",
    rf' "(?P<request>(?P<method>{_METHOD}) (?P<path>[^ "\\]+) (?P<protocol>{_PROTOCOL}))"',
)


def _plainly_quoted(name: str) -> tuple[str, str]:
    return name, rf' "(?P<{name}>[^"\\]*)"'


COMMON = LinePattern("common", (*_ACCESS_HEAD, _USER, _ACCESS_TIME, _quoted("request"), *_ACCESS_NUMBERS))
COMBINED = LinePattern("combined", (*COMMON.parts, _quoted("referer"), _quoted("user_agent")))
"""Any line of the format."""

COMMON_PLAIN = LinePattern("common", (*_ACCESS_HEAD, _PLAIN_USER, _ACCESS_TIME, _PLAIN_REQUEST, *_ACCESS_NUMBERS))
COMBINED_PLAIN = LinePattern(
    "combined", (*COMMON_PLAIN.parts, _plainly_quoted("referer"), _plainly_quoted("user_agent"))
)
"""Almost every line: without escapes, with an ordinary request; matched three times as fast, to the same columns."""

RFC3164 = LinePattern(
    "syslog_rfc3164",
    (
        ("the priority, <0> to <191>,", rf"(?:<(?P<priority>{PRIORITY})>)?"),
        ("timestamp, as `Mar  5 10:20:30`,", rf"(?:(?P<bsd>{BSD_TIME})|(?P<iso>{ISO_TIME}))"),
        ("hostname", " (?P<hostname>[^ ]+)"),
        ("message", r" (?:(?P<app_name>[^\s:\[\]]+)(?:\[(?P<proc_id>[^\s\]]+)\])?: ?)?(?P<message>[\s\S]*)"),
    ),
)
RFC5424 = LinePattern(
    "syslog_rfc5424",
    (
        ("the priority, <0> to <191>,", rf"<(?P<priority>{PRIORITY})>"),
        ("version", "(?P<version>[1-9][0-9]{0,2})"),
        ("timestamp, as 2024-03-05T10:20:30.123456Z,", f" (?P<iso>-|{ISO_TIME})"),
        ("hostname", " (?P<hostname>[^ ]+)"),
        ("app_name", " (?P<app_name>[^ ]+)"),
        ("proc_id", " (?P<proc_id>[^ ]+)"),
        ("msg_id", " (?P<msg_id>[^ ]+)"),
        ("structured_data", f" (?P<structured_data>-|(?:{SD_ELEMENT})+)"),
        ("message", r"(?: (?P<message>[\s\S]*))?"),
    ),
)
CRI = LinePattern(
    "cri",
    (
        ("timestamp, as 2024-03-05T10:20:30.123456789Z,", ISO_NANOSECONDS),
        ("stream, stdout or stderr,", " (?P<stream>stdout|stderr)"),
        ("the tag, P or F,", " (?P<tag>[PF])(?::[^ ]*)?"),
        ("message", r" (?P<message>[\s\S]*)"),
    ),
)
