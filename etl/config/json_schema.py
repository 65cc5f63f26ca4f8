"""The JSON Schema of both YAML files, for editors; made from the models that validate them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema

from etl.config.project_keys import ProjectFile
from etl.config.registries import Kind, names, registered
from etl.config.specification import PipelineFile, SinkCommon, SourceCommon

if TYPE_CHECKING:
    from pydantic import BaseModel

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return ``{"project": …, "pipeline": …}``, each a schema that stands by itself."""
    return {"project": {"$schema": _DIALECT, **ProjectFile.model_json_schema()}, "pipeline": _pipeline_schema()}


def _pipeline_schema() -> dict[str, Any]:
    kinds: tuple[Kind, ...] = ("sources", "transforms", "sinks")
    options = {(kind, name): registered(kind, name).options_model for kind in kinds for name in names(kind)}
    models = [*options.values(), PipelineFile, SinkCommon, SourceCommon]
    # "serialization" would describe what we print; "validation" is what may be written
    refs, shared = models_json_schema([(model, "validation") for model in dict.fromkeys(models)])
    parts: dict[str, dict[str, Any]] = shared["$defs"]

    def part_of(model: type[BaseModel]) -> dict[str, Any]:
        return parts[refs[model, "validation"]["$ref"].rpartition("/")[2]]

    common = {"sources": _beside_type(part_of(SourceCommon)), "sinks": _beside_type(part_of(SinkCommon))}
    root = part_of(PipelineFile)
    blocks: dict[Kind, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    for (kind, name), model in options.items():
        part = part_of(model)
        blocks[kind].append(_single_key(name, part) if kind == "transforms" else _typed(name, part, common[kind]))
    transforms = {"type": "array", "items": {"anyOf": blocks["transforms"]}}
    root["properties"]["source"] = {"anyOf": blocks["sources"]}
    root["properties"]["sources"] |= {"anyOf": [_several(blocks["sources"], transforms)]}
    root["properties"]["sink"] = {"anyOf": blocks["sinks"]}
    root["properties"]["sinks"] |= {"anyOf": [{"type": "array", "minItems": 1, "items": {"anyOf": blocks["sinks"]}}]}
    root["properties"]["transforms"] = transforms
    root["allOf"] = [
        {"oneOf": [{"required": [one]}, {"required": [several]}]}
        for one, several in (("source", "sources"), ("sink", "sinks"))
    ]
    return {"$schema": _DIALECT, **root, "$defs": parts}


def _beside_type(part: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part["properties"].items() if key != "type"}


def _several(blocks: list[dict[str, Any]], transforms: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of sources by name, each of which may have transforms of its own."""
    own = [{**block, "properties": {**block["properties"], "transforms": transforms}} for block in blocks]
    return {"type": "object", "minProperties": 1, "additionalProperties": {"anyOf": own}}


def _typed(name: str, options: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a block with ``type: name``."""
    properties = {
        "type": {"const": name},
        **common,
        **{key: value for key, value in options.get("properties", {}).items() if key != "type"},
    }
    return {**options, "properties": properties, "required": ["type", *options.get("required", [])]}


def _single_key(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a transform: a mapping of one key."""
    return {"type": "object", "properties": {name: value}, "required": [name], "additionalProperties": False}
