"""A new project from a template."""

from __future__ import annotations

from pathlib import Path

from etl.errors import ConfigError
from etl.seam import Seam
from etl.storage import LocalStorage

_RENAMED = {"gitignore": ".gitignore"}
"""Names that a template cannot have: packaging would heed them."""


def make_project(template: Path, folder: Path, seam: Seam) -> list[str]:
    """Copy a template into a folder that is empty or does not exist; return the paths made. Raises ConfigError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            "is not an empty folder", where=str(folder), hint="name a new one: etl init shop; nothing was written"
        )
    target = LocalStorage(folder.absolute(), seam, is_shared=True)
    made = []
    for path in sorted(template.rglob("*")):
        if path.is_dir() or "__pycache__" in path.parts:
            continue
        relative = path.relative_to(template)
        name = str(relative.with_name(_RENAMED.get(relative.name, relative.name)))
        target.create(name, path.read_bytes(), effect="init.create")
        made.append(name)
    return made
