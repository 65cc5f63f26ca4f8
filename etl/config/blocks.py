"""The blocks of a pipeline file that a ``type`` or a key names, validated against the options of what it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from etl.config.explanation import Place, validate
from etl.config.faults import Location, nearest, reason, shown
from etl.config.registries import Kind, names, registered
from etl.config.specification import TransformSpec
from etl.errors import ConfigError

if TYPE_CHECKING:
    from etl.config.yaml_reader import Document
    from etl.options import Options


def read_transforms(document: Document, content: object, source: str = "") -> tuple[TransformSpec, ...]:
    """Return a list of transforms, the pipeline's or that of a source; wrong ones are noted."""
    items = enumerate(content if isinstance(content, list) else ())
    specs = (_transform(document, index, item, source) for index, item in items)
    return tuple(spec for spec in specs if spec is not None)


def _transform(document: Document, index: int, item: object, source: str) -> TransformSpec | None:
    location: Location = (*(("sources", source) if source else ()), "transforms", index)
    if not isinstance(item, dict):
        if source:  # the pipeline's own list is validated with the fixed part of the file
            document.fault(location, f"expected a mapping, got {shown(item)}")
        return None
    if len(item) != 1:
        document.fault(
            location, f"expected one key, got {', '.join(item) or 'none'}; each entry of the list is one transform"
        )
        return None
    ((key, value),) = item.items()
    found = _registered(document, "transforms", key, (*location, key))
    options = validate(found.options_model, value, Place(document, (*location, key))) if found else None
    return None if options is None else TransformSpec(key, options, index, source)


def typed_options(place: Place, kind: Kind, content: Mapping[str, Any], beside: tuple[str, ...]) -> Options | None:
    """Return the options of what ``type`` names, None after noting what is wrong.

    The keys ``beside`` are read by others.
    """
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
