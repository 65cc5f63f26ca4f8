"""The templates, and what every text goes through on its way into a page: secrets masked, control characters spelt."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError
from etl.readable import count, counted, escaped, moment, size
from etl.secrets import mask

if TYPE_CHECKING:
    from jinja2 import Environment

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_LONGEST = 4_000


def clean(text: str) -> str:
    r"""Return text from anywhere, made harmless for people: no secret, no control or direction character, no end.

    >>> clean("a\u202eb\x1b[0m")
    'a\\u202eb\\x1b[0m'
    """
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"
    return escaped(mask(short), keep="\n")


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the templates. Everything that they print is cleaned, and then escaped for HTML."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def printed(value: Any) -> Any:  # noqa: ANN401  whatever a template prints
        return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    made = Environment(
        loader=PackageLoader("etl.service.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=printed,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "count": count,
        "size": size,
        "moment": moment,
        "duration": duration,
        "json": as_json,
        "short": short_count,
    }
    made.globals |= {"counted": counted}
    return made


def need_web() -> None:
    """Refuse to go on without the libraries of the page. Raises ConfigError."""
    try:
        import jinja2
        import starlette
        import uvicorn
    except ImportError as exc:
        raise ConfigError(
            f"the status page needs another package ({exc.name})", hint='install it: pip install "lakehouse-etl[web]"'
        ) from exc
    del jinja2, starlette, uvicorn


def as_json(value: Any) -> str:  # noqa: ANN401  any plain value
    """Return plain values as JSON for an attribute; each text in it is cleaned."""
    return json.dumps(_cleaned(value), ensure_ascii=True, separators=(",", ":"))


def _cleaned(value: Any) -> Any:  # noqa: ANN401  any plain value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): _cleaned(each) for key, each in value.items()}
    return [_cleaned(each) for each in value] if isinstance(value, list | tuple) else value


def duration(seconds: float | None) -> str:
    """Return a length of time in its largest fitting unit.

    >>> duration(0.0123), duration(4.21), duration(75), duration(7300), duration(200_000), duration(None)
    ('12 ms', '4.2 s', '1 min', '2 h', '2 d', '-')
    """
    if seconds is None:
        return "-"
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004  two digits
    for unit, unit_s in (("min", _MINUTE), ("h", _HOUR)):
        if seconds < unit_s * (_MINUTE if unit == "min" else 48):
            return f"{seconds / unit_s:.0f} {unit}" if seconds / unit_s >= 2 else f"{int(seconds // unit_s)} {unit}"  # noqa: PLR2004
    return f"{seconds / _DAY:.0f} d"


def since(text: str, now: datetime) -> str:
    """Return how long ago a moment was, or how soon it is; nothing for what is no moment."""
    at = parsed(text)
    if at is None:
        return ""
    seconds = (now - at).total_seconds()
    if abs(seconds) < 2:  # noqa: PLR2004  now, for people
        return "now"
    told = duration(float(int(abs(seconds)))).replace(".0 ", " ")
    return f"{told} ago" if seconds > 0 else f"in {told}"


def short_count(number: float | None) -> str:
    """Return a figure that fits four places.

    >>> short_count(950), short_count(12_345), short_count(3_400_000), short_count(None)
    ('950', '12.3k', '3.4M', '-')
    """
    if number is None:
        return "-"
    for unit, size_of in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= size_of:
            return f"{number / size_of:.1f}{unit}"
    return f"{number:.0f}"


def parsed(text: str | None) -> datetime | None:
    """Return an ISO moment, aware; None for none, and for what is no moment."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
