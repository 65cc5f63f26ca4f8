"""Lines by an expression of the user's: each named group is a column.

The engine is linear: time grows with the line and with the pattern, whatever they hold. So there is no look-around and
no back-reference, and a pattern has an upper size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.errors import ConfigError
from etl.formats.log_columns import groups, without, wrong
from etl.formats.typed_text import typed
from etl.schema import to_polars

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import polars as pl

    from etl.formats.log_records import Parsed
    from etl.model import Schema

MAX_PATTERN = 20_000
MAX_REPEAT = 1_000
"""How many signs a pattern may have, and how often it may say that something repeats: ``{1000}``."""

_WHOLE = r"\A(?:{})\z"
_NOTHING = "the pattern does not match the whole line"
_HINT = "patterns run in linear time: there is no look-around and no back-reference"


@dataclass(frozen=True, slots=True)
class Group:
    """A named group and the column that it becomes."""

    name: str
    column: str
    type: str = "string"


class Patterned:
    """Lines that a pattern matches as a whole; a group that takes no part in the match is null."""

    def __init__(self, pattern: str, columns: Sequence[Group]) -> None:
        self._pattern = _WHOLE.format(pattern)
        self._columns = columns
        self.schema: Schema = {group.column: group.type for group in columns}

    def parse(self, lines: pl.Series, _reference: datetime | None = None) -> Parsed:
        """Return lines as columns."""
        import polars as pl

        texts = groups(lines, self._pattern).select(pl.col(group.name).alias(group.column) for group in self._columns)
        unsure = texts.select(pl.all_horizontal(pl.all().is_null())).to_series().arg_true()
        is_other = pl.repeat(value=False, n=len(lines), dtype=pl.Boolean, eager=True)
        if len(unsure):
            is_other = is_other.scatter(unsure, ~lines.gather(unsure).str.contains(self._pattern).fill_null(value=True))
        columns, faults = [], [(is_other, lambda places: pl.repeat(_NOTHING, len(places), eager=True))]
        for group, target in zip(self._columns, to_polars(self.schema).values(), strict=True):
            found = texts[group.column]
            if target != pl.String:
                found, is_lost = typed(found, target)
                faults.append(wrong(texts[group.column], is_lost, f"is no {group.type}"))
            columns.append(found)
        return without(pl.DataFrame(columns), faults)


def regex(pattern: str) -> Patterned:
    """Return the parser of ``{regex: …}``. Raises ConfigError for a pattern without names, or that is none."""
    check_pattern(pattern)
    names = named_groups(pattern)
    if not names:
        raise ConfigError("the pattern names no group", hint="write (?P<name>…) around what is to be a column")
    return Patterned(pattern, [Group(name, name) for name in names])


def named_groups(pattern: str) -> list[str]:
    """Return the names of the groups of a sound pattern."""
    import polars as pl

    fields = pl.Series([""]).str.extract_groups(_WHOLE.format(pattern)).struct.fields
    return [name for name in fields if not name.isdecimal()]


def check_pattern(pattern: str, words: str = "the pattern") -> None:
    """Refuse what the engine cannot take. Raises ConfigError."""
    import polars as pl

    if len(pattern) > MAX_PATTERN:
        raise ConfigError(f"{words} has {len(pattern)} signs, more than {MAX_PATTERN}", hint="match less of the line")
    counts = [int(count) for count in re.findall(r"\{[0-9, ]*?([0-9]+),?\}", pattern)]
    if max(counts, default=0) > MAX_REPEAT:
        raise ConfigError(f"{words} repeats something {max(counts)} times", hint=f"{MAX_REPEAT} times at most, or `*`")
    try:
        pl.Series([""]).str.contains(_WHOLE.format(pattern))
    except pl.exceptions.ComputeError as exc:
        raise ConfigError(f"{words} is not sound: {_fault(exc)}", hint=_HINT) from exc


def _fault(error: Exception) -> str:
    """Return what the engine says, without the pattern and the query around it."""
    return str(error).rsplit("error: ", 1)[-1].splitlines()[0]
