"""Names of files: how any legal name becomes text, which names are never read, what ``key=value`` folders say."""

from __future__ import annotations

import os
from urllib.parse import quote_from_bytes, unquote, unquote_to_bytes

ESCAPED = "bytes:"
TEMPORARY_ENDINGS = (".tmp", ".part", ".crdownload", "~", "._COPYING_")
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


def to_text(path: str) -> str:
    r"""Return ``path`` as valid UTF-8 text that names it and nothing else.

    Nearly always the path itself. One that is not UTF-8 on disk becomes ``bytes:`` and its percent-escaped bytes,
    and so does one that starts with ``bytes:``.

    >>> to_text("in/a%20b.csv"), to_text("in/caf\udce9.csv"), to_text("bytes:x")
    ('in/a%20b.csv', 'bytes:in/caf%E9.csv', 'bytes:bytes%3Ax')
    """
    if path.isascii() or _is_utf8(path):
        return ESCAPED + _escaped(path) if path.startswith(ESCAPED) else path
    return ESCAPED + _escaped(path)


def from_text(text: str) -> str:
    r"""Return the path that ``text`` names, as the operating system takes it.

    >>> from_text("bytes:in/caf%E9.csv")
    'in/caf\udce9.csv'
    """
    if not text.startswith(ESCAPED):
        return text
    return os.fsdecode(unquote_to_bytes(text.removeprefix(ESCAPED)))


def split(path: str) -> tuple[str, str]:
    """Return folder and name; the folder of a bare name is empty, that of ``/a`` is ``/``."""
    folder, separator, name = path.rpartition("/")
    return folder or separator, name


def join(folder: str, name: str) -> str:
    """Return the path of ``name`` in ``folder``: the reverse of ``split``."""
    return f"{folder}{name}" if folder in {"", "/"} else f"{folder}/{name}"


def why_skipped(name: str, segment: str) -> str | None:
    """Return why a file or folder called ``name`` is passed over, None when it is not.

    ``segment`` is the piece of the pattern that matches it: one that starts (or ends) with the mark itself asks for it.
    Folders such as ``_day=1`` are partitions, not hidden.
    """
    if not name.startswith((".", "_")) and not name.endswith(TEMPORARY_ENDINGS):
        return None
    if name.startswith(".") and not segment.startswith("."):
        return "hidden: the name starts with '.'"
    if name.startswith("_") and not segment.startswith("_") and "=" not in name:
        return "hidden: the name starts with '_'"
    for ending in TEMPORARY_ENDINGS:
        if name.endswith(ending) and not segment.endswith(ending):
            return f"temporary: the name ends with '{ending}'"
    return None


def partitions(text: str) -> dict[str, str | None]:
    """Return the ``key=value`` folders of a path, outermost first, each decoded once.

    >>> partitions("in/day=2024-01-02/region=a%2Fb/x=__HIVE_DEFAULT_PARTITION__/f.csv")
    {'day': '2024-01-02', 'region': 'a/b', 'x': None}
    """
    found: dict[str, str | None] = {}
    for folder in text.split("/")[:-1]:
        key, separator, value = folder.partition("=")
        if separator and key:
            found[unquote(key)] = None if value == NULL_PARTITION else unquote(value)
    return found


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escaped(path: str) -> str:
    return quote_from_bytes(os.fsencode(path), safe="/")
