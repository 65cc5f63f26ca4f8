"""Validation errors of the models -> faults in our words, at the place in the file."""

from __future__ import annotations

import re
import types
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from etl.config.faults import Location, nearest, reason, shown
from etl.config.yaml_reader import Document
from etl.errors import ConfigError

_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen": "a list",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
    "dataclass": "a mapping",
    "none": "null",
}
_BOUNDS = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "string_pattern_mismatch": "text like {pattern}",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a validated value stands in a document; ``beside`` are keys that others read from the same mapping."""

    document: Document
    location: Location = ()
    beside: tuple[str, ...] = ()


def validate(model: type[BaseModel], value: object, place: Place, *, lenient: bool = False) -> Any:  # noqa: ANN401  an instance of model
    """Return ``value`` as ``model``, or None after noting what is wrong with it.

    ``lenient`` passes over text that still holds a ``${reference}``.
    """
    try:
        return model.model_validate(value)
    except ConfigError as exc:
        place.document.fault(place.location, reason(exc), key=True)
    except ValidationError as exc:
        errors = [error for error in exc.errors() if not (lenient and _may_still_fit(error))]
        for location, group in _by_place(errors, value).items():
            _explain(model, location, _fitting(group), place)
    return None


def _may_still_fit(error: Any) -> bool:  # noqa: ANN401  pydantic's ErrorDetails
    """Tell whether a value is a text that substitution is still to change."""
    return error["type"] != "extra_forbidden" and isinstance(error["input"], str) and "${" in error["input"]


def _by_place(errors: Iterable[Any], value: object) -> dict[Location, list[tuple[Location, Any]]]:
    """Group errors by the value that they complain of: the branches of a union all end up at the union."""
    groups: dict[Location, list[tuple[Location, Any]]] = {}
    for error in errors:
        real, at_union = _in_data(error["loc"], value, keeps_last=error["type"] == "missing")
        groups.setdefault(at_union, []).append((real, error))
    return groups


def _in_data(loc: Location, value: Any, *, keeps_last: bool) -> tuple[Location, Location]:  # noqa: ANN401  any plain value
    """Return ``loc`` without the parts that the file does not have (tags of unions), and what precedes the first."""
    real: Location = ()
    at_union: Location | None = None
    for index, part in enumerate(loc):
        if part in _parts(value):
            value = value[part]
        elif not (keeps_last and index == len(loc) - 1):
            at_union = real if at_union is None else at_union
            continue
        real = (*real, part)
    return real, real if at_union is None else at_union


def _parts(value: object) -> Collection[object]:
    """Return the keys or positions that a value has."""
    if isinstance(value, Mapping):
        return value.keys()
    return range(len(value)) if isinstance(value, list) else ()


def _fitting(group: list[tuple[Location, Any]]) -> list[tuple[Location, Any]]:
    """Return the errors of those branches of a union that fit the value's shape, all of them where none does."""
    deepest = max(len(real) for real, _ in group)
    shallow = min(len(real) for real, _ in group)
    return [(real, error) for real, error in group if len(real) > shallow] if deepest > shallow else group


def _explain(model: type[BaseModel], location: Location, group: list[tuple[Location, Any]], place: Place) -> None:
    if len(group) > 1 and {real for real, _ in group} == {location}:
        place.document.fault((*place.location, *location), _message_of_union([error for _, error in group]))
        return
    for real, error in group:
        is_key = error["type"] in ("extra_forbidden", "missing") or (error["type"] == "value_error" and not real)
        place.document.fault((*place.location, *real), _message(model, error, place), key=is_key)


def _message_of_union(errors: list[Any]) -> str:
    """Return one message for a value that fits no branch of a union."""
    value = errors[0]["input"]
    words = [word for error in errors for word in _words(error)]
    if words and "known:" not in (meant := nearest(value, words)):
        return f"unknown value {shown(value)}{meant}"
    wanted = dict.fromkeys(_wanted(error) or _own_words(error) for error in errors)
    return f"expected {' or '.join(wanted)}, got {shown(value)}"


def _message(model: type[BaseModel], error: Any, place: Place) -> str:  # noqa: ANN401  pydantic's ErrorDetails
    value = error["input"]
    if error["type"] == "missing":
        return "missing"
    if error["type"] == "extra_forbidden":
        beside = place.beside if len(error["loc"]) == 1 else ()
        return f"unknown key{_both(error['loc'][-1], [*beside, *_known_keys(model, error['loc'][:-1])])}"
    if words := _words(error):
        return f"unknown value {shown(value)}{nearest(value, words)}"
    if wanted := _wanted(error):
        return f"expected {wanted}, got {shown(value)}"
    return _own_words(error) if isinstance(value, dict | list) else f"{_own_words(error)}, got {shown(value)}"


def _words(error: Any) -> list[str]:  # noqa: ANN401  pydantic's ErrorDetails
    """Return the words that a literal or an enumeration allows."""
    is_choice = error["type"] in ("literal_error", "enum")
    return re.findall(r"'([^']*)'", error["ctx"]["expected"]) if is_choice else []


def _wanted(error: Any) -> str | None:  # noqa: ANN401  pydantic's ErrorDetails
    """Return what should stand there instead."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("literal_error", "enum"):
        return str(context["expected"])
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**context)
    return _EXPECTED.get(kind.partition("_")[0])


def _own_words(error: Any) -> str:  # noqa: ANN401  pydantic's ErrorDetails
    """Return the text of a validator of ours, or pydantic's."""
    if error["type"] in ("value_error", "assertion_error"):
        return str(error["ctx"]["error"])
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}"


def _both(word: object, known: list[str]) -> str:
    """Return the nearest key and all known ones."""
    close, everything = nearest(word, dict.fromkeys(known)), nearest("", dict.fromkeys(known))
    return close if close == everything else f"{close} {everything.removeprefix('; ')}"


def _known_keys(model: type[BaseModel], loc: Location) -> list[str]:
    """Return the keys that the model at ``loc`` (tags of unions included) has."""
    candidates = _branches(model)
    for part in loc:
        named = [branch for branch in candidates if getattr(branch, "__name__", None) == part]
        candidates = named or [inner for branch in candidates for inner in _inside(branch, part)]
    models = [branch for branch in candidates if _is_model(branch)]
    return list(dict.fromkeys(field.alias or name for branch in models for name, field in branch.model_fields.items()))


def _inside(branch: Any, part: str | int) -> list[Any]:  # noqa: ANN401  any annotation
    """Return what may stand in ``branch`` under a key or at a position."""
    if _is_model(branch):
        return [
            inner
            for name, field in branch.model_fields.items()
            if part in (field.alias, name)
            for inner in _branches(field.annotation)
        ]
    arguments = [argument for argument in get_args(branch) if argument is not Ellipsis]
    return _branches(arguments[-1]) if arguments else []


def _branches(annotation: Any) -> list[Any]:  # noqa: ANN401  any annotation
    if get_origin(annotation) is Annotated:
        return _branches(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [inner for argument in get_args(annotation) for inner in _branches(argument)]
    return [annotation]


def _is_model(branch: Any) -> bool:  # noqa: ANN401  any annotation
    return isinstance(branch, type) and issubclass(branch, BaseModel)
