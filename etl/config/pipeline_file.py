"""One pipeline file -> PipelineSpec: each block is validated against the options of what it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etl.config.explanation import Place, validate
from etl.config.faults import Location, nearest, reason, shown
from etl.config.registries import Kind, names, registered
from etl.config.specification import (
    PipelineFile,
    PipelineSpec,
    QuarantineOptions,
    SinkCommon,
    SinkSpec,
    SourceCommon,
    SourceSpec,
    TransformSpec,
)
from etl.config.yaml_reader import Document
from etl.errors import ConfigError
from etl.model import CHANGE, SYSTEM_COLUMNS, ReadLimit, Schema
from etl.options import Options
from etl.project import Project, check_id
from etl.schema_contract import RESCUED, SchemaContract
from etl.type_text import parse_type

if TYPE_CHECKING:
    from etl.transforms.expectations import ExpectationOptions

QUARANTINE_SUFFIX = "__quarantine"
LATE_SUFFIX = "__late"


def read_pipeline(document: Document, path: Path, project: Project) -> PipelineSpec | None:
    """Return the pipeline that ``document`` declares, or None after noting every fault in it."""
    content = document.data
    fixed = validate(PipelineFile, content, Place(document))
    name = _name(document, path)
    source = _source(document, content.get("source"), project)
    transforms = _transforms(document, content.get("transforms"))
    quarantine = fixed.quarantine if fixed is not None else QuarantineOptions()
    sink = _sink(document, content.get("sink"), quarantine, project)
    _check_expectations(document, () if fixed is None else fixed.expect)
    if source is not None and sink is not None:
        _check_provenance(document, source.options, sink.options)
    if document.faults or fixed is None or source is None or sink is None:
        return None
    return PipelineSpec(
        name=name,
        source=source,
        transforms=transforms,
        sink=sink,
        path=path,
        description=fixed.description,
        trigger=fixed.trigger,
        reads=_read_urls(source.options, project),
        expect=tuple(fixed.expect),
        quarantine=fixed.quarantine,
        document=document,
    )


def declared_name(document: Document, path: Path) -> str:
    """Return the name of a pipeline, whether or not it is a good one."""
    name = document.data.get("name")
    return name if isinstance(name, str) else path.stem


def _name(document: Document, path: Path) -> str:
    name = declared_name(document, path)
    try:
        return check_id(name)
    except ConfigError as exc:
        document.fault(("name",), reason(exc))
        return name


def _source(document: Document, content: object, project: Project) -> SourceSpec | None:
    if not isinstance(content, dict):
        return None
    place = Place(document, ("source",))
    common_keys = ("type", "schema", "schema_contract", "batch")
    common = validate(SourceCommon, {key: content[key] for key in common_keys if key in content}, place)
    schema = _schema(document, content.get("schema"))
    options = _typed(place, "sources", content, common_keys)
    if common is None or options is None:
        return None
    _check_contract(document, common.contract)
    limit = common.batch.limit(project.limit)
    _check_limit(document, options, limit)
    return SourceSpec(common.type, options, schema, limit, common.batch.max_latency, common.contract)


def _check_contract(document: Document, contract: SchemaContract) -> None:
    """Refuse policies under which the fate of a row would depend on the rows after it."""
    if contract.new_columns == "evolve" and contract.missing_columns != "null":
        document.fault(
            ("source", "schema_contract"),
            f"missing_columns: {contract.missing_columns} needs columns that do not come later; with it say "
            "new_columns: rescue, ignore, quarantine or fail",
        )


def _check_limit(document: Document, options: Options, limit: ReadLimit) -> None:
    """Ask options that have ``check_limit`` whether they can keep the limit."""
    check = getattr(options, "check_limit", None)
    try:
        if check is not None:
            check(limit)
    except ConfigError as exc:
        document.fault(("source", *exc.where.split(".")), reason(exc))


def _schema(document: Document, declared: object) -> Schema | None:
    """Return the declared columns with their types parsed; wrong ones are noted."""
    if not isinstance(declared, dict):
        return None
    schema: Schema = {}
    for column, text in declared.items():
        if column in (*SYSTEM_COLUMNS, RESCUED, CHANGE):
            document.fault(("source", "schema", column), "the name of a system column", key=True)
        try:
            schema[column] = parse_type(text) if isinstance(text, str) else "string"
        except ConfigError as exc:
            document.fault(("source", "schema", column), reason(exc))
    return schema


def _transforms(document: Document, content: object) -> tuple[TransformSpec, ...]:
    specs = (
        _transform(document, index, item) for index, item in enumerate(content if isinstance(content, list) else ())
    )
    return tuple(spec for spec in specs if spec is not None)


def _transform(document: Document, index: int, item: object) -> TransformSpec | None:
    if not isinstance(item, dict):
        return None
    location: Location = ("transforms", index)
    if len(item) != 1:
        document.fault(
            location, f"expected one key, got {', '.join(item) or 'none'}; each entry of the list is one transform"
        )
        return None
    ((key, value),) = item.items()
    found = _registered(document, "transforms", key, (*location, key))
    options = validate(found.options_model, value, Place(document, (*location, key))) if found else None
    return None if options is None else TransformSpec(key, options, index)


def _check_expectations(document: Document, expected: Sequence[ExpectationOptions]) -> None:
    names = [each.name for each in expected]
    for place, name in enumerate(names):
        if name in names[:place]:
            document.fault(("expect", place, "name"), f"'{name}' is the name of expectation {names.index(name)} too")


def _check_provenance(document: Document, source: Options, sink: Options) -> None:
    """Refuse a table that does not keep what the source finds its earlier rows by."""
    if getattr(source, "needs_provenance", False) and not getattr(sink, "provenance", True):
        document.fault(
            ("sink", "provenance"), "`on_change: replace_rows` finds rows by their _source_file; leave it true"
        )


def _sink(document: Document, content: object, quarantine: QuarantineOptions, project: Project) -> SinkSpec | None:
    if not isinstance(content, dict):
        return None
    place = Place(document, ("sink",))
    common = validate(SinkCommon, {key: content[key] for key in ("type",) if key in content}, place)
    options = _typed(place, "sinks", content, ("type",))
    if common is None or options is None:
        return None
    table, path = getattr(options, "table", None), getattr(options, "path", None)
    if (table is None) == (path is None):
        document.fault(place.location, "give either table or path", key=True)
        return None
    try:
        url = project.table_url(table) if table is not None else project.url(str(path))
    except ConfigError as exc:
        document.fault(("sink", "table"), reason(exc))
        return None
    name = str(table or path)
    side = quarantine.table or f"{name}{QUARANTINE_SUFFIX}"
    try:
        side_url = f"{url}{QUARANTINE_SUFFIX}" if quarantine.table is None else project.table_url(quarantine.table)
    except ConfigError as exc:
        document.fault(("quarantine", "table"), reason(exc))
        return None
    late, late_url = f"{name}{LATE_SUFFIX}", f"{url}{LATE_SUFFIX}"
    return SinkSpec(common.type, options, name, url, side, side_url, late, late_url)


def _typed(place: Place, kind: Kind, content: Mapping[str, Any], beside: tuple[str, ...]) -> Options | None:
    """Return the options of what ``type`` names; the keys ``beside`` are read by others."""
    name = content.get("type")
    found = _registered(place.document, kind, name, (*place.location, "type")) if isinstance(name, str) else None
    if found is None:
        return None
    own = {key: value for key, value in content.items() if key not in beside}
    options: Options | None = validate(found.options_model, own, Place(place.document, place.location, beside))
    return options


def _registered(document: Document, kind: Kind, name: str, location: Location) -> Any:  # noqa: ANN401  a class
    try:
        found = registered(kind, name)
    except ConfigError as exc:
        document.fault(location, reason(exc))
        return None
    if found is None:
        document.fault(
            location, f"unknown {kind[:-1]} {shown(name)}{nearest(name, names(kind))}", key=kind == "transforms"
        )
    return found


def _read_urls(options: Options, project: Project) -> tuple[str, ...]:
    """Return what a source reads, whole: its ``path``, ``include`` patterns and ``table``, where it has them."""
    given: list[str] = []
    for name in ("path", "include"):
        value = getattr(options, name, None)
        given += [value] if isinstance(value, str) else list(value or ())
    table = getattr(options, "table", None)
    return (*(project.url(path) for path in given), *((project.table_url(table),) if isinstance(table, str) else ()))
