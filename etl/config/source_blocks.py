"""``source:`` and ``sources:`` of a pipeline file -> SourceSpec, and who takes in the rows of which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from etl.config.blocks import read_transforms, typed_options
from etl.config.explanation import Place, validate
from etl.config.faults import Location, nearest, reason, shown
from etl.config.specification import SourceCommon, SourceSpec, TransformSpec
from etl.errors import ConfigError
from etl.model import SYSTEM_COLUMNS, ReadLimit, Schema
from etl.project import Project, check_id
from etl.schema_contract import RESCUED, SchemaContract
from etl.transforms.sql import SqlOptions
from etl.type_text import parse_type

if TYPE_CHECKING:
    from etl.config.yaml_reader import Document
    from etl.options import Options

SOURCE_NAME = "source"
"""The name of the one source that a pipeline has under ``source:``."""
_COMMON_KEYS = ("type", "schema", "schema_contract", "batch")


def read_sources(document: Document, project: Project) -> tuple[SourceSpec, ...]:
    """Return the sources of a pipeline, the main one first; those that are wrong are noted and left out."""
    content = document.data
    if ("source" in content) == ("sources" in content):
        both = "sources" in content
        document.fault(
            ("sources",) if both else ("source",), "give either source or sources" if both else "missing", key=True
        )
        return ()
    key = "source" if "source" in content else "sources"
    if content[key] is None:
        document.fault((key,), f"expected a mapping, got {shown(None)}")
        return ()
    if key == "source":
        found = [_source(document, (SOURCE_NAME, ("source",)), content["source"], project)]
    else:
        several = content["sources"] if isinstance(content["sources"], dict) else {}
        _check_names(document, list(several))
        found = [_source(document, (name, ("sources", name)), block, project) for name, block in several.items()]
    return tuple(source for source in found if source is not None)


def _check_names(document: Document, given: list[str]) -> None:
    """Refuse names that cannot be those of folders, or are the same on some filesystems."""
    for place, name in enumerate(given):
        try:
            check_id(name)
        except ConfigError as exc:
            document.fault(("sources", name), reason(exc), key=True)
        for other in given[:place]:
            if other.casefold() == name.casefold():
                document.fault(("sources", name), f"differs from '{other}' only in upper and lower case", key=True)


def _source(document: Document, called: tuple[str, Location], content: object, project: Project) -> SourceSpec | None:
    name, location = called
    if not isinstance(content, dict):
        return None
    place = Place(document, location)
    common_keys = _COMMON_KEYS if location == ("source",) else (*_COMMON_KEYS, "transforms")
    common = validate(SourceCommon, {key: content[key] for key in _COMMON_KEYS if key in content}, place)
    schema = _schema(place, content.get("schema"))
    options = typed_options(place, "sources", content, common_keys)
    transforms = _own_transforms(place, content, name) if "transforms" in common_keys else ()
    if common is None or options is None:
        return None
    _check_contract(place, common.contract)
    limit = common.batch.limit(project.limit)
    _check_limit(place, options, limit)
    return SourceSpec(
        name=name,
        location=location,
        type=common.type,
        options=options,
        schema=schema,
        limit=limit,
        max_latency_s=common.batch.max_latency,
        contract=common.contract,
        transforms=transforms,
        reads=_read_urls(options, project),
    )


def _own_transforms(place: Place, content: dict[str, object], name: str) -> tuple[TransformSpec, ...]:
    given = content.get("transforms", [])
    if not isinstance(given, list):
        place.document.fault((*place.location, "transforms"), f"expected a list, got {shown(given)}")
    return read_transforms(place.document, given, name)


def _check_contract(place: Place, contract: SchemaContract) -> None:
    """Refuse policies under which the fate of a row would depend on the rows after it."""
    if contract.new_columns == "evolve" and contract.missing_columns != "null":
        place.document.fault(
            (*place.location, "schema_contract"),
            f"missing_columns: {contract.missing_columns} needs columns that do not come later; with it say "
            "new_columns: rescue, ignore, quarantine or fail",
        )


def _check_limit(place: Place, options: Options, limit: ReadLimit) -> None:
    """Ask options that have ``check_limit`` whether they can keep the limit."""
    check = getattr(options, "check_limit", None)
    try:
        if check is not None:
            check(limit)
    except ConfigError as exc:
        place.document.fault((*place.location, *exc.where.split(".")), reason(exc))


def _schema(place: Place, declared: object) -> Schema | None:
    """Return the declared columns with their types parsed; wrong ones are noted."""
    if not isinstance(declared, dict):
        return None
    schema: Schema = {}
    for column, text in declared.items():
        if column in (*SYSTEM_COLUMNS, RESCUED):
            place.document.fault((*place.location, "schema", column), "the name of a system column", key=True)
        try:
            schema[column] = parse_type(text) if isinstance(text, str) else "string"
        except ConfigError as exc:
            place.document.fault((*place.location, "schema", column), reason(exc))
    return schema


def check_taken(document: Document, sources: Sequence[SourceSpec], transforms: Sequence[TransformSpec]) -> None:
    """Note names that are none, sources that are taken in twice, and those that nobody takes in."""
    for source in sources:
        for step in source.transforms:
            if names_taken(step, [each.name for each in sources]):
                document.fault(
                    step.location, "a source's own transforms take in no other; do it in the pipeline's list", key=True
                )
    content = document.data.get("sources")
    given = list(content) if isinstance(content, dict) else []
    taken: dict[str, str] = {}
    for step in transforms:
        for place, name in enumerate(names_taken(step, given[1:])):
            listed_at = (*step.location, "with", place)
            location = next(each for each in (listed_at, listed_at[:-1], step.location) if each in document.values)
            if name not in given[1:]:
                document.fault(location, _unknown(name, given))
            elif name in taken:
                document.fault(location, f"'{name}' is taken in already, by {taken[name]}")
            taken.setdefault(name, f"transforms[{step.index}].{step.key}")
    listed = document.data.get("transforms")
    is_whole = len(transforms) == (len(listed) if isinstance(listed, list) else 0)
    is_whole = is_whole and taken.keys() <= set(given[1:])
    for name in given[1:]:
        if is_whole and name not in taken:  # a transform that is wrong may be meant to
            document.fault(("sources", name), f"no transform takes it in; say union: {{with: [{name}]}}", key=True)


def _unknown(name: str, given: Sequence[str]) -> str:
    if not given:
        return f"'{name}' is no source: there is only one; list several under `sources:`"
    if name == given[0]:
        return f"'{name}' is the main source, with whose rows the transforms begin"
    return f"unknown source '{name}'{nearest(name, given[1:])}"


def names_taken(step: TransformSpec, known: Sequence[str] = ()) -> list[str]:
    """Return the sources that a transform takes in: the value of its key ``with``; of a query those ``known``."""
    if isinstance(step.options, SqlOptions):
        return step.options.sources_among(known)
    given = [
        getattr(step.options, name) for name, about in type(step.options).model_fields.items() if about.alias == "with"
    ]
    return [name for value in given for name in ([value] if isinstance(value, str) else value)]


def _read_urls(options: Options, project: Project) -> tuple[str, ...]:
    """Return what a source reads, whole: its ``path``, ``include`` patterns and ``table``, where it has them."""
    given: list[str] = []
    for name in ("path", "include"):
        value = getattr(options, name, None)
        given += [value] if isinstance(value, str) else list(value or ())
    table = getattr(options, "table", None)
    return (*(project.url(path) for path in given), *((project.table_url(table),) if isinstance(table, str) else ()))
