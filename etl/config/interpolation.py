"""`${VAR}`, `${VAR:-default}` and `${secret:name}` in text values: plain substitution, once, after parsing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etl.config.faults import Location, shown
from etl.config.yaml_reader import Document
from etl.secrets import SHORTEST_SECRET, has_password, register_secret

_REFERENCE = re.compile(r"\$?\$\{[^}]*\}?")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_PASSWORD = re.compile(r"[^:/]*://[^/@]*:([^/@]*)@")
_DATABASE_URL = "url"
"""The key of the URL of a database: the one place where a URL may hold a password, if that is a secret."""

_SECRET = re.compile(r"secret:([A-Za-z0-9_-]+)")


class _Missing(Exception):  # noqa: N818  never leaves this module
    """A reference without a value; the message says why."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where references get their values from: environment variables, and ``secrets/`` of the project folder."""

    folder: Path
    environment: Mapping[str, str]


def interpolate(document: Document, surroundings: Surroundings, *, skip: str | None = None) -> None:
    """Substitute in every text value of ``document``, and note a fault for each reference without a value.

    The top-level key ``skip`` is left as it is. ``$${`` stands for a literal ``${``. Values that come in are not looked
    at again.
    """

    def walk(value: Any, location: Location) -> Any:  # noqa: ANN401  any plain value
        if location == (skip,):
            return value
        if isinstance(value, dict):
            return {key: walk(inner, (*location, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [walk(inner, (*location, index)) for index, inner in enumerate(value)]
        return _substituted(document, surroundings, value, location) if isinstance(value, str) else value

    document.data = walk(document.data, ())


def _substituted(document: Document, surroundings: Surroundings, text: str, location: Location) -> str:
    def replacement(found: re.Match[str]) -> str:
        reference = found[0]
        if reference.startswith("$$"):
            return reference[1:]
        try:
            return _value(document, surroundings, reference)
        except _Missing as exc:
            document.fault(location, str(exc))
            return reference

    result = _REFERENCE.sub(replacement, text)
    if has_password(result) and not _is_secret_url(location, text):
        document.fault(location, f"a URL with user:password@; {_advice(location)}")
        register_secret(result)
    return result


def _is_secret_url(location: Location, text: str) -> bool:
    """Tell whether a text is the URL of a database whose password is written nowhere but in a secret."""
    written = _PASSWORD.match(_REFERENCE.sub(lambda found: "" if found[0].startswith("${secret:") else "?", text))
    return location[-1:] == (_DATABASE_URL,) and "${secret:" in text and (written is None or not written[1])


def _advice(location: Location) -> str:
    if location[-1:] == (_DATABASE_URL,):
        return "write the password, or the whole URL, as ${secret:name}"
    return "give the password under storage: as ${secret:name}"


def _value(document: Document, surroundings: Surroundings, reference: str) -> str:
    inner = reference[2:-1]
    if reference.endswith("}") and (secret := _SECRET.fullmatch(inner)):
        value = _secret(secret[1], surroundings)
        register_secret(value)
        document.secrets.add(value)
        return value
    variable = _VARIABLE.fullmatch(inner) if reference.endswith("}") else None
    if variable is None:
        raise _Missing(f"{shown(reference)} is no reference; write ${{VAR}}, ${{VAR:-default}} or ${{secret:name}}")
    name, default = variable.groups()
    value = surroundings.environment.get(name, "") or default
    if value is None:
        state = "empty" if name in surroundings.environment else "not set"
        raise _Missing(f"environment variable {name} is {state}; set it, or write ${{{name}:-default}}")
    return value


def _secret(name: str, surroundings: Surroundings) -> str:
    variable = f"ETL_SECRET_{name.upper().replace('-', '_')}"
    value = surroundings.environment.get(variable)
    if value is None:
        try:
            value = (surroundings.folder / "secrets" / name).read_text("utf-8").removesuffix("\n").removesuffix("\r")
        except FileNotFoundError:
            raise _Missing(f"secret '{name}' is not set; set {variable} or write the file secrets/{name}") from None
        except (OSError, UnicodeDecodeError) as exc:
            raise _Missing(f"file secrets/{name} cannot be read: {type(exc).__name__}") from None
    if len(value) < SHORTEST_SECRET:
        raise _Missing(f"secret '{name}' is shorter than {SHORTEST_SECRET} characters and could not be masked")
    return value


def texts(value: object) -> Iterator[str]:
    """Yield every text inside a plain value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts(inner)
