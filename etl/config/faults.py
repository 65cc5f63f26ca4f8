"""Faults of the YAML files: where, what, and the nearest word that would have been right."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeAlias

from etl.errors import ConfigError, EtlError
from etl.secrets import mask

Location: TypeAlias = "tuple[str | int, ...]"
"""The keys and list positions that lead to a value."""

_SHOWN_LENGTH = 60


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong. ``file`` is relative to the project folder, ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        """Return ``7:9    source.type: unknown source 'fiels'``."""
        what = f"{self.path}: {self.message}" if self.path else self.message
        return f"{f'{self.line}:{self.column}':<6} {what}"


class ConfigFaults(ConfigError):  # noqa: N818  many errors, not one
    """Every fault of every file, sorted; the text is what people read, secrets are masked."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        masked = (replace(fault, path=mask(fault.path), message=mask(fault.message)) for fault in faults)
        self.faults = tuple(sorted(masked))
        super().__init__("\n".join(_per_file(self.faults)))


def _per_file(faults: tuple[Fault, ...]) -> Iterable[str]:
    for file, group in groupby(faults, key=lambda fault: fault.file):
        listed = list(group)
        yield f"{file}: {len(listed)} problem{'s' if len(listed) > 1 else ''}"
        yield from (f"  {fault}" for fault in listed)


def reason(exc: EtlError) -> str:
    """Return what an error says and advises, on one line."""
    return f"{exc.message}; {exc.hint}" if exc.hint else exc.message


def key_path(location: Location) -> str:
    """Return a location as people write it.

    >>> key_path(("transforms", 1, "filter"))
    'transforms[1].filter'
    """
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[\w-]+", part):
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)}]"
    return text


def shown(value: object) -> str:
    """Return a value as a fault shows it: short, on one line, as YAML spells it, without secrets."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(mask(value)) if isinstance(value, str) else json.dumps(value, default=repr)
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"


def nearest(word: object, known: Iterable[str]) -> str:
    """Return the end of an "unknown" message: the word that was probably meant, else the known ones.

    >>> nearest("fiels", ["files", "rate"])
    "; did you mean 'files'?"
    >>> nearest("kafka", ["files", "rate"])
    '; known: files, rate'
    """
    names = list(known)
    close = difflib.get_close_matches(str(word), names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(names)}" if names else "; none is known"
