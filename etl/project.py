"""The project: where the lake is, how a table's name becomes a URL, which options its storage gets."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from etl.errors import ConfigError
from etl.model import ReadLimit
from etl.notifying import Receiver
from etl.serve_options import ServeOptions

_WORD = r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}"
_ID = re.compile(_WORD)
_TABLE = re.compile(rf"({_WORD})\.({_WORD})")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)

CHECKPOINTS = "_checkpoints"
PLAIN_RECORDS = "_commits"
"""The folder of a plain Parquet table in which its batches are recorded."""
DEFAULT_LIMIT = ReadLimit(max_files=1000, max_bytes=256_000_000)
DEFAULT_MEMORY_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Project:
    """``etl.yml`` resolved for one profile. ``folder`` and ``lake`` are absolute.

    ``storage_options`` are by URL scheme and may hold secrets; ``limit`` is what a batch takes unless its pipeline says
    otherwise. ``receivers`` are told when something goes wrong.
    """

    folder: Path
    lake: str
    storage_options: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    limit: ReadLimit = DEFAULT_LIMIT
    profile: str | None = None
    receivers: tuple[Receiver, ...] = ()
    serve: ServeOptions = field(default_factory=ServeOptions)

    def url(self, path: str) -> str:
        """Return ``path`` whole: a URL as it is, a local path absolute, starting from the project folder."""
        return absolute(self.folder, path)

    def table_url(self, table: str) -> str:
        """Return the root of a table named ``schema.table``. Raises ConfigError."""
        found = _TABLE.fullmatch(table)
        if found is None:
            raise ConfigError(
                f"{table!r} is no table name; write schema.table with letters, digits, _ and -",
                hint="for a table outside the lake give path: instead",
            )
        return f"{self.lake}/{found[1]}/{found[2]}"

    def checkpoint_url(self, pipeline: str) -> str:
        """Return the checkpoint folder of a pipeline. Raises ConfigError where the name is none."""
        return f"{self.lake}/{CHECKPOINTS}/{check_id(pipeline)}"

    def options_for(self, url: str) -> Mapping[str, str]:
        """Return the storage options of the scheme of ``url``; a local path has those of ``file``."""
        return self.storage_options.get(scheme_of(url), {})


def default_project(folder: Path) -> Project:
    """Return the project of a folder without ``etl.yml``."""
    root = Path(os.path.abspath(folder))
    return Project(folder=root, lake=absolute(root, "lake"))


def check_id(name: str) -> str:
    """Return ``name`` if it can be a pipeline's. Raises ConfigError."""
    if _ID.fullmatch(name) is None:
        raise ConfigError(
            f"{name!r} is no name; write at most 100 letters, digits, _ and -, with a letter or digit first"
        )
    return name


def scheme_of(url: str) -> str:
    """Return the scheme of a URL, ``file`` for a local path.

    >>> scheme_of("s3://lake/silver"), scheme_of("/lake")
    ('s3', 'file')
    """
    found = _URL.fullmatch(url)
    return found[1].lower() if found else "file"


def absolute(folder: Path, path: str) -> str:
    """Return ``path`` whole, without a slash at the end: a URL as it is, a local path from ``folder`` on.

    >>> absolute(Path("/project"), "../lake/"), absolute(Path("/project"), "s3://company/lake/")
    ('/lake', 's3://company/lake')
    """
    found = _URL.fullmatch(path)
    if found and found[1].lower() != "file":
        return path.rstrip("/")
    return os.path.normpath(os.path.join(folder, found[2] if found else path))
