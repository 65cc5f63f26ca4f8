"""Who reads what another writes: loops refused, the rest put in order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter

from etl.config.specification import PipelineSpec
from etl.project import CHECKPOINTS, Project

_MAGIC = re.compile(r"[*?\[{]")


def check_together(specs: Sequence[PipelineSpec], project: Project) -> None:
    """Note the faults that no file has by itself: names and tables used twice, self-feeding pipelines, cycles."""
    for index, spec in enumerate(specs):
        _check_own_loop(spec, project)
        for other in specs[:index]:
            _check_pair(other, spec)
    _check_cycle(specs)


def in_order(specs: Sequence[PipelineSpec]) -> list[PipelineSpec]:
    """Return the pipelines so that each comes after those whose tables it reads; otherwise in the order given."""
    by_name = {spec.name: spec for spec in specs}
    order = TopologicalSorter({name: sorted(_needs(spec, specs)) for name, spec in by_name.items()})
    return [by_name[name] for name in order.static_order()]


def _needs(spec: PipelineSpec, specs: Sequence[PipelineSpec]) -> list[str]:
    return [other.name for other in specs if other is not spec and _reads(spec, other.sink.url)]


def _reads(spec: PipelineSpec, folder: str) -> bool:
    return any(overlaps(pattern, folder) for pattern in spec.reads)


def _check_own_loop(spec: PipelineSpec, project: Project) -> None:
    checkpoints = f"{project.lake}/{CHECKPOINTS}"
    if _reads(spec, spec.sink.url):
        _fault(spec, "source", f"reads what the sink writes ({spec.sink.table}): the pipeline would feed itself")
    if _reads(spec, checkpoints):
        _fault(spec, "source", f"reads the lake's checkpoints ({CHECKPOINTS})")
    if _reads(spec, spec.sink.quarantine_url):
        _fault(spec, "source", f"reads its own quarantine ({spec.sink.quarantine}): rejected rows would come back")
    if is_inside(spec.sink.url, checkpoints) or is_inside(checkpoints, spec.sink.url):
        _fault(spec, "sink", f"writes over the lake's checkpoints ({CHECKPOINTS})")


def _check_pair(first: PipelineSpec, second: PipelineSpec) -> None:
    """Names and places that differ only in case are the same on some filesystems."""
    if first.name.casefold() == second.name.casefold():
        second.document.fault(("name",), f"'{second.name}' is the name of {first.document.file} too")
    if second.sink.quarantine_url.casefold() in (first.sink.quarantine_url.casefold(), first.sink.url.casefold()):
        second.document.fault(
            ("quarantine", "table"), f"{second.sink.quarantine} is written by {first.document.file} too"
        )
    one, two = first.sink.url.casefold(), second.sink.url.casefold()
    if one == two:
        _fault(second, "sink", f"{second.sink.table} is written by {first.document.file} too")
    elif is_inside(one, two) or is_inside(two, one):
        _fault(
            second,
            "sink",
            f"{second.sink.table} and {first.sink.table} ({first.document.file}) lie one in the other",
        )


def _check_cycle(specs: Sequence[PipelineSpec]) -> None:
    try:
        in_order(specs)
    except CycleError as exc:
        circle: list[str] = exc.args[1][::-1]
        last = next(spec for spec in specs if spec.name == circle[0])
        _fault(last, "source", f"a cycle of pipelines, each reading the table of the next: {' -> '.join(circle)}")


def _fault(spec: PipelineSpec, block: str, message: str) -> None:
    """Note a fault at what the block reads or writes."""
    keys = [(block, key) for key in ("path", "include", "table") if (block, key) in spec.document.values]
    spec.document.fault(keys[0] if keys else (block,), message)


def is_inside(url: str, folder: str) -> bool:
    """Tell whether ``url`` is ``folder`` or lies below it."""
    return f"{url}/".startswith(f"{folder.rstrip('/')}/")


def overlaps(pattern: str, folder: str) -> bool:
    """Tell whether files that ``pattern`` names may lie in ``folder``. In doubt, yes.

    >>> overlaps("/p/landing/*.csv", "/p/lake"), overlaps("/p/**/*.csv", "/p/lake"), overlaps("/p", "/p/lake")
    (False, True, True)
    """
    wanted, parts = pattern.rstrip("/").split("/"), folder.rstrip("/").split("/")
    for index, segment in enumerate(wanted):
        if segment == "**" or index >= len(parts):
            return True
        if not _may_match(segment, parts[index]):
            return False
    return len(wanted) >= len(parts) or not _MAGIC.search(pattern)


def _may_match(segment: str, name: str) -> bool:
    if "{" in segment:
        return True
    return fnmatchcase(name, segment) or name == segment
