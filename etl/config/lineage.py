"""Who reads what another writes: loops refused, the rest put in order."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from itertools import product

from etl.config.faults import Location, nearest, shown
from etl.config.specification import PipelineSpec, SourceSpec
from etl.project import CHECKPOINTS, Project

_OWN = {
    "sink": "reads what the sink writes ({}): the pipeline would feed itself",
    "sinks": "reads what a sink writes ({}): the pipeline would feed itself",
    "quarantine": "reads its own quarantine ({}): rejected rows would come back",
    "late": "reads its own late table ({}): late rows would come back",
}
"""What is wrong with a source that reads a table of its own pipeline, by the block that says the table."""

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
    return [
        other.name
        for other in specs
        if other is not spec and (_reads_from(spec, other) or other.name in _comes_after(spec))
    ]


def _comes_after(spec: PipelineSpec) -> Sequence[str]:
    return () if spec.schedule is None else spec.schedule.after or ()


def check_after(specs: Sequence[PipelineSpec], known: Collection[str]) -> None:
    """Note pipelines that come after themselves, or after one that is not ``known``."""
    for spec in specs:
        for place, name in enumerate(_comes_after(spec)):
            if name == spec.name:
                spec.document.fault(("trigger", "after", place), "a pipeline cannot come after itself")
            elif name not in known:
                spec.document.fault(
                    ("trigger", "after", place), f"unknown pipeline {shown(name)}{nearest(name, sorted(known))}"
                )


def _own(block: Location) -> str:
    return _OWN[str(block[0])]


def _reads_from(spec: PipelineSpec, other: PipelineSpec) -> bool:
    return any(_reads(spec, url) or _joins(spec, url) for _, url in other.tables.values())


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
        read = next((block for block, (_, url) in spec.tables.items() if _may_read(source, url)), None)
        if read is not None:
            _fault(spec, source.location, _own(read).format(spec.tables[read][0]))
    for name, url in spec.tables.values():
        _check_joined(spec, url, f"joins a table of its own ({name}): what a row finds would depend on the batches")
    _check_joined(spec, checkpoints, f"joins the lake's checkpoints ({CHECKPOINTS})")
    over = next((block for block, (_, url) in spec.tables.items() if _overlay(url, checkpoints)), None)
    if over is not None:
        _fault(spec, over, f"writes over the lake's checkpoints ({CHECKPOINTS})")
    for block, (_, url) in spec.tables.items():
        if block != ("quarantine",) and _overlay(spec.sink.quarantine_url, url):
            what = "late" if block == ("late",) else "sink's"
            told = f"{spec.sink.quarantine} is not beside the {what} table {spec.tables[block][0]}"
            _fault(spec, ("quarantine",), told)


def _check_joined(spec: PipelineSpec, folder: str, message: str) -> None:
    """Note a transform that joins what lies in ``folder``."""
    for location in _joins(spec, folder):
        spec.document.fault(location, message, key=True)


def _check_pair(first: PipelineSpec, second: PipelineSpec) -> None:
    """Names and places that differ only in case are the same on some filesystems."""
    if first.name.casefold() == second.name.casefold():
        second.document.fault(("name",), f"'{second.name}' is the name of {first.document.file} too")
    own = (first.sink.location, second.sink.location)
    shared = _shared(first, second)
    if own not in shared and _check_tables(first, second, own):
        return
    for pair in product(first.tables, second.tables):
        if pair != own and pair not in shared:
            _check_tables(first, second, pair)


def _shared(first: PipelineSpec, second: PipelineSpec) -> set[tuple[Location, Location]]:
    """Return the blocks of tables that both may write, since each only adds to them, under names of its own."""
    return {
        (one.location, two.location)
        for one, two in product(first.sinks, second.sinks)
        if one.url == two.url and all(getattr(sink.options, "is_append_only", False) for sink in (one, two))
    }


def _check_tables(first: PipelineSpec, second: PipelineSpec, blocks: tuple[Location, Location]) -> bool:
    """Note, and tell, that a table of ``second`` is one of ``first``, or lies in it or around it."""
    theirs, ours = blocks
    (other, one), (table, two) = first.tables[theirs], second.tables[ours]
    one, two = one.casefold(), two.casefold()
    if one == two:
        _fault(second, ours, f"{table} is written by {first.document.file} too")
    elif _overlay(one, two):
        _fault(second, ours, f"{table} and {other} ({first.document.file}) lie one in the other")
    return _overlay(one, two)


def _check_cycle(specs: Sequence[PipelineSpec]) -> None:
    try:
        in_order(specs)
    except CycleError as exc:
        circle: list[str] = exc.args[1][::-1]
        last = next(spec for spec in specs if spec.name == circle[0])
        before = next(spec for spec in specs if spec.name == circle[1])
        told = " -> ".join(circle)
        if not _reads_from(last, before):
            place = ("trigger", "after", list(_comes_after(last)).index(before.name))
            last.document.fault(place, f"a cycle of pipelines, each coming after the next: {told}")
            return
        source = next((each for each in last.sources if _takes_from(each, before)), last.source)
        _fault(last, source.location, f"a cycle of pipelines, each reading the table of the next: {told}")


def _takes_from(source: SourceSpec, other: PipelineSpec) -> bool:
    return any(_may_read(source, url) for _, url in other.tables.values())


def _fault(spec: PipelineSpec, block: Location, message: str) -> None:
    """Note a fault at what the block reads or writes; a table beside the sink's goes with it unless it is named."""
    is_unnamed = block in (("quarantine",), ("late",)) and (*block, "table") not in spec.document.values
    block = spec.sink.location if is_unnamed else block
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
