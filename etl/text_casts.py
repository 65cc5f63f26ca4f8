"""Text as another type, in SQL: how it must be written, and a query that reads it so and in no other way.

Polars' own cast of text guesses the form of a date, rounds a decimal and takes ``1e400`` for infinity.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from etl.errors import ConfigError

MAX_SQL = 50_000
"""How long the SQL of one cast may be: its operand stands in it three times, and an operand may be a cast."""

_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
DAY = (
    "(?:[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    f"|{_LEAP_YEAR}-02-29)"
)
_MINUTES = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
CLOCK = rf"{_MINUTES}:[0-5][0-9](?:\.[0-9]{{1,6}})?"
ZONE = "(?:Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)"
"""A day that exists, a time of day up to microseconds and without leap seconds, an offset from UTC: as in ISO 8601."""

ZONED_FORMAT = "%Y-%m-%d %H:%M:%S%.f%#z"
PLAIN_FORMAT = "%Y-%m-%d %H:%M:%S%.f"

_REFUSED = re.compile(r"failed in column .* values: \[\"('.*?' is not [^\"]*)\"", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Form:
    """How a type is written: ``words`` for people, and SQL. ``@`` is the text, in ``read`` the text once checked."""

    words: str
    guard: str
    read: str
    clean: str = "@"


def _matches(pattern: str) -> str:
    return f"@ ~ '^{pattern}$'"


def _float(word: str) -> str:
    return f"(ABS(TRY_CAST(@ AS {word})) < CAST('inf' AS {word}) OR @ ~* '^[+-]?(?:inf|infinity|nan)$')"


_FORMS = {
    "DATE": _Form(
        "a date as ISO 8601 writes it (2024-03-05)",
        _matches(rf"{DAY}(?:[T ]{_MINUTES}(?::[0-5][0-9](?:\.[0-9]+)?)?{ZONE}?)?"),
        "DATE(@, '%Y-%m-%d')",
        "LEFT(@, 10)",
    ),
    "TIME": _Form("a time of day as ISO 8601 writes it (10:20:30)", _matches(CLOCK), "TIME(@, '%H:%M:%S%.f')"),
    "TIMESTAMP": _Form(
        "a date and time without a zone as ISO 8601 writes them (2024-03-05T10:20:30)",
        _matches(f"{DAY}[T ]{CLOCK}"),
        f"STRPTIME(@, '{PLAIN_FORMAT}')",
        "REPLACE(@, 'T', ' ')",
    ),
    "TIMESTAMP WITH TIME ZONE": _Form(
        "a date and time with a zone as ISO 8601 writes them (2024-03-05T10:20:30Z)",
        _matches(f"{DAY}[T ]{CLOCK}{ZONE}"),
        f"STRPTIME(@, '{ZONED_FORMAT}')",
        "REPLACE(@, 'T', ' ')",
    ),
    "BOOLEAN": _Form(
        "true or false",
        "@ IN ('true', 'false')",
        "(CAST(@ AS TINYINT) = 1)",
        "REPLACE(REPLACE(@, 'true', '1'), 'false', '0')",
    ),
    "REAL": _Form("a number that a REAL can hold", _float("REAL"), "CAST(@ AS REAL)"),
    "DOUBLE": _Form("a number that a DOUBLE can hold", _float("DOUBLE"), "CAST(@ AS DOUBLE)"),
}


def cast_text(text: str, word: str, *, is_try: bool) -> str:
    """Return the query for ``text``, itself SQL, as the type ``word``.

    Text that is written otherwise gives null under ``is_try``, else an error that ``refused_text`` reads. Raises
    ConfigError where casts of casts make the query too long.
    """
    form = _decimal(word) if word.startswith("DECIMAL") else _FORMS.get(word)
    if form is None:
        return f"{'TRY_' if is_try else ''}CAST({text} AS {word})"
    otherwise = "NULL" if is_try else f"'''' || @ || ''' is not {form.words}'"
    checked = f"(CASE WHEN {form.guard} THEN {form.clean} ELSE {otherwise} END)".replace("@", text)
    if len(checked) > MAX_SQL:
        raise ConfigError("nested too deeply", hint="cut it into several with_columns")
    return form.read.replace("@", checked)


def _decimal(word: str) -> _Form:
    """Return the form of a decimal: no more digits than it keeps; zeros at the end do not count."""
    found = re.search(r"\((\d+)(?:, (\d+))?\)", word)
    scale = int(found[2] or 0) if found else 9
    digits = _matches(rf"[+-]?[0-9]*(?:\.[0-9]{{0,{scale}}}0*)?")
    return _Form(
        f"a number that {word} holds exactly",
        f"({digits} AND TRY_CAST(@ AS {word}) IS NOT NULL)",
        f"CAST(@ AS {word})",
    )


def refused_text(message: str) -> str | None:
    """Return what a message of Polars says about text that ``cast_text`` refused, None for any other message."""
    found = _REFUSED.search(message)
    return found[1] if found else None
