"""The formats of log lines by their names, and those that a pipeline file spells out: ``{regex: …}``, ``{grok: …}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from pydantic import Field, ValidationError, field_validator

from etl.errors import ConfigError
from etl.formats.access_log import AccessLog
from etl.formats.cri import Cri, PartialLines
from etl.formats.grok import grok
from etl.formats.log_lines import LogFormat, LogOptions
from etl.formats.log_records import Joiner, LineParser
from etl.formats.logfmt import Logfmt
from etl.formats.patterned import regex
from etl.formats.plain_lines import PlainLines
from etl.formats.syslog import SyslogRfc3164, SyslogRfc5424, check_timezone
from etl.schema_contract import EVOLVE, SchemaContract
from etl.vocabulary import nearest


class LinesFormat(LogFormat):
    """``lines``: each line as it is, blank ones too."""

    has_blank_rows = True

    def parser(self) -> LineParser:
        """Return what makes lines columns."""
        return PlainLines()


class CommonFormat(LogFormat):
    """``common``: access logs without referer and user agent."""

    def parser(self) -> LineParser:
        """Return what makes lines columns."""
        return AccessLog(is_combined=False)


class CombinedFormat(LogFormat):
    """``combined``: access logs as Apache and nginx write them."""

    def parser(self) -> LineParser:
        """Return what makes lines columns."""
        return AccessLog(is_combined=True)


class SyslogOptions(LogOptions):
    """``timezone`` is that of times that name none."""

    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _timezone_exists(cls, value: str) -> str:
        return check_timezone(value)


class Rfc3164Format(LogFormat):
    """``syslog_rfc3164``: what syslog daemons write to files."""

    options_model: ClassVar[type[LogOptions]] = SyslogOptions

    def parser(self) -> LineParser:
        """Return what makes lines columns."""
        return SyslogRfc3164(cast("SyslogOptions", self.options).timezone)


class Rfc5424Format(LogFormat):
    """``syslog_rfc5424``."""

    def parser(self) -> LineParser:
        """Return what makes lines columns."""
        return SyslogRfc5424()


class LogfmtFormat(LogFormat):
    """``logfmt``."""

    def parser(self) -> LineParser:
        """Return what makes lines columns."""
        return Logfmt()


class CriFormat(LogFormat):
    """``cri``: logs of containers; the parts of a line are joined."""

    def parser(self) -> LineParser:
        """Return what makes lines columns."""
        return Cri()

    def joiner(self) -> Joiner | None:
        """Return what makes lines records. Raises ConfigError for ``multiline``."""
        if self.options.multiline is not None:
            raise ConfigError("cri joins lines by their tags", hint="take `multiline` out")
        return PartialLines()


class RegexOptions(LogOptions):
    """The expression."""

    regex: str = Field(min_length=1)


class RegexFormat(LogFormat):
    """``{regex: …}``."""

    options_model: ClassVar[type[LogOptions]] = RegexOptions

    def parser(self) -> LineParser:
        """Return what makes lines columns."""
        return regex(cast("RegexOptions", self.options).regex)


class GrokOptions(LogOptions):
    """The pattern, and patterns of the user's own."""

    grok: str = Field(min_length=1)
    patterns: dict[str, str] = Field(default_factory=dict)


class GrokFormat(LogFormat):
    """``{grok: …}``."""

    options_model: ClassVar[type[LogOptions]] = GrokOptions

    def parser(self) -> LineParser:
        """Return what makes lines columns."""
        options = cast("GrokOptions", self.options)
        return grok(options.grok, options.patterns)


LOG_FORMATS: dict[str, type[LogFormat]] = {
    "lines": LinesFormat,
    "common": CommonFormat,
    "combined": CombinedFormat,
    "syslog_rfc3164": Rfc3164Format,
    "syslog_rfc5424": Rfc5424Format,
    "logfmt": LogfmtFormat,
    "cri": CriFormat,
}
"""Name to format; ``options_model`` of each is what ``format_options`` may hold."""

SPELT_OUT: dict[str, type[LogFormat]] = {"regex": RegexFormat, "grok": GrokFormat}
"""The key of a mapping that stands for a format, to the format."""


def format_from(
    value: object, options: Mapping[str, Any] | None = None, contract: SchemaContract = EVOLVE, where: str = "format"
) -> LogFormat:
    """Return the format that a pipeline file names (``combined``) or spells out (``{regex: …}``), with its options.

    Raises ConfigError.
    """
    kind, given = _kind(value, where)
    try:
        made = kind.options_model.model_validate({**given, **(options or {})})
    except ValidationError as exc:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in exc.errors())
        raise ConfigError("; ".join(faults), where=where, hint="see docs/formats.md") from exc
    try:
        return kind(made, contract)
    except ConfigError as exc:
        raise ConfigError(exc.message, where=where, hint=exc.hint) from exc


def _kind(value: object, where: str) -> tuple[type[LogFormat], Mapping[str, Any]]:
    if isinstance(value, str) and value in LOG_FORMATS:
        return LOG_FORMATS[value], {}
    if isinstance(value, Mapping):
        keys = [key for key in value if key in SPELT_OUT]
        if len(keys) == 1:
            return SPELT_OUT[keys[0]], value
    known = f"{', '.join(LOG_FORMATS)}, {{regex: …}} or {{grok: …}}"
    near = nearest(value, LOG_FORMATS) if isinstance(value, str) else ""
    raise ConfigError(f"{value!r} is no format of log lines{near}", where=where, hint=f"write {known}")
