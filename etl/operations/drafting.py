"""A draft as the text of a pipeline file."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from etl.errors import ConfigError
from etl.storage import LocalStorage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.operations.inference import Draft
    from etl.seam import Seam

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./(),<>-]*(?: [A-Za-z0-9_./-]+)*")
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
_BEYOND_JSON = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")
_ENDINGS = re.compile(r"(?:\.[A-Za-z][A-Za-z0-9]*)+$")


def draft_text(draft: Draft, folder: Path) -> str:
    """Return the YAML of a draft for the project in ``folder``; its paths start from there."""
    return "\n".join(_lines(draft, folder)) + "\n"


def _lines(draft: Draft, folder: Path) -> Iterator[str]:
    yield "# A draft by `etl infer`: look at every line, above all at those with a comment."
    for remark in draft.remarks:
        yield from (f"# {_one_line(line)}" for line in remark.splitlines())
    yield "version: 1"
    yield f"name: {_scalar(draft.name)}"
    yield from ("", "source:", "  type: files")
    paths = _paths(draft.files, folder)
    if len(paths) == 1:
        yield f"  path: {_scalar(paths[0])}"
    else:
        yield "  include:"
        yield from (f"    - {_scalar(path)}" for path in paths)
    yield f"  format: {draft.format}"
    if draft.options:
        yield "  format_options:"
        for name, value in draft.options.items():
            yield f"    {name}: {_scalar(value)}{_comment(draft.option_notes.get(name))}"
    yield "  # A row that the schema cannot hold goes to the quarantine; `evolve` would let its columns change."
    yield "  # schema_contract: evolve"
    yield "  schema:"
    for name, kind in draft.schema.items():
        yield f"    {_scalar(name)}: {_scalar(kind)}{_comment(draft.notes.get(name))}"
    yield from ("", "sink:", "  type: delta", f"  table: {_scalar(draft.table)}", "  write_mode: append")


def _comment(note: str | None) -> str:
    return f"  # {_one_line(note)}" if note else ""


def _one_line(text: str) -> str:
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def _scalar(value: object) -> str:
    """Return a value as YAML, quoted where it would be something else; ``${`` stands for itself."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    quoted = json.dumps(value.replace("${", "$${"), ensure_ascii=False)
    return _BEYOND_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


def _paths(files: list[Path], folder: Path) -> list[str]:
    """Return paths as a pipeline spells them: a glob where it names just the files of a folder that were given."""
    by_kind: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for file in files:
        match = _ENDINGS.search(file.name)
        by_kind[file.absolute().parent, match[0] if match else ""].append(file)
    found: list[str] = []
    for (parent, ending), members in by_kind.items():
        visible = [each for each in os.listdir(parent) if not each.startswith((".", "_"))]
        alike = {each for each in visible if each.endswith(ending) and (parent / each).is_file()}
        root = _escaped(_from(parent, folder))
        if len(members) > 1 and ending and alike == {each.name for each in members}:
            found.append(f"{root}*{ending}")
        else:
            found += [f"{root}{_escaped(each.name)}" for each in members]
    return found


def _from(parent: Path, folder: Path) -> str:
    """Return a folder with a slash behind it, as seen from the project where it lies inside."""
    whole, base = os.path.realpath(parent), os.path.realpath(folder)
    if whole == base:
        return ""
    inside = whole.removeprefix(os.path.join(base, "")) if whole.startswith(os.path.join(base, "")) else whole
    return os.path.join(inside, "")


def _escaped(path: str) -> str:
    """Return a path as a pattern that matches it alone."""
    return re.sub(r"[\[*?{}]", lambda match: f"[{match[0]}]", path)


def write_draft(text: str, path: Path, seam: Seam) -> None:
    """Write a draft where no file is yet. Raises ConfigError where there is one."""
    if path.exists():
        raise ConfigError("is there already", where=str(path), hint="name another file; nothing was written")
    LocalStorage(path.absolute().parent, seam, is_shared=True).create(path.name, text.encode(), effect="infer.create")
