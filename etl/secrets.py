"""Secret values, and what every text passes through before it leaves: nothing secret, no control character."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

MASK = "***"
SHORTEST_SECRET = 4
"""A shorter value would also hide harmless text, so it is refused."""

_SECRET_WORDS = {"key", "secret", "token", "password", "passphrase", "credential", "credentials", "signature", "sas"}
_PASSWORD_URL = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://[^/@\s]*:[^/@\s]*@")
_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]+@")
_HEADERS_VARIABLE = re.compile(r"OTEL_EXPORTER_OTLP(_\w+)?_HEADERS")


class _Known:
    """The spellings of every secret, the longest first: never changed, so that threads read them without a lock."""

    spellings: tuple[str, ...] = ()
    being_added = threading.Lock()


_known = _Known()


def register_secret(value: str) -> None:
    """Hide ``value`` from now on, also as JSON, Python and URLs spell it. *Repeat*: safe."""
    if len(value) < SHORTEST_SECRET:
        return
    as_json = (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    register_spellings({value, *as_json, repr(value)[1:-1], quote(value), quote(value, safe=""), escaped(value)})


def register_spellings(found: Iterable[str]) -> None:
    """Hide texts just as they are from now on. *Repeat*: safe."""
    with _known.being_added:
        _known.spellings = tuple(sorted({*_known.spellings, *found}, key=len, reverse=True))


def spellings() -> tuple[str, ...]:
    """Return all that is hidden, for another process that is to hide it too."""
    return _known.spellings


def register_environment(environment: Mapping[str, str]) -> None:
    """Hide what variables hold that other libraries read by themselves: keys, headers, passwords in URLs."""
    for name, value in environment.items():
        if _HEADERS_VARIABLE.fullmatch(name):
            for header in value.split(","):
                register_secret(header.partition("=")[2].strip())
        elif name.startswith(("OTEL_", "OPENLINEAGE_")) and is_secret_name(name):
            register_secret(value)
        register_password(value)


def register_password(text: str) -> None:
    """Hide the password of a URL; nothing where it has none."""
    if has_password(text):
        register_secret(text.partition("://")[2].rpartition("@")[0].partition(":")[2])


def mask(text: str) -> str:
    """Return ``text`` with every registered secret as ``***``."""
    for value in _known.spellings:
        text = text.replace(value, MASK)
    return text


def mask_values(text: str, values: set[str] | frozenset[str]) -> str:
    """Return ``text`` with every one of ``values`` as ``***``, the longest first."""
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


def escaped(text: str, keep: str = "") -> str:
    r"""Return ``text`` with control characters and marks of direction spelt out: it can forge no line.

    >>> escaped("a\x1b[31m\nb\u202e")
    'a\\x1b[31m\\nb\\u202e'
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape", "backslashreplace").decode()
        for char in text
    )


def scrubbed(text: str, keep: str = "") -> str:
    r"""Return ``text`` as it may leave: secrets and passwords of URLs masked, control characters spelt out.

    >>> scrubbed("postgresql://etl:hunter2@db/shop\n")
    'postgresql://etl:***@db/shop\\n'
    """
    return escaped(_PASSWORD.sub(rf"\1:{MASK}@", mask(text)), keep)


def scrubbed_value(value: Any) -> Any:  # noqa: ANN401  any plain value
    """Return a plain value with every text in it scrubbed, keys among them."""
    if isinstance(value, str):
        return scrubbed(value)
    if isinstance(value, Mapping):
        return {scrubbed_value(key): scrubbed_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [scrubbed_value(inner) for inner in value]
    return value


def is_secret_name(name: str) -> bool:
    """Tell whether an option of this name holds a secret.

    >>> is_secret_name("secret_access_key"), is_secret_name("region")
    (True, False)
    """
    return not _SECRET_WORDS.isdisjoint(re.split(r"[^a-z]+", name.lower()))


def has_password(text: str) -> bool:
    """Tell whether ``text`` is a URL with ``user:password@``."""
    return _PASSWORD_URL.match(text) is not None
