"""The hash of what decides a pipeline's results."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from etl.config.interpolation import texts
from etl.config.project_file import PROJECT_FILE
from etl.config.specification import PipelineSpec, SinkSpec, SourceSpec, TransformSpec, dumped
from etl.project import Project
from etl.schema_contract import EVOLVE, STRICT
from etl.secrets import mask_values

_PYTHON_KEYS = ("python", "map_batches", "stateful")
_LAYOUT = ("maintain", "z_order_by", "properties")
_FUNCTION = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_]\w*")


def definition_hash(spec: PipelineSpec, project: Project) -> str:
    """Return the SHA-256 of what changes results: source, transforms with their Python files, sink.

    Options that have their default do not count, nor do names, descriptions, triggers and limits. Secrets go in masked.
    """
    definition = {
        **_sources(spec, project),
        "transforms": _steps(spec.transforms, project),
        **_sinks(spec, project),
        **_rules(spec),
    }
    canonical = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    masked = mask_values(canonical, spec.document.secrets)
    return hashlib.sha256(masked.encode("utf-8", "surrogatepass")).hexdigest()


def _lasting(options: object) -> object:
    """Return the options of a sink without those that only say how its files are laid out."""
    return (
        {key: value for key, value in options.items() if key not in _LAYOUT} if isinstance(options, dict) else options
    )


def _sources(spec: PipelineSpec, project: Project) -> dict[str, Any]:
    """Return what decides which rows come in: of the only source as always, of several each with its name."""
    if spec.source.location == ("source",):
        return {"source": _source(spec.source)}
    several = [
        [each.name, *_source(each), asdict(each.contract), _steps(each.transforms, project)] for each in spec.sources
    ]
    return {"sources": several}


def _source(source: SourceSpec) -> list[Any]:
    return [source.type, dumped(source.options), _ordered(source.schema)]


def _sinks(spec: PipelineSpec, project: Project) -> dict[str, Any]:
    """Return what decides what becomes of rows: of the own sink as always, of further ones each with its name."""
    own = _sink(spec.sink, project)
    further = [[each.role, *_sink(each, project)] for each in spec.further]
    return {"sink": own, **({"sinks": further} if further else {})}


def _sink(sink: SinkSpec, project: Project) -> list[Any]:
    columns = [] if sink.columns is None else [list(sink.columns)]
    digests = [_digests(modules)] if (modules := _modules(dumped(sink.options), project, sink.type)) else []
    return [sink.type, _lasting(dumped(sink.options)), *columns, *digests]


def _steps(steps: Sequence[TransformSpec], project: Project) -> list[Any]:
    return [
        [step.key, dumped(step.options), _digests(_modules(dumped(step.options), project, step.key))] for step in steps
    ]


def _rules(spec: PipelineSpec) -> dict[str, Any]:
    """Return what decides which rows are set aside, without what has its default."""
    default = EVOLVE if spec.source.schema is None else STRICT
    rules = {
        "schema_contract": None if spec.source.contract == default else asdict(spec.source.contract),
        "expect": [dumped(each) for each in spec.expect],
        "quarantine": dumped(spec.quarantine),
    }
    return {name: rule for name, rule in rules.items() if rule}


def _ordered(schema: Any) -> list[list[Any]] | None:  # noqa: ANN401  a schema or None
    """Return columns as a list: their order counts."""
    return None if schema is None else [list(column) for column in schema.items()]


def files_of(spec: PipelineSpec, project: Project) -> list[Path]:
    """Return the files that say what a pipeline is: its own, the project's, those of its Python functions."""
    named = [path for step in spec.steps for path in _modules(dumped(step.options), project, step.key).values()]
    called = [path for sink in spec.sinks for path in _modules(dumped(sink.options), project, sink.type).values()]
    return [spec.path, project.folder / PROJECT_FILE, *named, *called]


def _modules(options: object, project: Project, key: str) -> dict[str, Path]:
    """Return each Python file that options name as ``module:function``, by its module."""
    if key not in _PYTHON_KEYS:
        return {}
    named = [_FUNCTION.fullmatch(text) for text in texts(options)]
    modules = {found[1] for found in named if found}
    return {module: project.folder / "transforms" / f"{module.replace('.', '/')}.py" for module in modules}


def _digests(modules: Mapping[str, Path]) -> dict[str, str]:
    return {module: _digest(path) for module, path in modules.items()}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "missing"
