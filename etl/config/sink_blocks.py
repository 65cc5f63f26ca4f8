"""``sink:`` and ``sinks:`` of a pipeline file -> SinkSpec: which is the own one, what each is called, where it is."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from etl.config.blocks import typed_options
from etl.config.explanation import Place, validate
from etl.config.faults import Location, reason, shown
from etl.config.specification import QuarantineOptions, SinkCommon, SinkSpec
from etl.errors import ConfigError
from etl.flow import MAIN_ROLE
from etl.project import Project, check_id
from etl.sinks.late import ROLE as LATE
from etl.sinks.quarantine import ROLE as QUARANTINE

if TYPE_CHECKING:
    from etl.config.yaml_reader import Document
    from etl.options import Options

QUARANTINE_SUFFIX = "__quarantine"
LATE_SUFFIX = "__late"
_COMMON_KEYS = ("type", "name", "columns")
_TAKEN = (MAIN_ROLE, QUARANTINE, LATE)
"""Words that cannot be the name of a sink: those of tables that a pipeline has anyway."""


def read_sinks(
    document: Document, pipeline: str, quarantine: QuarantineOptions, project: Project
) -> tuple[SinkSpec, ...]:
    """Return the sinks of a pipeline, the own one first: the first table, or else the first of all.

    Those that are wrong are noted and left out; with a wrong one among several there are none.
    """
    content = document.data
    if ("sink" in content) == ("sinks" in content):
        both = "sinks" in content
        document.fault(("sinks",) if both else ("sink",), "give either sink or sinks" if both else "missing", key=True)
        return ()
    if "sink" in content:
        blocks: dict[Location, object] = {("sink",): content["sink"]}
    else:
        listed = content["sinks"] if isinstance(content["sinks"], list) else []
        blocks = {("sinks", index): block for index, block in enumerate(listed)}
    found = [_sink(document, location, block, (pipeline, project)) for location, block in blocks.items()]
    sinks = [sink for sink in found if sink is not None]
    if len(sinks) < len(found) or not sinks:
        return ()
    own = next((sink for sink in sinks if sink.is_table), sinks[0])
    further = [sink for sink in sinks if sink is not own]
    _check_distinct(document, own, further)
    main = _with_side_tables(document, replace(own, role=MAIN_ROLE), (pipeline, quarantine, project))
    return () if main is None else (main, *further)


def _sink(document: Document, location: Location, content: object, of: tuple[str, Project]) -> SinkSpec | None:
    if not isinstance(content, dict):
        if location != ("sink",):
            document.fault(location, f"expected a mapping, got {shown(content)}")
        return None
    place = Place(document, location)
    common = validate(SinkCommon, {key: content[key] for key in _COMMON_KEYS if key in content}, place)
    options = typed_options(place, "sinks", content, _COMMON_KEYS)
    if common is None or options is None:
        return None
    columns = None if common.columns is None else tuple(common.columns)
    target = getattr(options, "target", None)
    found: SinkSpec | None
    if target is None:
        found = _table(place, SinkSpec(common.type, options, "", "", columns=columns), of[1])
    else:
        url = getattr(options, "url_of", lambda _: f"receiver:{of[0]}/{target}")(of[1])
        found = SinkSpec(common.type, options, target, url, columns=columns, is_table=False)
    if found is None:
        return None
    default = re.sub(r"\W", "_", found.table.rpartition("/")[2]) if found.is_table else common.type
    role = common.name or default.lstrip("_") or "table"
    return replace(found, role=_checked(place, role), location=location)


def _table(place: Place, sink: SinkSpec, project: Project) -> SinkSpec | None:
    """Return the sink of a table with its name and its root."""
    table, path = getattr(sink.options, "table", None), getattr(sink.options, "path", None)
    if (table is None) == (path is None):
        place.document.fault(place.location, "give either table or path", key=True)
        return None
    try:
        url = project.table_url(table) if table is not None else project.url(str(path))
    except ConfigError as exc:
        place.document.fault((*place.location, "table"), reason(exc))
        return None
    return replace(sink, table=str(table or path), url=url)


def _checked(place: Place, role: str) -> str:
    """Return the name of a sink; one that cannot be is noted."""
    try:
        check_id(role)
    except ConfigError as exc:
        place.document.fault((*place.location, "name"), reason(exc))
    if role in _TAKEN and place.location != ("sink",):
        place.document.fault((*place.location, "name"), f"'{role}' is a word of our own; give it another name")
    return role


def _check_distinct(document: Document, own: SinkSpec, further: list[SinkSpec]) -> None:
    """Refuse sinks of one name, and two that are the same table: every batch would be in it twice."""
    sinks = [own, *further]
    for number, sink in enumerate(sinks):
        for other in sinks[:number]:
            if sink.role.casefold() == other.role.casefold():
                document.fault(sink.location, f"'{sink.role}' is the name of another sink; give one of them a name:")
            elif sink.url.casefold() == other.url.casefold():
                document.fault(sink.location, f"{sink.table} is what another sink writes to")


def _with_side_tables(
    document: Document, sink: SinkSpec, of: tuple[str, QuarantineOptions, Project]
) -> SinkSpec | None:
    """Return the own sink with the tables of rejected and of late rows, which lie beside its table.

    Where it is no table, they are tables in a schema that is called like the pipeline.
    """
    pipeline, quarantine, project = of
    name, url = sink.table, sink.url
    names = (f"{name}{QUARANTINE_SUFFIX}", f"{name}{LATE_SUFFIX}")
    if not sink.is_table:
        name, url = f"{pipeline}.rows", f"{project.lake}/{pipeline}/rows"
        names = (f"{name}{QUARANTINE_SUFFIX}", f"{name}{LATE_SUFFIX}")
    try:
        side_url = f"{url}{QUARANTINE_SUFFIX}" if quarantine.table is None else project.table_url(quarantine.table)
    except ConfigError as exc:
        document.fault(("quarantine", "table"), reason(exc))
        return None
    return replace(
        sink,
        quarantine=quarantine.table or names[0],
        quarantine_url=side_url,
        late=names[1],
        late_url=f"{url}{LATE_SUFFIX}",
    )


def check_removals(document: Document, sinks: tuple[SinkSpec, ...]) -> None:
    """Refuse sinks that do not keep what a source finds its earlier rows by, or find rows in another way."""
    for sink in sinks:
        if not sink.is_table:
            document.fault(
                sink.location,
                f"`on_change: replace_rows` takes out rows by their file, which {sink.type} cannot; say "
                "`on_change: reingest` at the source",
            )
            continue
        if getattr(sink.options, "is_append_only", False):
            document.fault(
                (*sink.location, "type"),
                "`on_change: replace_rows` takes rows out, and a plain Parquet table can only be added to; say "
                "`type: delta`, or `on_change: reingest` at the source",
            )
        _check_provenance(document, sink.location, sink.options)


def _check_provenance(document: Document, location: Location, sink: Options) -> None:
    write_mode = getattr(sink, "write_mode", "append")
    if write_mode != "append":
        document.fault(
            (*location, "write_mode"),
            f"`on_change: replace_rows` takes out rows by their file, {write_mode} by itself; say "
            "`write_mode: append`, or `on_change: reingest` at the source",
        )
    if not getattr(sink, "provenance", True):
        document.fault(
            (*location, "provenance"), "`on_change: replace_rows` finds rows by their _source_file; leave it true"
        )


def provenance_of(sink: SinkSpec, kept: tuple[str, ...], every: tuple[str, ...]) -> tuple[str, ...]:
    """Return the system columns that a sink keeps: those ``kept`` by tables, and of ``every`` those that it names."""
    named = sink.columns or ()
    own = kept if sink.is_table and getattr(sink.options, "provenance", True) else ()
    return tuple(name for name in every if name in own or name in named)
