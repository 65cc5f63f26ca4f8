"""Secret values, and the mask that hides them wherever text is shown."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

MASK = "***"
SHORTEST_SECRET = 4
"""A shorter value would also hide harmless text, so it is refused."""

_SECRET_WORDS = {"key", "secret", "token", "password", "passphrase", "credential", "credentials", "signature", "sas"}
_PASSWORD_URL = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://[^/@\s]*:[^/@\s]*@")

_spellings: set[str] = set()


def register_secret(value: str) -> None:
    """Hide ``value`` from now on, also as JSON, Python and URLs spell it. *Repeat*: safe."""
    if len(value) >= SHORTEST_SECRET:
        _spellings.update(
            (value, json.dumps(value)[1:-1], repr(value)[1:-1], quote(value), quote(value, safe="")),
        )


def mask(text: str) -> str:
    """Return ``text`` with every registered secret as ``***``."""
    return mask_values(text, _spellings)


def mask_values(text: str, values: set[str] | frozenset[str]) -> str:
    """Return ``text`` with every one of ``values`` as ``***``, the longest first."""
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


def is_secret_name(name: str) -> bool:
    """Tell whether an option of this name holds a secret.

    >>> is_secret_name("secret_access_key"), is_secret_name("region")
    (True, False)
    """
    return not _SECRET_WORDS.isdisjoint(re.split(r"[^a-z]+", name.lower()))


def has_password(text: str) -> bool:
    """Tell whether ``text`` is a URL with ``user:password@``."""
    return _PASSWORD_URL.match(text) is not None
