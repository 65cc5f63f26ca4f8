"""Who reads what another writes: loops refused, the rest put in order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter

from etl.config.faults import Location
from etl.config.specification import PipelineSpec, SourceSpec
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
    return [other.name for other in specs if other is not spec and _reads_from(spec, other)]


def _reads_from(spec: PipelineSpec, other: PipelineSpec) -> bool:
    tables = (other.sink.url, other.sink.quarantine_url, other.sink.late_url)
    return any(_reads(spec, url) or _joins(spec, url) for url in tables)


def _reads(spec: PipelineSpec, folder: str) -> bool:
    return any(_may_read(source, folder) for source in spec.sources)


def _may_read(source: SourceSpec, folder: str) -> bool:
    return any(overlaps(pattern, folder) for pattern in source.reads)


def _joins(spec: PipelineSpec, folder: str) -> list[Location]:
    """Return the places of the transforms that join a table in ``folder``."""
    return [location for location, url in spec.joins if overlaps(url, folder)]


def _check_own_loop(spec: PipelineSpec, project: Project) -> None:
    checkpoints = f"{project.lake}/{CHECKPOINTS}"
    for source in spec.sources:
        if _may_read(source, checkpoints):
            _fault(spec, source.location, f"reads the lake's checkpoints ({CHECKPOINTS})")
        if _may_read(source, spec.sink.url):
            message = f"reads what the sink writes ({spec.sink.table}): the pipeline would feed itself"
            _fault(spec, source.location, message)
        elif _may_read(source, spec.sink.quarantine_url):
            message = f"reads its own quarantine ({spec.sink.quarantine}): rejected rows would come back"
            _fault(spec, source.location, message)
    for url, name in ((spec.sink.url, spec.sink.table), (spec.sink.quarantine_url, spec.sink.quarantine)):
        _check_joined(spec, url, f"joins a table of its own ({name}): what a row finds would depend on the batches")
    _check_joined(spec, checkpoints, f"joins the lake's checkpoints ({CHECKPOINTS})")
    if _overlay(spec.sink.url, checkpoints):
        _fault(spec, ("sink",), f"writes over the lake's checkpoints ({CHECKPOINTS})")
    elif _overlay(spec.sink.quarantine_url, checkpoints):
        _fault(spec, ("quarantine",), f"writes over the lake's checkpoints ({CHECKPOINTS})")
    if _overlay(spec.sink.quarantine_url, spec.sink.url):
        _fault(spec, ("quarantine",), f"{spec.sink.quarantine} is not beside the sink's table {spec.sink.table}")


def _check_joined(spec: PipelineSpec, folder: str, message: str) -> None:
    """Note a transform that joins what lies in ``folder``."""
    for location in _joins(spec, folder):
        spec.document.fault(location, message, key=True)


def _check_pair(first: PipelineSpec, second: PipelineSpec) -> None:
    """Names and places that differ only in case are the same on some filesystems."""
    if first.name.casefold() == second.name.casefold():
        second.document.fault(("name",), f"'{second.name}' is the name of {first.document.file} too")
    if _check_tables(first, second, "sink", "sink"):
        return
    for ours, theirs in (("quarantine", "quarantine"), ("quarantine", "sink"), ("sink", "quarantine")):
        _check_tables(first, second, theirs, ours)


def _check_tables(first: PipelineSpec, second: PipelineSpec, theirs: str, ours: str) -> bool:
    """Note, and tell, that a table of ``second`` is one of ``first``, or lies in it or around it."""
    (other, one), (table, two) = _table(first, theirs), _table(second, ours)
    if one == two:
        _fault(second, (ours,), f"{table} is written by {first.document.file} too")
    elif _overlay(one, two):
        _fault(second, (ours,), f"{table} and {other} ({first.document.file}) lie one in the other")
    return _overlay(one, two)


def _table(spec: PipelineSpec, block: str) -> tuple[str, str]:
    """Return the name of the table that a block writes and its URL, whatever the case."""
    sink = spec.sink
    name, url = (sink.table, sink.url) if block == "sink" else (sink.quarantine, sink.quarantine_url)
    return name, url.casefold()


def _check_cycle(specs: Sequence[PipelineSpec]) -> None:
    try:
        in_order(specs)
    except CycleError as exc:
        circle: list[str] = exc.args[1][::-1]
        last = next(spec for spec in specs if spec.name == circle[0])
        before = next(spec for spec in specs if spec.name == circle[1])
        source = next((each for each in last.sources if _takes_from(each, before)), last.source)
        _fault(
            last, source.location, f"a cycle of pipelines, each reading the table of the next: {' -> '.join(circle)}"
        )


def _takes_from(source: SourceSpec, other: PipelineSpec) -> bool:
    return _may_read(source, other.sink.url) or _may_read(source, other.sink.quarantine_url)


def _fault(spec: PipelineSpec, block: Location, message: str) -> None:
    """Note a fault at what the block reads or writes; a quarantine that is not named goes with the sink."""
    is_unnamed = block == ("quarantine",) and ("quarantine", "table") not in spec.document.values
    block = ("sink",) if is_unnamed else block
    keys = [(*block, key) for key in ("path", "include", "table") if (*block, key) in spec.document.values]
    spec.document.fault(keys[0] if keys else block, message)


def is_inside(url: str, folder: str) -> bool:
    """Tell whether ``url`` is ``folder`` or lies below it."""
    return f"{url}/".startswith(f"{folder.rstrip('/')}/")


def _overlay(one: str, two: str) -> bool:
    return is_inside(one, two) or is_inside(two, one)


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
